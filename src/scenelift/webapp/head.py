"""Answers HEAD requests, as monitors send them, wherever GET is allowed."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AnswerHead"]


class AnswerHead:
    """Answers HEAD as GET, headers only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        complete = False

        async def hear() -> Message:
            # A stream without an end, of events, stops when nobody listens any more.
            return {"type": "http.disconnect"} if complete else await receive()

        async def headers_only(message: Message) -> None:
            nonlocal complete
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                complete = True

        await self._app({**scope, "method": "GET"}, hear, headers_only)

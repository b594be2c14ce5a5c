"""Answers OPTIONS: which methods an address takes."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["AnswerOptions"]


class AnswerOptions:
    """Answers OPTIONS with the methods of all routes of an address; CORS has its own layer.

    Args:
        routes: those whose methods are told; other addresses are left to the app.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and scope["method"] == "OPTIONS"
        methods = self._methods(scope) if asks else set[str]()
        if not methods:
            await self._app(scope, receive, send)
            return
        allowed = ", ".join(sorted({*methods, "OPTIONS"}))
        await Response(status_code=204, headers={"Allow": allowed})(scope, receive, send)

    def _methods(self, scope: Scope) -> set[str]:
        """List the methods of an address; none where it is not known."""
        methods = {
            method
            for route in self._routes
            if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
            for method in route.methods or ()
        }
        return methods | ({"HEAD"} if "GET" in methods else set())

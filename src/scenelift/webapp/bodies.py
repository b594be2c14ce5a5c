"""Receives JSON bodies: errors in plain words, no name twice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from scenelift.json_text import parse_json

__all__ = ["JsonRoute"]


class JsonRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:
        try:
            return parse_json(await self.body())
        except ValueError as exc:
            raise HTTPException(400, f"The body is no JSON that can be read: {exc}.") from exc


class JsonRoute(APIRoute):
    """A route for routers whose calls take JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return read_and_handle

"""Serves the page in the browser: the files that `make page` built from frontend/."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from scenelift.webapp.errors import NotFound

__all__ = ["STATIC", "add_page"]

STATIC = Path(__file__).parent / "static"
# Names of built files change with their content.
FOREVER = "public, max-age=31536000, immutable"


def add_page(app: FastAPI, folder: Path = STATIC) -> None:
    """Serve the page, or say how to build it.

    Call it after the routers are in, so that it hides none of them.

    Args:
        folder: with index.html and assets/.
    """
    if (folder / "index.html").is_file():
        app.mount("/", _Page(directory=folder, html=True), name="page")
        return

    @app.get("/", include_in_schema=False)
    async def no_page() -> None:
        raise NotFound(
            "The page was not built: run `make page` in a clone (it needs npm), or install a "
            "released wheel, which brings it. The REST interface works without it and is described "
            "at /api/openapi.json."
        )


class _Page(StaticFiles):
    """Serves the files, each compressed where a .gz lies beside it and the browser takes that."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            gzip_path = f"{path}.gz"
            if self.lookup_path(gzip_path)[1] is not None:
                response = await super().get_response(gzip_path, scope)
                kind, _ = mimetypes.guess_type(path)
                response.headers["Content-Type"] = kind or "application/octet-stream"
                response.headers["Content-Encoding"] = "gzip"
                return _cached(path, response)
        return _cached(path, await super().get_response(path, scope))


def _cached(path: str, response: Response) -> Response:
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = FOREVER if path.startswith("assets/") else "no-cache"
    return response

"""Serve one output folder to the viewer, on this machine alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scenelift.errors import SetupError
from scenelift.formats import media_type
from scenelift.output.manifest import MANIFEST_NAME, read_manifest
from scenelift.output.page import listed_files

__all__ = ["folder_server"]


@contextmanager
def folder_server(folder: Path, viewer: str, port: int) -> Iterator[ThreadingHTTPServer]:
    """Serve the viewer and the files that the folder's manifest names, and nothing else.

    Args:
        folder: of a finished run.
        viewer: the viewer's page, see `scenelift.output.page.viewer_page`.
        port: on the loopback address; 0 takes a free one, which `server_port` tells.

    Raises:
        InputError: the folder holds no finished scene.
        SetupError: the port cannot be used.
    """
    paths = listed_files(folder, read_manifest(folder)) | {MANIFEST_NAME: folder / MANIFEST_NAME}
    handler = partial(_Handler, viewer.encode(), paths)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as exc:
        raise SetupError(
            f"Port {port} cannot be used: {exc.strerror}. Choose another one with --port."
        ) from exc
    with server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, page: bytes, paths: dict[str, Path], *args, **kwargs) -> None:
        self._page, self._paths = page, paths
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        # Another site's page could reach this port under a name of its own (DNS rebinding).
        host = self.headers.get("Host", "").rpartition(":")[0]
        name = unquote(urlsplit(self.path).path).lstrip("/")
        if host not in ("127.0.0.1", "localhost"):
            self.send_error(403, "Only this machine")
        elif not name:
            self._start("text/html; charset=utf-8", len(self._page))
            self.wfile.write(self._page)
        elif name not in self._paths or not self._paths[name].is_file():
            self.send_error(404, "Not a file of this scene")
        else:
            path = self._paths[name]
            self._start(media_type(name), path.stat().st_size)
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def _start(self, kind: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the terminal is the user's."""

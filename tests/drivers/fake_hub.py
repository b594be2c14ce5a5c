"""A Hugging Face hub on the loopback interface: what fetching files and asking about them takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

__all__ = ["FakeHub", "serve_hub"]

COMMIT = "0" * 40


@dataclass
class FakeHub:
    """What the server has and does; may be changed while it runs.

    Attributes:
        files: content by `owner/name/path`.
        gated: repositories that are refused without this token ("" refuses everybody).
        cuts: after how many bytes each of the next transfers is cut off, in order.
        status: answer this to everything, where it is not 0.
        revisions: commit and day of a repository's branches and commits, by `owner/name@revision`.
        tags: of a repository, as "license:mit".
        moved: repositories whose files lie on another host, as those of GitHub's releases do.
        sent: bytes of file content sent so far.
        watch: told of every request: repository, and the token that came with it.
        endpoint: address, for `HF_ENDPOINT`.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    status: int = 0
    revisions: dict[str, tuple[str, str]] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    sent: int = 0
    watch: Callable[[tuple[str, str]], None] | None = None
    endpoint: str = ""


@contextmanager
def serve_hub(files: Mapping[str, bytes]) -> Iterator[FakeHub]:
    """Serve files until the block ends."""
    hub = FakeHub(files=dict(files))

    def about(repository: str, commit: str) -> dict[str, Any]:
        """What the hub tells of a repository with the sizes of its files."""
        siblings = []
        for name, content in hub.files.items():
            if name.startswith(f"{repository}/"):
                path = name.removeprefix(f"{repository}/")
                sibling: dict[str, Any] = {"rfilename": path, "size": len(content)}
                if path.endswith(".safetensors"):
                    digest = hashlib.sha256(content).hexdigest()
                    sibling["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 9}
                siblings.append(sibling)
        tags = hub.tags.get(repository, [])
        return {"id": repository, "sha": commit, "tags": tags, "siblings": siblings}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def do_GET(self) -> None:
            self._answer(with_content=True)

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

        def _tell(self) -> None:
            """Answer what is asked about a repository instead of for a file."""
            asked = unquote(self.path.partition("?")[0]).removeprefix("/api/models/")
            kind = "commits" if "/commits/" in asked else "revision"
            repository, _, revision = asked.partition(f"/{kind}/")
            known = hub.revisions.get(f"{repository}@{revision}")
            if hub.status or known is None:
                self._refuse(hub.status or 404, "" if hub.status else "RevisionNotFound")
                return
            commit, day = known
            told: Any = about(repository, commit)
            if kind == "commits":
                moment = f"{day}T12:00:00.000Z"
                told = [{"id": commit, "authors": [], "date": moment, "title": "", "message": ""}]
            content = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _answer(self, *, with_content: bool) -> None:
            if self.path.startswith("/api/"):
                self._tell()
                return
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            path = rest.partition("/")[2]
            token_sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if hub.watch:
                hub.watch((repository, token_sent))
            if hub.status:
                self._refuse(hub.status)
                return
            if repository in hub.gated:
                token = hub.gated[repository]
                if not token or token_sent != token:
                    self._refuse(403 if token_sent else 401, "GatedRepo")
                    return
            if repository in hub.moved and "localhost" not in self.headers.get("Host", ""):
                self.send_response(302)
                self.send_header(
                    "Location", f"{hub.endpoint}{self.path}".replace("127.0.0.1", "localhost")
                )
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = hub.files.get(f"{repository}/{path}")
            if content is None:
                self._refuse(404, "EntryNotFound")
                return
            asked = self.headers.get("Range", "")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                last, size = len(content) - 1, len(content)
                self.send_header("Content-Range", f"bytes {start}-{last}/{size}")
            self.end_headers()
            if with_content:
                end = len(content)
                if hub.cuts:
                    end = min(end, start + hub.cuts.pop(0))
                    self.close_connection = True
                hub.sent += end - start
                self.wfile.write(content[start:end])

        def _refuse(self, status: int, code: str = "") -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Pages in Chromium, for tests, benchmarks and pictures: what was wrong on one is remembered.

Needs playwright and the system's Chromium (Debian: `apt install chromium`); no browser is fetched.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from tests.drivers.patience import patient

__all__ = ["PATIENCE_MS", "VisitedPage", "chromium", "find_chromium"]

# WebGL 2 without a GPU, the same picture everywhere; and no request of the browser's own.
FLAGS = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-sandbox",  # for root, which containers run as
)
PATIENCE_MS = round(1000 * patient(60))


def find_chromium() -> str | None:
    """Path of the system's Chromium, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser until the block ends.

    Raises:
        RuntimeError: there is no Chromium.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError("Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class VisitedPage:
    """A page of a server, in a context of its own.

    Attributes:
        page: playwright's.
        faults: console errors and warnings, uncaught exceptions.
        strangers: requests that left the server's origin.
        requests: paths of all requests to the server, in order.
    """

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self._url, self._host = url, urlsplit(url).netloc
        options: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}} | context
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.faults: list[str] = []
        self.strangers: list[str] = []
        self.requests: list[str] = []
        self.page = self.open()

    def open(self, path: str = "/") -> Page:
        """Another tab, of which the same is remembered."""
        page = self.context.new_page()
        page.on("console", self._console)
        page.on("pageerror", self._exception)
        page.on("request", self._request)
        page.goto(f"{self._url}{path}")
        return page

    def close(self) -> None:
        self.context.close()

    def _console(self, message: ConsoleMessage) -> None:
        # SwiftShader reading pixels back says so; no card does.
        if message.type in ("error", "warning") and "GPU stall due to ReadPixels" not in (
            message.text
        ):
            where = urlsplit(message.location["url"]).path
            self.faults.append(f"{message.type}: {message.text} {where}")

    def _exception(self, error: Error) -> None:
        self.faults.append(f"exception: {error}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("blob", "data"):
            return
        if parts.netloc == self._host:
            self.requests.append(parts.path)
        else:
            self.strangers.append(request.url)

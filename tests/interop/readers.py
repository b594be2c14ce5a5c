"""Other people's readers that run in a browser or in Node.js."""

from __future__ import annotations

import csv
import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.drivers.browser import PATIENCE_MS, chromium
from tests.interop.readings import Reading, part_of, reading_of

from scenelift.types import SH_C0

__all__ = [
    "BrowserReaders",
    "KhronosVerdict",
    "assimp",
    "browser_readers",
    "khronos",
    "splat_transform",
]

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
VALIDATOR = HERE.parent / "gltf_validator"


class BrowserReaders:
    """three, Babylon, PlayCanvas and Spark in one headless browser."""

    def __init__(self, browser: Any, address: str) -> None:
        self._browser, self._address = browser, address
        self._pages: dict[str, Any] = {}

    def read(self, library: str, file: str, **options: bool) -> Reading:
        """What the library makes of a file below the served folder."""
        from playwright.sync_api import Error

        if library not in self._pages:
            page = self._pages[library] = self._browser.new_page()
            page.goto(f"{self._address}/pages/{library}.html")
            page.wait_for_function("() => !!window.read", timeout=PATIENCE_MS)
        kind = file.rpartition(".")[2]
        script = """([url, kind, options, patience]) => Promise.race([
            window.read(url, kind, options),
            new Promise((_, fail) => setTimeout(() => fail(new Error("no answer")), patience))])"""
        try:
            parts = self._pages[library].evaluate(
                script, [f"{self._address}/{file}", kind, options, PATIENCE_MS]
            )
        except Error as exc:
            return Reading(refusal=str(exc).splitlines()[0].removeprefix("Page.evaluate: "))
        return reading_of(parts)


@contextmanager
def browser_readers(folder: Path) -> Iterator[BrowserReaders]:
    """The readers over files in a folder, which also gets the bundled pages."""
    (folder / "pages").mkdir(exist_ok=True)
    subprocess.run(
        ["node", "bundle.mjs", str(folder / "pages")], cwd=HERE, check=True, capture_output=True
    )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with chromium() as browser:
                yield BrowserReaders(browser, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def splat_transform(path: Path, work: Path) -> Reading:
    """PlayCanvas' command-line converter, whose own axes are those of INRIA's PLY."""
    table = work / "out.csv"
    done = _node(MODULES / ".bin" / "splat-transform", "-q", "-w", "-g", "cpu", path, table)
    if done.returncode:
        return Reading(refusal=(done.stderr or done.stdout).strip().splitlines()[0])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    points = np.array([[float(r[a]) for a in "xyz"] for r in rows])
    rgb = 0.5 + SH_C0 * np.array([[float(r[f"f_dc_{k}"]) for k in range(3)] for r in rows])
    return reading_of([part_of("", "splats", points, rgb)])


def assimp(path: Path) -> Reading:
    """The Open Asset Import Library."""
    done = _node("node", "assimp.mjs", path)
    if done.returncode:
        return Reading(refusal=(done.stderr or done.stdout).strip().splitlines()[-1])
    return reading_of(json.loads(done.stdout))


@dataclass(frozen=True)
class KhronosVerdict:
    """What the Khronos validator says of a GLB: a line, and the codes of errors and warnings."""

    text: str
    codes: frozenset[str]


def khronos(path: Path) -> KhronosVerdict:
    """The Khronos validator's verdict on a GLB."""
    issues = json.loads(_node("node", VALIDATOR / "validate.mjs", path).stdout)["issues"]
    codes = frozenset(m["code"] for m in issues["messages"] if m["severity"] < 2)
    text = f"{issues['numErrors']} errors, {issues['numWarnings']} warnings"
    return KhronosVerdict(text=", all ".join((text, *sorted(codes))), codes=codes)


def _node(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=PATIENCE_MS / 1000,
    )

"""Other people's readers, each asked where red, green and blue are, and what is shown."""

from __future__ import annotations

import csv
import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.drivers.browser import PATIENCE_MS, chromium

from scenelift.types import SH_C0

__all__ = ["BrowserReaders", "Reading", "assimp", "browser_readers", "splat_transform"]

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@dataclass(frozen=True)
class Reading:
    """What one reader makes of one file.

    Attributes:
        centres: colour -> mean place of all that has this colour, in the reader's own axes.
        rgb: colour -> its mean, sRGB in 0…1.
        kinds: what is there: "mesh", "points", "splats".
        shown: those of them that the reader shows.
        names: of the parts.
        refusal: why it could not be read, or empty.
    """

    centres: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    rgb: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def up(self) -> str:
        """The axis on which green lies above the others, as "+y"; "?" where there is no green."""
        if "green" not in self.centres or len(self.centres) < 2:
            return "?"
        others = [p for hue, p in self.centres.items() if hue != "green"]
        offset = np.subtract(self.centres["green"], np.mean(others, axis=0))
        axis = int(np.argmax(np.abs(offset)))
        return ("+" if offset[axis] > 0 else "-") + "xyz"[axis]


def _reading(parts: list[dict[str, Any]]) -> Reading:
    sums: dict[str, list[tuple[int, list[float], list[float]]]] = {}
    for p in parts:
        for hue, place in p["hues"].items():
            sums.setdefault(hue, []).append((place["count"], place["centre"], place["rgb"]))

    def mean(hue: str, at: int) -> tuple[float, float, float]:
        weights = [entry[0] for entry in sums[hue]]
        x, y, z = np.average([entry[at] for entry in sums[hue]], axis=0, weights=weights)
        return float(x), float(y), float(z)

    return Reading(
        centres={hue: mean(hue, 1) for hue in sums if hue != "none"},
        rgb={hue: mean(hue, 2) for hue in sums if hue != "none"},
        kinds=frozenset(p["kind"] for p in parts if p["count"]),
        shown=frozenset(p["kind"] for p in parts if p["shown"]),
        names=tuple(p["name"] for p in parts),
    )


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
        script = """([url, kind, options]) => Promise.race([window.read(url, kind, options),
            new Promise((_, fail) => setTimeout(() => fail(new Error("no answer")), 60000))])"""
        try:
            parts = self._pages[library].evaluate(
                script, [f"{self._address}/{file}", kind, options]
            )
        except Error as exc:
            return Reading(refusal=str(exc).splitlines()[0].removeprefix("Page.evaluate: "))
        return _reading(parts)


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
    done = subprocess.run(
        [str(MODULES / ".bin" / "splat-transform"), "-q", "-w", "-g", "cpu", str(path), str(table)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        return Reading(refusal=(done.stderr or done.stdout).strip().splitlines()[0])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    points = np.array([[float(r[a]) for a in "xyz"] for r in rows])
    rgb = 0.5 + SH_C0 * np.array([[float(r[f"f_dc_{k}"]) for k in range(3)] for r in rows])
    hues = np.array(["red", "green", "blue"])[rgb.argmax(1)]
    parts = [
        {
            "name": "splats",
            "kind": "splats",
            "count": len(rows),
            "shown": True,
            "hues": {
                str(hue): {
                    "centre": points[hues == hue].mean(0),
                    "rgb": rgb[hues == hue].mean(0),
                    "count": int((hues == hue).sum()),
                }
                for hue in np.unique(hues)
            },
        }
    ]
    return _reading(parts)


def assimp(path: Path) -> Reading:
    """The Open Asset Import Library."""
    done = subprocess.run(
        ["node", "assimp.mjs", str(path)], cwd=HERE, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        return Reading(refusal=(done.stderr or done.stdout).strip().splitlines()[-1])
    return _reading(json.loads(done.stdout))

"""What an open page takes from the processor while nobody touches it.

    python benchmarks/page_idle.py [--seconds 10]

Chromium draws without a graphics card here, as on a small server or a laptop that has none to
spare: there every frame costs time that the models of the same machine could use. Prints cores
used by all its processes, for each view with motion, and for one who asked for reduced motion.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page
from tests.drivers.browser import VisitedPage, chromium
from tests.drivers.live_server import LiveServer

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description="What an open page takes.")
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        server = LiveServer(Path(folder) / "data").start()
        finished = server.wait(server.submit("red", "blue"))["id"]
        stuck = server.submit("hang")
        server.wait(stuck, "running")
        try:
            for motion in ("no-preference", "reduce"):
                with chromium() as browser:
                    visitor = VisitedPage(browser, server.url, reduced_motion=motion)
                    for name, job, sign in (
                        ("start", "", "text=Drop a photo here"),
                        ("working", stuck, "text=Finding objects >> nth=0"),
                        ("result", finished, ".viewer[data-state=ready]"),
                    ):
                        show(visitor.page, job, sign)
                        cores = measure(seconds)
                        print(f"{name:8} motion: {motion:14} {cores:.2f} cores", flush=True)
                    visitor.close()
        finally:
            server.http.post(f"/api/jobs/{stuck}/cancel")
            server.close()


def show(page: Page, job: str, sign: str) -> None:
    page.evaluate("job => { location.hash = job && `#job=${job}` }", job)
    page.locator(sign).wait_for()
    time.sleep(3)  # what opening it draws is not what is asked


def measure(seconds: float) -> float:
    before, start = chromium_seconds(), time.monotonic()
    time.sleep(seconds)
    return (chromium_seconds() - before) / (time.monotonic() - start)


def chromium_seconds() -> float:
    """Processor time of every Chromium process so far."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if b"chromium" in command:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


if __name__ == "__main__":
    main()

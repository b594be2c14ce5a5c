"""Where the time of every thread goes: stacks looked at a hundred times a second, as a tree.

A thread that waits for a GPU is seen on the line that waits.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

__all__ = ["Tree", "stack_of", "watching"]

INTERVAL = 0.01  # seconds
OURS = ("scenelift", "benchmarks")


@dataclass
class Tree:
    """Seconds that were spent in a function, and in what it called."""

    seconds: float = 0.0
    below: dict[str, Tree] = field(default_factory=dict)

    def add(self, path: list[str], seconds: float) -> None:
        self.seconds += seconds
        if path:
            self.below.setdefault(path[0], Tree()).add(path[1:], seconds)

    def lines(self, name: str, least: float, indent: int = 0) -> Iterator[str]:
        """What took at least so many seconds, the longest first."""
        yield f"{self.seconds:8.2f} {'  ' * indent}{name}"
        for inner, tree in sorted(self.below.items(), key=lambda item: -item[1].seconds):
            if tree.seconds >= least:
                yield from tree.lines(inner, least, indent + 1)


@contextmanager
def watching() -> Iterator[dict[str, Tree]]:
    """Within it, all threads but this one's watcher are looked at; threads of a pool are one."""
    trees: dict[str, Tree] = {}
    done = threading.Event()

    def watch() -> None:
        last = time.perf_counter()
        while not done.wait(INTERVAL):
            now = time.perf_counter()
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != watcher.ident:
                    pool = names.get(ident, "?").rstrip("0123456789_-")
                    trees.setdefault(pool, Tree()).add(stack_of(frame), now - last)
            last = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield trees
    finally:
        done.set()
        watcher.join()


def stack_of(frame: FrameType | None) -> list[str]:
    """Functions of ours from the outermost inwards, and the innermost one of anybody's."""
    path: list[str] = []
    while frame is not None:
        name, ours = _described(frame.f_code, frame.f_lineno)
        if ours or not path:
            path.append(name)
        frame = frame.f_back
    return path[::-1]


@cache  # the watched threads wait meanwhile
def _described(code: CodeType, line: int) -> tuple[str, bool]:
    """Return a line's name, and whether it is ours."""
    file = Path(code.co_filename)
    name = f"{file.parent.name}/{file.name}:{line} {code.co_name}"
    return name, any(part in OURS for part in file.parts)

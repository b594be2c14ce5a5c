"""What a GPU does and when: kernels by name and stream, how busy it is, whom it waits for.

PyTorch's profiler records what runs on the GPU alone, so that the program is slowed little; stacks
of all threads are looked at meanwhile, and those at moments when nothing ran are added up.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.stacks import Tree, stack_of

__all__ = ["Record", "recording"]

LOOKED_EVERY = 0.02  # seconds
BIN = 0.2  # seconds of one line of the course
KERNELS = 60  # lines of a stream's
IDLE = 0.001  # seconds: a shorter pause is no wait


@dataclass
class Record:
    """What was seen; times are in seconds since the beginning.

    Attributes:
        runs: of every stream, (begin, end, kernel) in order.
        looks: (when, thread's name, its stack from the outermost call inwards).
        marks: (when, what happened).
        wall: seconds of all of it.
    """

    runs: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    looks: list[tuple[float, str, list[str]]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    wall: float = 0.0
    began: int = 0  # nanoseconds of the clock

    def mark(self, text: str) -> None:
        self.marks.append(((time.time_ns() - self.began) / 1e9, text))

    def busy(self) -> list[tuple[float, float]]:
        """Spans in which anything ran."""
        spans: list[tuple[float, float]] = []
        for begin, end, _ in sorted(run for runs in self.runs.values() for run in runs):
            if spans and begin <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((begin, end))
        return spans

    def lines(self) -> Iterator[str]:
        busy = self.busy()
        computed = sum(end - begin for begin, end in busy)
        yield f"wall {self.wall:.2f} s, the GPU computed {computed:.2f} s"
        yield from self._waits(busy)
        yield from self._course()
        for stream, runs in self.runs.items():
            yield from _by_name(stream, runs)
        yield from self._stacks(busy)

    def _waits(self, busy: list[tuple[float, float]]) -> Iterator[str]:
        edges = [0.0, *(x for span in busy for x in span), self.wall]
        pauses = [b - a for a, b in zip(edges[::2], edges[1::2], strict=True)]
        low = 0.0
        for high in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, float("inf")):
            some = [pause for pause in pauses if low <= pause < high]
            yield f"  pauses of {low:g} to {high:g} s: {len(some)}, {sum(some):.3f} s"
            low = high

    def _course(self) -> Iterator[str]:
        shares = {stream: defaultdict(float) for stream in self.runs}
        for stream, runs in self.runs.items():
            for begin, end, _ in runs:
                shares[stream][int(begin / BIN)] += end - begin
        yield "share of the time, by stream: " + ", ".join(self.runs)
        for k in range(int(self.wall / BIN) + 1):
            row = " ".join(f"{shares[stream][k] / BIN:5.0%}" for stream in self.runs)
            here = "; ".join(text for when, text in self.marks if int(when / BIN) == k)
            yield f"  {k * BIN:5.1f} {row}  {here}"

    def _stacks(self, busy: list[tuple[float, float]]) -> Iterator[str]:
        begins = [begin for begin, _ in busy]

        def idle(when: float) -> bool:
            k = bisect_right(begins, when) - 1
            last = busy[k][1] if k >= 0 else 0.0
            following = begins[k + 1] if k + 1 < len(begins) else self.wall
            return when > last and following - last > IDLE

        trees: dict[str, Tree] = {}
        for when, thread, path in self.looks:
            if idle(when):
                trees.setdefault(thread, Tree()).add(path, LOOKED_EVERY)
        yield f"stacks while nothing ran for {IDLE:g} s and more"
        for thread, tree in trees.items():
            yield from tree.lines(thread, least=0.005 * self.wall)


def _by_name(stream: str, runs: list[tuple[float, float, str]]) -> Iterator[str]:
    of_name: dict[str, list[float]] = defaultdict(list)
    for begin, end, name in runs:
        of_name[name].append(end - begin)
    yield f"stream {stream}: {sum(map(sum, of_name.values())):.3f} s, {len(runs)} kernels"
    longest = sorted(of_name.items(), key=lambda item: -sum(item[1]))
    for name, seconds in longest[:KERNELS]:
        yield f"  {sum(seconds):8.4f} s {len(seconds):7} × {name[:130]}"


@contextmanager
def recording() -> Iterator[Record]:
    """Within it, kernels of all GPUs and stacks of all threads are recorded."""
    record = Record()
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOKED_EVERY):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            when = (time.time_ns() - record.began) / 1e9
            for ident, frame in sys._current_frames().items():
                if ident != watcher.ident:
                    pool = names.get(ident, "?").rstrip("0123456789_-")
                    record.looks.append((when, pool, stack_of(frame)))

    watcher = threading.Thread(target=look, daemon=True)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        record.began = time.time_ns()
        watcher.start()
        try:
            yield record
        finally:
            record.wall = (time.time_ns() - record.began) / 1e9
            done.set()
            watcher.join()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json.gz"
        profile.export_chrome_trace(str(file))
        with gzip.open(file, "rt") as text:
            trace = json.load(text)
    _fill(record, trace)


def _fill(record: Record, trace: dict[str, Any]) -> None:
    base = int(trace.get("baseTimeNanoseconds", 0))
    runs: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for event in trace["traceEvents"]:
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset", "cpu_op"):
            begin = (base + 1000 * float(event["ts"]) - record.began) / 1e9
            stream = str(event.get("args", {}).get("stream", "?"))
            runs[stream].append((begin, begin + float(event["dur"]) / 1e6, event["name"]))
    record.runs = {stream: sorted(some) for stream, some in runs.items()}

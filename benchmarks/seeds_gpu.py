"""Time several seeds of one object together and one by one, with random weights.

    python -m benchmarks.seeds_gpu [--seeds 4] [--size tiny] [--device cpu] [--vram-gb 8]

prints for SAM 3D Objects and TRELLIS the seconds of N seeds whose first stage is a batch, of N
seeds one by one, their ratio, and GiB at the peak: of the first stage (with what looks at the
photo), and of whole objects. Both ways run in turn, after one round to warm up; medians. The voxels
that carry latents are a shell of the cube, as in `trellis_gpu`.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.trellis_gpu import GIB, Bench, pictures, view
from scenelift.models.sam3d.model import SAM3D
from scenelift.models.trellis.model import Trellis
from scenelift.progress import silent
from scenelift.testing.random_networks import FULL, TINY


class Ways:
    """What is timed of a model: its first stage, and all of it, for some seeds."""

    def __init__(self, model: Any, seen: Any) -> None:
        self._model, self._seen = model, seen

    def begin(self, seeds: Sequence[int]) -> list[Any]:
        return self._model.begin(self._seen, seeds=seeds, report=silent())

    def whole(self, seeds: Sequence[int]) -> None:
        for begun in self.begin(seeds):
            if isinstance(self._model, SAM3D):
                self._model.complete(self._seen, begun, report=silent())
            else:
                self._model.complete(begun, report=silent())


def measure(step: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds, and GiB at the peak."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    step()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    return seconds, torch.cuda.max_memory_allocated(device) / GIB if cuda else 0.0


def compare(
    name: str,
    way: Callable[[Sequence[int]], object],
    seeds: Sequence[int],
    device: torch.device,
    repeats: int,
) -> None:
    """Print one line of the table."""

    def one_by_one() -> None:
        for seed in seeds:
            way([seed])

    steps = {"together": lambda: way(seeds), "alone": one_by_one}
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in steps}
    for k in range(1 + repeats):
        for what, step in steps.items():
            figures = measure(step, device)
            if k:
                found[what].append(figures)
    together, alone = (statistics.median(s for s, _ in found[what]) for what in steps)
    peaks = [max(gib for _, gib in found[what]) for what in steps]
    print(
        f"{name:34} {together:9.3f} {alone:11.3f} {together / alone:7.3f} "
        f"{peaks[0]:9.2f} {peaks[1]:6.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vram-gb", type=float)
    options = parser.parse_args()
    device = torch.device(options.device)
    bench = Bench({"full": FULL, "tiny": TINY}[options.size], device, options.repeats)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{gpu}, PyTorch {torch.__version__}, {bench.dtype}, {options.seeds} seeds, seconds")
    print(f"{'':34} {'together':>9} {'one by one':>11} {'ratio':>7} {'GiB':>9} {'GiB':>6}")
    seeds = range(options.seeds)
    limit = int(options.vram_gb * 1e9) if options.vram_gb else None
    for title, kind, load, look in (
        ("SAM 3D Objects", SAM3D, bench.sam3d_models, lambda: view(bench.size, device)),
        ("TRELLIS", Trellis, bench.trellis_models, lambda: pictures(bench.size, 1)),
    ):
        model = bench.model(kind, load(), vram_bytes=limit)
        ways = Ways(model, look())
        compare(f"{title}: first stage", ways.begin, seeds, device, options.repeats)
        compare(f"{title}: whole objects", ways.whole, seeds, device, options.repeats)
        model.release()
        del model, ways
        gc.collect()


if __name__ == "__main__":
    main()

"""How much memory drawing takes besides the splats: `python -m benchmarks.splat_memory [SPLATS …]`.

One picture of the preview's size by torch on one thread of the CPU, Linux alone. Blending is left
out: on CUDA a kernel does it, which keeps nothing. Prints the bands, the most that this process
took beyond the splats, and seconds of processor time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
import torch
from torch import Tensor

from scenelift.render import splats_torch
from scenelift.types import Camera


def process_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def small_splats(count: int) -> splats_torch.SplatTensors:
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    return splats_torch.SplatTensors(
        means=(uniform(count, 3) - 0.5) * torch.tensor([4.0, 3.0, 1.0]),
        scales=0.003 * uniform(count, 3) + 1e-4,
        rotations=uniform(count, 4) - 0.5,
        opacities=uniform(count),
        rgb=uniform(count, 3),
    )


def measure(count: int) -> None:
    splats, pose = small_splats(count), np.eye(4)
    pose[2, 3] = 4
    bands: list[int] = []

    def blend(pairs: Tensor, starts: Tensor, width: int, height: int) -> Tensor:
        bands.append(len(pairs))
        return torch.zeros((height, width, 5))

    splats_torch.blend_tiles = blend
    before, peak, done = process_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, process_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    began = time.process_time()
    splats_torch.draw_splats(splats, Camera.from_fov(512, 341, fov_deg=60), pose)
    done.set()
    thread.join()
    print(
        f"{count:,} splats: {len(bands)} bands, {(peak - before) / 1e9:.2f} GB besides the splats, "
        f"{time.process_time() - began:.1f} s of processor time"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for text in sys.argv[1:] or ("4000000", "12000000"):
        measure(int(text))

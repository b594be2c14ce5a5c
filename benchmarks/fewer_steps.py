"""What fewer steps change: distance of shapes, poses and colours to those of the published steps.

    python -m benchmarks.fewer_steps [--size full] [--device cuda] [--seeds 4]

The weights are made up (`scenelift.testing.fake_checkpoints`): trajectories of real ones bend
otherwise, so these figures say that the options do what they claim, and not how good `--fast` is.
For every seed the object is made with the published steps (25 + 25) and with fewer; printed are
means over seeds: mean distance of a splat to the nearest of the other set, in hundredths of the
object's size; degrees between the poses; difference of their sizes in per cent; seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenelift.types import ObjectView

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scenelift.options import ReconstructionOptions
from scenelift.progress import silent
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.runtime import Runtime
from scenelift.testing.fake_checkpoints import FULL, TINY, write_checkpoints
from scenelift.testing.fakes import ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.types import Prompt, Reconstruction

WAYS: Mapping[str, Mapping[str, Any]] = {
    "again, 25 + 25": {},
    "25 + 12": {"latent_steps": 12},
    "12 + 12": {"structure_steps": 12, "latent_steps": 12},
    "distilled (4) + 25": {"distilled": True},
    "--fast: distilled (4) + 12": {"distilled": True, "latent_steps": 12},
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_checkpoints(Path(folder), {"tiny": TINY, "full": FULL}[options.size]):
            pass

        def lifted(**told: Any) -> tuple[list[Reconstruction], float]:
            return lift(Path(folder), options.device, options.seeds, told)

        published, took = lifted()
        print("SAM 3D Objects with made-up weights; against 25 + 25 steps")
        print(f"{'':30} {'splats':>8} {'pose':>8} {'size':>8} {'seconds':>8}")
        print(f"{'25 + 25':30} {'':>26} {took:8.2f}")
        for name, told in WAYS.items():
            made, took = lifted(**told)
            rows = [difference(a, b) for a, b in zip(made, published, strict=True)]
            splats, degrees, size = np.mean(rows, 0)
            print(f"{name:30} {splats:8.3f} {degrees:7.2f}° {size:7.2f}% {took:8.2f}", flush=True)
    return 0


def lift(
    weights: Path, device: str, seeds: int, told: Mapping[str, Any]
) -> tuple[list[Reconstruction], float]:
    """An object with every seed, and the mean seconds of all but the first."""
    reconstructor = SAM3DReconstructor.load(
        Runtime.of(ReconstructionOptions(weights=weights, device=device, **told))
    )
    image, report = disc_photo([("red", 80, 60, 40)]), silent()
    (instance,) = ColorSegmenter().segment(image, Prompt(phrases=("red",)), report).instances
    points = PlanePointMapper().estimate(image, [instance], report)
    reconstructor.begin(image, points)
    view = ObjectView(image=image, instance=instance, points=points)
    made, seconds = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        made.append(reconstructor.reconstruct(view, seed=seed, report=report))
        seconds.append(time.perf_counter() - began)
    reconstructor.release()
    return made, float(np.mean(seconds[1:] or seconds))


def difference(a: Reconstruction, b: Reconstruction) -> tuple[float, float, float]:
    """Distance of the splats, angle of the poses, difference of their sizes."""
    assert a.shape.gaussians is not None
    assert b.shape.gaussians is not None
    one, other = _some(a.shape.gaussians.means), _some(b.shape.gaussians.means)
    distance = (KDTree(one).query(other)[0].mean() + KDTree(other).query(one)[0].mean()) / 2
    cosine = min(1.0, abs(float(np.dot(a.pose.rotation, b.pose.rotation))))
    size = abs(a.pose.scale / b.pose.scale - 1)
    extent = float(np.ptp(other, axis=0).max())
    return 100 * distance / extent, 2 * float(np.degrees(np.arccos(cosine))), 100 * size


def _some(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return points[:: max(1, len(points) // 20_000)]


if __name__ == "__main__":
    raise SystemExit(main())

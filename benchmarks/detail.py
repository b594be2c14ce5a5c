"""How much simplified splats change a preview, and what they save.

    python -m benchmarks.detail [--objects 4,27] [--hides 0.25,0.4,0.6] [--size 512] [SCENE.ply ...]

Planted plausible objects (`planted.py`) as the photo's camera sees them, and splats of files seen
from all around. Against drawing all splats, where there is something: PSNR and SSIM of the first
picture, and PSNR of what changes from it to the next one (which flicker would spoil). Then the PSNR
of both against a picture of all splats drawn four times as large and averaged. Processor seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.planted import Planting
from scenelift.geometry.transforms import join_gaussians, transform_gaussians
from scenelift.io.ply import read_ply
from scenelift.render.detail import HIDES, simplify
from scenelift.render.splats import render_splats
from scenelift.render.turntable import View, photo_cameras, turntable_cameras
from scenelift.types import Camera, Gaussians

FINER = 4


def planted(count: int, size: int) -> tuple[Gaussians, list[View]]:
    planting = Planting.of("full", "plausible", count)
    splats = planting.shape.gaussians
    assert splats is not None
    scene = join_gaussians([transform_gaussians(splats, pose) for pose in planting.poses])
    return scene, photo_cameras(scene.means, planting.camera, size=size)


def of_file(path: Path, size: int) -> tuple[Gaussians, list[View]]:
    scene = read_ply(path)
    camera = Camera.from_fov(640, 480, fov_deg=55)
    return scene, turntable_cameras(scene.means, camera, path="circle", size=size)


def taken(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def compare(name: str, scene: Gaussians, views: list[View], hides: list[float]) -> None:
    def draw(splats: Gaussians, view: View, finer: int = 1) -> NDArray[np.float32]:
        camera, pose = view
        large = camera.resized(finer * camera.width, finer * camera.height)
        color = render_splats(splats, large, pose, near=1e-3).color
        return color.reshape(camera.height, finer, camera.width, finer, 3).mean((1, 3))

    def psnr(a: NDArray, b: NDArray) -> float:
        return -10 * np.log10(np.mean((a - b)[covered] ** 2) + 1e-12)

    tiny = views[0][0].resized(8, 8)
    simplify(scene, [(tiny, views[0][1])])  # compiles, as does this
    render_splats(scene, tiny, views[0][1])
    pictures, seconds = taken(lambda: [draw(scene, view) for view in views[:2]])
    full, following = pictures
    truth = draw(scene, views[0], FINER)
    covered = (np.minimum(full, truth) < 0.999).any(-1)
    count = np.count_nonzero(covered)
    print(
        f"{name}: {len(scene):,} splats, {len(scene) / count:.0f} a pixel; {seconds / 2:.2f} s a "
        f"picture; {psnr(full, truth):.1f} dB from the truth"
    )
    for most in hides:
        few, choosing = taken(lambda most=most: simplify(scene, views, hides=most))
        pictures, drawing = taken(lambda few=few: [draw(few, view) for view in views[:2]])
        first, second = pictures
        similar = structural_similarity(full, first, channel_axis=-1, data_range=1, full=True)[1]
        print(
            f"  {most:4}: {len(few):9,} splats, {len(few) / count:5.1f} a pixel; "
            f"{choosing:.2f} s to choose, {drawing / 2:.2f} s a picture; "
            f"{psnr(first, full):.1f} dB, SSIM {similar[covered].mean():.3f}; changes "
            f"{psnr(second - first, following - full):.1f} dB; "
            f"{psnr(first, truth):.1f} dB from the truth",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="SCENE.ply")
    parser.add_argument("--objects", default="4,27")
    parser.add_argument("--hides", default=str(HIDES))
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    hides = [float(value) for value in options.hides.split(",")]
    for count in map(int, filter(None, options.objects.split(","))):
        compare(f"{count} planted objects", *planted(count, options.size), hides)
    for path in options.files:
        compare(path.name, *of_file(path, options.size), hides)


if __name__ == "__main__":
    main()

"""Depth of two real photos against what a stereo pair measured.

    python -m benchmarks.real_depth [--save FILE.png]

Motorcycle (Middlebury 2014, from `skimage.data`) and aloe (Middlebury 2006, from Debian's
`opencv-doc`). Estimates know depth up to a scale at best, and disparities of cropped pairs have an
offset, so the estimated inverse depth is fitted to the disparity by scale and offset (least
squares) before depths are compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.models.embedded.depth_head import DepthHeadPointMapper
from scenelift.options import BackendOptions
from scenelift.progress import silent
from scenelift.training.scenes.catalogue import cache_folder
from scenelift.training.scenes.deb import fetch_deb
from scenelift.types import Image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--save", type=Path, help="photo, estimate and truth, side by side")
    args = parser.parse_args()
    mapper = DepthHeadPointMapper.from_options(BackendOptions())
    rows = []
    print(f"{'':12} AbsRel  δ < 1.25  correlation")
    for name, (pixels, disparity) in {"motorcycle": motorcycle(), "aloe": aloe()}.items():
        points = mapper.estimate(Image(pixels=pixels), (), silent())
        inverse = -1 / points.points[..., 2]
        absrel, delta, correlation = compare(inverse, disparity)
        print(f"{name:12} {absrel:6.3f}  {delta:8.3f}  {correlation:11.3f}")
        rows.append(side_by_side(pixels, inverse, disparity))
    if args.save:
        Pillow.fromarray(np.concatenate(rows)).save(args.save)


def motorcycle() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Photo and disparity in pixels, NaN where there is none."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    return left, np.where(np.isfinite(disparity), disparity, np.nan)


def aloe() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Photo and disparity in pixels, NaN where there is none."""
    folder = cache_folder() / "opencv-doc"
    files = fetch_deb("opencv-doc", folder, "aloeL.jpg", "aloeGT.png", size="96 MB")
    truth, photo = (Pillow.open(path) for path in files)  # in the order of their names
    disparity = np.asarray(truth.convert("L"), np.float64)
    return np.asarray(photo.convert("RGB")), np.where(disparity > 0, disparity, np.nan)


def compare(inverse: NDArray, disparity: NDArray) -> tuple[float, float, float]:
    """AbsRel, δ < 1.25 and the correlation of an estimated inverse depth."""
    known = np.isfinite(disparity) & np.isfinite(inverse)
    estimate, truth = inverse[known].astype(np.float64), disparity[known]
    columns = np.stack([estimate, np.ones_like(estimate)], 1)
    fitted = columns @ np.linalg.lstsq(columns, truth, rcond=None)[0]
    ratio = truth / np.maximum(fitted, 0.01 * truth.mean())  # of depths: estimate over truth
    correlation = float(np.corrcoef(estimate, truth)[0, 1])
    off = np.maximum(ratio, 1 / ratio)
    return float(np.abs(ratio - 1).mean()), float((off < 1.25).mean()), correlation


def side_by_side(pixels: NDArray[np.uint8], inverse: NDArray, disparity: NDArray) -> NDArray:
    """The three pictures in a row 1200 pixels wide."""
    low, high = np.nanpercentile(inverse, [1, 99])
    shades = [(inverse - low) / (high - low), disparity / np.nanmax(disparity)]
    grey = [(np.nan_to_num(s).clip(0, 1) * 255).astype(np.uint8) for s in shades]
    row = np.concatenate([pixels, *(np.repeat(g[..., None], 3, 2) for g in grey)], 1)
    height = round(1200 * row.shape[0] / row.shape[1])
    return np.asarray(Pillow.fromarray(row).resize((1200, height)))


if __name__ == "__main__":
    main()

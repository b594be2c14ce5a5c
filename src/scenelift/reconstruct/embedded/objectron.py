"""Oriented 3D boxes of chairs, cups, shoes and cameras, by MediaPipe Objectron's networks.

The network sees a crop and names nine points: the box's centre and its eight corners, as pixels. A
box of unknown sides, turned and placed in front of the camera, is fitted to them. Its scale cannot
be known from one photo: the distance is set to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from scenelift.errors import WeightsError
from scenelift.types import Box, Camera
from scenelift.weights.onnx_session import session

__all__ = ["BoxFinder", "OrientedBox", "fit_box"]

INPUT_SIDE = 224
CROP = 1.5  # side of the crop over that of the object's box
# Corners 1 to 8 count x slowest and z fastest, from minus to plus; y is up.
CORNERS = np.array(
    [(0, 0, 0)] + [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64
)
MIN_SCORE = 0.5
# A fit is believed when its corners miss the network's by less than this share of the crop.
MAX_MISS = 0.05
# Fits start from these turns about the vertical, seen from a little above.
YAWS_DEG = (0, 60, 120, 180, 240, 300)
PITCH_DEG = 20.0

NETWORKS = {
    "chair": "objectron_chair",
    "stool": "objectron_chair",
    "cup": "objectron_cup",
    "mug": "objectron_cup",
    "shoe": "objectron_sneakers",
    "sneaker": "objectron_sneakers",
    "sneakers": "objectron_sneakers",
    "boot": "objectron_sneakers",
    "footwear": "objectron_sneakers",
    "camera": "objectron_camera",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrientedBox:
    """A box around an object.

    Attributes:
        rotation: float64 [3, 3], camera_from_object; the object's y is up.
        sides: float64 [3], full lengths over the distance of the centre.
        score: the network's, 0…1.
        miss: root mean square distance of the fitted corners from the network's, over the crop.
    """

    rotation: NDArray[np.float64]
    sides: NDArray[np.float64]
    score: float
    miss: float

    @property
    def depth(self) -> float:
        """Return the extent along the viewing direction over the smaller of the two across it."""
        across, upright, along = np.abs(self.rotation) @ self.sides
        return float(along / min(across, upright))


class BoxFinder:
    """Finds oriented boxes of the four classes.

    Args:
        networks: network of each artefact name that is installed.
    """

    def __init__(self, networks: dict[str, Any]) -> None:
        self._networks = networks
        self.version = "+".join(networks) or "no boxes"

    @classmethod
    def load(cls, weights: Path | None, threads: int = 0) -> BoxFinder:
        """Load the weights that are installed; none of them is needed."""
        networks = {}
        for name in dict.fromkeys(NETWORKS.values()):
            try:
                networks[name] = session(name, weights, threads)
            except WeightsError:
                continue
        return cls(networks)

    def find(
        self, pixels: NDArray[np.uint8], box: Box, camera: Camera, names: Sequence[str | None]
    ) -> OrientedBox | None:
        """Find the oriented box of the object in `box`, or None.

        Args:
            pixels: uint8 [H, W, 3] of the photo.
            box: x0, y0, x1, y1 of the object.
            camera: the photo's camera.
            names: its class and label; None is returned unless one is among the four classes.
        """
        last_words = [(name or "").lower().split()[-1:] for name in names]
        categories = [NETWORKS[w[0]] for w in last_words if w and w[0] in NETWORKS]
        network = next((self._networks[n] for n in categories if n in self._networks), None)
        if network is None:
            return None
        x0, y0, x1, y1 = box
        side = CROP * max(x1 - x0, y1 - y0)
        left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
        crop = PIL.Image.fromarray(pixels).transform(
            (INPUT_SIDE, INPUT_SIDE),
            PIL.Image.Transform.EXTENT,
            (left, top, left + side, top + side),
            PIL.Image.Resampling.BILINEAR,
        )
        x = np.asarray(crop, np.float32)[None] / 255
        keypoints, score = network.run(["keypoints", "score"], {"image": x})
        score = float(score.ravel()[0])
        if score < MIN_SCORE:
            return None
        corners = keypoints.reshape(9, 2).astype(np.float64) / INPUT_SIDE * side + [left, top]
        oriented_box = fit_box(corners, camera, side)
        if oriented_box.miss > MAX_MISS:
            return None
        return OrientedBox(
            rotation=oriented_box.rotation,
            sides=oriented_box.sides,
            score=score,
            miss=oriented_box.miss,
        )


def fit_box(box_corners: NDArray[np.float64], camera: Camera, size: float) -> OrientedBox:
    """Fit the box whose projected centre and corners lie closest to the given pixels.

    Args:
        box_corners: float64 [9, 2], centre and corners in pixels of the photo.
        camera: the photo's camera.
        size: pixels that count as 1 in `miss`.
    """
    x, y = (box_corners[0, 0] - camera.cx) / camera.fx, (camera.cy - box_corners[0, 1]) / camera.fy
    reach = 0.5 * np.ptp(box_corners, axis=0).max() / camera.fx

    def corners(p: NDArray[np.float64]) -> NDArray[np.float64]:
        rotated = Rotation.from_rotvec(p[:3]).apply(CORNERS * np.exp(p[3:6]))
        return rotated + np.array([p[6], p[7], -1.0])

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        points = corners(p)
        # A corner behind the camera projects to nonsense; a near one keeps the fit smooth.
        points[:, 2] = np.minimum(points[:, 2], -0.05)
        off = (camera.project(points) - box_corners) / size
        # Sides stay comparable, unless the corners say otherwise.
        return np.concatenate([off.ravel(), 0.01 * (p[3:6] - np.log(reach))])

    best = None
    for yaw in YAWS_DEG:
        start = Rotation.from_euler("xy", [PITCH_DEG, yaw], degrees=True).as_rotvec()
        guess = np.concatenate([start, np.full(3, np.log(reach)), [x, y]])
        fit = least_squares(residual, guess, method="lm", max_nfev=200)
        if best is None or fit.cost < best.cost:
            best = fit
    assert best is not None
    off = (camera.project(corners(best.x)) - box_corners) / size
    return OrientedBox(
        rotation=Rotation.from_rotvec(best.x[:3]).as_matrix(),
        sides=2 * np.exp(best.x[3:6]),
        score=1.0,
        miss=float(np.sqrt((off**2).sum(-1).mean())),
    )

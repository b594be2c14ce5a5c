"""The photo of the self-check, and facts about it that a person read off.

A cup on a saucer on a wooden table, from above: "coffee" of scikit-image's data, by Rachel
Michetti, CC0, which that package brings. Places are in its pixels, 600 × 400; outlines were drawn
by hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Camera, Image, Instance, PointMap

__all__ = [
    "PHRASE",
    "PLACES",
    "cup",
    "cup_instance",
    "cup_opening",
    "photo",
    "stand_in_points",
    "surroundings",
]

PHRASE = "cup"
WIDTH, HEIGHT = 600, 400

PLACES: dict[str, tuple[int, int, int, int]] = {
    "the cup's far rim": (262, 18, 318, 26),
    "the table behind it": (270, 2, 330, 10),
    "the table's near right corner": (500, 330, 595, 395),
    "the table's far right corner": (490, 20, 595, 110),
}
"""Rectangles, x0, y0, x1, y1, each on one surface."""

_OPENING = (290, 112, 105, 84)  # an ellipse: middle and half axes
_RIM = (291, 113, 118, 96)
_SAUCER = (279, 229, 210, 168)
_SIDES = ((176, 90), (216, 225), (240, 262), (268, 281), (312, 284), (340, 262), (372, 225))
_SIDES_END = (407, 90)

# A table seen from above at about this angle, through about this lens, at this distance.
_PITCH, _FOV, _DISTANCE = 42.0, 36.0, 0.5


def photo() -> Image:
    """Load the photo.

    Raises:
        FileNotFoundError: this scikit-image does not bring it.
    """
    from skimage import data

    return Image(pixels=np.ascontiguousarray(data.coffee()[..., :3]))


def cup_opening() -> NDArray[np.bool_]:  # [H, W]
    """Return a mask inside the cup's rim, which every mask of the cup covers."""
    return _ellipse(*_OPENING)


def surroundings() -> NDArray[np.bool_]:  # [H, W]
    """Return a mask of all that is neither the cup nor its saucer."""
    return ~(_ellipse(*_RIM) | _ellipse(*_SAUCER))


def cup() -> NDArray[np.bool_]:  # [H, W]
    """Return a mask of the cup without its handle."""
    from skimage.draw import polygon2mask

    outline = np.array([*_SIDES, _SIDES_END], np.float64)[:, ::-1]
    return _ellipse(*_RIM) | polygon2mask((HEIGHT, WIDTH), outline)


def cup_instance() -> Instance:
    """Return the cup as a segmenter would, for the stages after one that fails."""
    mask = cup()
    return Instance(mask=mask, label=PHRASE, score=1.0, box=Instance.box_of(mask))


def stand_in_points() -> PointMap:
    """Return the table as a plane with the cup's mask upright on it, for stages after a failure."""
    camera = Camera.from_fov(WIDTH, HEIGHT, fov_deg=_FOV)
    rays = camera.unproject(np.ones((HEIGHT, WIDTH))).astype(np.float64)
    pitch = np.radians(_PITCH)
    up = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    depth = -_DISTANCE * np.sin(pitch) / (rays @ up)
    mask = cup()
    rows = np.nonzero(mask)[0]
    foot = depth[rows.max(), int(np.nonzero(mask[rows.max()])[0].mean())]
    depth[mask] = foot * (1 - 0.12 * (rows.max() - rows) / np.ptp(rows))
    return PointMap(points=camera.unproject(depth), camera=camera, source="stand-in")


def _ellipse(x: float, y: float, a: float, b: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1

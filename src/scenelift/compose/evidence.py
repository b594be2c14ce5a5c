"""Crop and reduce what the photo says about one object: mask, points and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.types import Instance, ObjectView

__all__ = ["FREE", "UNKNOWN", "VISIBLE", "Evidence", "evidence_of"]

UNKNOWN, FREE, VISIBLE = 0, 1, 2
"""Kinds of pixels. A free one is hidden where something nearer than the pose was observed."""

FLAT = 0.01  # of its size: an object whose points differ less in depth is a slab
MARGIN = 0.35  # of the box's longer side, kept around it: how far a first pose may be off


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Observations of one object, cropped and reduced.

    Attributes:
        kind: uint8 [h, w], `VISIBLE`, `FREE` or `UNKNOWN`.
        depth: float32 [h, w], observed distance along the viewing axis; NaN where there is none.
        photo: float32 [h, w, 3], sRGB in 0…1.
        intrinsics: fx, fy, cx, cy in pixels of the small picture, which may lie outside it.
        distance: typical distance of the seen points; of all points where the mask has none.
        size: how large the mask is at that distance: the longer side of its box.
        has_depth: some seen pixel has a depth.
        has_relief: the seen points have a shape; false for the flat slabs of a point map that
            knows where things are, and not what they look like.
    """

    kind: NDArray[np.uint8]
    depth: NDArray[np.float32]
    photo: NDArray[np.float32]
    intrinsics: NDArray[np.float64]
    distance: float
    size: float
    has_depth: bool
    has_relief: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        return self.kind == VISIBLE


def evidence_of(view: ObjectView, side: int) -> Evidence:
    """Crop the photo around one object, and collect what it shows there.

    Args:
        view: the object in the photo.
        side: pixels of the longer side of the mask's box; a smaller mask is not enlarged.

    Raises:
        ValueError: the mask is empty.
    """
    image, camera = view.image, view.camera
    x0, y0, x1, y1 = (int(b) for b in Instance.box_of(view.mask))
    longer = max(x1 - x0, y1 - y0)
    margin = int(np.ceil(MARGIN * longer)) + 2
    left, top = x0 - margin, y0 - margin
    width, height = x1 - x0 + 2 * margin, y1 - y0 + 2 * margin
    shrink = min(1.0, side / longer)
    w, h = max(4, round(width * shrink)), max(4, round(height * shrink))

    # Nearest pixels, so that no depth mixes what lies in front with what lies behind.
    column = np.floor((np.arange(w) + 0.5) * width / w).astype(int) + left
    row = np.floor((np.arange(h) + 0.5) * height / h).astype(int) + top
    inside = ((row >= 0) & (row < image.height))[:, None] & (column >= 0) & (column < image.width)
    at = np.ix_(row.clip(0, image.height - 1), column.clip(0, image.width - 1))
    kind = np.where(view.mask[at], VISIBLE, FREE).astype(np.uint8)
    kind[~inside] = UNKNOWN
    depth = -view.points.points[..., 2][at]
    depth = np.where(inside & (depth > 0), depth, np.nan).astype(np.float32)

    fx, fy = camera.fx * w / width, camera.fy * h / height
    observed_depth = depth[kind == VISIBLE]
    observed_depth = observed_depth[np.isfinite(observed_depth)]
    anywhere = depth[np.isfinite(depth)]
    if observed_depth.size:
        distance = float(np.median(observed_depth))
    else:
        distance = float(np.median(anywhere)) if anywhere.size else 1.0
    size = distance * max((x1 - x0) / camera.fx, (y1 - y0) / camera.fy)
    relief = (
        float(np.subtract(*np.percentile(observed_depth, [90, 10]))) if observed_depth.size else 0.0
    )
    return Evidence(
        kind=kind,
        depth=depth,
        photo=_shrunk(image.pixels, (left, top, left + width, top + height), (w, h)),
        intrinsics=np.array(
            [fx, fy, (camera.cx - left) * w / width, (camera.cy - top) * h / height]
        ),
        distance=distance,
        size=size,
        has_depth=bool(observed_depth.size),
        has_relief=relief > FLAT * size,
    )


def _shrunk(
    pixels: NDArray[np.uint8], box: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Resize the crop by averaging; outside the photo it is black."""
    crop = PIL.Image.fromarray(pixels).crop(box)
    return np.asarray(crop.resize(size, PIL.Image.Resampling.BOX), np.float32) / np.float32(255)

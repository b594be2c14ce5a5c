"""Finds plain colours that a lossy format or soft brush has spread, and each pixel's colour.

JPEG and lossy WebP move a colour by a few steps and draw halos along edges; resizing blends
colours. What was painted shows as peaks: many flat pixels at nearly one colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from scenelift.geometry.regions import nearest_inside

__all__ = [
    "LEAST_PIXELS",
    "PlainColours",
    "codes_of",
    "colours_of",
    "nearest_of",
    "plain_colours",
    "touching_pairs",
]

# Fewer pixels of a value or colour are an accident of blending, not an object.
LEAST_PIXELS = 16
# Most that a flat area's neighbours differ by, and that a colour is away from its peak: JPEG of
# quality 30 stays within both but along edges.
FLAT_STEP, NEAR = 12, 24
# Labels are mostly so near to their colours, photos are not.
NOISE = 6
# Of all pixels of labels as JPEG of quality 30, 0.9 are close, and more of the flat ones; of photos
# that were cut out up to 0.72. Of an object's pixels so many are flat, unless it is all edges.
CLOSE_SHARE, LEAST_FLAT = 0.85, 0.3
# Of a painted colour's flat pixels at least half are so near to its peak; a ramp has no peak.
CORE, CORE_SHARE = 10, 0.5
MOST_COLOURS = 256
# After so many peaks that cover less than half of what is flat, it is a photo.
PEAKS_OF_A_PHOTO = 48


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainColours:
    """A picture as areas of plain colours.

    Attributes:
        colours: uint8 [K, 3], the one with most pixels first.
        labels: int32 [H, W], which colour a pixel belongs to, -1 where nothing is visible.
        flat: bool [H, W], visible pixels whose neighbours are nearly as they are.
        close: bool [H, W], pixels that are within noise of their colour: most flat ones of labels,
            few of a photo.
    """

    colours: NDArray[np.uint8]
    labels: NDArray[np.int32]
    flat: NDArray[np.bool_]
    close: NDArray[np.bool_]

    def holds(self, area: NDArray[np.bool_]) -> bool:
        """Tell whether an area of the picture consists of plain colours, but for its edges."""
        flat = self.flat & area
        if flat.sum() < max(LEAST_FLAT * area.sum(), 1):
            return False
        return bool(self.close[flat].mean() >= CLOSE_SHARE)


def plain_colours(rgb: NDArray[np.uint8], visible: NDArray[np.bool_]) -> PlainColours | None:
    """Find the plain colours of a picture [H, W, 3]; None where it has none."""
    codes = codes_of(rgb)
    flat: Any = ndimage.minimum_filter(visible, 3)
    for channel in range(3):
        low: Any = ndimage.minimum_filter(rgb[..., channel], 3)
        flat &= ndimage.maximum_filter(rgb[..., channel], 3) - low <= FLAT_STEP
    peaks = _peaks(codes[flat])
    if not len(peaks):
        return None
    labels, near = _labelled(codes, peaks)
    labels[~visible] = -1
    near &= visible
    sure = near & _around(labels, near, flat)
    if not sure.any():
        return None
    labels = np.where(visible, nearest_of(labels, sure), -1)
    own = np.rint(peaks).astype(np.int16)[labels]
    return PlainColours(
        colours=np.rint(peaks).astype(np.uint8),
        labels=labels,
        flat=flat,
        close=visible & (abs(rgb - own).max(-1) <= NOISE),
    )


def nearest_of(labels: NDArray[np.int32], sure: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give pixels that are not sure the label of the nearest sure one."""
    if sure.all():
        return labels
    rows, columns = nearest_inside(sure)
    return labels[rows, columns]


def touching_pairs(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """List labels [N, 2] of neighbouring pixels that differ, in rows and columns."""
    pairs = [
        np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], 1),
        np.stack([labels[:-1].ravel(), labels[1:].ravel()], 1),
    ]
    return np.concatenate([p[p[:, 0] != p[:, 1]] for p in pairs])


def codes_of(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Write colours [..., 3] as one number each."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def colours_of(codes: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Read colours [..., 3] from the numbers of `codes_of`."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)


def _peaks(codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Find colours [K, 3] around which flat pixels gather, the most frequent first."""
    values, counts = np.unique(codes, return_counts=True)
    colours, total = colours_of(values).astype(np.float64), counts.sum()
    all_colours, all_counts = colours, counts
    peaks: list[NDArray[np.float64]] = []
    covered = 0
    for attempt in range(2 * MOST_COLOURS):
        if not len(counts) or len(peaks) >= MOST_COLOURS:
            break
        if attempt == PEAKS_OF_A_PHOTO and covered < total / 2:
            return np.zeros((0, 3))
        top = colours[counts.argmax()]
        close = abs(colours - top).max(1) <= CORE
        centre = np.average(colours[close], axis=0, weights=counts[close])
        away = abs(colours - centre).max(1)
        members = int(counts[away <= NEAR].sum())
        if members < LEAST_PIXELS:
            # The next may have its pixels in more colours.
            keep = ~close
        else:
            # Among all, so that what an earlier peak took does not make a peak of its rest.
            around = abs(all_colours - centre).max(1)
            if all_counts[around <= CORE].sum() >= CORE_SHARE * all_counts[around <= NEAR].sum():
                peaks.append(centre)
                covered += members
            keep = (away > NEAR) & ~close
        colours, counts = colours[keep], counts[keep]
    return np.array(peaks).reshape(-1, 3)


def _labelled(
    codes: NDArray[np.int32], peaks: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Find each pixel's nearest peak [H, W], and whether it is near."""
    used = np.flatnonzero(np.bincount(codes.ravel(), minlength=1 << 24))
    distance, nearest = KDTree(peaks).query(colours_of(used.astype(np.int32)), p=np.inf)
    table, is_near = np.zeros(1 << 24, np.int32), np.zeros(1 << 24, np.bool_)
    table[used], is_near[used] = nearest, distance <= NEAR
    return table[codes], is_near[codes]


def _around(
    labels: NDArray[np.int32], near: NDArray[np.bool_], flat: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find pixels of areas with a flat one that are no specks: blends may look like a colour."""
    from skimage.measure import label

    areas: Any = label(np.where(near, labels + 1, 0), connectivity=1, background=0)
    sizes = np.bincount(areas.ravel())
    flats = np.bincount(areas[flat & near], minlength=len(sizes))
    good = (flats > 0) & (sizes >= LEAST_PIXELS)
    good[0] = False
    return good[areas]

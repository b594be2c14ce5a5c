"""Turns a photo, a mask and a point map into the inputs of the condition embedders.

Shape letters in this file: H, W photo rows and columns, h, w those of the point map, which may be
fewer, s side of the embedders' pictures.
Points are in PyTorch3D axes (x left, y up, z forward), NaN where there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scenelift.errors import InputError

__all__ = ["INPUT_SIZE", "ConditionImages", "PointViews", "preprocess", "whole_photo"]

# Side of the pictures that the published embedders were trained on.
INPUT_SIZE = 518

# The crop is this much longer than the mask's box.
BOX_FACTOR = 1.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointViews:
    """The normalised point map, cropped and whole, and how to undo the normalisation.

    Attributes:
        crop: float32 [1, 3, s, s].
        full: float32 [1, 3, s, s].
        scale: float32 [3], three equal numbers that the points were divided by,
        shift: float32 [3], after this was subtracted.
    """

    crop: Tensor
    full: Tensor
    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditionImages:
    """Inputs of the condition embedders: the object's surroundings, and the whole photo.

    Attributes:
        image: float32 [1, 3, s, s] in 0…1, crop around the object, background included.
        mask: float32 [1, 1, s, s], 0 or 1, the same crop.
        full_image: float32 [1, 3, s, s], the photo padded to a square with black.
        full_mask: float32 [1, 1, s, s].
        points: the point map in the same two views; the second stage does without.
    """

    image: Tensor
    mask: Tensor
    full_image: Tensor
    full_mask: Tensor
    points: PointViews | None


def preprocess(
    image: Tensor,  # [3, H, W] in 0…1, or uint8
    mask: Tensor,  # [1, H, W], 0 or 1
    points: Tensor | None,  # [3, h, w], NaN or infinite where there is no point
    *,
    size: int = INPUT_SIZE,
    full_image: Tensor | None = None,
) -> ConditionImages:
    """Crop, pad, resize and normalise one object's inputs.

    Args:
        image, mask, points: as wide and high as each other, or the points less so.
        size: side of the embedders' pictures.
        full_image: the `whole_photo`, if another object has had it made.

    Raises:
        InputError: the mask is empty, or narrower than three pixels.
    """
    box = _object_box(mask)
    views = None
    if points is not None:
        points = torch.where(points.isfinite().all(0), points, math.nan)
        scale, shift = _scale_and_shift(points, mask)
        normalised = (points - shift[:, None, None]) / scale[:, None, None]
        # What lies beyond the photo is zero like the object's median; what squares the crop is NaN,
        # and what squares the photo is zero again. The network was trained on these.
        if points.shape[1:] == mask.shape[1:]:
            crop = _nearest(_squared(_cropped(normalised, box), fill=math.nan), size)
            full = _nearest(_squared(normalised), size)
        else:
            photo = (mask.shape[1], mask.shape[2])
            crop = _enlarged_points(normalised, photo, box, size, fill=math.nan)
            full = _enlarged_points(normalised, photo, (0, 0, photo[1], photo[0]), size)
        views = PointViews(crop=crop[None], full=full[None], scale=scale, shift=shift)
    return ConditionImages(
        image=_smooth(_squared(_cropped(image, box)), size)[None],
        mask=_nearest(_squared(_cropped(mask, box)), size)[None],
        full_image=whole_photo(image, size) if full_image is None else full_image,
        full_mask=_nearest(_squared(mask), size)[None],
        points=views,
    )


def whole_photo(image: Tensor, size: int = INPUT_SIZE) -> Tensor:  # [3, H, W] -> [1, 3, s, s]
    """Return the photo as all its objects' embedders see it."""
    return _smooth(_squared(image), size)[None]


def _scale_and_shift(points: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # 2 × [3]
    """Median distance of all points from the median of the object's, and that median.

    The distance is the largest of a point's three coordinates; medians of an even number of
    values are the lower of the two in the middle. An object without points gives 1 and 0.
    """
    inside = points[:, _nearest(mask, points.shape[1:])[0] > 0.5]  # [3, n]
    shift = inside.nanmedian(1).values if inside.numel() else inside.new_full((3,), math.nan)
    distance = (points - shift[:, None, None]).abs().amax(0)
    scale = distance.flatten().nanmedian()
    if not (shift.isfinite().all() and scale > 0):
        return torch.ones_like(shift), torch.zeros_like(shift)
    return scale.expand(3).clone(), shift


def _object_box(mask: Tensor) -> tuple[int, int, int, int]:
    """Square box around the mask as x0, y0, x1, y1, which may reach beyond the photo."""
    rows, columns = mask[0].any(1).nonzero()[:, 0], mask[0].any(0).nonzero()[:, 0]
    if not len(rows):
        raise InputError("The mask is empty: there is no object to reconstruct.")
    y0, y1 = int(rows[0]), int(rows[-1])
    x0, x1 = int(columns[0]), int(columns[-1])
    width, height = x1 - x0, y1 - y0
    if min(width, height) < 2:
        raise InputError(
            f"The mask is {width + 1}×{height + 1} pixels; an object needs at least 3×3. "
            f"Take a larger photo, or a closer one."
        )
    half = int(max(width, height) * BOX_FACTOR) // 2
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    # int() truncates toward zero, so the box may be a pixel longer where it begins below zero.
    return (
        int(centre_x - half),
        int(centre_y - half),
        int(centre_x + half),
        int(centre_y + half),
    )


def _cropped(picture: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Part of [C, H, W] inside the box, zero beyond the picture."""
    x0, y0, x1, y1 = box
    height, width = picture.shape[1:]
    inside = picture[:, max(y0, 0) : y1, max(x0, 0) : x1]
    return F.pad(inside, (max(-x0, 0), max(x1 - width, 0), max(-y0, 0), max(y1 - height, 0)))


def _squared(picture: Tensor, fill: float = 0.0) -> Tensor:
    """[C, H, W] in the middle of a square; an odd pixel goes below or to the right."""
    height, width = picture.shape[1:]
    missing = max(height, width) - height, max(height, width) - width
    top, left = missing[0] // 2, missing[1] // 2
    return F.pad(picture, (left, missing[1] - left, top, missing[0] - top), value=fill)


def _smooth(picture: Tensor, size: int) -> Tensor:
    """[C, H, W] resampled to a square with antialiasing; bytes become 0…1."""
    if picture.dtype == torch.uint8:
        picture = picture.float() / 255
    return F.interpolate(picture[None], (size, size), mode="bilinear", antialias=True)[0]


def _nearest(picture: Tensor, size: int | torch.Size) -> Tensor:
    """[C, H, W] resampled by taking the pixel at or before each position."""
    return F.interpolate(picture[None], size, mode="nearest")[0]


def _enlarged_points(
    points: Tensor,  # [3, h, w]
    photo: tuple[int, int],  # H, W
    box: tuple[int, int, int, int],  # x0, y0, x1, y1 in the photo
    size: int,
    fill: float = 0.0,
) -> Tensor:  # [3, s, s]
    """Box of a point map that is first brought to the photo's size, cropped, squared, resampled.

    Only the points that remain are interpolated: the whole of a large photo has no room. A pixel
    between points and none has none.
    """
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    steps = torch.arange(size, device=points.device) * side // size
    rows = steps - (side - (y1 - y0)) // 2  # of the box
    columns = steps - (side - (x1 - x0)) // 2
    inside = [(k >= 0) & (k < n) for k, n in ((rows, y1 - y0), (columns, x1 - x0))]
    rows, columns = rows + y0, columns + x0  # of the photo
    within = [(k >= 0) & (k < n) for k, n in zip((rows, columns), photo, strict=True)]

    values, missing = points.nan_to_num(nan=0.0), points.isnan()
    for axis, k in ((1, rows), (2, columns)):
        n, ratio = points.shape[axis], points.shape[axis] / photo[axis - 1]
        k = k.clamp(0, photo[axis - 1] - 1)
        at = ((k + 0.5) * ratio - 0.5).clamp(0)
        low = at.long().clamp(max=n - 1)
        weight = (at - low).to(values.dtype).reshape([-1, 1][: 3 - axis])
        a, b = (values.index_select(axis, i) for i in (low, (low + 1).clamp(max=n - 1)))
        values = a + (b - a) * weight
        missing = missing.index_select(axis, (k * ratio).long().clamp(max=n - 1))
    values = values.masked_fill(missing, math.nan)
    values = values.masked_fill(~(within[0][:, None] & within[1]), 0.0)
    return values.masked_fill(~(inside[0][:, None] & inside[1]), fill)

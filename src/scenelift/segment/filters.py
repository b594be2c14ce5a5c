"""Cleans a segmenter's candidates, drops the doubles, and orders the rest.

Everything that is left out is recorded with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import border_of
from scenelift.types import Dropped, Instance, Segmentation

__all__ = ["FilterSettings", "clean_mask", "judge", "keep_best"]

# Pixels that a soft edge may reach out of its mask.
SOFT_EDGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """The limits by which candidates are kept.

    Attributes:
        min_score: least score in 0…1.
        min_area: least area of a mask, as a share of the photo.
        min_pixels: least area of a mask in pixels, whatever the photo's size.
        max_iou: two masks that overlap more (intersection over union) are one object.
        max_containment: a mask of which more than this share lies inside a better one of the
            same label and class is a part of that object.
        fragment: connected parts smaller than this share of the largest are specks.
        hole: holes smaller than this share of the mask are filled.
    """

    min_score: float = 0.0
    min_area: float = 1e-4
    min_pixels: int = 16
    max_iou: float = 0.7
    max_containment: float = 0.85
    fragment: float = 0.1
    hole: float = 0.01


def clean_mask(mask: NDArray[np.bool_], settings: FilterSettings) -> NDArray[np.bool_]:
    """Remove specks and pinholes. An object with several large parts keeps them all."""
    if not mask.any():
        return mask
    # One pixel of surroundings tells holes from notches as well as the whole photo does.
    window = _window(mask, 1)
    cleaned = np.zeros_like(mask)
    cleaned[window] = _clean(mask[window], settings)
    return cleaned


def _window(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Find rows and columns of a mask's tight box, grown by a margin within the photo."""
    x0, y0, x1, y1 = (int(v) for v in Instance.box_of(mask))
    rows, columns = (y0 - margin, y1 + margin), (x0 - margin, x1 + margin)
    return slice(max(0, rows[0]), rows[1]), slice(max(0, columns[0]), columns[1])


def _clean(mask: NDArray[np.bool_], settings: FilterSettings) -> NDArray[np.bool_]:
    labels, count = _components(mask, np.ones((3, 3)))
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = (sizes >= settings.fragment * sizes.max())[labels] & mask
    holes, count = _components(~mask, None)
    if count > 1:
        sizes = np.bincount(holes.ravel())
        edge = np.unique(border_of(holes))
        small = sizes <= settings.hole * mask.sum()
        small[edge] = False  # what touches the photo's border is background, not a hole
        small[0] = False
        mask = mask | small[holes]
    return mask


def _components(
    mask: NDArray[np.bool_], structure: NDArray | None
) -> tuple[NDArray[np.int32], int]:
    labels = np.zeros(mask.shape, np.int32)
    return labels, int(ndimage.label(mask, structure=structure, output=labels))  # pyright: ignore


def keep_best(
    candidates: Sequence[Instance], settings: FilterSettings | None = None
) -> Segmentation:
    """Clean, deduplicate, and order by score then area.

    Args:
        candidates: in any order; the result does not depend on it.
        settings: what is kept.

    Returns:
        Instances with cleaned masks and tight boxes, best score first; larger first among equal
        scores; then from left to right. `dropped` says what was left out and why.
    """
    settings = settings or FilterSettings()
    dropped: list[tuple[Instance, Dropped]] = []
    cleaned: list[Instance] = []
    for candidate in candidates:
        verdict = _too_weak(candidate, settings)
        if verdict is None:
            cleaned.append(_cleaned(candidate, settings))
        else:
            dropped.append((candidate, verdict))
    verdicts = judge(cleaned, settings)
    best = [c for c, verdict in zip(cleaned, verdicts, strict=True) if verdict is None]
    dropped += [(c, verdict) for c, verdict in zip(cleaned, verdicts, strict=True) if verdict]
    dropped.sort(key=lambda pair: (*_rank(pair[0]), pair[1].reason))
    return Segmentation(
        instances=tuple(sorted(best, key=_rank)),
        dropped=tuple(verdict for _, verdict in dropped),
    )


def judge(
    candidates: Sequence[Instance], settings: FilterSettings, *, most: int | None = None
) -> list[Dropped | None]:
    """Decide which candidates are left out and why, None for those that stay. Masks do not change.

    Args:
        candidates: in any order; the verdicts do not depend on it.
        settings: what is kept.
        most: keep that many at most, None for all.
    """
    verdicts: dict[int, Dropped] = {}
    best: list[Instance] = []
    ranks = [_rank(candidate) for candidate in candidates]
    for k in sorted(range(len(candidates)), key=lambda k: ranks[k]):
        candidate = candidates[k]
        verdict = (
            _too_weak(candidate, settings)
            or _too_small(candidate, settings)
            or _repeats(candidate, best, settings)
        )
        if verdict is None and most is not None and len(best) >= most:
            verdict = Dropped.of(candidate, f"beyond the {most} best objects")
        if verdict is None:
            best.append(candidate)
        else:
            verdicts[k] = verdict
    return [verdicts.get(k) for k in range(len(candidates))]


def _cleaned(candidate: Instance, settings: FilterSettings) -> Instance:
    """Return the candidate with a clean mask, a soft edge that follows it, and a tight box."""
    mask = clean_mask(candidate.mask, settings)
    if not mask.any():
        return candidate
    alpha = candidate.alpha
    if alpha is not None:
        # The soft edge may reach out of the mask, but not into specks that were removed.
        window = _window(mask, SOFT_EDGE)
        near = ndimage.binary_dilation(mask[window], iterations=SOFT_EDGE)
        holes = mask[window] & ~candidate.mask[window]
        soft = np.where(near, alpha[window], 0)
        alpha = np.zeros_like(alpha)
        alpha[window] = np.where(holes, np.float32(1), soft)
    return replace(candidate, mask=mask, alpha=alpha, box=Instance.box_of(mask))


def _too_weak(candidate: Instance, settings: FilterSettings) -> Dropped | None:
    if candidate.score < settings.min_score:
        reason = f"score {candidate.score:.2f} is below {settings.min_score:g}"
        return Dropped.of(candidate, reason)
    return None


def _too_small(candidate: Instance, settings: FilterSettings) -> Dropped | None:
    least = max(settings.min_pixels, settings.min_area * candidate.mask.size)
    area = np.count_nonzero(candidate.mask)
    if area < least:
        return Dropped.of(candidate, f"its mask has {area} pixels, fewer than {least:.0f}")
    return None


def _rank(instance: Instance) -> tuple:
    """Order by nothing but the instance: score, area, place, label, pixels."""
    mask = instance.mask
    return (
        -instance.score,
        -int(mask.sum()),
        instance.box,
        instance.label,
        np.packbits(mask).tobytes(),
    )


def _repeats(
    candidate: Instance, better: Sequence[Instance], settings: FilterSettings
) -> Dropped | None:
    """Find a candidate that repeats a kept one or is a part of it, and why; else None."""
    area = np.count_nonzero(candidate.mask)
    for other in better:
        x0, y0, x1, y1 = candidate.box
        u0, v0, u1, v1 = other.box
        if min(x1, u1) <= max(x0, u0) or min(y1, v1) <= max(y0, v0):
            continue
        both = (
            slice(int(max(y0, v0)), int(min(y1, v1))),
            slice(int(max(x0, u0)), int(min(x1, u1))),
        )
        intersection = np.count_nonzero(candidate.mask[both] & other.mask[both])
        union = area + np.count_nonzero(other.mask) - intersection
        if intersection > settings.max_iou * union:
            reason = f"the same object as a better {other.label!r} (IoU {intersection / union:.2f})"
            return Dropped.of(candidate, reason, double_of=other.label)
        if _one_kind(candidate, other) and intersection > settings.max_containment * area:
            reason = f"a part of a better {other.label!r} ({intersection / area:.0%} inside it)"
            return Dropped.of(candidate, reason)
    return None


def _one_kind(a: Instance, b: Instance) -> bool:
    """Tell whether one may be a part of the other: "everything" also names a book and its table."""
    classes = {a.class_name, b.class_name} - {None}
    return a.label == b.label and len(classes) < 2

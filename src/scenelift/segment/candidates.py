"""Turns a network's proposals into instances at the photo's resolution.

A network's masks are small: what is weak, small, or seen twice is sorted out at their resolution,
and only what is left is enlarged to the photo's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scenelift.progress import Reporter
from scenelift.segment import filters
from scenelift.types import Box, Dropped, Image, Instance, Prompt, Segmentation

__all__ = ["Candidate", "settle"]

# An instance of which more than this share lies in a box to leave out is left out.
EXCLUDED_SHARE = 0.5
# A mask of a large photo takes a second and a hundred megabytes: a crowd must not exhaust either.
MOST_INSTANCES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An object that a network proposes.

    Attributes:
        label: the phrase, or the user's name for a box.
        score: in 0…1.
        box: x0, y0, x1, y1 in pixels of the photo.
        logits: [h, w], a mask over the whole photo at the network's resolution, above 0 inside.
    """

    label: str
    score: float
    box: Box
    logits: Tensor


def settle(
    candidates: Sequence[Candidate],
    image: Image,
    prompt: Prompt,
    report: Reporter,
    *,
    settings: filters.FilterSettings,
    mask_threshold: float = 0.5,
) -> Segmentation:
    """Choose among candidates and enlarge their masks.

    Args:
        candidates: in any order; the result does not depend on it.
        image: the photo.
        prompt: its negative boxes leave out what they cover; it limits the number of objects.
        report: progress; raises Cancelled between masks.
        settings: what is kept.
        mask_threshold: probability in 0…1 above which a pixel belongs to an object.

    Returns:
        Instances with soft edges (`alpha`), by score, then area; and what was left out, and why.
    """
    most = min(prompt.max_objects or MOST_INSTANCES, MOST_INSTANCES)
    logit_threshold = math.log(mask_threshold / (1 - mask_threshold))
    reasons: list[str | None] = [
        _weak_or_empty(c, settings, logit_threshold) or _excluded(c, image, prompt, logit_threshold)
        for c in candidates
    ]
    remaining = [k for k, reason in enumerate(reasons) if reason is None]
    small = [_small_instance(candidates[k], logit_threshold) for k in remaining]
    verdicts = filters.judge(small, replace(settings, min_pixels=1), most=most)
    repeats = dict(zip(remaining, verdicts, strict=True))
    for k, verdict in repeats.items():
        reasons[k] = verdict and verdict.reason
    survivors = [c for c, reason in zip(candidates, reasons, strict=True) if reason is None]
    enlarged = list(_enlarged(survivors, image, logit_threshold, report))
    best = filters.keep_best(enlarged, settings)
    dropped = [
        Dropped.of(c, reason, double_of=verdict.double_of if (verdict := repeats.get(k)) else "")
        for k, (c, reason) in enumerate(zip(candidates, reasons, strict=True))
        if reason is not None
    ]
    dropped.sort(key=lambda d: (-d.score, d.box, d.label, d.reason))
    return replace(best, dropped=(*best.dropped, *dropped))


def _weak_or_empty(
    candidate: Candidate, settings: filters.FilterSettings, logit_threshold: float
) -> str | None:
    if candidate.score < settings.min_score:
        return f"score {candidate.score:.2f} is below {settings.min_score:g}"
    if not bool((candidate.logits > logit_threshold).any()):
        return "its mask is empty"
    return None


def _excluded(
    candidate: Candidate, image: Image, prompt: Prompt, logit_threshold: float
) -> str | None:
    mask = candidate.logits > logit_threshold
    height, width = mask.shape
    rows = (torch.arange(height, device=mask.device) + 0.5) * image.height / height
    columns = (torch.arange(width, device=mask.device) + 0.5) * image.width / width
    for prompt_box in prompt.boxes:
        if prompt_box.positive:
            continue
        x0, y0, x1, y1 = prompt_box.box
        inside = ((rows >= y0) & (rows < y1))[:, None] & (columns >= x0) & (columns < x1)
        if (mask & inside).sum() > EXCLUDED_SHARE * mask.sum():
            return "in a box that was excluded"
    return None


def _small_instance(candidate: Candidate, logit_threshold: float) -> Instance:
    mask = (candidate.logits > logit_threshold).cpu().numpy()
    return Instance(
        mask=mask, label=candidate.label, score=candidate.score, box=Instance.box_of(mask)
    )


def _enlarged(
    candidates: Sequence[Candidate], image: Image, logit_threshold: float, report: Reporter
) -> Iterator[Instance]:
    for candidate in report.track(candidates, len(candidates), "cutting objects out"):
        mask, alpha = _resized(candidate.logits, image.height, image.width, logit_threshold)
        if mask.any():  # a speck may vanish where the photo is smaller than the network's mask
            yield Instance(
                mask=mask,
                alpha=alpha,
                label=candidate.label,
                score=candidate.score,
                box=Instance.box_of(mask),
            )


@torch.inference_mode()
def _resized(
    logits: Tensor, height: int, width: int, logit_threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Resize mask and probabilities: logits are interpolated, so that edges stay sharp."""
    grown = F.interpolate(
        logits[None, None].float(), size=(height, width), mode="bilinear", align_corners=False
    )[0, 0]
    return (grown > logit_threshold).cpu().numpy(), grown.sigmoid().cpu().numpy()

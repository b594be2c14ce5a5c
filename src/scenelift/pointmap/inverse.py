"""Recognises relative inverse depth that does not say what it is.

MiDaS, DPT and Depth Anything write numbers that are larger where something is nearer, without a
unit. Their names are told by a file's name. Else the photo's own order tells: what lies lower in a
photo is nearer almost always, so that depth falls from row to row and inverse depth rises.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError

__all__ = ["check_is_depth", "has_inverse_name"]

INVERSE_NAME = re.compile(
    r"(?<![a-z])(disp|disparity|midas|dpt[-_]?(beit|swin\w*|large|hybrid|levit|next)\w*"
    r"|inv(erse)?[-_ ]?depth|depth[-_ ]?inv(erse)?|idepth)(?![a-z])",
    re.IGNORECASE,
)
# Medians of rows that rise downwards like this are no depth's: ranks agree, ends are so far apart.
SURE_TREND, SURE_RATIO = 0.7, 1.5
LIKELY_TREND, LIKELY_RATIO = 0.5, 1.2
LEAST_ROWS = 8


def has_inverse_name(path: Path) -> bool:
    """Whether a file is called like disparity, inverse depth or MiDaS's results."""
    return INVERSE_NAME.search(path.stem) is not None


def check_is_depth(depth: NDArray[np.float32], name: str, notes: list[str], *, whole: bool) -> None:
    """Refuse numbers [H, W] that are nearly certainly inverse depth; warn where they may be.

    Whole numbers are what depth cameras write, in millimetres, also of rooms that they look up in:
    they are never refused.

    Args:
        depth: not finite or not positive where there is none.
        whole: the file holds whole numbers.
        name: of the file, for messages.
        notes: gets a warning.

    Raises:
        InputError: they grow towards the photo's lower edge as inverse depth does.
    """
    trend, ratio = _trend(depth)
    advice = (
        "save it as 'disparity' in an .npz (or call the file so), or give metric depth (MoGe, "
        "UniDepth, Metric3D, Depth Pro, Depth Anything's metric models)"
    )
    if trend > SURE_TREND and ratio > SURE_RATIO and not whole:
        raise InputError(
            f"{name} has larger numbers towards the lower edge, where a photo shows what is near: "
            "it looks like relative inverse depth, as MiDaS and Depth Anything write it, not like "
            f"depth. If so, {advice}. If it is depth in metres, add --depth-scale 1."
        )
    if trend > LIKELY_TREND and ratio > LIKELY_RATIO:
        notes.append(
            f"{name}: its numbers grow towards the lower edge; they were taken for depth. If it "
            f"is inverse depth, {advice}."
        )


def _trend(depth: NDArray[np.float32]) -> tuple[float, float]:
    """Return the rank correlation of rows and their medians, and the last quarter by the first."""
    from scipy.stats import spearmanr

    step = max(1, depth.shape[0] // 256), max(1, depth.shape[1] // 256)
    values = depth[:: step[0], :: step[1]]
    usable = np.isfinite(values) & (values > 0)
    rows = np.flatnonzero(usable.mean(1) > 0.1)
    if len(rows) < LEAST_ROWS:
        return 0.0, 1.0
    medians = np.array([np.median(values[row][usable[row]]) for row in rows])
    if medians.min() == medians.max():
        return 0.0, 1.0
    quarter = max(1, len(rows) // 4)
    ratio = np.median(medians[-quarter:]) / np.median(medians[:quarter])
    answer: Any = spearmanr(rows, medians)
    return float(answer.statistic), float(ratio)

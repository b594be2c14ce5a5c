"""Removes the checkerboard that editors show for transparency, saved into the picture itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import border_of, regions
from scenelift.segment.given.layers import Layers, one_mask
from scenelift.segment.given.plain import LEAST_PIXELS

__all__ = ["cut_off_checkerboard"]

LEAST_SQUARE, MOST_SQUARE = 4, 64
# Both colours are greys so far apart at least; a lossy format moves them by so much.
GREY, APART, NOISE = 6, 8, 12
# Of the border so much is of the two colours, and of their pixels so much lies as on a board.
LEAST_BORDER, ON_BOARD = 0.6, 0.95


def cut_off_checkerboard(rgb: NDArray[np.uint8]) -> Layers | None:
    """Cut out what lies on a checkerboard [H, W, 3] as one mask; None where there is no board."""
    border = border_of(rgb)
    colours, counts = np.unique(border, axis=0, return_counts=True)
    order = counts.argsort()[::-1]
    first = colours[order[0]].astype(np.int16)
    others = [k for k in order if abs(colours[k] - first).max() >= APART]
    if not others:
        return None
    second = colours[others[0]].astype(np.int16)
    if max(np.ptp(first), np.ptp(second)) > GREY:
        return None
    near = [abs(rgb.astype(np.int16) - colour).max(-1) for colour in (first, second)]
    is_second = near[1] < near[0]
    on_either = np.minimum(*near) <= min(NOISE, abs(first - second).max() / 2)
    edge = border_of(on_either)
    if edge.mean() < LEAST_BORDER:
        return None
    board = _board(is_second, on_either)
    if board is None:
        return None
    ground: Any = ndimage.binary_opening(on_either & (board == is_second), np.ones((3, 3)))
    pieces, _ = regions(~ground)
    mask = (np.bincount(pieces.ravel()) >= LEAST_PIXELS)[pieces] & ~ground
    return one_mask(mask, "its checkerboard was taken for what is transparent.")


def _board(is_second: NDArray[np.bool_], on_either: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Find the board [H, W] that explains two colours; None where none does."""
    height, width = is_second.shape
    for row, column in ((0, 0), (height - 1, 0), (0, width - 1)):
        across, down = (
            np.flatnonzero(np.diff(is_second[row])),
            np.flatnonzero(np.diff(is_second[:, column])),
        )
        if len(across) < 3 or len(down) < 3:
            continue
        side = int(np.median(np.diff(across)))
        if not LEAST_SQUARE <= side <= MOST_SQUARE:
            continue
        x = (np.arange(width) - across[0] - 1) // side % 2
        y = (np.arange(height) - down[0] - 1) // side % 2
        board = (x[None] ^ y[:, None]).astype(np.bool_)
        agree = float((board == is_second)[on_either].mean())
        if max(agree, 1 - agree) >= ON_BOARD:
            return board if agree > 0.5 else ~board
    return None

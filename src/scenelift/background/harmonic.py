"""Fill a hole with the smoothest continuation of the values around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

__all__ = ["harmonic"]


def harmonic(
    values: NDArray[np.float64], hole: NDArray[np.bool_], rim: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Fill a hole with the smoothest continuation of its rim (Laplace's equation).

    Neighbours that are neither hole nor rim have no say.

    Args:
        values: [H, W] or [H, W, C].
        hole: bool [H, W], what is filled.
        rim: bool [H, W], what is continued.

    Returns:
        The values, with other ones in the hole.
    """
    number = np.full(hole.shape, -1)
    rows, columns = np.nonzero(hole)
    number[rows, columns] = np.arange(len(rows))
    links: list[NDArray] = []
    right, degree = np.zeros((len(rows), *values.shape[2:])), np.zeros(len(rows))
    for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        i, j = rows + di, columns + dj
        inside = (i >= 0) & (j >= 0) & (i < hole.shape[0]) & (j < hole.shape[1])
        own = np.flatnonzero(inside)
        own = own[(hole | rim)[i[own], j[own]]]
        degree[own] += 1
        other = number[i[own], j[own]]
        given_side = other < 0
        right[own[given_side]] += values[i[own[given_side]], j[own[given_side]]]
        links.append(np.stack([own[~given_side], other[~given_side]]))
    pairs = np.concatenate(links, 1)
    index = np.arange(len(rows))
    # A part without a rim has no one answer: it is held near the mean.
    hold = 1e-9
    matrix = coo_array(
        (
            np.concatenate([degree + hold, -np.ones(pairs.shape[1])]),
            (np.concatenate([index, pairs[0]]), np.concatenate([index, pairs[1]])),
        ),
        shape=(len(rows), len(rows)),
    ).tocsc()
    result = values.copy()
    result[rows, columns] = splu(matrix).solve(right + hold * values[rim].mean(0))
    return result

"""Cut a surface into charts: connected faces that look the same way, each laid flat.

A face belongs to one of six directions. Smoothing by majority makes the borders short; a chart is
then projected onto the plane that it faces on average, where every one of its faces is seen from
outside, so that no face turns over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from scenelift.finish.normals import face_normals

__all__ = ["Charts", "cut_charts", "cut_off"]

ROUNDS = 8
NEIGHBOUR = 0.25  # what one neighbour in a direction weighs against the cosine to it
STEEPEST = 0.35  # cosine: a face steeper than this to a direction never goes with it
FLATTEST = 0.2  # cosine to the chart's own plane below which a face becomes a chart of its own
FEW = 24  # faces of a chart that is dissolved into its neighbours where they face its way


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Charts:
    """A surface cut open and laid flat, charts not yet arranged.

    Attributes:
        chart: int32 [F], which chart each face belongs to.
        vertex: int64 [V'], the surface's vertex at the same place; those on borders come more
            than once.
        faces: int32 [F, 3], the surface's, in the same order.
        flat: float32 [V', 2], in the surface's units.
    """

    chart: NDArray[np.int32]
    vertex: NDArray[np.int64]
    faces: NDArray[np.int32]
    flat: NDArray[np.float32]


def cut_charts(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Charts:
    """Cut a surface into charts and flatten them; see the module."""
    normals = face_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = normals / np.maximum(length, 1e-30)
    a, b = _neighbours(faces, len(vertices))
    chart = _connected(_directions(unit, a, b), a, b)
    chart = _connected(_dissolved(chart, normals, unit, a, b), a, b)
    outlying = (unit * _mean_normals(normals, chart)[chart]).sum(1) < FLATTEST
    while outlying.any():
        chart = _on_their_own(chart, outlying)
        # A chart that lost faces faces another way now, and may have fallen in two.
        chart = _connected(chart, a, b)
        outlying = (unit * _mean_normals(normals, chart)[chart]).sum(1) < FLATTEST
        outlying &= np.bincount(chart)[chart] > 1
    return _laid_flat(vertices, faces, chart)


def cut_off(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    charts: Charts,
    overlapping: NDArray[np.int32],
    *,
    alone: bool,
) -> Charts:
    """Split off faces that lie over others of their flattened chart; they become new charts.

    Args:
        vertices, faces: as of `cut_charts`.
        overlapping: which faces.
        alone: each by itself. Else connected ones stay together, and with those that touch them,
            as a face may overlap without covering a texel's centre: so a spiral falls into few
            charts. But faces around a vertex may lie over each other, and stay so together.
    """
    is_overlapping = np.zeros(len(faces), np.bool_)
    is_overlapping[overlapping] = True
    if alone:
        chart = _on_their_own(charts.chart, is_overlapping)
    else:
        near_overlap = np.zeros(len(charts.flat), np.bool_)
        near_overlap[charts.faces[is_overlapping]] = True
        beside = near_overlap[charts.faces].any(1)
        chart = charts.chart + beside * (charts.chart.max() + np.int32(1))
    return _laid_flat(vertices, faces, _connected(chart, *_neighbours(faces, len(vertices))))


def _laid_flat(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], chart: NDArray[np.int32]
) -> Charts:
    """Project each chart onto the plane that it faces."""
    facing = _mean_normals(face_normals(vertices, faces), chart)
    # Any axis across will do; xatlas turns charts as they fit.
    helper = np.where(np.abs(facing[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    right = np.cross(helper, facing)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-30)
    up = np.cross(facing, right)

    place = chart[:, None].astype(np.int64) * len(vertices) + faces
    unique, renumbered = np.unique(place, return_inverse=True)
    vertex, of_chart = unique % len(vertices), unique // len(vertices)
    points = vertices[vertex].astype(np.float64)
    flat = np.stack([(points * axis[of_chart]).sum(1) for axis in (right, up)], -1)
    return Charts(
        chart=chart,
        vertex=vertex,
        faces=renumbered.reshape(-1, 3).astype(np.int32),
        flat=flat.astype(np.float32),
    )


def _neighbours(
    faces: NDArray[np.int32], vertex_count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List pairs of faces that share an edge."""
    ends = np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2)
    key = ends.min(1).astype(np.int64) * vertex_count + ends.max(1)
    order = np.argsort(key, kind="stable")
    same = np.diff(key[order]) == 0
    return order[:-1][same] // 3, order[1:][same] // 3


def _directions(
    unit: NDArray[np.float64], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Choose one of the six axes for each face, such that neighbours agree if they can."""
    toward = np.concatenate([unit, -unit], 1)  # cosines to +x +y +z −x −y −z
    direction = toward.argmax(1)
    count = len(unit)
    for _ in range(ROUNDS):
        votes = np.bincount(a * 6 + direction[b], minlength=6 * count)
        votes += np.bincount(b * 6 + direction[a], minlength=6 * count)
        score = toward + NEIGHBOUR * votes.reshape(count, 6)
        score[toward < STEEPEST] = -1
        better = score.argmax(1)
        if (better == direction).all():
            break
        direction = better
    return direction


def _dissolved(
    chart: NDArray[np.int32],
    normals: NDArray[np.float64],
    unit: NDArray[np.float64],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Dissolve small charts: their faces join larger charts beside them."""
    a, b = np.concatenate([a, b]), np.concatenate([b, a])
    chart = chart.copy()
    for _ in range(ROUNDS):
        small = np.bincount(chart)[chart] < FEW
        beside = small[a] & ~small[b]
        face, to = a[beside], chart[b[beside]]
        cosine = (unit[face] * _mean_normals(normals, chart)[to]).sum(1)
        order = np.argsort(cosine)  # of several neighbours the last written, which faces best
        order = order[cosine[order] > FLATTEST]
        if not len(order):
            break
        chart[face[order]] = to[order]
    return chart


def _connected(
    group: NDArray, a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int32]:  # [F]
    """Number the connected parts of groups of faces."""
    same = group[a] == group[b]
    links = coo_matrix((np.ones(same.sum(), np.int8), (a[same], b[same])), shape=(len(group),) * 2)
    return connected_components(links, directed=False)[1].astype(np.int32)


def _on_their_own(chart: NDArray[np.int32], faces: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Make each of these faces a chart of its own."""
    alone = chart.copy()
    alone[faces] = chart.max() + 1 + np.arange(faces.sum(), dtype=np.int32)
    return alone


def _mean_normals(normals: NDArray[np.float64], chart: NDArray[np.int32]) -> NDArray[np.float64]:
    """Compute the unit normal of every chart, with its faces weighted by area."""
    total = np.stack([np.bincount(chart, normals[:, k]) for k in range(3)], -1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-30), [[0.0, 1.0, 0.0]])

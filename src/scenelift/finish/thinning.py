"""Reduce faces on a torch device by collapsing many edges at once.

`decimation.py` collapses edges one after another, which takes seconds for a million faces. Here
every round collapses a set of cheap edges (by Garland and Heckbert's quadrics) of which no two
touch one face, so that each can be judged as if it were alone. What is left for `decimation.py` to
do is then short. Edges of holes, and those of more than two faces, stay as they are.

Shape letters: V vertices, F faces, E edges with two faces, K edges that collapse in a round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scenelift.device import uses_triton
from scenelift.finish.thinning_limits import HOLD, PASSES, SHORT, SLIM, TURN
from scenelift.types import Mesh

__all__ = ["apart_by_lot", "best_points", "shape_stays", "thin"]

ROUNDS = 60
CHEAP = 0.5  # share of the edges that may go in a round
# A round that takes off less than this share of the faces was the last: the rest is locked.
LEAST_PROGRESS = 0.002
# Faces or edges that are computed with together: bounds the memory, four million faces take 1.5 GB.
ROWS_AT_ONCE = 1 << 21


def thin(mesh: Mesh, faces: int, device: torch.device) -> Mesh:
    """Reduce a surface to that many faces or a few more; holes, components and genus stay.

    Faces that are broken (corners that are not finite or not there, or one place twice) come back
    untouched, for `clean` to count.

    Args:
        mesh: without colours and texture, which could not follow.
        faces: where to stop; a mesh that has fewer comes back as it is.
        device: float64 is computed there.
    """
    if mesh.colors is not None or mesh.texture is not None:
        raise ValueError("colours and textures cannot follow when a mesh is thinned")
    if len(mesh.faces) <= faces:
        return mesh
    # Widened there: half as much is copied.
    points = torch.tensor(mesh.vertices, device=device).to(torch.float64)
    corners = torch.tensor(mesh.faces, device=device).to(torch.int64)
    finite = torch.isfinite(points).all(1)
    there = ((corners >= 0) & (corners < len(points))).all(1)
    sound = there & finite[corners.clamp(0, len(points) - 1)].all(1)
    places, place = torch.unique(points.where(finite[:, None], 0.0), dim=0, return_inverse=True)
    welded = place[corners.clamp(0, len(points) - 1)]
    sound &= _distinct(welded)
    at, remaining = _collapsed(places, welded[sound], faces - int((~sound).sum()))

    vertex_indices, remaining = torch.unique(remaining, return_inverse=True)
    vertices = at[vertex_indices].cpu().numpy().astype(np.float32)
    result = remaining.cpu().numpy().astype(np.int32)
    broken = mesh.faces[(~sound).cpu().numpy()]
    if len(broken):
        outside = (broken < 0) | (broken >= len(mesh.vertices))
        shifted_faces = np.where(outside, -1, broken + len(vertices)).astype(np.int32)
        vertices = np.concatenate([vertices, mesh.vertices])
        result = np.concatenate([result, shifted_faces])
    return Mesh(vertices=vertices, faces=result)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Edges:
    """Edges between two faces.

    Attributes:
        ends: int64 [E, 2], the lower number first.
        opposite: int64 [E, 2], third corners of the two faces.
        locked: bool [V], vertices on other edges than these.
        valence: int64 [V], edges of these at each vertex.
    """

    ends: Tensor
    opposite: Tensor
    locked: Tensor
    valence: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The steps of a round with kernels of their own on CUDA, where each would be hundreds."""

    best_points: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    apart_by_lot: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    shape_stays: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _steps(device: torch.device) -> _Steps:
    if not uses_triton(device):
        return _Steps(best_points=best_points, apart_by_lot=apart_by_lot, shape_stays=shape_stays)
    from scenelift.finish import thinning_triton as kernels

    return _Steps(
        best_points=kernels.best_points_triton,
        apart_by_lot=kernels.apart_by_lot_triton,
        shape_stays=kernels.shape_stays_triton,
    )


def _collapsed(points: Tensor, faces: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """Collapse edges; return vertices [V, 3], many of them unused, and the remaining faces."""
    low, high = points.amin(0), points.amax(0)
    size = (high - low).amax().clamp(min=1e-30)
    points = (points - (low + high) / 2) / size
    quadrics = _quadrics(points, faces)
    random = torch.Generator(points.device).manual_seed(0)
    steps = _steps(points.device)
    for _ in range(ROUNDS):
        most = (len(faces) - target) // 2  # a collapse takes two
        if most < 1:
            break
        edges = _edges(faces, len(points))
        at, cost = steps.best_points(points, quadrics, edges.ends)
        cost = cost.where(~edges.locked[edges.ends].any(1), torch.inf)
        edge_rows = _independent(cost, edges.ends, faces, len(points), random, steps)
        edge_rows = edge_rows[_sound(points, faces, edges, edge_rows, at[edge_rows], steps)]
        if len(edge_rows) > most:
            edge_rows = edge_rows[cost[edge_rows].argsort(stable=True)[:most]]
        if 2 * len(edge_rows) < LEAST_PROGRESS * len(faces) and len(edge_rows) < most:
            break
        survivor, removed_vertex = edges.ends[edge_rows].unbind(1)
        points[survivor] = at[edge_rows]
        quadrics[survivor] += quadrics[removed_vertex]
        name = torch.arange(len(points), device=points.device)
        name[removed_vertex] = survivor
        faces = name[faces]
        faces = faces[_distinct(faces)]
    return points * size + (low + high) / 2, faces


def _distinct(faces: Tensor) -> Tensor:  # [F, 3] -> [F]
    return (faces != faces.roll(1, 1)).all(1)


def _quadrics(points: Tensor, faces: Tensor) -> Tensor:  # [V, 10]
    """Sum squared distances to the planes of each vertex's faces, weighted by area, as quadrics.

    As coefficients of xx xy xz yy yz zz x y z 1. Added in fixed point, where the order in which a
    GPU adds makes no difference.
    """
    parts = faces.split(ROWS_AT_ONCE)
    most = torch.stack([_of_planes(points, part).abs().sum(0) for part in parts]).sum(0).amax()
    scale = 2.0**60 / most.clamp(min=1e-30)
    total = torch.zeros((len(points), 10), dtype=torch.int64, device=points.device)
    for part in parts:
        whole = (_of_planes(points, part) * (scale / 3)).round().to(torch.int64)
        for k in range(3):
            total.index_add_(0, part[:, k], whole)
    return total.to(torch.float64) * (3 / scale)


def _of_planes(points: Tensor, faces: Tensor) -> Tensor:  # [F, 10]
    a, b, c = points[faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    length = normal.norm(dim=1, keepdim=True)
    unit = normal / length.clamp(min=1e-30)
    x, y, z = unit.unbind(1)
    d = -(unit * a).sum(1)
    terms = (x * x, x * y, x * z, y * y, y * z, z * z, x * d, y * d, z * d, d * d)
    return torch.stack(terms, 1) * (length / 2)


def _edges(faces: Tensor, vertex_count: int) -> _Edges:
    start, end = faces.reshape(-1), faces.roll(-1, 1).reshape(-1)
    key = torch.minimum(start, end) * vertex_count + torch.maximum(start, end)
    key, order = key.sort(stable=True)
    unique, count = torch.unique_consecutive(key, return_counts=True)
    first = count.cumsum(0) - count
    paired = (count == 2).nonzero()[:, 0]
    locked = torch.zeros(vertex_count, dtype=torch.bool, device=faces.device)
    other = unique[count != 2]
    locked[other // vertex_count] = True
    locked[other % vertex_count] = True
    begin, pairs = first[paired], unique[paired]
    sides = torch.stack([order[begin], order[begin + 1]], 1)  # half-edges [E, 2]
    third = faces.roll(-2, 1).reshape(-1)
    ends = torch.stack([pairs // vertex_count, pairs % vertex_count], 1)
    return _Edges(
        ends=ends,
        opposite=third[sides],
        locked=locked,
        valence=torch.bincount(ends.reshape(-1), minlength=vertex_count),
    )


def best_points(points: Tensor, quadrics: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the vertex's place after each edge's collapse [E, 3], and the cost [E]."""
    parts = [_best_points_of_some(points, quadrics, some) for some in ends.split(ROWS_AT_ONCE)]
    at, cost = zip(*parts, strict=True)
    return torch.cat(at), torch.cat(cost)


def _best_points_of_some(points: Tensor, quadrics: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    xx, xy, xz, yy, yz, zz, bx, by, bz, rest = quadrics[ends].sum(1).unbind(1)
    a, b = points[ends].unbind(1)
    middle = (a + b) / 2
    mx, my, mz = middle.unbind(1)
    # Half the gradient at the middle, and the step that undoes it: the inverse by cofactors.
    gx = xx * mx + xy * my + xz * mz + bx
    gy = xy * mx + yy * my + yz * mz + by
    gz = xz * mx + yz * my + zz * mz + bz
    area = (xx + yy + zz).clamp(min=1e-30)
    hx, hy, hz = xx + HOLD * area, yy + HOLD * area, zz + HOLD * area
    c_xx, c_yy, c_zz = hy * hz - yz * yz, hx * hz - xz * xz, hx * hy - xy * xy
    c_xy, c_xz, c_yz = xz * yz - xy * hz, xy * yz - xz * hy, xy * xz - yz * hx
    determinant = hx * c_xx + xy * c_xy + xz * c_xz
    step = torch.stack(
        [
            c_xx * gx + c_xy * gy + c_xz * gz,
            c_xy * gx + c_yy * gy + c_yz * gz,
            c_xz * gx + c_yz * gy + c_zz * gz,
        ],
        1,
    )
    at = middle - step / determinant[:, None]
    x, y, z = at.unbind(1)
    distance = (
        (xx * x * x + yy * y * y + zz * z * z + rest)
        + 2 * (xy * x * y + xz * x * z + yz * y * z)
        + 2 * (bx * x + by * y + bz * z)
    )
    return at, distance.clamp(min=0) + SHORT * area * (b - a).square().sum(1)


def _independent(
    cost: Tensor,
    ends: Tensor,
    faces: Tensor,
    vertex_count: int,
    random: torch.Generator,
    steps: _Steps,
) -> Tensor:
    """Choose cheap edges [K] such that no two touch the same face."""
    free = torch.isfinite(cost)
    if not len(cost):
        return torch.zeros(0, dtype=torch.int64, device=cost.device)
    # Sorted, because CUDA has a single block look for `kthvalue`; what is infinite comes last.
    last = ((CHEAP * free.sum()).to(torch.int64) - 1).clamp(min=0)
    limit = cost.sort().values[last]
    lots = torch.randperm(len(cost), generator=random, device=cost.device)
    lots[(cost > limit) | ~free] = len(cost)
    return steps.apart_by_lot(lots, ends, faces, vertex_count).nonzero()[:, 0]


def apart_by_lot(lots: Tensor, ends: Tensor, faces: Tensor, vertex_count: int) -> Tensor:
    """Choose edges, bool [E], of which no two touch a face, at random as in Luby (1986).

    One that has drawn the lowest lot of all whose faces it touches is taken.

    Args:
        lots: int64 [E], all different; E of those that may not be taken.
    """
    none = len(lots)
    selection = torch.zeros(none, dtype=torch.bool, device=lots.device)
    for _ in range(PASSES):
        lowest = torch.full((vertex_count,), none, device=lots.device)
        for k in range(2):
            lowest.scatter_reduce_(0, ends[:, k], lots, "amin")
        of_face = lowest[faces].amin(1)
        around = torch.full_like(lowest, none)
        for k in range(3):
            around.scatter_reduce_(0, faces[:, k], of_face, "amin")
        now = (lots < none) & (around[ends] == lots[:, None]).all(1)
        selection |= now
        is_end = torch.zeros(vertex_count, dtype=torch.bool, device=lots.device)
        is_end[ends[now].reshape(-1)] = True
        has_end = is_end[faces].any(1)
        near = torch.zeros_like(is_end)
        near[faces[has_end].reshape(-1)] = True
        lots = lots.where(~near[ends].any(1), none)
    return selection


def _sound(
    points: Tensor, faces: Tensor, edges: _Edges, edge_rows: Tensor, at: Tensor, steps: _Steps
) -> Tensor:
    """Keep the edges [K] whose collapse leaves a manifold and neither flips nor flattens a face.

    The ends of an edge may have no neighbour in common but the two faces' third corners, and
    those need a third edge besides.
    """
    count, vertex_count = len(edge_rows), len(points)
    ends = edges.ends[edge_rows]
    of_vertex = torch.full((vertex_count,), -1, device=points.device)
    number = torch.arange(count, device=points.device)
    for k in range(2):
        of_vertex[ends[:, k]] = number

    own = of_vertex[edges.ends]  # [E, 2]
    leaving = ((own >= 0).sum(1) == 1).nonzero()[:, 0]
    own, beside = own[leaving], edges.ends[leaving]
    outer = torch.where(own[:, 0] < 0, beside[:, 0], beside[:, 1])
    pair, times = torch.unique(own.amax(1) * vertex_count + outer, return_counts=True)
    common_neighbours = torch.bincount(pair[times > 1] // vertex_count, minlength=count)
    fine = (common_neighbours == 2) & (edges.valence[edges.opposite[edge_rows]] > 3).all(1)
    return fine & steps.shape_stays(points, faces, of_vertex, at)


def shape_stays(points: Tensor, faces: Tensor, of_vertex: Tensor, at: Tensor) -> Tensor:
    """Test which collapses [K] neither flip a face nor shrink one to a line.

    Args:
        of_vertex: int64 [V], the collapse that takes each vertex along, -1 for none.
        at: [K, 3], where to.
    """
    fine = torch.ones(len(at), dtype=torch.bool, device=points.device)
    for some in faces.split(ROWS_AT_ONCE):
        touching = of_vertex[some]  # [F, 3]
        around = ((touching >= 0).sum(1) == 1).nonzero()[:, 0]
        new_row = touching[around]
        before = points[some[around]]
        after = torch.where((new_row >= 0)[..., None], at[new_row.clamp(min=0)], before)
        old, new = _cross(before), _cross(after)
        sides = (after - after.roll(1, 1)).square().sum(-1).amax(1)
        length = new.norm(dim=1)
        is_flipped = (old * new).sum(1) < TURN * old.norm(dim=1) * length
        bad = is_flipped | (length < SLIM * sides)
        fine[new_row[bad].amax(1)] = False
    return fine


def _cross(corners: Tensor) -> Tensor:  # [F, 3, 3] -> [F, 3]
    a, b, c = corners.unbind(1)
    return torch.linalg.cross(b - a, c - a)

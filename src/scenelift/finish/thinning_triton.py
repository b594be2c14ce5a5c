"""Triton kernels for the steps of thinning, which `thinning.py` defines with tensor operations.

Those are hundreds of small kernels a round, each of which waits for room beside the networks. Here
each step is one kernel or a few. What threads add up is the same in any order: minima and flags.
"""

# Kernels are launched by index, which the type checker does not know of.
# pyright: reportIndexIssue=false

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.device import current_device
from scenelift.finish.thinning_limits import HOLD, PASSES, SHORT, SLIM, TURN
from scenelift.render.rows_triton import load_three

__all__ = ["apart_by_lot_triton", "best_points_triton", "shape_stays_triton"]

ROWS = 256  # edges or faces of one program


@triton.jit
def _both(quadrics, a, b, k, there):
    first = tl.load(quadrics + 10 * a + k, mask=there, other=0.0)
    return first + tl.load(quadrics + 10 * b + k, mask=there, other=0.0)


@triton.jit
def _place(
    points,  # [V, 3]
    quadrics,  # [V, 10]
    ends,  # [E, 2]
    at,  # [E, 3]
    cost,  # [E]
    count,
    ROWS: tl.constexpr,
    HOLD: tl.constexpr,
    SHORT: tl.constexpr,
):
    e = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = e < count
    a = tl.load(ends + 2 * e, mask=there, other=0)
    b = tl.load(ends + 2 * e + 1, mask=there, other=0)
    ax, ay, az = load_three(points, a, there)
    bx, by, bz = load_three(points, b, there)
    xx, xy = _both(quadrics, a, b, 0, there), _both(quadrics, a, b, 1, there)
    xz, yy = _both(quadrics, a, b, 2, there), _both(quadrics, a, b, 3, there)
    yz, zz = _both(quadrics, a, b, 4, there), _both(quadrics, a, b, 5, there)
    lx, ly = _both(quadrics, a, b, 6, there), _both(quadrics, a, b, 7, there)
    lz, rest = _both(quadrics, a, b, 8, there), _both(quadrics, a, b, 9, there)
    mx, my, mz = (ax + bx) / 2, (ay + by) / 2, (az + bz) / 2
    gx = xx * mx + xy * my + xz * mz + lx
    gy = xy * mx + yy * my + yz * mz + ly
    gz = xz * mx + yz * my + zz * mz + lz
    area = tl.maximum(xx + yy + zz, 1e-30)
    hx, hy, hz = xx + HOLD * area, yy + HOLD * area, zz + HOLD * area
    c_xx, c_yy, c_zz = hy * hz - yz * yz, hx * hz - xz * xz, hx * hy - xy * xy
    c_xy, c_xz, c_yz = xz * yz - xy * hz, xy * yz - xz * hy, xy * xz - yz * hx
    determinant = hx * c_xx + xy * c_xy + xz * c_xz
    x = mx - (c_xx * gx + c_xy * gy + c_xz * gz) / determinant
    y = my - (c_xy * gx + c_yy * gy + c_yz * gz) / determinant
    z = mz - (c_xz * gx + c_yz * gy + c_zz * gz) / determinant
    distance = xx * x * x + yy * y * y + zz * z * z + rest
    distance += 2 * (xy * x * y + xz * x * z + yz * y * z)
    distance += 2 * (lx * x + ly * y + lz * z)
    dx, dy, dz = bx - ax, by - ay, bz - az
    length = dx * dx + dy * dy + dz * dz
    tl.store(at + 3 * e, x, mask=there)
    tl.store(at + 3 * e + 1, y, mask=there)
    tl.store(at + 3 * e + 2, z, mask=there)
    tl.store(cost + e, tl.maximum(distance, 0.0) + SHORT * area * length, mask=there)


def best_points_triton(points: Tensor, quadrics: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `thinning.best_points` on CUDA."""
    count, device = len(ends), points.device
    at = torch.empty((count, 3), dtype=torch.float64, device=device)
    cost = torch.empty(count, dtype=torch.float64, device=device)
    if count:
        with current_device(device):
            _place[_programs(count)](
                points.contiguous(),
                quadrics.contiguous(),
                ends.contiguous(),
                at,
                cost,
                count,
                ROWS=ROWS,
                HOLD=HOLD,
                SHORT=SHORT,
            )
    return at, cost


def _programs(rows: int) -> tuple[int]:
    return (triton.cdiv(rows, ROWS),)


@triton.jit
def _lowest_of_vertices(lots, ends, lowest, count, none, ROWS: tl.constexpr):
    e = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    lot = tl.load(lots + e, mask=e < count, other=none)
    has_lot = lot < none
    a = tl.load(ends + 2 * e, mask=has_lot, other=0)
    b = tl.load(ends + 2 * e + 1, mask=has_lot, other=0)
    tl.atomic_min(lowest + a, lot, mask=has_lot, sem="relaxed")
    tl.atomic_min(lowest + b, lot, mask=has_lot, sem="relaxed")


@triton.jit
def _corners(faces, f, there):
    a = tl.load(faces + 3 * f, mask=there, other=0)
    b = tl.load(faces + 3 * f + 1, mask=there, other=0)
    return a, b, tl.load(faces + 3 * f + 2, mask=there, other=0)


@triton.jit
def _lowest_around(lowest, faces, around, count, none, ROWS: tl.constexpr):
    f = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = f < count
    a, b, c = _corners(faces, f, there)
    lot = tl.minimum(
        tl.load(lowest + a, mask=there, other=none), tl.load(lowest + b, mask=there, other=none)
    )
    lot = tl.minimum(lot, tl.load(lowest + c, mask=there, other=none))
    has_lot = there & (lot < none)
    tl.atomic_min(around + a, lot, mask=has_lot, sem="relaxed")
    tl.atomic_min(around + b, lot, mask=has_lot, sem="relaxed")
    tl.atomic_min(around + c, lot, mask=has_lot, sem="relaxed")


@triton.jit
def _choose(lots, ends, around, selection, is_end, count, none, ROWS: tl.constexpr):
    e = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    lot = tl.load(lots + e, mask=e < count, other=none)
    has_lot = lot < none
    a = tl.load(ends + 2 * e, mask=has_lot, other=0)
    b = tl.load(ends + 2 * e + 1, mask=has_lot, other=0)
    now = has_lot & (tl.load(around + a, mask=has_lot, other=-1) == lot)
    now = now & (tl.load(around + b, mask=has_lot, other=-1) == lot)
    yes = tl.full((ROWS,), 1, tl.int8)
    tl.store(selection + e, yes, mask=now)
    tl.store(is_end + a, yes, mask=now)
    tl.store(is_end + b, yes, mask=now)


@triton.jit
def _spread(is_end, faces, near, count, ROWS: tl.constexpr):
    f = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = f < count
    a, b, c = _corners(faces, f, there)
    has_end = tl.load(is_end + a, mask=there, other=0) | tl.load(is_end + b, mask=there, other=0)
    has_end = (has_end | tl.load(is_end + c, mask=there, other=0)) > 0
    yes = tl.full((ROWS,), 1, tl.int8)
    tl.store(near + a, yes, mask=has_end)
    tl.store(near + b, yes, mask=has_end)
    tl.store(near + c, yes, mask=has_end)


@triton.jit
def _give_up(lots, ends, near, count, none, ROWS: tl.constexpr):
    e = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = e < count
    a = tl.load(ends + 2 * e, mask=there, other=0)
    b = tl.load(ends + 2 * e + 1, mask=there, other=0)
    close = tl.load(near + a, mask=there, other=0) | tl.load(near + b, mask=there, other=0)
    tl.store(lots + e, tl.full((ROWS,), 0, tl.int32) + none, mask=there & (close > 0))


def apart_by_lot_triton(lots: Tensor, ends: Tensor, faces: Tensor, vertex_count: int) -> Tensor:
    """Compute `thinning.apart_by_lot` on CUDA."""
    count, device = len(lots), lots.device
    lots, ends, faces = lots.to(torch.int32), ends.contiguous(), faces.contiguous()
    selection = torch.zeros(count, dtype=torch.int8, device=device)
    if not count:
        return selection > 0
    edges, triangles = _programs(count), _programs(len(faces))
    with current_device(device):
        for _ in range(PASSES):
            lowest = torch.full((vertex_count,), count, dtype=torch.int32, device=device)
            around = torch.full_like(lowest, count)
            is_end = torch.zeros(vertex_count, dtype=torch.int8, device=device)
            near = torch.zeros_like(is_end)
            _lowest_of_vertices[edges](lots, ends, lowest, count, count, ROWS=ROWS)
            _lowest_around[triangles](lowest, faces, around, len(faces), count, ROWS=ROWS)
            _choose[edges](lots, ends, around, selection, is_end, count, count, ROWS=ROWS)
            _spread[triangles](is_end, faces, near, len(faces), ROWS=ROWS)
            _give_up[edges](lots, ends, near, count, count, ROWS=ROWS)
    return selection > 0


@triton.jit
def _cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@triton.jit
def _normal(ax, ay, az, bx, by, bz, cx, cy, cz):
    return _cross(bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az)


@triton.jit
def _squared(ax, ay, az, bx, by, bz):
    return (bx - ax) * (bx - ax) + (by - ay) * (by - ay) + (bz - az) * (bz - az)


@triton.jit
def _corner_after(points, at, vertex, collapse, there):
    x, y, z = load_three(points, vertex, there)
    new = there & (collapse >= 0)
    nx, ny, nz = load_three(at, tl.maximum(collapse, 0), new)
    return tl.where(new, nx, x), tl.where(new, ny, y), tl.where(new, nz, z)


@triton.jit
def _judge(
    points,  # [V, 3]
    faces,  # [F, 3]
    of_vertex,  # [V]
    at,  # [K, 3]
    fine,  # [K]
    count,
    ROWS: tl.constexpr,
    TURN: tl.constexpr,
    SLIM: tl.constexpr,
):
    f = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = f < count
    a, b, c = _corners(faces, f, there)
    at_a = tl.load(of_vertex + a, mask=there, other=-1)
    at_b = tl.load(of_vertex + b, mask=there, other=-1)
    at_c = tl.load(of_vertex + c, mask=there, other=-1)
    moving = (at_a >= 0).to(tl.int32) + (at_b >= 0).to(tl.int32) + (at_c >= 0).to(tl.int32)
    one = there & (moving == 1)
    ax, ay, az = load_three(points, a, one)
    bx, by, bz = load_three(points, b, one)
    cx, cy, cz = load_three(points, c, one)
    ox, oy, oz = _normal(ax, ay, az, bx, by, bz, cx, cy, cz)
    ax, ay, az = _corner_after(points, at, a, at_a, one)
    bx, by, bz = _corner_after(points, at, b, at_b, one)
    cx, cy, cz = _corner_after(points, at, c, at_c, one)
    nx, ny, nz = _normal(ax, ay, az, bx, by, bz, cx, cy, cz)
    old, new = tl.sqrt(ox * ox + oy * oy + oz * oz), tl.sqrt(nx * nx + ny * ny + nz * nz)
    longest = tl.maximum(_squared(ax, ay, az, bx, by, bz), _squared(bx, by, bz, cx, cy, cz))
    longest = tl.maximum(longest, _squared(cx, cy, cz, ax, ay, az))
    is_flipped = ox * nx + oy * ny + oz * nz < TURN * old * new
    bad = one & (is_flipped | (new < SLIM * longest))
    collapse = tl.maximum(tl.maximum(at_a, at_b), at_c)
    tl.store(fine + collapse, tl.full((ROWS,), 0, tl.int8), mask=bad)


def shape_stays_triton(points: Tensor, faces: Tensor, of_vertex: Tensor, at: Tensor) -> Tensor:
    """Compute `thinning.shape_stays` on CUDA."""
    fine = torch.ones(len(at), dtype=torch.int8, device=points.device)
    with current_device(points.device):
        _judge[_programs(len(faces))](
            points.contiguous(),
            faces.contiguous(),
            of_vertex,
            at.contiguous(),
            fine,
            len(faces),
            ROWS=ROWS,
            TURN=TURN,
            SLIM=SLIM,
        )
    return fine > 0

"""Project splats on CUDA; `splats_torch.project` is the definition.

That takes some hundred tensor operations, each of which reads and writes all splats. Here a splat
is read once and its row is written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.device import current_device
from scenelift.render.rows_triton import load_three
from scenelift.render.splatting import DILATION, FRUSTUM_MARGIN, LARGEST, MIN_ALPHA
from scenelift.types import Camera

if TYPE_CHECKING:
    from scenelift.render.splats_torch import SplatTensors

__all__ = ["project_triton"]

SPLATS = 256  # of one program


@triton.jit
def _along(vx, vy, vz, ax, ay, az, scale):
    """Measure how far a splat's axis reaches along one of the camera's."""
    return (vx * ax + vy * ay + vz * az) * scale


@triton.jit
def _row(view):
    return tl.load(view), tl.load(view + 1), tl.load(view + 2), tl.load(view + 3)


@triton.jit
def _finite(x):
    return (x == x) & (tl.abs(x) < float("inf"))


@triton.jit
def _project(
    means,  # [N, 3]
    scales,  # [N, 3]
    rotations,  # [N, 4]
    opacities,  # [N]
    view,  # [4, 4]
    table,  # [N, 8]
    reach,  # [N, 2]
    visible,  # [N]
    count,
    fx,
    fy,
    cx,
    cy,
    width,
    height,
    near,
    SPLATS: tl.constexpr,
    DILATION: tl.constexpr,
    MARGIN: tl.constexpr,
    LARGEST: tl.constexpr,
    MIN_ALPHA: tl.constexpr,
):
    n = tl.program_id(0).to(tl.int64) * SPLATS + tl.arange(0, SPLATS)
    there = n < count
    px, py, pz = load_three(means, n, there)
    v00, v01, v02, v03 = _row(view)
    v10, v11, v12, v13 = _row(view + 4)
    v20, v21, v22, v23 = _row(view + 8)
    x = v00 * px + v01 * py + v02 * pz + v03
    y = v10 * px + v11 * py + v12 * pz + v13
    z = v20 * px + v21 * py + v22 * pz + v23
    margin_x, margin_y = MARGIN * width / fx / 2, MARGIN * height / fy / 2
    tx = tl.minimum(tl.maximum(x / z, -cx / fx - margin_x), (width - cx) / fx + margin_x)
    ty = tl.minimum(tl.maximum(y / z, -cy / fy - margin_y), (height - cy) / fy + margin_y)

    qw = tl.load(rotations + 4 * n, mask=there, other=0.0)
    qx = tl.load(rotations + 4 * n + 1, mask=there, other=0.0)
    qy = tl.load(rotations + 4 * n + 2, mask=there, other=0.0)
    qz = tl.load(rotations + 4 * n + 3, mask=there, other=0.0)
    norm = qw * qw + qx * qx + qy * qy + qz * qz
    length = tl.maximum(tl.sqrt(norm), 1e-30)
    qw, qx, qy, qz = qw / length, qx / length, qy / length, qz / length
    s0, s1, s2 = load_three(scales, n, there)
    # Columns of the rotation: the splat's axes.
    a0, a1, a2 = 1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy + qw * qz), 2 * (qx * qz - qw * qy)
    b0, b1, b2 = 2 * (qx * qy - qw * qz), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz + qw * qx)
    c0, c1, c2 = 2 * (qx * qz + qw * qy), 2 * (qy * qz - qw * qx), 1 - 2 * (qx * qx + qy * qy)
    az = _along(v20, v21, v22, a0, a1, a2, s0)
    bz = _along(v20, v21, v22, b0, b1, b2, s1)
    cz = _along(v20, v21, v22, c0, c1, c2, s2)
    # On the screen: across and down.
    ua = fx * (_along(v00, v01, v02, a0, a1, a2, s0) - tx * az) / z
    ub = fx * (_along(v00, v01, v02, b0, b1, b2, s1) - tx * bz) / z
    uc = fx * (_along(v00, v01, v02, c0, c1, c2, s2) - tx * cz) / z
    va = fy * (_along(v10, v11, v12, a0, a1, a2, s0) - ty * az) / z
    vb = fy * (_along(v10, v11, v12, b0, b1, b2, s1) - ty * bz) / z
    vc = fy * (_along(v10, v11, v12, c0, c1, c2, s2) - ty * cz) / z
    var_u = ua * ua + ub * ub + uc * uc
    var_v = va * va + vb * vb + vc * vc
    cov = ua * va + ub * vb + uc * vc
    minor_a, minor_b, minor_c = ua * vc - uc * va, ub * va - ua * vb, uc * vb - ub * vc
    determinant = minor_a * minor_a + minor_b * minor_b + minor_c * minor_c
    var_u += DILATION
    var_v += DILATION
    dilated = determinant + DILATION * (var_u + var_v - DILATION)
    own = tl.load(opacities + n, mask=there, other=0.0)
    opacity = tl.minimum(own, 1.0) * tl.sqrt(determinant / dilated)

    radius = tl.sqrt(tl.maximum(2 * tl.log(opacity / MIN_ALPHA), 0.0))
    u, v = cx + fx * x / z, cy + fy * y / z
    reach_x, reach_y = radius * tl.sqrt(var_u), radius * tl.sqrt(var_v)
    on_screen = (z > near) & _finite(x + y + z) & (own >= MIN_ALPHA) & (norm > 0) & _finite(norm)
    on_screen &= (opacity >= MIN_ALPHA) & _finite(dilated)
    on_screen &= (tl.abs(u) < LARGEST) & (tl.abs(v) < LARGEST)
    on_screen &= (reach_x < LARGEST) & (reach_y < LARGEST)
    on_screen &= (u + reach_x >= 0) & (u - reach_x <= width)
    on_screen &= (v + reach_y >= 0) & (v - reach_y <= height)

    row = table + 8 * n
    tl.store(row, u, mask=there)
    tl.store(row + 1, v, mask=there)
    tl.store(row + 2, var_v / dilated, mask=there)
    tl.store(row + 3, -cov / dilated, mask=there)
    tl.store(row + 4, var_u / dilated, mask=there)
    several = tl.maximum(own, 1.0)
    tl.store(row + 5, several * opacity, mask=there)
    tl.store(row + 6, several * MIN_ALPHA, mask=there)
    tl.store(row + 7, z, mask=there)
    tl.store(reach + 2 * n, reach_x, mask=there)
    tl.store(reach + 2 * n + 1, reach_y, mask=there)
    tl.store(visible + n, on_screen, mask=there)


def project_triton(
    splats: SplatTensors, camera: Camera, view: Tensor, near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Contract of `project`, on a CUDA device."""
    count, device = len(splats.means), splats.means.device
    table = torch.empty((count, 8), device=device)
    reach = torch.empty((count, 2), device=device)
    visible = torch.empty(count, dtype=torch.bool, device=device)
    with current_device(device):
        _project[(triton.cdiv(count, SPLATS),)](  # pyright: ignore[reportIndexIssue]
            splats.means.contiguous(),
            splats.scales.contiguous(),
            splats.rotations.contiguous(),
            splats.opacities.contiguous(),
            view.contiguous(),
            table,
            reach,
            visible,
            count,
            float(camera.fx),
            float(camera.fy),
            float(camera.cx),
            float(camera.cy),
            float(camera.width),
            float(camera.height),
            float(near),
            SPLATS=SPLATS,
            DILATION=DILATION,
            MARGIN=FRUSTUM_MARGIN,
            LARGEST=LARGEST,
            MIN_ALPHA=MIN_ALPHA,
        )
    return table, reach, visible

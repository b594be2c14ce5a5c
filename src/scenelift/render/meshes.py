"""Draw triangle meshes on the CPU: z-buffer, perspective-correct weights, face ids.

Triangles are clipped against the near plane, covered pixels are those whose centre is inside (on
an edge counts), the nearest face wins and at equal depth the first. Both sides are drawn.
`meshes_reference.py` is the definition, by ray casting in plain numpy; this file computes the
same in bands of rows, with numba.

Inside the kernels the camera frame is x right, y down, z forward. Colours are interpolated, lit
and averaged in linear light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import transform_points
from scenelift.jit import compiled, kernel_array, spread
from scenelift.render.rendering import Rendering, camera_from_scene
from scenelift.render.shading import AMBIENT, PLAIN, Shading, block_means
from scenelift.srgb import linear_from_srgb, srgb_from_linear
from scenelift.types import Camera, Mesh

__all__ = ["interpolate", "render_mesh"]

BAND = 16  # rows of pixels that one thread draws


def render_mesh(
    mesh: Mesh,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    shading: Shading = "headlight",
    *,
    near: float = 0.01,
    supersample: int = 1,
) -> Rendering:
    """Draw a mesh as the camera sees it.

    The same input gives the same bytes, whatever the number of threads.

    Args:
        mesh: in the scene frame. A texture is multiplied with the vertex colours where there are
            both, as in glTF; a mesh with neither is grey. A face with a corner that is not finite
            is left out.
        camera: intrinsics and the size of the picture; it looks along −z of its frame.
        scene_from_camera: float64 [4, 4] pose of the camera, None for the identity.
        background: sRGB in 0…1.
        shading: "none" gives the surface's own colour; "headlight" a lamp at the camera.
        near: distance along the axis of the plane in front of which nothing is drawn, > 0.
        supersample: k > 1 draws k² samples a pixel and averages them: smooth edges, but no
            `face_id` and `barycentric`.

    Raises:
        ValueError: a face names a vertex that does not exist.
    """
    if supersample > 1:
        fine = camera.resized(camera.width * supersample, camera.height * supersample)
    else:
        fine = camera
    view = camera_from_scene(scene_from_camera)
    face_id, weights, depth = _rasterize(mesh, fine, view, near)
    light = _surface_color(mesh, face_id, weights)  # [H, W, 3], linear, zero where nothing is
    if shading == "headlight":
        light *= _headlight(mesh, fine, view, face_id, weights, depth)[..., None]

    coverage = (face_id >= 0).astype(np.float32)
    alpha = block_means(coverage, supersample)
    light = block_means(light, supersample) + (1 - alpha[..., None]) * linear_from_srgb(background)
    if supersample > 1:
        total = block_means(np.where(coverage > 0, depth, np.float32(0)), supersample)
        depth = np.full_like(total, np.inf)
        np.divide(total, alpha, out=depth, where=alpha > 0)
    return Rendering(
        color=srgb_from_linear(light),
        alpha=alpha,
        depth=depth,
        face_id=face_id if supersample == 1 else None,
        barycentric=weights if supersample == 1 else None,
    )


def interpolate(
    faces: NDArray[np.int32],  # [F, 3]
    face_id: NDArray[np.int32],  # [H, W]
    barycentric: NDArray[np.float32],  # [H, W, 3]
    values: NDArray[np.float32],  # [V, C]
) -> NDArray[np.float32]:  # [H, W, C]
    """Interpolate the vertices' values at every pixel, zero where there is no face."""
    result = np.zeros((*face_id.shape, values.shape[1]), np.float32)
    spread(
        _interpolate,
        len(face_id),
        kernel_array(faces, np.int32),
        kernel_array(face_id, np.int32),
        kernel_array(barycentric, np.float32),
        kernel_array(values, np.float32),
        result,
    )
    return result


def _rasterize(
    mesh: Mesh, camera: Camera, view: NDArray[np.float64], near: float
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Find face, weights of its corners and depth at every pixel: [H, W], [H, W, 3], [H, W]."""
    faces = kernel_array(mesh.faces, np.int32)
    if faces.size and not (faces.min() >= 0 and faces.max() < len(mesh.vertices)):
        raise ValueError(
            f"faces name vertices {faces.min()} to {faces.max()}, the mesh has {len(mesh.vertices)}"
        )
    with np.errstate(invalid="ignore"):  # infinite vertices: their faces are left out
        points = transform_points(mesh.vertices, np.diag([1.0, -1, -1, 1]) @ view)
    intrinsics = kernel_array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)
    triangles, weights, sources = _clip(kernel_array(points, np.float64), faces, intrinsics, near)
    starts, members = _bin(triangles, camera.width, camera.height)
    size = (camera.height, camera.width)
    face_id, depth = np.full(size, -1, np.int32), np.full(size, np.inf, np.float32)
    barycentric = np.zeros((*size, 3), np.float32)
    bins = (triangles, weights, sources, starts, members)
    spread(_raster, len(starts) - 1, *bins, face_id, barycentric, depth)
    return face_id, barycentric, depth


def _surface_color(
    mesh: Mesh, face_id: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:  # [H, W, 3]
    """Compute the linear colour at every pixel, zero where there is no face."""
    if mesh.colors is not None:
        vertex_light = linear_from_srgb(mesh.colors)
    else:
        grey = PLAIN if mesh.texture is None else 1.0
        vertex_light = np.full((len(mesh.vertices), 3), grey, np.float32)
    light = interpolate(mesh.faces, face_id, weights, vertex_light)
    if mesh.texture is not None and mesh.uv is not None:
        hit = face_id >= 0
        uv = interpolate(mesh.faces, face_id, weights, mesh.uv)[hit]
        light[hit] *= _sample(linear_from_srgb(mesh.texture), uv)
    return light


def _sample(texture: NDArray[np.float32], uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Read bilinear values [N, C] of a texture [h, w, C] that repeats, at uv [N, 2]."""
    height, width = texture.shape[:2]
    column = uv[:, 0].astype(np.float64) * width - 0.5
    row = (1 - uv[:, 1].astype(np.float64)) * height - 0.5  # v counts from the bottom row
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    across = (column - left)[:, None].astype(np.float32)
    down = (row - top)[:, None].astype(np.float32)
    left, right = left % width, (left + 1) % width
    top, bottom = top % height, (top + 1) % height
    upper = texture[top, left] * (1 - across) + texture[top, right] * across
    lower = texture[bottom, left] * (1 - across) + texture[bottom, right] * across
    return upper * (1 - down) + lower * down


def _headlight(
    mesh: Mesh,
    camera: Camera,
    view: NDArray[np.float64],  # camera_from_scene
    face_id: NDArray[np.int32],
    weights: NDArray[np.float32],
    depth: NDArray[np.float32],
) -> NDArray[np.float32]:  # [H, W]
    """Compute Lambertian light of a lamp at the camera; a surface is lit on both sides."""
    turn = view[:3, :3]
    hit = face_id >= 0
    if mesh.normals is not None:
        # Covectors: with a scaled camera they turn by the inverse transpose.
        normals = (mesh.normals @ np.linalg.inv(turn)).astype(np.float32)
        normal = interpolate(mesh.faces, face_id, weights, normals)[hit]
    else:
        with np.errstate(invalid="ignore"):  # as above; no pixel sees those faces
            corners = transform_points(mesh.vertices, view)[mesh.faces]
            normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal = normal[face_id[hit]]
    to_camera = camera.unproject(np.where(hit, depth, np.float32(1)))[hit]
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(to_camera, axis=-1)
    cosine = np.abs(np.sum(normal * to_camera, -1)) / np.maximum(length, 1e-30)
    lit = np.ones(face_id.shape, np.float32)
    lit[hit] = AMBIENT + (1 - AMBIENT) * np.minimum(cosine, 1)
    return lit


@compiled
def _clip(points, faces, intrinsics, near):
    """Clip screen triangles at the near plane.

    Returns:
        triangles: [T, 3, 3], per corner u and v in pixels and the inverse of the depth.
        weights: [T, 3, 3], per corner its barycentric weights in the face it was cut from.
        sources: [T], that face.
    """
    fx, fy, cx, cy = intrinsics
    triangles = np.zeros((2 * len(faces), 3, 3), np.float64)
    weights = np.zeros((2 * len(faces), 3, 3), np.float64)
    sources = np.zeros(2 * len(faces), np.int32)
    polygon = np.zeros((4, 3), np.float64)  # weights of the corners of the clipped face
    count = 0
    for f in range(len(faces)):
        sides = 0
        for i in range(3):
            a, b = faces[f, i], faces[f, (i + 1) % 3]
            if not math.isfinite(points[a, 0] + points[a, 1] + points[a, 2]):
                sides = 0
                break
            za, zb = points[a, 2], points[b, 2]
            if za >= near:
                polygon[sides] = 0
                polygon[sides, i] = 1
                sides += 1
            if (za >= near) != (zb >= near):
                crossing = (near - za) / (zb - za)
                polygon[sides] = 0
                polygon[sides, i] = 1 - crossing
                polygon[sides, (i + 1) % 3] = crossing
                sides += 1
        for second in range(1, sides - 1):  # a fan: one triangle, or two
            for corner in range(3):
                at = 0 if corner == 0 else second + corner - 1
                x, y, z = 0.0, 0.0, 0.0
                for i in range(3):
                    w = polygon[at, i]
                    if w > 0:  # a whole corner keeps its exact coordinates, so that edges meet
                        x += w * points[faces[f, i], 0]
                        y += w * points[faces[f, i], 1]
                        z += w * points[faces[f, i], 2]
                    weights[count, corner, i] = w
                triangles[count, corner, 0] = cx + fx * x / z
                triangles[count, corner, 1] = cy + fy * y / z
                triangles[count, corner, 2] = 1 / z
            sources[count] = f
            count += 1
    return triangles[:count], weights[:count], sources[:count]


@compiled
def _pixel_range(a, b, c, first, last):
    """Find first and last pixel in first…last whose centre can lie between three coordinates."""
    low = max(float(first), min(a, b, c) - 0.5)
    high = min(float(last), max(a, b, c) - 0.5)
    return math.ceil(low), math.floor(high)


@compiled
def _bin(triangles, width, height):
    """List each band's triangles, in order: `members[starts[b] : starts[b + 1]]`."""
    starts = np.zeros((height + BAND - 1) // BAND + 1, np.int64)
    reach = np.zeros((len(triangles), 2), np.int64)  # first and last band of each triangle
    for t in range(len(triangles)):
        p = triangles[t]
        x0, x1 = _pixel_range(p[0, 0], p[1, 0], p[2, 0], 0, width - 1)
        y0, y1 = _pixel_range(p[0, 1], p[1, 1], p[2, 1], 0, height - 1)
        visible = x0 <= x1 and y0 <= y1
        reach[t, 0], reach[t, 1] = (y0 // BAND, y1 // BAND) if visible else (0, -1)
        for band in range(reach[t, 0], reach[t, 1] + 1):
            starts[band + 1] += 1
    for band in range(len(starts) - 1):
        starts[band + 1] += starts[band]
    members = np.zeros(starts[-1], np.int32)
    filled = starts.copy()
    for t in range(len(triangles)):
        for band in range(reach[t, 0], reach[t, 1] + 1):
            members[filled[band]] = t
            filled[band] += 1
    return starts, members


@compiled
def _edge(ax, ay, bx, by, area):
    """Return a point of the edge a to b, and its direction with the face on the positive side.

    Always from its lesser to its greater end: two faces that share it compute opposite numbers to
    the last bit, and no pixel falls between them.
    """
    swap = ax > bx or (ax == bx and ay > by)
    if swap:
        ax, ay, bx, by = bx, by, ax, ay
    sign = -1.0 if swap != (area < 0) else 1.0
    return ax, ay, sign * (bx - ax), sign * (by - ay)


@compiled
def _raster(first, end, triangles, weights, sources, starts, members, face_id, barycentric, depth):
    """Find the nearest face at every pixel of some bands of rows."""
    height, width = face_id.shape
    for band in range(first, end):
        top, bottom = band * BAND, min(height, (band + 1) * BAND) - 1
        nearest = np.zeros((BAND, width), np.float64)  # largest inverse depth so far
        for j in range(starts[band], starts[band + 1]):
            t = members[j]
            # Numbers, not views of arrays, which would be counted and kept in memory.
            ax, ay, az = triangles[t, 0, 0], triangles[t, 0, 1], triangles[t, 0, 2]
            bx, by, bz = triangles[t, 1, 0], triangles[t, 1, 1], triangles[t, 1, 2]
            cx, cy, cz = triangles[t, 2, 0], triangles[t, 2, 1], triangles[t, 2, 2]
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if area == 0:
                continue
            x0, x1 = _pixel_range(ax, bx, cx, 0, width - 1)
            y0, y1 = _pixel_range(ay, by, cy, top, bottom)
            u0, v0, du0, dv0 = _edge(bx, by, cx, cy, area)
            u1, v1, du1, dv1 = _edge(cx, cy, ax, ay, area)
            u2, v2, du2, dv2 = _edge(ax, ay, bx, by, area)
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    in0 = du0 * (py - v0) - dv0 * (px - u0)
                    in1 = du1 * (py - v1) - dv1 * (px - u1)
                    in2 = du2 * (py - v2) - dv2 * (px - u2)
                    total = in0 + in1 + in2
                    if not (in0 >= 0 and in1 >= 0 and in2 >= 0 and total > 0):
                        continue
                    q0, q1, q2 = in0 / total * az, in1 / total * bz, in2 / total * cz
                    inverse = q0 + q1 + q2
                    if inverse <= nearest[y - top, x]:
                        continue
                    nearest[y - top, x] = inverse
                    face_id[y, x] = sources[t]
                    depth[y, x] = 1 / inverse
                    for i in range(3):
                        barycentric[y, x, i] = (
                            q0 * weights[t, 0, i] + q1 * weights[t, 1, i] + q2 * weights[t, 2, i]
                        ) / inverse


@compiled
def _interpolate(first, end, faces, face_id, barycentric, values, result):
    _, width, channels = result.shape
    for y in range(first, end):
        for x in range(width):
            f = face_id[y, x]
            if f < 0:
                continue
            for i in range(3):
                for c in range(channels):
                    result[y, x, c] += barycentric[y, x, i] * values[faces[f, i], c]

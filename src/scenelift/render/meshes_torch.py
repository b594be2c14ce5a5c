"""Draw triangle meshes on any torch device; contract and mathematics of `meshes.py`.

Every triangle lists the pixels of its bounding box; those that it covers are fragments, and the
nearest fragment of a pixel is the smallest of keys that hold depth, then face. All of it is plain
tensor code, and the same input gives the same picture whatever order a GPU works in.

Shape letters: V vertices, F faces, T triangles after clipping, P fragments, C channels. The camera
frame here is x right, y down, z forward. Edges are computed in double precision, as on the CPU, so
that neighbours leave no crack; devices that have none (Apple's) compute them in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.render.rendering import Rendering, camera_from_scene
from scenelift.render.shading import AMBIENT, PLAIN, Shading, block_means
from scenelift.types import Camera, Mesh

__all__ = ["rasterize_mesh", "render_mesh_torch"]

FRAGMENTS_AT_ONCE = 1 << 21  # bounds memory: some 300 bytes each
NOTHING = (1 << 63) - 1  # key of a pixel that no face covers


def render_mesh_torch(
    mesh: Mesh,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    shading: Shading = "headlight",
    *,
    device: torch.device,
    near: float = 0.01,
    supersample: int = 1,
) -> Rendering:
    """Draw a mesh on a device; all else as of `render_mesh`."""
    fine = camera
    if supersample > 1:
        fine = camera.resized(camera.width * supersample, camera.height * supersample)
    view = camera_from_scene(scene_from_camera)
    face_id, weights, depth = rasterize_mesh(mesh, fine, view, device=device, near=near)
    light = _surface_color(mesh, face_id, weights)
    if shading == "headlight":
        light = light * _headlight(mesh, fine, view, face_id, weights, depth)[..., None]

    coverage = (face_id >= 0).float()
    alpha = block_means(coverage, supersample)
    behind = _linear(torch.tensor(background, dtype=torch.float32, device=device))
    light = block_means(light, supersample) + (1 - alpha[..., None]) * behind
    if supersample > 1:
        total = block_means(torch.where(coverage > 0, depth, 0.0), supersample)
        depth = torch.where(alpha > 0, total / alpha, torch.inf)
    return Rendering(
        color=_srgb(light).cpu().numpy(),
        alpha=alpha.cpu().numpy(),
        depth=depth.cpu().numpy(),
        face_id=face_id.to(torch.int32).cpu().numpy() if supersample == 1 else None,
        barycentric=weights.cpu().numpy() if supersample == 1 else None,
    )


def rasterize_mesh(
    mesh: Mesh,
    camera: Camera,
    camera_from_scene: NDArray[np.float64],
    *,
    device: torch.device,
    near: float = 0.01,
) -> tuple[Tensor, Tensor, Tensor]:
    """Face (int64, −1 where none), weights of its corners and depth: [H, W], [H, W, 3], [H, W].

    Raises:
        ValueError: a face names a vertex that does not exist.
    """
    if mesh.faces.size and not (mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)):
        raise ValueError(
            f"faces name vertices {mesh.faces.min()} to {mesh.faces.max()}, "
            f"the mesh has {len(mesh.vertices)}"
        )
    real = torch.float32 if device.type == "mps" else torch.float64
    view = torch.tensor(np.diag([1.0, -1, -1, 1]) @ camera_from_scene, dtype=real, device=device)
    vertices = _upload(mesh.vertices, device).to(real)
    points = vertices @ view[:3, :3].T + view[:3, 3]
    corners, weights, sources = _clip(points[_upload(mesh.faces, device).long()], near)
    u = camera.cx + camera.fx * corners[..., 0] / corners[..., 2]
    v = camera.cy + camera.fy * corners[..., 1] / corners[..., 2]
    triangles = torch.stack([u, v, 1 / corners[..., 2]], -1)  # [T, 3, 3]

    height, width = camera.height, camera.width
    nearest = torch.full((height * width,), NOTHING, dtype=torch.int64, device=device)
    # Twice over the fragments: first find each pixel's nearest, then keep what belongs to it.
    for owner, pixel in _fragments(triangles, width, height):
        coverage, shares = _inside(triangles[owner], pixel, width)
        owner, pixel, inverse = owner[coverage], pixel[coverage], shares[coverage].sum(-1)
        nearest.scatter_reduce_(0, pixel, _key(inverse, owner), "amin")
    face_id = torch.full_like(nearest, -1)
    barycentric = torch.zeros((height * width, 3), device=device)
    depth = torch.full((height * width,), torch.inf, device=device)
    hit = (nearest != NOTHING).nonzero()[:, 0]
    owner = nearest[hit] & 0xFFFFFFFF
    _, shares = _inside(triangles[owner], hit, width)
    inverse = shares.sum(-1)
    face_id[hit] = sources[owner]
    depth[hit] = (1 / inverse).float()
    mixed = torch.einsum("pc,pcw->pw", shares, weights[owner]) / inverse[:, None]
    barycentric[hit] = mixed.float()
    return (
        face_id.view(height, width),
        barycentric.view(height, width, 3),
        depth.view(height, width),
    )


def _key(inverse: Tensor, owner: Tensor) -> Tensor:
    """Build keys that sort by depth, then by triangle: bits of positive floats sort as they do."""
    bits = (1 / inverse).float().view(torch.int32).long()
    return (bits << 32) | owner


def _fragments(triangles: Tensor, width: int, height: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair triangles [P] and pixels [P] in their bounding boxes, some millions at a time."""
    low = (triangles[..., :2].amin(1) - 0.5).clamp(min=0).ceil()
    limit = torch.tensor([width - 1.0, height - 1.0], device=low.device, dtype=low.dtype)
    high = (triangles[..., :2].amax(1) - 0.5).minimum(limit).floor()
    span = (high - low + 1).clamp(min=0).nan_to_num(0).long()
    counts = span[:, 0] * span[:, 1]
    ends = counts.cumsum(0)
    if not len(ends) or not ends[-1]:
        return
    low = low.long()
    for begin in range(0, int(ends[-1]), FRAGMENTS_AT_ONCE):
        stop = min(begin + FRAGMENTS_AT_ONCE, int(ends[-1]))
        at = torch.arange(begin, stop, device=ends.device)
        owner = torch.searchsorted(ends, at, right=True)
        within = at - (ends - counts)[owner]
        row = low[owner, 1] + within // span[owner, 0]
        yield owner, row * width + low[owner, 0] + within % span[owner, 0]


def _inside(triangles: Tensor, pixel: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Tell which pixel centres lie in their triangles, edges included; inverse depth by corner.

    Args:
        triangles: [P, 3, 3], per corner u, v and the inverse of the depth.
        pixel: int64 [P].

    Returns:
        covered: bool [P].
        shares: [P, 3], which sum to the inverse of the depth.
    """
    x = (pixel % width + 0.5).to(triangles.dtype)
    y = (pixel // width + 0.5).to(triangles.dtype)
    area = (triangles[:, 1, 0] - triangles[:, 0, 0]) * (triangles[:, 2, 1] - triangles[:, 0, 1]) - (
        triangles[:, 1, 1] - triangles[:, 0, 1]
    ) * (triangles[:, 2, 0] - triangles[:, 0, 0])
    inside = []
    for i in range(3):
        # Always from the lesser to the greater end: two faces that share the edge compute opposite
        # numbers to the last bit, and no pixel falls between them.
        a, b = triangles[:, (i + 1) % 3, :2], triangles[:, (i + 2) % 3, :2]
        swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
        a, b = torch.where(swap[:, None], b, a), torch.where(swap[:, None], a, b)
        side = (b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])
        inside.append(torch.where(swap != (area < 0), -side, side))
    parts = torch.stack(inside, -1)
    total = parts.sum(-1)
    shares = parts / total[:, None] * triangles[..., 2]
    return (parts >= 0).all(-1) & (total > 0) & (area != 0), shares


def _clip(corners: Tensor, near: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clip triangles at the near plane.

    Args:
        corners: [F, 3, 3], points of each face's corners.

    Returns:
        corners: [T, 3, 3].
        weights: [T, 3, 3], per corner its barycentric weights in the face it was cut from.
        sources: int64 [T], that face.
    """
    front = corners[..., 2] >= near
    count = torch.where(torch.isfinite(corners).all(-1).all(-1), front.sum(-1), 0)
    whole = torch.eye(3, dtype=corners.dtype, device=corners.device)
    faces = (count == 3).nonzero()[:, 0]
    pieces = [(faces, whole.expand(len(faces), 3, 3))]
    for inside in (1, 2):
        faces = (count == inside).nonzero()[:, 0]
        # Turned so that the corner that differs from the other two comes first.
        alone = (front[faces] == (inside == 1)).long().argmax(-1)
        order = (alone[:, None] + torch.arange(3, device=corners.device)) % 3
        a, b, c = whole[order].unbind(1)  # weights of the corners
        z = corners[faces, :, 2].gather(1, order)
        to_b, to_c = ((near - z[:, :1]) / (z[:, k : k + 1] - z[:, :1]) for k in (1, 2))
        cut_b, cut_c = a + to_b * (b - a), a + to_c * (c - a)
        if inside == 1:
            pieces.append((faces, torch.stack([a, cut_b, cut_c], 1)))
        else:
            pieces.append((faces, torch.stack([cut_b, b, c], 1)))
            pieces.append((faces, torch.stack([cut_b, c, cut_c], 1)))
    sources = torch.cat([faces for faces, _ in pieces])
    weights = torch.cat([w for _, w in pieces])
    # In the order of the faces: at equal depth the first one is seen.
    order = torch.argsort(sources, stable=True)
    sources, weights = sources[order], weights[order]
    return weights @ corners[sources], weights, sources


def _interpolate(mesh: Mesh, face_id: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """Interpolate the vertices' values [V, C] at every pixel [H, W, C], zero without a face."""
    if not len(mesh.faces):
        return torch.zeros((*face_id.shape, values.shape[1]), device=face_id.device)
    corners = _upload(mesh.faces, face_id.device).long()[face_id.clamp(min=0)]  # [H, W, 3]
    return torch.einsum("hwk,hwkc->hwc", weights, values[corners])


def _surface_color(mesh: Mesh, face_id: Tensor, weights: Tensor) -> Tensor:
    """Compute the linear colour [H, W, 3], zero where there is no face."""
    device = face_id.device
    if mesh.colors is not None:
        vertex_light = _linear(_upload(mesh.colors, device).float() / 255)
    else:
        grey = PLAIN if mesh.texture is None else 1.0
        vertex_light = torch.full((len(mesh.vertices), 3), grey, device=device)
    light = _interpolate(mesh, face_id, weights, vertex_light)
    if mesh.texture is not None and mesh.uv is not None:
        uv = _interpolate(mesh, face_id, weights, _upload(mesh.uv, device))
        texture = _linear(_upload(mesh.texture, device).float() / 255)
        light = light * _sample(texture, uv)
    return light


def _sample(texture: Tensor, uv: Tensor) -> Tensor:
    """Read bilinear values of a texture [h, w, C] that repeats, at uv [..., 2]."""
    height, width = texture.shape[:2]
    column, row = uv[..., 0] * width - 0.5, (1 - uv[..., 1]) * height - 0.5
    left, top = column.floor(), row.floor()
    across, down = (column - left)[..., None], (row - top)[..., None]
    left, top = left.long() % width, top.long() % height
    right, bottom = (left + 1) % width, (top + 1) % height
    upper = texture[top, left] * (1 - across) + texture[top, right] * across
    lower = texture[bottom, left] * (1 - across) + texture[bottom, right] * across
    return upper * (1 - down) + lower * down


def _headlight(
    mesh: Mesh,
    camera: Camera,
    view: NDArray[np.float64],  # camera_from_scene
    face_id: Tensor,
    weights: Tensor,
    depth: Tensor,
) -> Tensor:  # [H, W]
    """Compute Lambertian light of a lamp at the camera; a surface is lit on both sides."""
    device = face_id.device
    if not len(mesh.faces):
        return torch.ones(face_id.shape, device=device)
    if mesh.normals is not None:
        turn = torch.tensor(np.linalg.inv(view[:3, :3]), dtype=torch.float32, device=device)
        normal = _interpolate(mesh, face_id, weights, _upload(mesh.normals, device) @ turn)
    else:
        pose = torch.tensor(view, dtype=torch.float32, device=device)
        corners = _upload(mesh.vertices, device)[_upload(mesh.faces, device).long()]
        corners = corners @ pose[:3, :3].T + pose[:3, 3]
        normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal = normal[face_id.clamp(min=0)]
    u = (torch.arange(camera.width, device=device) + 0.5 - camera.cx) / camera.fx
    v = (camera.cy - torch.arange(camera.height, device=device) - 0.5) / camera.fy
    down, across = torch.meshgrid(v, u, indexing="ij")
    rays = torch.stack([across, down, -torch.ones_like(across)], -1)
    length = normal.norm(dim=-1) * rays.norm(dim=-1)
    cosine = (normal * rays).sum(-1).abs() / length.clamp(min=1e-30)
    return AMBIENT + (1 - AMBIENT) * cosine.clamp(max=1).nan_to_num(0)


def _linear(srgb: Tensor) -> Tensor:
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _srgb(linear: Tensor) -> Tensor:
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _upload(array: NDArray, device: torch.device) -> Tensor:
    # A copy, as torch warns of arrays that it must not write to.
    return torch.from_numpy(np.array(array)).to(device)

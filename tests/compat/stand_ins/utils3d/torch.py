"""The functions of the newer `utils3d.torch` that took over the old ones' work, on the CPU."""

from __future__ import annotations

import torch


def perspective_from_fov(
    *, fov_x=None, fov_y=None, fov_min=None, fov_max=None, aspect_ratio=None, near, far
):
    del fov_min, fov_max, aspect_ratio
    fov_x, fov_y, near, far = (torch.as_tensor(v) for v in (fov_x, fov_y, near, far))
    matrix = torch.zeros(4, 4)
    matrix[0, 0], matrix[1, 1] = 1 / torch.tan(fov_x / 2), 1 / torch.tan(fov_y / 2)
    matrix[2, 2], matrix[2, 3] = (near + far) / (near - far), 2 * near * far / (near - far)
    matrix[3, 2] = -1
    return matrix


def intrinsics_from_fov(fov_x=None, fov_y=None, fov_max=None, fov_min=None, aspect_ratio=None):
    del fov_max, fov_min, aspect_ratio
    matrix = torch.eye(3)
    matrix[0, 0], matrix[1, 1] = (0.5 / torch.tan(torch.as_tensor(f) / 2) for f in (fov_x, fov_y))
    matrix[:2, 2] = 0.5
    return matrix


def mesh_edges(faces, return_face2edge=False, return_edge2face=False, return_counts=False):
    assert not return_edge2face
    corners = torch.stack([faces, faces.roll(-1, dims=1)], -1).reshape(-1, 2)
    edges, inverse, counts = torch.unique(
        corners.sort(dim=1).values, dim=0, return_inverse=True, return_counts=True
    )
    # The real one does not promise which end comes first.
    result = [edges.flip(1)]
    if return_face2edge:
        result.append(inverse.reshape(faces.shape))
    if return_counts:
        result.append(counts)
    return result[0] if len(result) == 1 else tuple(result)


def mesh_connected_components(faces, num_vertices=None):
    """A label a vertex: vertices of one face belong together."""
    count = int(faces.max()) + 1 if num_vertices is None else num_vertices
    labels = torch.arange(count)
    while True:
        least = labels[faces].min(1, keepdim=True).values.expand_as(faces)
        new = labels.scatter_reduce(0, faces.reshape(-1), least.reshape(-1), "amin")
        if torch.equal(new, labels):
            break
        labels = new
    if num_vertices is not None:
        return labels
    vertices = torch.unique(faces)
    return vertices, labels[vertices]


def remove_unused_vertices(faces, *vertice_attrs, return_indices=False):
    used, renumbered = torch.unique(faces, return_inverse=True)
    result = [renumbered.to(torch.int32), *(a[used] for a in vertice_attrs)]
    return tuple([*result, used] if return_indices else result)


class RastContext:
    def __init__(self, nvd_ctx=None, *, backend="gl", device=None):
        self.nvd_ctx, self.backend, self.device = nvd_ctx, backend, device


def rasterize_triangles(
    size,
    *,
    vertices,
    attributes=None,
    faces,
    view=None,
    projection=None,
    extrinsics=None,
    intrinsics=None,
    near=0.01,
    far=float("inf"),
    return_image_derivatives=False,
    return_depth=False,
    return_interpolation=False,
    antialiasing=False,
    ctx=None,
):
    """Every pixel against every face. Smoothing is marked by adding 1000 to what it smooths."""
    del extrinsics, intrinsics, near, far
    assert isinstance(ctx, RastContext)
    height, width = size
    views = len(vertices)
    ones = torch.ones_like(vertices[..., :1])
    clip = torch.cat([vertices, ones], -1) @ (projection @ view).mT  # [B, V, 4]
    ndc = clip[..., :3] / clip[..., 3:]
    # Rows from the top: y of a picture's first row is largest.
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    y = 1 - (torch.arange(height) + 0.5) / height * 2
    number = torch.full((views, height, width), -1)
    nearest = torch.full((views, height, width), float("inf"))
    weights = torch.zeros(views, height, width, 3)
    for b in range(views):
        for k, face in enumerate(faces.tolist()):
            a, p, q = (ndc[b, i] for i in face)
            area = _cross(p[:2] - a[:2], q[:2] - a[:2])
            at = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
            w1 = _cross(at - a[:2], (q - a)[:2]) / area
            w2 = -_cross(at - a[:2], (p - a)[:2]) / area
            w = torch.stack([1 - w1 - w2, w1, w2], -1)
            z = w @ torch.stack([a[2], p[2], q[2]])
            hit = (w >= 0).all(-1) & (z < nearest[b])
            number[b][hit], nearest[b][hit], weights[b][hit] = k, z[hit], w[hit]
    mask = number >= 0
    output = {"mask": mask}
    if attributes is not None:
        corners = faces[number.clamp(min=0)]  # [B, H, W, 3]
        each = torch.arange(views)[:, None, None, None]
        image = (attributes[each, corners] * weights[..., None]).sum(-2) * mask[..., None]
        output["image"] = image + 1000 if antialiasing else image
        if return_image_derivatives:
            dx = torch.gradient(image, dim=2)[0]
            dy = torch.gradient(image, dim=1)[0]
            output["image_dr"] = torch.stack([dx, dy], -1).flatten(-2)
    if return_interpolation:
        output |= {"interpolation_id": number, "interpolation_uv": weights[..., :2]}
    if return_depth:
        point = torch.stack([torch.zeros_like(nearest)] * 2 + [nearest, mask.float()], -1)
        point = torch.where(mask[..., None], point, torch.tensor([0.0, 0, 0, 1]))
        seen = point @ torch.linalg.inv(projection).mT
        depth = -seen[..., 2] / seen[..., 3]
        output["depth"] = torch.where(mask, depth, torch.inf)
    return output


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

"""The functions of the newer `utils3d.numpy` that took over the old ones' work."""

from __future__ import annotations

import numpy as np


def uv_map(*size, top=0.0, left=0.0, bottom=1.0, right=1.0, dtype=np.float32):
    height, width = size[0] if len(size) == 1 else size
    u = np.linspace(left + 0.5 / width, right - 0.5 / width, width, dtype=dtype)
    v = np.linspace(top + 0.5 / height, bottom - 0.5 / height, height, dtype=dtype)
    return np.stack(np.meshgrid(u, v, indexing="xy"), axis=2)


def build_mesh_from_map(*maps, mask=None, tri=False):
    height, width = maps[0].shape[:2] if mask is None else mask.shape
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    corners = (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])
    faces = np.stack([c.ravel() for c in corners], axis=1)
    attributes = [m.reshape(-1, *m.shape[2:]) for m in maps]
    if mask is not None:
        faces = faces[mask.ravel()[faces].all(1)]
        used, faces = np.unique(faces, return_inverse=True)
        faces = faces.reshape(-1, 4).astype(np.int32)
        attributes = [a[used] for a in attributes]
    if tri:
        faces = faces[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    return faces, *attributes


def depth_map_edge(depth, atol=None, rtol=None, kernel_size=3, mask=None):
    reach = kernel_size // 2
    low = np.where(mask, depth, np.inf) if mask is not None else depth
    high = np.where(mask, depth, -np.inf) if mask is not None else depth
    spread = np.full(depth.shape, -np.inf)
    padded_low = np.pad(low, reach, constant_values=np.inf)
    padded_high = np.pad(high, reach, constant_values=-np.inf)
    windows = [
        (slice(i, i + depth.shape[0]), slice(j, j + depth.shape[1]))
        for i in range(kernel_size)
        for j in range(kernel_size)
    ]
    spread = np.max([padded_high[w] for w in windows], 0) - np.min(
        [padded_low[w] for w in windows], 0
    )
    edge = np.zeros(depth.shape, bool)
    if atol is not None:
        edge |= spread > atol
    if rtol is not None:
        edge |= spread / depth > rtol
    return edge


def normal_map_edge(normals, tol, kernel_size=3, mask=None):
    reach = kernel_size // 2
    height, width = normals.shape[:2]
    padded = np.pad(normals, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    valid = np.ones((height, width), bool) if mask is None else mask
    padded_valid = np.pad(valid, reach, mode="edge")
    turn = np.zeros((height, width))
    for i in range(kernel_size):
        for j in range(kernel_size):
            window = (slice(i, i + height), slice(j, j + width))
            cosine = (normals * padded[window]).sum(-1).clip(-1, 1)
            turn = np.maximum(turn, np.where(padded_valid[window], np.arccos(cosine), 0))
    return turn > np.deg2rad(tol)


def point_map_to_normal_map(point, mask=None, edge_threshold=None):
    del edge_threshold  # the old function had no such limit
    right, down = np.gradient(point, axis=1), np.gradient(point, axis=0)
    normal = np.cross(down, right)
    normal = normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12)
    if mask is None:
        return normal
    return np.where(mask[..., None], normal, 0), mask

"""Decide which side of a surface is outside when the order of its faces' corners does not.

Neighbours are made to agree over every edge that two faces share. Then each piece is turned as a
whole: towards the side from which a ray meets an even number of surfaces on its way out, as it does
outside of solids; a wall of a cavity so comes to look into the cavity.

Shape letters in this file: V vertices, F faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.finish.normals import face_normals
from scenelift.geometry.sampling import sample_surface
from scenelift.jit import compiled, kernel_array, spread

__all__ = ["oriented"]

# Rays from each piece, and pieces that are asked by rays: the others, of which each has less than a
# thousandth of the area, are turned by the sign of their volume.
RAYS = 24
LEAST_AREA = 1e-3
MOST_PARTS = 64


def oriented(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3], corners distinct
    *,
    seed: int = 0,
) -> NDArray[np.int32]:  # [F, 3]
    """Turn faces so that they run counter-clockwise seen from outside; their order stays."""
    if not len(faces):
        return faces
    faces = kernel_array(faces, np.int32)
    flipped, piece = _agree(faces, *_neighbours(faces, len(vertices)))
    result = np.where(flipped[:, None], faces[:, ::-1], faces)
    inward = _inward(kernel_array(vertices, np.float32), result, piece, seed)
    return np.where(inward[piece][:, None], result[:, ::-1], result).astype(np.int32)


@compiled
def _neighbours(faces, vertex_count):
    """Find the face across every edge, and whether both run the same way along it: [F, 3] each.

    It is −1 if there are none or several. Faces that run the same way disagree about the outside.
    Half-edges are gone through by the lower of their vertices.
    """
    count = 3 * len(faces)
    starts = np.zeros(vertex_count + 1, np.int64)
    for e in range(count):
        starts[min(faces[e // 3, e % 3], faces[e // 3, (e + 1) % 3]) + 1] += 1
    starts = np.cumsum(starts)
    place = starts[:-1].copy()
    order = np.zeros(count, np.int64)
    for e in range(count):
        low = min(faces[e // 3, e % 3], faces[e // 3, (e + 1) % 3])
        order[place[low]] = e
        place[low] += 1

    other = np.full((len(faces), 3), -1, np.int64)
    same = np.zeros((len(faces), 3), np.bool_)
    times = np.zeros(vertex_count, np.int64)  # of the edge from here to each other vertex
    first = np.full(vertex_count, -1, np.int64)
    for low in range(vertex_count):
        for n in range(starts[low], starts[low + 1]):
            e = order[n]
            times[max(faces[e // 3, e % 3], faces[e // 3, (e + 1) % 3])] += 1
        for n in range(starts[low], starts[low + 1]):
            e = order[n]
            high = max(faces[e // 3, e % 3], faces[e // 3, (e + 1) % 3])
            a = first[high]
            first[high] = e
            if a >= 0 and times[high] == 2:
                f, k, g, m = a // 3, a % 3, e // 3, e % 3
                other[f, k], other[g, m] = g, f
                same[f, k] = same[g, m] = faces[f, k] == faces[g, m]
        for n in range(starts[low], starts[low + 1]):
            e = order[n]
            high = max(faces[e // 3, e % 3], faces[e // 3, (e + 1) % 3])
            times[high], first[high] = 0, -1
    return other, same


@compiled
def _agree(faces, other, same):
    """Choose faces to turn so that they agree with the first of their piece; number the pieces."""
    count = len(faces)
    flipped = np.zeros(count, np.bool_)
    piece = np.full(count, -1, np.int32)
    stack = np.zeros(count, np.int64)
    pieces = 0
    for seed in range(count):
        if piece[seed] >= 0:
            continue
        piece[seed] = pieces
        stack[0], top = seed, 1
        while top:
            top -= 1
            f = stack[top]
            for k in range(3):
                g = other[f, k]
                if g >= 0 and piece[g] < 0:
                    piece[g] = pieces
                    flipped[g] = flipped[f] != same[f, k]
                    stack[top] = g
                    top += 1
        pieces += 1
    return flipped, piece


def _inward(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    piece: NDArray[np.int32],
    seed: int,
) -> NDArray[np.bool_]:
    """Find the pieces that face inwards."""
    normals = face_normals(vertices, faces)  # twice the area long
    double = np.linalg.norm(normals, axis=1)
    area = np.bincount(piece, double)
    centre = vertices[np.isfinite(vertices).all(1)].mean(0)
    corner = vertices[faces[:, 0]].astype(np.float64) - centre
    volume = np.bincount(piece, (corner * normals).sum(1))
    inward = volume < 0
    largest = np.argsort(-area, kind="stable")[:MOST_PARTS]
    largest = largest[area[largest] >= LEAST_AREA * area.sum()]
    rng = np.random.default_rng(seed)
    by_piece = np.argsort(piece, kind="stable")
    starts = np.searchsorted(piece[by_piece], np.arange(len(area) + 1))
    origins, own = [], []
    for number in largest:
        members = by_piece[starts[number] : starts[number + 1]]
        on = sample_surface(vertices, faces[members], RAYS, rng)
        if on is not None:
            origins.append(members[on.face])
            own.append(np.full(len(on.face), number))
    if not origins:
        return inward
    face, number = np.concatenate(origins), np.concatenate(own)
    outside, inside = _crossings(vertices, faces, normals, face)
    # An even number of crossings is what the outside has. Where both sides are alike, as on an
    # open sheet, it is the side with less in front of it.
    votes = (outside % 2 == 0).astype(np.float64) - (inside % 2 == 0)
    votes += 0.5 * np.sign(inside - outside)
    total = np.bincount(number, votes, minlength=len(area))
    has_answer = total != 0
    inward[has_answer] = total[has_answer] < 0
    return inward


def _crossings(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    face: NDArray[np.int64],  # [R]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count how often rays from the middle of faces meet the mesh, forwards and backwards."""
    origin = vertices[faces[face]].astype(np.float64).mean(1)
    along = normals[face]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
    counts = np.zeros((len(face), 2), np.int64)
    spread(
        _cross,
        len(face),
        vertices,
        faces,
        kernel_array(origin, np.float64),
        kernel_array(along, np.float64),
        kernel_array(face, np.int64),
        counts,
    )
    return counts[:, 0], counts[:, 1]


@compiled
def _cross(begin, end, vertices, faces, origin, along, own, counts):
    """Count the faces that each ray's line meets on either side: Möller and Trumbore (1997)."""
    e1, e2, s = np.zeros(3), np.zeros(3), np.zeros(3)
    for r in range(begin, end):
        dx, dy, dz = along[r, 0], along[r, 1], along[r, 2]
        for f in range(len(faces)):
            if f == own[r]:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            for k in range(3):
                e1[k] = float(vertices[b, k]) - vertices[a, k]
                e2[k] = float(vertices[c, k]) - vertices[a, k]
                s[k] = origin[r, k] - vertices[a, k]
            px, py, pz = (
                dy * e2[2] - dz * e2[1],
                dz * e2[0] - dx * e2[2],
                dx * e2[1] - dy * e2[0],
            )
            determinant = e1[0] * px + e1[1] * py + e1[2] * pz
            if determinant == 0:
                continue
            u = (s[0] * px + s[1] * py + s[2] * pz) / determinant
            if u < 0 or u > 1:
                continue
            qx = s[1] * e1[2] - s[2] * e1[1]
            qy = s[2] * e1[0] - s[0] * e1[2]
            qz = s[0] * e1[1] - s[1] * e1[0]
            v = (dx * qx + dy * qy + dz * qz) / determinant
            if v < 0 or u + v > 1:
                continue
            t = (e2[0] * qx + e2[1] * qy + e2[2] * qz) / determinant
            if t > 0:
                counts[r, 0] += 1
            elif t < 0:
                counts[r, 1] += 1

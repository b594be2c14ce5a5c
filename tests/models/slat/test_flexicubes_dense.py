"""Sparse extraction gives what the published steps give, done here cube by cube on a dense grid."""

from itertools import product

import numpy as np
import pytest
import torch

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.flexicubes_tables import CORNERS, EDGES, case_tables


def dense_extraction(feats, coords, n):
    """FlexiCubes in plain loops, double precision.

    Its tables are those of the package, which `test_flexicubes_tables` compares with the published.

    Returns:
        Vertices [V, 3], faces [F, 3], attributes [V, 6], as lists.
    """
    tables = case_tables()
    rows = {tuple(c): feats[k].astype(np.float64) for k, c in enumerate(coords.tolist())}

    sums: dict[tuple[int, ...], list[np.ndarray]] = {}
    for voxel, row in rows.items():
        for j, offset in enumerate(CORNERS):
            vertex = tuple(np.add(voxel, offset))
            said = np.r_[row[j], row[8 + 3 * j : 11 + 3 * j], row[53 + 6 * j : 59 + 6 * j]]
            sums.setdefault(vertex, []).append(said)
    means = {vertex: np.mean(said, 0) for vertex, said in sums.items()}

    def distance(vertex):
        return means[vertex][0] - 1 / n if vertex in means else 1.0

    def position(vertex):
        shift = means[vertex][1:4] if vertex in means else np.zeros(3)
        return np.array(vertex) / n - 0.5 + (1 - 1e-8) / (2 * n) * np.tanh(shift)

    def attribute(vertex):
        return 1 / (1 + np.exp(-(means[vertex][4:] if vertex in means else np.zeros(6))))

    def corners(cube):
        return [tuple(np.add(cube, offset)) for offset in CORNERS]

    cases = {}
    for cube in product(range(n), repeat=3):
        case = sum((distance(v) < 0) << j for j, v in enumerate(corners(cube)))
        if 0 < case < 255:
            cases[cube] = case
    flagged = {cube for cube, case in cases.items() if tables.ambiguous[case]}
    turned = {c for c in flagged if tuple(np.add(c, tables.across[cases[c]])) in flagged}
    cases = {cube: 255 - case if cube in turned else case for cube, case in cases.items()}

    number, vertices, attributes, gammas = {}, [], [], []
    for cube in sorted(cases, key=lambda c: (tables.patches[cases[c]], c)):
        weights = rows.get(cube, np.zeros(101))[32:53]
        beta, alpha = 0.99 * np.tanh(weights[:12]) + 1, 0.99 * np.tanh(weights[12:20]) + 1
        gamma = 0.99 / (1 + np.exp(-weights[20])) + 0.005
        for patch in range(tables.patches[cases[cube]]):
            edges = [e for e in tables.patch_edges[cases[cube], patch] if e >= 0]
            total, place, look = 0.0, np.zeros(3), np.zeros(6)
            for e in edges:
                (a, b), v = EDGES[e], corners(cube)
                s0, s1 = distance(v[a]) * alpha[a], distance(v[b]) * alpha[b]
                x0, x1 = position(v[a]), position(v[b])
                c0, c1 = attribute(v[a]), attribute(v[b])
                place += beta[e] * (x0 * s1 - x1 * s0) / (s1 - s0)
                look += beta[e] * (c0 * s1 - c1 * s0) / (s1 - s0)
                total += beta[e]
                number[cube, e] = len(vertices)
            vertices.append(place / total)
            attributes.append(look / total)
            gammas.append(gamma)

    around: dict[tuple, list[int]] = {}
    for cube in sorted(cases):
        for e, (a, b) in enumerate(EDGES):
            v = corners(cube)
            if (distance(v[a]) < 0) != (distance(v[b]) < 0):
                around.setdefault((v[a], v[b]), []).append(number[cube, e])
    quads = [(ends, q) for ends, q in sorted(around.items()) if len(q) == 4]
    first = [[q[0], q[1], q[3], q[2]] for ends, q in quads if distance(ends[0]) > 0]
    second = [[q[2], q[3], q[1], q[0]] for ends, q in quads if distance(ends[0]) <= 0]
    faces = []
    for a, b, c, d in first + second:
        if gammas[a] * gammas[c] > gammas[b] * gammas[d]:
            faces += [[a, b, c], [a, c, d]]
        else:
            faces += [[a, b, d], [d, b, c]]
    return vertices, faces, attributes


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_dense_extraction_in_order_too(seed):
    """Random voxels, whose cubes take every case, at the grid's border as well."""
    rng = np.random.default_rng(seed)
    n = 4 + seed % 3
    occupied = rng.random((n, n, n)) < (0.2, 0.5, 0.9)[seed % 3]
    coords = np.argwhere(occupied)
    feats = rng.normal(size=(len(coords), 101)).astype(np.float32)
    voxels = Voxels(torch.nn.functional.pad(torch.tensor(coords), (1, 0)).int(), n)

    mesh = extract_mesh(SparseTensor(torch.tensor(feats), voxels))

    vertices, faces, attributes = dense_extraction(feats, coords, n)
    assert mesh.faces.tolist() == faces
    # Rounding of the distances, over their difference along an edge: see `parity_latent`.
    np.testing.assert_allclose(mesh.vertices, vertices, atol=2e-5)
    np.testing.assert_allclose(mesh.attributes, attributes, atol=2e-4)

"""Sparse extraction: equal to the published dense one, and closed wherever the surface is."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.flexicubes_tables import CORNERS, EDGES, case_tables
from scenelift.testing.golden import read_case

GOLDEN = Path(__file__).parents[2] / "golden" / "sam3d"
TABLES = case_tables()


def voxels_of(occupied):  # bool [n, n, n]
    coords = torch.nn.functional.pad(occupied.nonzero(), (1, 0)).int()
    return Voxels(coords, occupied.shape[0])


def features_of(voxels, distance, rng=None):  # distance(points [..., 3] of the grid) -> [...]
    """Features whose corners agree on a distance, the rest random or zero."""
    feats = torch.zeros(len(voxels), 101)
    if rng is not None:
        feats.normal_(generator=rng)
    corners = voxels.coords[:, None, 1:] + torch.tensor(CORNERS)
    feats[:, :8] = distance(corners.double()).float()
    return SparseTensor(feats, voxels)


def edge_uses(faces):
    """How often each directed edge occurs."""
    directed = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return directed.unique(dim=0, return_counts=True)


def test_a_sphere_is_closed_faces_outwards_and_has_its_volume():
    n, radius = 16, 5.0
    axis = torch.arange(n)
    centres = torch.cartesian_prod(axis, axis, axis).view(n, n, n, 3) + 0.5 - n / 2
    voxels = voxels_of(centres.norm(dim=-1) < radius + 2)  # a hollow would have a wall
    mesh = extract_mesh(features_of(voxels, lambda p: (p - n / 2).norm(dim=-1) - radius))

    vertices, faces = mesh.vertices.double() * n, mesh.faces.long()
    a, b, c = vertices[faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    # A polyhedron inscribed at this resolution loses a few percent; inside out it were negative.
    assert volume.item() == pytest.approx(4 / 3 * torch.pi * radius**3, rel=0.05)
    assert len(vertices) - 3 * len(faces) // 2 + len(faces) == 2  # Euler
    assert (vertices.norm(dim=1) - radius).abs().max() < 0.3


@given(seed=st.integers(0, 10_000), filled=st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=25)
def test_surfaces_of_any_signs_are_closed_and_manifold(seed, filled):
    n = 7
    rng = torch.Generator().manual_seed(seed)
    inner = torch.zeros(n, n, n, dtype=torch.bool)
    inner[1:-1, 1:-1, 1:-1] = True  # one cell from the border, where surfaces may be open
    values = (torch.rand(n + 1, n + 1, n + 1, generator=rng) - filled) * 10
    # Outside on the border of the voxels: what lies beyond is outside too.
    border = torch.ones_like(values, dtype=torch.bool)
    border[2:-2, 2:-2, 2:-2] = False
    values[border] = values[border].abs() + 0.5

    x, y, z = 0, 1, 2
    mesh = extract_mesh(
        features_of(
            voxels_of(inner), lambda p: values[tuple(p.long()[..., a] for a in (x, y, z))], rng
        )
    )
    directed, uses = edge_uses(mesh.faces)
    assert (uses == 1).all()
    there = {tuple(e) for e in directed.tolist()}
    assert all((b, a) in there for a, b in there)
    assert mesh.vertices.isfinite().all()
    assert mesh.faces.unique().tolist() == list(range(len(mesh.vertices)))


def test_the_surface_leaves_the_voxels_where_their_outer_corners_are_inside():
    voxels = voxels_of(torch.ones(1, 1, 1, dtype=torch.bool))
    alone = Voxels(voxels.coords + torch.tensor([0, 3, 3, 3]), 8)
    mesh = extract_mesh(features_of(alone, lambda p: -torch.ones(p.shape[:-1])))
    # One cell, all corners inside: a closed box around it, a vertex in each of 3³ − 1 cubes.
    assert len(mesh.vertices) == 26
    assert len(mesh.faces) == 48
    _, uses = edge_uses(mesh.faces)
    assert (uses == 1).all()


def test_without_anything_inside_there_is_no_mesh():
    voxels = voxels_of(torch.ones(2, 2, 2, dtype=torch.bool))
    mesh = extract_mesh(features_of(voxels, lambda p: torch.ones(p.shape[:-1])))
    assert mesh.vertices.shape == (0, 3)
    assert mesh.faces.shape == (0, 3)
    assert mesh.attributes.shape == (0, 6)


def test_the_order_of_voxels_does_not_matter():
    case = read_case(GOLDEN, "flexicubes")
    coords, feats = case.input("coords"), case.input("feats")
    order = torch.randperm(len(coords))
    mesh = extract_mesh(SparseTensor(feats[order], Voxels(coords[order], 16)))
    assert torch.equal(mesh.faces.long(), case.output("faces"))


def test_features_of_another_width_are_refused():
    voxels = Voxels(torch.zeros(1, 4, dtype=torch.int32), 2)
    with pytest.raises(ValueError, match=r"expected \[1, 101\], got \[1, 53\]"):
        extract_mesh(SparseTensor(torch.zeros(1, 53), voxels))


def test_tables_place_every_crossed_edge_in_one_patch():
    for case in range(256):
        crossed = {e for e, (a, b) in enumerate(EDGES) if (case >> a & 1) != (case >> b & 1)}
        patches = [
            [int(e) for e in row if e >= 0]
            for row in TABLES.patch_edges[case, : TABLES.patches[case]]
        ]
        assert sorted(e for patch in patches for e in patch) == sorted(crossed)
        assert all(len(patch) >= 3 for patch in patches)
        assert all(
            TABLES.patch_of_edge[case, e] == k for k, patch in enumerate(patches) for e in patch
        )


def test_ambiguous_cases_are_the_two_configurations_of_the_literature():
    flagged = [case for case in range(256) if TABLES.ambiguous[case]]
    outside = [8 - case.bit_count() for case in flagged]
    # C19: two outside corners diagonal on a face, 12 ways; C16: a third one far from the first,
    # next to the second, 24 ways. Their complements have two patches, which do not touch.
    assert sorted(outside) == [2] * 12 + [3] * 24
    assert all(TABLES.patches[case] == 1 and TABLES.patches[255 - case] == 2 for case in flagged)
    assert all(abs(TABLES.across[case]).sum() == 1 for case in flagged)

"""Shapes are compared by their surfaces, whatever their scale, place and moderate rotation."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from benchmarks.quality.metrics import rotation_angle
from benchmarks.quality.shapes import (
    Sampled,
    UnitSurface,
    align,
    compare_shapes,
    sample,
    turn_to_fit,
)
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from scenelift.types import Mesh

COUNT = 150_000


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))


@pytest.fixture(scope="module")
def stool() -> Mesh:
    """A box on four legs of different thickness, so that only one orientation fits."""
    parts = [trimesh.creation.box(extents=(1, 0.2, 0.8))]
    for k, (x, z) in enumerate([(-0.4, -0.3), (0.4, -0.3), (-0.4, 0.3), (0.4, 0.3)]):
        leg = trimesh.creation.box(extents=(0.08 + 0.05 * k, 0.6, 0.08))
        leg.apply_translation((x, -0.4, z))
        parts.append(leg)
    return mesh_of(trimesh.util.concatenate(parts))


def test_samples_lie_on_the_mesh_in_proportion_to_area():
    box = mesh_of(trimesh.creation.box(extents=(4, 1, 1)))
    points = sample(box, 10_000)
    assert np.abs(points).max(0) == pytest.approx([2, 0.5, 0.5], abs=1e-6)
    # Two small ends of 18 units of area hold 2; a face's share is exact to one point.
    assert abs(np.count_nonzero(np.abs(points[:, 0]) > 2 - 1e-9) / 10_000 - 2 / 18) < 1e-3


def test_a_mesh_without_area_is_refused():
    flat = Mesh(vertices=np.zeros((3, 3), np.float32), faces=np.array([[0, 1, 2]], np.int32))
    with pytest.raises(ValueError, match="without area"):
        sample(flat, 10)


def test_icp_undoes_a_small_motion(stool):
    points = sample(stool, 4000)
    turn = Rotation.from_rotvec([0.05, 0.2, -0.1]).as_matrix()
    moved = points @ turn.T + [0.05, -0.02, 0.03]
    rotation, translation = align(moved[:600], KDTree(points))
    # Points are paired with those of the same sample: the fit is exact once all pairs are right.
    assert rotation_angle(rotation @ turn) < 0.1
    np.testing.assert_allclose(moved @ rotation.T + translation, points, atol=2e-3)


def turned(mesh: Mesh, rotation: Rotation, scale: float = 1.0, offset: float = 0.0) -> Mesh:
    vertices = scale * rotation.apply(mesh.vertices) + offset
    return Mesh(vertices=vertices.astype(np.float32), faces=mesh.faces)


def test_a_shape_equals_itself_at_any_scale_place_and_quarter_turn(stool):
    truth = UnitSurface.of(Sampled.of(stool))
    other = turned(stool, Rotation.from_euler("y", 95, degrees=True), scale=7, offset=3)
    figures = compare_shapes(Sampled.of(other, seed=1), truth, np.eye(3))
    # 100,000 points leave hardly a gap wider than 0.02, and a mean distance of a third of it.
    assert figures.f1 > 0.99
    assert figures.chamfer < 0.01
    # The shell has a quarter of the voxels; a motion of a third of a voxel flips a few of them.
    assert figures.volume_iou > 0.9


def test_a_closed_surface_has_no_gap_through_which_its_inside_could_leak(stool):
    oblique = turned(stool, Rotation.from_euler("xyz", [3, 7, 2], degrees=True))
    filled = [
        np.count_nonzero(UnitSurface.of(Sampled.of(oblique, seed=k)).voxels) for k in range(6)
    ]
    assert max(filled) < 1.02 * min(filled)


def test_a_box_is_a_worse_stool_than_a_stool(stool):
    truth = UnitSurface.of(Sampled.of(stool))
    low, high = stool.vertices.min(0), stool.vertices.max(0)
    box = mesh_of(trimesh.creation.box(extents=high - low))
    figures = compare_shapes(Sampled.of(box), truth, np.eye(3))
    assert figures.f1 < 0.7
    assert figures.volume_iou < 0.5


def test_the_turn_that_fits_is_the_turn_that_was_made(stool):
    truth = Sampled.of(stool)
    for degrees in (0, 12):
        other = Sampled.of(turned(stool, Rotation.from_euler("y", degrees, degrees=True)), seed=1)
        # 600 points on the surface do not pin a rotation down any better.
        assert turn_to_fit(other, truth) == pytest.approx(degrees, abs=2)


def test_two_unit_cubes_shifted_by_half_share_a_third_of_their_volume():
    cube = trimesh.creation.box(extents=(1, 1, 1))
    shifted = trimesh.creation.box(extents=(1, 1, 1))
    shifted.apply_translation((0.5, 0, 0))
    a, b = (UnitSurface(sample(mesh_of(c), COUNT)).voxels for c in (cube, shifted))
    # 64 voxels for 2 units: a side has 32 or, where it ends on a border, 33.
    assert np.count_nonzero(a & b) / np.count_nonzero(a | b) == pytest.approx(1 / 3, abs=0.02)

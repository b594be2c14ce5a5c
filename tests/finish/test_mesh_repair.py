"""Broken and floating faces go, edges become manifold, holes close as the surface bends."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.finish.clean import clean
from scenelift.finish.holes import repair
from scenelift.finish.topology import components, is_closed
from scenelift.types import Mesh


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def ball_without(cap: float, subdivisions: int = 4) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    kept = ball.faces[ball.triangles_center[:, 2] < cap]
    return Mesh(vertices=ball.vertices.astype(np.float32), faces=kept.astype(np.int32))


# A thin plate continues the curvature at the rim, not a sphere: flatter over a wide hole.
@pytest.mark.parametrize(("cap", "flatter"), [(0.97, 0.005), (0.9, 0.02), (0.6, 0.15)])
def test_a_hole_in_a_ball_is_filled_by_a_dome(cap, flatter):
    repaired = repair(ball_without(cap), longest=np.inf)
    assert repaired.closed == 1
    whole = as_trimesh(repaired.mesh)
    assert whole.is_watertight
    assert whole.is_winding_consistent
    radius = np.linalg.norm(repaired.mesh.vertices, axis=1)
    assert radius.min() > 1 - flatter
    assert radius.max() < 1.005


def test_a_patch_is_about_as_fine_as_what_surrounds_it():
    around = ball_without(0.6)
    repaired = repair(around, longest=np.inf).mesh
    edges = as_trimesh(repaired).edges_unique_length
    assert edges.max() < 3 * as_trimesh(around).edges_unique_length.mean()


def test_the_end_of_a_tube_is_no_hole():
    tube = trimesh.creation.cylinder(radius=1, height=0.5, sections=32)
    side = np.abs(tube.face_normals[:, 2]) < 0.5
    open_tube = Mesh(
        vertices=tube.vertices.astype(np.float32), faces=tube.faces[side].astype(np.int32)
    )
    cleaned = clean(open_tube).mesh
    repaired = repair(cleaned)
    assert (repaired.closed, repaired.open_loops) == (0, 2)
    assert is_closed(repair(cleaned, longest=np.inf).mesh.faces)


def test_boxes_that_touch_along_an_edge_come_apart_there():
    first, second = trimesh.creation.box(), trimesh.creation.box()
    second.apply_translation([1, 1, 0])
    both = clean(mesh_of(trimesh.util.concatenate([first, second]))).mesh
    assert not is_closed(both.faces)  # four faces on one edge
    repaired = repair(both).mesh
    assert is_closed(repaired.faces)
    assert components(repaired.faces, len(repaired.vertices)).max() == 1
    # Drawn apart by a hair, so that readers which weld by place do not join them again.
    welded = trimesh.Trimesh(repaired.vertices, repaired.faces)
    assert welded.is_watertight
    assert welded.volume == pytest.approx(2, rel=1e-3)


def skin_of(filled):
    """The outer faces of unit voxels, joined where they meet."""
    box = trimesh.creation.box()
    air = np.pad(~filled, 1, constant_values=True)
    triangles = []
    for at in np.argwhere(filled):
        towards = np.rint(box.face_normals).astype(int)
        open_side = air[tuple((at + 1 + towards).T)]
        triangles.append(box.triangles[open_side] + at)
    return mesh_of(trimesh.Trimesh(**trimesh.triangles.to_kwargs(np.concatenate(triangles))))


def test_a_surface_that_touches_itself_along_an_edge_is_cut_there():
    """Between two full layers, two voxels that share an edge: joined around both of its ends."""
    filled = np.ones((2, 2, 3), bool)
    filled[0, 0, 1] = filled[1, 1, 1] = False
    skin = clean(skin_of(filled)).mesh
    assert not is_closed(skin.faces)
    repaired = repair(skin).mesh
    assert is_closed(repaired.faces)
    welded = trimesh.Trimesh(repaired.vertices, repaired.faces)
    assert welded.is_watertight
    assert welded.volume == pytest.approx(10, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_whatever_faces_are_missing_the_result_is_closed_and_manifold(seed, missing):
    ball = mesh_of(trimesh.creation.icosphere(subdivisions=2))
    gone = np.random.default_rng(seed).choice(len(ball.faces), missing, replace=False)
    holed = Mesh(vertices=ball.vertices, faces=np.delete(ball.faces, gone, 0))
    repaired = repair(clean(holed).mesh, longest=np.inf)
    assert repaired.open_loops == 0
    assert is_closed(repaired.mesh.faces)
    assert np.isfinite(repaired.mesh.vertices).all()


def test_floaters_and_inner_walls_go():
    ball, inner, crumb = (trimesh.creation.icosphere(subdivisions=3) for _ in range(3))
    inner.apply_scale(0.5)
    inner.invert()
    crumb.apply_scale(0.02)
    crumb.apply_translation([2, 0, 0])
    cleaned = clean(mesh_of(trimesh.util.concatenate([ball, inner, crumb])))
    assert cleaned.floaters == 2
    assert len(cleaned.mesh.faces) == len(ball.faces)


def test_an_object_that_is_all_inside_out_stays():
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.invert()
    assert len(clean(mesh_of(ball)).mesh.faces) == len(ball.faces)


def test_broken_faces_are_counted_and_go():
    box = mesh_of(trimesh.creation.box())
    vertices = np.concatenate([box.vertices, np.full((1, 3), np.nan, np.float32)])
    broken = np.array([[0, 1, 8], [0, 1, 99], [2, 2, 3], box.faces[0]], np.int32)
    cleaned = clean(Mesh(vertices=vertices, faces=np.concatenate([box.faces, broken])))
    assert cleaned.broken == len(broken)
    assert is_closed(cleaned.mesh.faces)


def test_ten_thousand_components_leave_the_large_one():
    ball = trimesh.creation.icosphere(subdivisions=4)
    rng = np.random.default_rng(0)
    corners = rng.normal(0, 1, (10_000, 1, 3)) + rng.normal(0, 1e-3, (10_000, 3, 3))
    crumbs = np.arange(30_000, dtype=np.int32).reshape(-1, 3) + len(ball.vertices)
    mesh = Mesh(
        vertices=np.concatenate([ball.vertices, corners.reshape(-1, 3)]).astype(np.float32),
        faces=np.concatenate([ball.faces, crumbs]).astype(np.int32),
    )
    cleaned = clean(mesh)
    assert cleaned.floaters == 10_000
    assert len(cleaned.mesh.faces) == len(ball.faces)

"""What goes in as a decoded mesh comes out usable, or says why not."""

import numpy as np
import pytest
import trimesh

from scenelift.errors import InputError, ReconstructionError
from scenelift.finish.stage import finish, finish_mesh
from scenelift.finish.topology import is_closed
from scenelift.options import FinishOptions
from scenelift.types import (
    Camera,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Reconstruction,
    Shape,
)

SMALL = FinishOptions(faces=400, texture_size=128)


def ball(subdivisions: int = 4) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4)
    colors = np.rint(255 * (shape.vertices + 0.5)).astype(np.uint8)
    return Mesh(
        vertices=shape.vertices.astype(np.float32),
        faces=shape.faces.astype(np.int32),
        colors=colors,
    )


def in_a_photo(mesh: Mesh | None) -> tuple[Reconstruction, ObjectView]:
    mask = np.zeros((48, 64), np.bool_)
    mask[12:36, 20:44] = True
    camera = Camera.from_fov(64, 48, fov_deg=50)
    view = ObjectView(
        image=Image(pixels=np.zeros((48, 64, 3), np.uint8)),
        instance=Instance(mask=mask, label="ball", score=1.0, box=Instance.box_of(mask)),
        points=PointMap(points=camera.unproject(np.full((48, 64), 3.0)), camera=camera),
    )
    pose = Pose(translation=(0.0, 0.0, -3.0))
    return Reconstruction(shape=Shape(mesh=mesh), pose=pose), view


def welded(mesh: Mesh) -> np.ndarray:
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return place.reshape(-1)[mesh.faces]


@pytest.mark.parametrize("budget", [60, 300])
def test_filled_holes_do_not_lift_a_mesh_above_its_budget(budget):
    mesh = ball()
    middles = mesh.vertices[mesh.faces].mean(1)
    axes = np.random.default_rng(0).normal(size=(14, 3)).astype(np.float32)
    holes = (axes @ middles.T > 0.38 * np.linalg.norm(axes, axis=1, keepdims=True)).any(0)
    open_ball = Mesh(vertices=mesh.vertices, faces=mesh.faces[~holes], colors=mesh.colors)
    done = finish_mesh(open_ball, None, FinishOptions(faces=budget, vertex_colors=True))
    assert 0.9 * budget < len(done.mesh.faces) <= budget
    assert done.quality["mesh_holes_closed"] >= 2


def test_a_finished_mesh_is_within_its_budget_closed_and_textured():
    done = finish_mesh(ball(), None, SMALL)
    assert len(done.mesh.faces) <= 400
    assert is_closed(welded(done.mesh).astype(np.int32))
    assert done.quality["mesh_watertight"] == 1
    assert done.mesh.texture is not None
    assert done.mesh.texture.shape == (128, 128, 3)


def test_without_splats_the_texture_shows_the_vertex_colours():
    from scenelift.render.meshes import render_mesh

    camera = Camera.from_fov(96, 96, fov_deg=30)
    away = np.eye(4)
    away[2, 3] = 2
    decoded = render_mesh(ball(), camera, away, shading="none")
    finished = render_mesh(finish_mesh(ball(), None, SMALL).mesh, camera, away, shading="none")
    both = (decoded.alpha > 0) & (finished.alpha > 0)
    # The nearest of 2562 vertices is up to 0.02 away, where colours differ by as much.
    assert np.abs(decoded.color - finished.color)[both].mean() < 0.02


def test_vertex_colours_on_request():
    done = finish_mesh(ball(), None, FinishOptions(faces=400, vertex_colors=True))
    assert done.mesh.texture is None
    assert done.mesh.colors is not None
    assert np.abs(done.mesh.colors / 255 - 0.5 - done.mesh.vertices).mean() < 0.02


def test_a_texture_within_the_budget_is_its_reconstructors_own():
    textured = finish_mesh(ball(), None, SMALL).mesh
    made, view = in_a_photo(textured)
    assert finish(made, view, SMALL).shape.mesh is textured


def test_a_mesh_of_nothing_leaves_the_object_without_one_and_says_so():
    nothing = Mesh(
        vertices=np.full((3, 3), np.nan, np.float32), faces=np.array([[0, 1, 2]], np.int32)
    )
    with pytest.raises(ReconstructionError, match="none of 1 faces has finite corners"):
        finish_mesh(nothing, None, SMALL)
    made, view = in_a_photo(nothing)
    result = finish(made, view, SMALL)
    assert result.shape.mesh is None
    assert "has no mesh" in result.notes[-1]


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_hardly_any_faces_are_no_reason_to_fail(faces):
    mesh = ball(1)
    few = Mesh(vertices=mesh.vertices, faces=mesh.faces[:faces], colors=mesh.colors)
    made, view = in_a_photo(few)
    result = finish(made, view, SMALL)
    assert result.notes or result.shape.mesh is not None
    assert not any("failed" in note for note in result.notes)


def test_a_failure_leaves_a_light_mesh_with_colours_and_says_so(monkeypatch):
    def broken(*_):
        raise RuntimeError("no room in the atlas")

    monkeypatch.setattr("scenelift.finish.stage.unwrap", broken)
    made, view = in_a_photo(ball())
    result = finish(made, view, SMALL)
    mesh = result.shape.mesh
    assert mesh is not None
    assert mesh.colors is not None
    assert len(mesh.faces) <= SMALL.faces < len(ball().faces)
    assert np.abs(mesh.colors / 255 - 0.5 - mesh.vertices).mean() < 0.02
    assert "no room in the atlas" in result.notes[-1]


def test_a_failure_of_everything_leaves_the_splats_alone(monkeypatch):
    def broken(*_):
        raise RuntimeError("nothing works today")

    monkeypatch.setattr("scenelift.finish.stage.clean", broken)
    made, view = in_a_photo(ball())
    result = finish(made, view, SMALL)
    assert result.shape.mesh is None
    assert "no mesh" in result.notes[-1]
    assert "nothing works today" in result.notes[-1]


@pytest.mark.parametrize("options", [{"faces": 1}, {"texture_size": 16}])
def test_budgets_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError):
        FinishOptions(**options)

"""One name of a device chooses what draws, and all of them draw the same."""

import numpy as np
import pytest

from scenelift.render.choice import mesh_renderer, splat_renderer
from scenelift.testing.fakes import ball_shape
from scenelift.types import Camera

CAMERA = Camera.from_fov(60, 40, fov_deg=50)
POSE = np.array([[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1.0]])
SHAPE = ball_shape(np.array([200, 60, 30]), splats=500)


# "cpu:0" is the CPU by torch's name: torch draws there, and numba on "cpu".
@pytest.mark.parametrize("background", [(1.0, 1.0, 1.0), (0.1, 0.2, 0.3)])
def test_torch_and_numba_draw_the_same_splats(background):
    pytest.importorskip("torch")
    one, other = (
        splat_renderer(SHAPE.gaussians, name)(CAMERA, POSE, background).pixels().astype(int)
        for name in ("cpu", "cpu:0")
    )
    # A splat at the edge of visibility changes a pixel by a byte or two.
    assert np.abs(one - other).max() <= 2
    assert (np.abs(one - other) > 0).mean() < 0.01


def test_torch_and_numba_draw_the_same_mesh():
    pytest.importorskip("torch")
    one, other = (mesh_renderer(name)(SHAPE.mesh, CAMERA, POSE) for name in ("cpu", "cpu:0"))
    assert (one.face_id == other.face_id).mean() > 0.999
    assert np.median(np.abs(one.color - other.color)) < 1e-5

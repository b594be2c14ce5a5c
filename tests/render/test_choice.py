"""One name of a device chooses what draws, and all of them draw the same."""

import dataclasses

import numpy as np
import pytest

from scenelift.render.choice import mesh_renderer, splat_renderer
from scenelift.testing.fakes import ball_shape
from scenelift.types import Camera, Gaussians

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


def moved(splats: Gaussians) -> Gaussians:
    return dataclasses.replace(splats, means=splats.means + np.float32(0.3))


class Scarce:
    """Draws as torch does, but only so often, or after the networks have left."""

    def __init__(self, monkeypatch, *, fits_when_cleared):
        from scenelift.render import splats_torch

        self.draw = splats_torch.draw_splats
        self.tried = self.cleared = 0
        self.fits_when_cleared = fits_when_cleared
        monkeypatch.setattr(splats_torch, "draw_splats", self)
        monkeypatch.setattr("scenelift.device._clearing", [self.clear])

    def clear(self, device):
        assert str(device) == "cpu:0"
        self.cleared += 1

    def __call__(self, *arguments, **options):
        import torch

        self.tried += 1
        if self.cleared and self.fits_when_cleared:
            return self.draw(*arguments, **options)
        raise torch.OutOfMemoryError("no room")


@pytest.mark.parametrize(("fits_when_cleared", "tries"), [(True, 4), (False, 2)])
def test_a_device_is_cleared_once_and_given_up_once(monkeypatch, fits_when_cleared, tries):
    pytest.importorskip("torch")
    scarce = Scarce(monkeypatch, fits_when_cleared=fits_when_cleared)
    splats = SHAPE.gaussians
    assert splats is not None
    draw, on_cpu = (
        splat_renderer(splats, name, surroundings=moved(splats)) for name in ("cpu:0", "cpu")
    )
    for _ in range(3):  # pictures, not one of which fits beside the networks
        picture = draw(CAMERA, POSE).pixels().astype(int)
        assert np.abs(picture - on_cpu(CAMERA, POSE).pixels()).max() <= 2
    assert (scarce.tried, scarce.cleared) == (tries, 1)

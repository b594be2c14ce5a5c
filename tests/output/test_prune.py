"""What pictures do not show goes first, and the cost of the rest is measured."""

import math

import numpy as np
import pytest

from scenelift.output.prune import prune_gaussians
from scenelift.render.contribution import splat_contributions
from scenelift.render.splats import render_splats
from scenelift.types import Camera, Gaussians


def splats(means, opacity=0.99, scale=0.05) -> Gaussians:
    means = np.asarray(means, np.float32)
    n = len(means)
    return Gaussians(
        means=means,
        scales=np.full((n, 3), scale, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacities=np.full(n, opacity, np.float32),
        sh0=np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32),
    )


def shell_with_filling(rng) -> Gaussians:
    """A ball whose surface hides what is inside it."""
    directions = rng.normal(size=(1500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return splats(np.concatenate([0.5 * directions, rng.uniform(-0.1, 0.1, (500, 3))]))


def test_shares_of_a_picture_add_up_to_its_alpha(rng):
    gaussians = splats(rng.uniform(-0.3, 0.3, (200, 3)) - [0, 0, 2], opacity=0.6)
    camera = Camera.from_fov(48, 40, fov_deg=40.0)
    shares = splat_contributions(gaussians, [(camera, np.eye(4))])
    alpha = render_splats(gaussians, camera).alpha
    # Both sum in float32, in another order.
    assert shares.sum() == pytest.approx(alpha.sum(dtype=np.float64), rel=1e-4)


def test_what_is_inside_goes_before_what_is_seen(rng):
    gaussians = shell_with_filling(rng)
    pruned = prune_gaussians(gaussians, 1500)
    assert len(pruned.indices) == 1500
    assert (pruned.indices < 1500).mean() > 0.95
    assert pruned.psnr > 40


def test_the_cost_grows_with_what_is_left_out(rng):
    gaussians = shell_with_filling(rng)
    costs = [prune_gaussians(gaussians, most).psnr for most in (2000, 1200, 300)]
    assert costs[0] == math.inf
    assert costs[1] > costs[2] > 5


def test_the_same_splats_are_kept_every_time(rng):
    gaussians = shell_with_filling(rng)
    first, second = (prune_gaussians(gaussians, 900).indices for _ in range(2))
    assert np.array_equal(first, second)

"""Draws what is finer than pixels with fewer splats, which look the same from afar.

A splat much smaller than a pixel is spread over the whole pixel, so faintly that only hundreds of
them cover it. Of such neighbours one is taken, stands for them all, and has their mean colour. That
one is chosen by shares: the fainter a splat is, the smaller its share, and each whole share gives
one splat (stochastic simplification of aggregate detail, Cook et al. 2007, but by equal steps along
a curve through space in place of chance).

What is chosen depends on splats and cameras alone, so that a loop does not flicker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import concatenate_gaussians
from scenelift.jit import compiled, kernel_array
from scenelift.render.rendering import camera_from_scene
from scenelift.render.splatting import DILATION, MIN_ALPHA
from scenelift.threads import side_by_side
from scenelift.types import Camera, Gaussians

__all__ = ["simplify"]

# How much of a pixel one splat hides that stands for many: of less, more splats are drawn and their
# noise is smaller. A splat that hides half as much by itself stays as it is.
HIDES = 0.4
FEW = 100_000  # splats that are all drawn: little is gained, and lone faint ones stay as they are
WORTH_IT = 0.75  # where more than this share of the splats would remain, all do
ENOUGH_VIEWS = 8  # of a loop's, to tell how near its camera comes
AT_ONCE = 1 << 19  # splats that one thread sorts; the result depends on it
INDEX_BITS = 20  # enough for these
STEPS = 8190.0  # of the curve's grid along an axis: 13 bits, whatever is rounded


def simplify(
    gaussians: Gaussians,
    views: Sequence[tuple[Camera, NDArray[np.float64]]],
    *,
    hides: float = HIDES,
) -> Gaussians:
    """Take one splat for many where many share a pixel in all views.

    Those that would be too faint to see are left out. Opacities above 1 stand for several splats
    (`render/splatting.py`): the result is for drawing from these views, and nothing else. Where
    little is gained, it is the argument itself.

    Args:
        gaussians: N splats in the scene frame.
        views: cameras and their poses; pixels are of one size in all of them.
        hides: how much of a pixel a splat hides that stands for many.
    """
    if not views or len(gaussians) < FEW:
        return gaussians
    camera = views[0][0]
    poses = [pose for _, pose in views[:: math.ceil(len(views) / ENOUGH_VIEWS)]]
    toward = -np.array([camera_from_scene(pose)[2] for pose in poses])  # [V, 4], depth of a point
    arrays = (
        kernel_array(gaussians.means, np.float32),
        kernel_array(gaussians.scales, np.float32),
        kernel_array(gaussians.opacities, np.float32),
    )
    shares = np.zeros(len(gaussians), np.float32)
    starts = range(0, len(gaussians), AT_ONCE)

    def share(first: int) -> float:
        some = slice(first, first + AT_ONCE)
        focal = max(camera.fx, camera.fy)
        return _share(*(array[some] for array in arrays), toward, focal, hides, shares[some])

    if sum(side_by_side(share, starts)) > WORTH_IT * len(gaussians):
        return gaussians
    take = partial(_simplified, gaussians, shares)
    return concatenate_gaussians(list(side_by_side(take, starts)))


def _simplified(gaussians: Gaussians, shares: NDArray[np.float32], first: int) -> Gaussians:
    """Simplify `AT_ONCE` splats from one on, those that stay as they are at the end."""
    some = slice(first, first + AT_ONCE)
    shares = shares[some]
    faint = np.flatnonzero((shares > 0) & (shares < 1))
    order = np.zeros(0, np.int64)
    if len(faint):
        # Keys are unique: the fastest sort gives the same on every machine.
        keys = np.sort(_curve(kernel_array(gaussians.means[some], np.float32), faint))
        order = (keys & np.uint64((1 << INDEX_BITS) - 1)).astype(np.int64)
    sh0, opacities = gaussians.sh0[some], gaussians.opacities[some]
    picks, weights = np.zeros(len(order), np.int64), np.zeros(len(order), np.float32)
    colours = np.zeros((len(order), 3), np.float32)
    count = _choose(order, shares, kernel_array(sh0, np.float32), picks, weights, colours)
    picks, whole = picks[:count], np.flatnonzero(shares == 1)
    both = np.concatenate([picks, whole])
    scales = gaussians.scales[some][both]
    # As faint as it was by itself, now that it counts as opaque; and then for many.
    scales[:count] *= np.sqrt(np.minimum(opacities[picks], 1))[:, None]
    return Gaussians(
        means=gaussians.means[some][both],
        scales=scales,
        rotations=gaussians.rotations[some][both],
        opacities=np.concatenate([weights[:count], opacities[whole]]),
        sh0=np.concatenate([colours[:count], sh0[whole]]),
    )


@compiled
def _share(means, scales, opacities, toward, focal, most, shares):
    """Compute how many of those that are drawn each splat is: 0, 1, or a part of one."""
    total = 0.0
    for i in range(len(means)):
        x, y, z = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        depth = np.inf
        for v in range(len(toward)):
            to = toward[v]
            depth = min(depth, to[0] * x + to[1] * y + to[2] * z + to[3])
        a, b, c = float(scales[i, 0]), float(scales[i, 1]), float(scales[i, 2])
        widest, thinnest = max(a, b, c), min(a, b, c)
        # Seen flat on, as it hides most.
        pixel = depth / focal
        across, down = (widest / pixel) ** 2, ((a + b + c - widest - thinnest) / pixel) ** 2
        opacity = min(float(opacities[i]), 1.0)
        hides = opacity * math.sqrt(across / (across + DILATION) * (down / (down + DILATION)))
        if not (depth > 0 and hides < most / 2):  # or not finite: that is for the renderer
            shares[i] = 1
        elif hides < MIN_ALPHA:
            shares[i] = 0
        else:
            shares[i] = hides / most
        total += shares[i]
    return total


@compiled
def _curve(means, faint):
    """Number places along a curve that mostly stays near (Morton's), and append their index."""
    low, high = means[faint[0]].copy(), means[faint[0]].copy()
    for i in faint:
        for k in range(3):
            low[k], high[k] = min(low[k], means[i, k]), max(high[k], means[i, k])
    side = max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
    steps = np.float32(STEPS) / max(side, np.float32(1e-30))
    keys = np.zeros(len(faint), np.uint64)
    for n, i in enumerate(faint):
        key = np.uint64(0)
        for k in range(3):
            bits = np.uint64((means[i, k] - low[k]) * steps)
            bits = (bits | bits << np.uint64(16)) & np.uint64(0x0000FF0000FF)
            bits = (bits | bits << np.uint64(8)) & np.uint64(0x00F00F00F00F)
            bits = (bits | bits << np.uint64(4)) & np.uint64(0x0C30C30C30C3)
            bits = (bits | bits << np.uint64(2)) & np.uint64(0x249249249249)
            key |= bits << np.uint64(k)
        keys[n] = key << np.uint64(INDEX_BITS) | np.uint64(i)
    return keys


@compiled
def _choose(order, shares, sh0, picks, weights, colours):
    """Walk along the curve, take whoever completes a whole share, and return how many were."""
    count = 0
    filled = 0.5
    gathered = red = green = blue = 0.0  # since the last one
    for i in order:
        share = float(shares[i])
        filled += share
        gathered += share
        red += share * sh0[i, 0]
        green += share * sh0[i, 1]
        blue += share * sh0[i, 2]
        if filled >= 1:
            filled -= 1
            picks[count] = i
            weights[count] = min(gathered, 1.5) / share
            colours[count, 0] = red / gathered
            colours[count, 1] = green / gathered
            colours[count, 2] = blue / gathered
            count += 1
            gathered = red = green = blue = 0.0
    return count

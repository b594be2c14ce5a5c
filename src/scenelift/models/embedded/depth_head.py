"""A point map by the trained depth head on DINOv2's tokens.

Looks at the whole photo give relative depth, the sky, a scale in about metres and the focal
length; EXIF's focal length is believed before the head's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import maximum_filter, minimum_filter

from scenelift.geometry.default_camera import default_camera
from scenelift.models.embedded import CELLS, Head, crop, version
from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.types import Camera, Image, Instance, PointMap

__all__ = ["DepthHeadPointMapper"]

AUGMENTATIONS = ((1200, True), (768, True), (600, True))
"""About how many patches a photo is cut into, and whether it is mirrored; training saw 430 to 970.
The finest first. Their errors differ, and the median of three outvotes one (docs/log.md)."""
SIDES = (10, 60)
FIELDS = (20.0, 110.0)  # degrees along the longer side: beyond these the head is surely wrong
EDGE = 0.06  # step of log depth between neighbours that is an edge rather than a slope
IN_THE_SKY = 0.5  # of a thing's pixels without depth: too few are left to make it from
NEAREST, FARTHEST = 0.02, 1000.0


class DepthHeadPointMapper:
    """Estimates depth with the trained head. See the module.

    Args:
        head: the depth head.
    """

    name = "embedded"
    version = f"7 {version('depth')}"

    def __init__(self, head: Head) -> None:
        self._head = head

    @classmethod
    def from_options(cls, options: BackendOptions | Runtime) -> DepthHeadPointMapper:
        """Load the trained head and its backbone.

        Raises:
            WeightsError: the backbone is missing.
        """
        return cls(Head.load("depth", options.weights, options.threads))

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate the point map; see `PointMapper.estimate`. What an instance shows is no sky."""
        report.update(0.0)
        height, width = image.height, image.width
        estimates = []
        for number, (count, mirror) in enumerate(AUGMENTATIONS):
            patches, last = _patches(height, width, count), number + 1 == len(AUGMENTATIONS)
            estimates.append(self._estimate_once(image.pixels, patches, mirror, last=last))
            report.update(0.9 * (number + 1) / len(AUGMENTATIONS))
        maps, numbers = _agreed(estimates)
        sky = _sky_beside(_resized(maps[2], (width, height)) > 0, instances)
        depth = _enlarged(maps[0] + numbers[0], (width, height)).astype(np.float64)
        np.exp(depth, out=depth)  # in place: a large photo's depth has 100 MB
        np.clip(depth, NEAREST, FARTHEST, out=depth)
        depth[sky] = np.nan
        camera = _camera(image, float(numbers[1]))
        points = camera.unproject(depth)
        del depth
        expected_error = np.exp(_resized(maps[1], (width, height)))
        report.update(1.0)
        return PointMap(
            points=points,
            camera=camera,
            source="embedded depth head",
            shows_relief=False,
            confidence=np.where(sky, 0, np.exp(-expected_error)).astype(np.float32),
        )

    def _estimate_once(
        self, pixels: NDArray[np.uint8], patches: tuple[int, int], mirror: bool, *, last: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        height, width = pixels.shape[:2]
        picture = crop(pixels, (0, 0, width, height), patches)
        if not mirror:
            return self._head.run(picture, _position(patches), last=last)
        mirrored = np.ascontiguousarray(picture[:, ::-1])
        maps, numbers = self._head.run(mirrored, _position(patches), last=last)
        return maps[:, :, ::-1], numbers


def _sky_beside(sky: NDArray[np.bool_], instances: Sequence[Instance]) -> NDArray[np.bool_]:
    """Take things that are mostly sky to the network, like a kite, out of the sky."""
    beside = sky.copy()
    for instance in instances:
        if sky[instance.mask].mean() > IN_THE_SKY:
            beside &= ~instance.mask
    return beside


def _agreed(
    estimates: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Combine the maps and numbers of several passes of the head, at the size of the first.

    The median, not the mean: edges lie a little elsewhere in each, and stay steps. Scale and focal
    length come from the sizes that training saw: the finest look errs more about them.
    """
    height, width = estimates[0][0].shape[1:]
    depths = [_enlarged(maps[0], (width, height)) for maps, _ in estimates]
    rest = [[_resized(maps[k], (width, height)) for maps, _ in estimates] for k in (1, 2)]
    numbers = [numbers for _, numbers in estimates[1:]]
    return np.stack([np.median(values, 0) for values in (depths, *rest)]), np.mean(numbers, 0)


def _patches(height: int, width: int, count: int) -> tuple[int, int]:
    """Choose the rows and columns of about so many square patches."""
    side = math.sqrt(height * width / count)
    rows, columns = (int(np.clip(round(n / side), *SIDES)) for n in (height, width))
    return rows, columns


def _position(patches: tuple[int, int]) -> NDArray[np.float32]:  # [2, 8h, 8w]
    """Compute positions, across and down from the middle, over half the longer side."""
    height, width = (side * CELLS for side in patches)
    half = max(height, width) / 2
    x = (np.arange(width) + 0.5 - width / 2) / half
    y = (np.arange(height) + 0.5 - height / 2) / half
    return np.stack(np.broadcast_arrays(x[None], y[:, None])).astype(np.float32)


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge log depth to the photo's size: smooth on surfaces, with steps between them."""
    steps = maximum_filter(values, 3) - minimum_filter(values, 3)
    near = Pillow.fromarray(values).resize(size, Pillow.Resampling.NEAREST)
    edge = Pillow.fromarray((steps > EDGE).astype(np.uint8)).resize(size, Pillow.Resampling.NEAREST)
    smooth = _resized(values, size)
    return np.where(np.asarray(edge) > 0, np.asarray(near), smooth)


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    picture = Pillow.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize(size, Pillow.Resampling.BILINEAR))


def _camera(image: Image, log_focal: float) -> Camera:
    if image.focal_px:
        return default_camera(image)
    field = math.degrees(2 * math.atan(0.5 / math.exp(log_focal)))
    return Camera.from_fov(image.width, image.height, fov_deg=float(np.clip(field, *FIELDS)))

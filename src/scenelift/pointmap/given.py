"""Use depth or points that the user has, in place of a model.

`depth_files` reads them. Depth is the distance along the viewing axis. The arrays may be smaller or
larger than the photo if they have its proportions.

Intrinsics with a middle (cx, cy) within 0…1 are parts of width and height, as MoGe writes them.
Others are pixels: of the depth's own picture or of the photo, whichever has its middle there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.geometry.default_camera import default_camera
from scenelift.geometry.photo_size import photo_size
from scenelift.pointmap.depth_cameras import MOST_FOCAL, Intrinsics
from scenelift.pointmap.depth_files import camera_of_array, depth_of_array, read_depth_file
from scenelift.progress import Reporter
from scenelift.stages import digest
from scenelift.types import Camera, Image, Instance, PointMap, Scale, Size

__all__ = ["GivenPointMapper"]

# Proportions may differ by rounding when depth was computed on a reduced photo.
ASPECT_TOLERANCE = 0.02
# A picture's middle may lie so far from its camera's axis, as a factor of both sides together.
MOST_OFF_AXIS = 2.0
# Beyond this factor between both sides, the axis is no middle of a picture of these proportions.
MOST_ALONG = 1.25


class GivenPointMapper:
    """Returns depth or points that were loaded before, brought to the photo's size.

    Args:
        values: float32 [h, w] depth or [h, w, 3] points.
        camera: fx, fy, cx, cy by the rule above, or None: then the photo's EXIF focal length
            decides, or a usual field of view.
        notes: told with the result.
        has_metres: whether the unit is metres; where not, lengths are relative.
    """

    name = "given"

    def __init__(
        self,
        values: NDArray[np.float32],
        camera: Intrinsics | None = None,
        notes: tuple[str, ...] = (),
        *,
        has_metres: bool = True,
    ) -> None:
        self._values, self._given_camera, self._notes = values, camera, notes
        self._scale: Scale = "measured" if has_metres else "relative"
        self.version = digest(values, camera, self._scale)[:16]

    @classmethod
    def from_file(cls, path: Path, *, scale: float | None = None) -> GivenPointMapper:
        """Read a file with depth or points in one of the forms above.

        Raises:
            InputError: it is missing, of another form, or holds no depth at all.
        """
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise InputError(f"--depth-scale must be a positive number, got {scale}.")
        file = read_depth_file(path, scale)
        return cls(file.values, file.camera, file.notes, has_metres=file.has_metres)

    @classmethod
    def from_array(
        cls, values: Any, *, scale: float | None = None, camera: Any = None
    ) -> GivenPointMapper:
        """Take an array with depth [H, W] or points [H, W, 3], by the rules for files.

        Args:
            values: an array, a tensor, or a picture of Pillow's in one channel.
            scale: units per step; None for metres in floating point, millimetres in whole numbers.
            camera: fx, fy, cx, cy or a matrix 3×3, by the rule above.

        Raises:
            InputError: it has another form, or contains no depth at all.
        """
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise InputError(f"depth_scale must be a positive number, got {scale}.")
        tensor = values.detach().cpu() if hasattr(values, "detach") else values
        array = np.asarray(tensor)
        if array.dtype == np.uint8 and scale is None:
            raise InputError(
                "The depth has 8 bits, which no depth camera writes: say what one step means with "
                "depth_scale (metres a step), or give the depth itself."
            )
        notes: list[str] = []
        intrinsics = None if camera is None else camera_of_array(np.asarray(camera), notes)
        return cls(depth_of_array(array, scale, notes), intrinsics, tuple(notes))

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Return the user's depth as a point map of the photo's size.

        Raises:
            InputError: it has other proportions than the photo.
        """
        report.check()
        height, width = self._values.shape[:2]
        if abs(width / height * image.height / image.width - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"The depth is {width} × {height}, the photo {image.width} × {image.height}: their "
                "proportions differ. Depth must cover the whole photo (after EXIF orientation)."
            )
        # Nearest, never between: a mean across an edge would be a point in mid-air.
        rows = ((np.arange(image.height) + 0.5) * height / image.height).astype(int)
        columns = ((np.arange(image.width) + 0.5) * width / image.width).astype(int)
        values = self._values[rows[:, None], columns]
        camera = self._camera(image)
        if values.ndim == 2:
            depth = np.where(np.isfinite(values) & (values > 0), values, np.nan)
            points = camera.unproject(depth)
        else:
            usable = np.isfinite(values).all(-1) & (values[..., 2] < 0)
            points = np.where(usable[..., None], values, np.float32(np.nan)).astype(np.float32)
        return PointMap(
            points=points,
            camera=camera,
            scale=self._scale,
            source=self.name,
            notes=self._notes,
        )

    def _camera(self, image: Image) -> Camera:
        if self._given_camera is None:
            return default_camera(image)
        fx, fy, cx, cy = self._given_camera
        if 0 < cx < 1 and 0 < cy < 1:
            height, width = image.height, image.width
            if max(fx, fy) > MOST_FOCAL:
                raise InputError(
                    f"The intrinsics beside the depth have their middle in parts of the picture "
                    f"({cx:g}, {cy:g}) and focal lengths in pixels ({fx:g}, {fy:g}). Give all four "
                    "in pixels, or all in parts."
                )
            fx, fy, cx, cy = fx * width, fy * height, cx * width, cy * height
        else:
            height, width = self._size_of_camera(cx, cy, image)
        camera = Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)
        return camera.resized(image.width, image.height)

    def _size_of_camera(self, cx: float, cy: float, image: Image) -> Size:
        """Return height and width of the picture in whose pixels the intrinsics are."""
        own = photo_size(image)
        sizes = [self._values.shape[:2], (own[1], own[0]), (image.height, image.width)]

        def off_axis(size: Size) -> float:
            sides = (2 * cx / size[1], 2 * cy / size[0])
            return sum(abs(math.log(side)) for side in sides) if min(sides) > 0 else math.inf

        best = min(sizes, key=off_axis)
        # Half or twice as many pixels move the axis along the diagonal; a crop moves it anywhere.
        along = abs(math.log(cx / cy * best[0] / best[1])) if min(cx, cy) > 0 else 0.0
        is_crop = along > math.log(MOST_ALONG) and cx < best[1] and cy < best[0]
        if off_axis(best) > math.log(MOST_OFF_AXIS) and not is_crop:
            raise InputError(
                f"The intrinsics beside the depth have the camera's axis at {cx:g}, {cy:g}: the "
                f"middle of a picture of about {2 * cx:.0f} × {2 * cy:.0f} pixels. The depth is "
                f"{sizes[0][1]} × {sizes[0][0]}, the photo {own[0]} × {own[1]}. Scale "
                "them to one of those; of a crop, take its corner off cx and cy."
            )
        return best

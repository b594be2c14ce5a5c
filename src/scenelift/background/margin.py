"""Continue the photo beyond its edges, for cameras that move to the side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.types import Camera, PointMap

__all__ = ["Margin"]

# Detail that is left of the margin, in pixels along the longer side, and from which share of its
# width on: things that the mirror doubles melt into their light and colours.
SOFTER = ((120, 0.15), (40, 0.45), (16, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The pixels that are added around a photo.

    Attributes:
        left_right: at its left and at its right.
        top_bottom: above and below.
    """

    left_right: int
    top_bottom: int

    @classmethod
    def of(cls, camera: Camera, sides: float, ends: float) -> Margin:
        """Make the margin from shares of the width and of the height."""
        return cls(left_right=round(sides * camera.width), top_bottom=round(ends * camera.height))

    def around(self, values: NDArray, fill: float | bool) -> NDArray:
        """Surround [H, W, …] with one value."""
        return np.pad(values, self._widths(values), constant_values=fill)

    def continued(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Continue [H, W, 3] by its mirror image, which has no seam, softer the farther out."""
        sharp = Pillow.fromarray(np.pad(pixels, self._widths(pixels), mode="symmetric"))
        width, height = sharp.size
        across, down = (
            np.maximum(0, np.abs(np.arange(n) + 0.5 - n / 2) - (n / 2 - pad)) / max(1, pad)
            for n, pad in ((width, self.left_right), (height, self.top_bottom))
        )
        away = np.maximum(across, down[:, None]).astype(np.float32)
        picture, begin = sharp, 0.0
        for side, end in SOFTER:
            factor = side / max(width, height)
            if factor < 1:
                size = max(1, round(factor * width)), max(1, round(factor * height))
                soft = sharp.resize(size, Pillow.Resampling.BOX)
                weights = np.clip((away - begin) / (end - begin), 0, 1)
                picture = Pillow.composite(
                    soft.resize(sharp.size, Pillow.Resampling.BICUBIC),
                    picture,
                    Pillow.fromarray((255 * weights).astype(np.uint8)),
                )
            begin = end
        return np.asarray(picture)

    def inside(self, values: NDArray) -> NDArray:
        """Cut the margin off [H, W, …]."""
        height, width = values.shape[:2]
        return values[
            self.top_bottom : height - self.top_bottom, self.left_right : width - self.left_right
        ]

    def on_photo(self, values: NDArray, photo: NDArray) -> NDArray:
        """Give every pixel of the photo [H, W, …] the value of the nearest crossing of a grid.

        Args:
            values: [h, w], of a grid over photo and margin.
        """
        height, width = (
            n + 2 * pad for n, (pad, _) in zip(photo.shape[:2], self._widths(photo), strict=False)
        )
        rows = np.rint(np.linspace(0, values.shape[0] - 1, height)).astype(int)
        columns = np.rint(np.linspace(0, values.shape[1] - 1, width)).astype(int)
        return self.inside(values[rows[:, None], columns])

    def photo_box(self, photo: NDArray) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the photo within the picture with its margin."""
        height, width = photo.shape[:2]
        x, y = self.left_right, self.top_bottom
        return x, y, x + width, y + height

    def points(self, points: PointMap) -> PointMap:
        """Enlarge the camera's picture by the margin, which has no points."""
        camera = points.camera
        return PointMap(
            points=self.around(points.points, np.nan),
            normals=None if points.normals is None else self.around(points.normals, np.nan),
            camera=replace(
                camera,
                width=camera.width + 2 * self.left_right,
                height=camera.height + 2 * self.top_bottom,
                cx=camera.cx + self.left_right,
                cy=camera.cy + self.top_bottom,
            ),
        )

    def _widths(self, values: NDArray) -> list[tuple[int, int]]:
        ends, sides = (self.top_bottom, self.top_bottom), (self.left_right, self.left_right)
        return [ends, sides, *[(0, 0)] * (values.ndim - 2)]

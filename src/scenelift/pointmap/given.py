"""Depth or points that the user has, in place of a model.

    .npy   [H, W] depth, or [H, W, 3] points
    .npz   an array `depth` or `points`; optionally `intrinsics`, a 3×3 matrix in pixels
    .png   depth as 16-bit (or 8-bit) grey; 0 means none; a step is `scale` metres

Depth is the distance along the viewing axis in metres (times `scale`, where one is given), 0,
negative or not finite where there is none. Points are in the camera frame of
`docs/conventions.md`: x right, y up, z backward. The arrays may be smaller or larger than the
photo if they have its proportions.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.image import MAX_PIXELS
from scenelift.pointmap.camera import default_camera
from scenelift.progress import Reporter
from scenelift.stages import digest
from scenelift.types import Camera, Image, Instance, PointMap

__all__ = ["GivenPointMapper"]

PNG_STEP = 0.001  # metres: what most depth cameras write
# Proportions may differ by rounding when depth was computed on a reduced photo.
ASPECT_TOLERANCE = 0.02


class GivenPointMapper:
    """Returns depth or points that were loaded before, brought to the photo's size.

    Args:
        values: float32 [h, w] depth or [h, w, 3] points.
        intrinsics: float64 [3, 3] in pixels of `values`, or None: then the photo's EXIF focal
            length decides, or a usual field of view.
    """

    name = "given"

    def __init__(
        self, values: NDArray[np.float32], intrinsics: NDArray[np.float64] | None = None
    ) -> None:
        self._values, self._intrinsics = values, intrinsics
        self.version = digest(values, intrinsics)[:16]

    @classmethod
    def from_file(cls, path: Path, *, scale: float | None = None) -> GivenPointMapper:
        """Read a file in one of the forms above.

        Raises:
            InputError: it is missing, of another form, or holds no depth at all.
        """
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise InputError(f"--depth-scale must be a positive number, got {scale}.")
        values, intrinsics = _read(path, scale)
        depth = values if values.ndim == 2 else -values[..., 2]
        if not (np.isfinite(depth) & (depth > 0)).any():
            raise InputError(
                f"{path.name} has no point in front of the camera. Depth must be positive; points "
                "must have z < 0 (x right, y up, z backward)."
            )
        return cls(values, intrinsics)

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """The given depth as a point map of the photo's size.

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
        return PointMap(points=points, camera=camera, scale="measured", source=self.name)

    def _camera(self, image: Image) -> Camera:
        if self._intrinsics is None:
            return default_camera(image)
        height, width = self._values.shape[:2]
        k = self._intrinsics
        camera = Camera(
            fx=float(k[0, 0]),
            fy=float(k[1, 1]),
            cx=float(k[0, 2]),
            cy=float(k[1, 2]),
            width=width,
            height=height,
        )
        return camera.resized(image.width, image.height)


def _read(
    path: Path, scale: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    intrinsics = None
    try:
        if path.suffix.lower() == ".png":
            values = _read_png(path) * np.float32(scale or PNG_STEP)
        elif path.suffix.lower() in (".npy", ".npz"):
            with path.open("rb") as file:
                # Pickles are refused: a file of the user's may come from anywhere.
                loaded = np.load(file, allow_pickle=False)  # noqa: TID251
                if isinstance(loaded, np.ndarray):
                    values = loaded
                else:
                    with loaded:
                        name = next((n for n in ("depth", "points") if n in loaded), None)
                        if name is None:
                            raise InputError(
                                f"{path.name} holds {', '.join(loaded) or 'nothing'}; an array "
                                "'depth' or 'points' was expected."
                            )
                        values = loaded[name]
                        if "intrinsics" in loaded:
                            intrinsics = _check_intrinsics(loaded["intrinsics"], path)
            values = _check_array(values, path) * np.float32(scale or 1)
        else:
            raise InputError(f"{path.name} is no depth file. Give .npy, .npz or a 16-bit .png.")
    except FileNotFoundError as exc:
        raise InputError(f"There is no depth file {path}.") from exc
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        PIL.Image.DecompressionBombError,
    ) as exc:
        raise InputError(f"{path.name} cannot be read as depth: {exc}") from exc
    return values, intrinsics


def _read_png(path: Path) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with PIL.Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
            if picture.mode not in ("I;16", "I;16B", "I", "L"):
                raise InputError(
                    f"{path.name} has colours ({picture.mode}); depth must be 16-bit grey."
                )
            return np.asarray(picture).astype(np.float32)


def _check_array(values: NDArray, path: Path) -> NDArray[np.float32]:
    is_depth = values.ndim == 2
    is_points = values.ndim == 3 and values.shape[-1] == 3
    if not (is_depth or is_points) or not values.size or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path.name} holds {values.dtype} {list(values.shape)}; numbers of shape [H, W] "
            "(depth) or [H, W, 3] (points) were expected."
        )
    if values.shape[0] * values.shape[1] > MAX_PIXELS:
        raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
    return values.astype(np.float32)


def _check_intrinsics(k: NDArray, path: Path) -> NDArray[np.float64]:
    if k.shape != (3, 3) or k.dtype.kind not in "fiu" or not np.isfinite(k).all():
        raise InputError(f"{path.name}: 'intrinsics' must be a finite 3×3 matrix.")
    if not (k[0, 0] > 0 and k[1, 1] > 0):
        raise InputError(f"{path.name}: the focal lengths in 'intrinsics' must be positive.")
    return k.astype(np.float64)

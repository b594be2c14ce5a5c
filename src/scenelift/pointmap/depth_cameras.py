"""Read a depth file's camera: convert matrices and single numbers to fx, fy, cx, cy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError

__all__ = [
    "CAMERAS",
    "LEAST_FOCAL",
    "MOST_FOCAL",
    "SCALARS",
    "Intrinsics",
    "camera_of_matrix",
    "camera_of_scalars",
    "plain_name",
]

Intrinsics: TypeAlias = tuple[float, float, float, float]
"""fx, fy, cx, cy."""

# Names are compared without capitals, underscores and the like (`plain_name`).
CAMERAS = (
    *("intrinsics", "intrinsic", "intrinsicmatrix", "intrinsicsmatrix", "k", "kmatrix", "mtx"),
    *("cameramatrix", "cameraintrinsics", "cameraintrinsic", "cameraintrinsicmatrix", "camerak"),
    *("camk", "cammatrix", "camintrinsics", "camintrinsic", "intrinsick", "depthk"),
)
# Numbers of their own in place of a matrix: both focal lengths or one, and the middle.
FOCALS = ("fx", "focal", "focallength", "focallengthpx", "focalpx", "fpx", "f")
# Angles of view across the width and the height, in degrees, or in radians up to π.
VIEWS = {
    **dict.fromkeys(("fovx", "hfov", "fovh", "fov", "fovdeg", "fovxdeg"), "fx"),
    **dict.fromkeys(("fovy", "vfov", "fovv", "fovydeg"), "fy"),
}
SCALARS = (*FOCALS, "fy", "cx", "cy", *VIEWS)
# A focal length in pixels lies between these parts of the width: a view of 150° and of 1°.
LEAST_FOCAL, MOST_FOCAL = 0.13, 60.0
# In parts of the focal length; sensors of today have none.
MOST_SKEW = 1e-3


def plain_name(name: str) -> str:
    """Reduce a name to lower-case letters and digits."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _add_focals_of_views(numbers: dict[str, float], width: int, height: int, path: Path) -> None:
    """Add focal lengths in pixels for angles of view, if the file has no focal length."""
    for name in [n for n in numbers if n in VIEWS]:
        angle = numbers.pop(name)
        degrees = math.degrees(angle) if 0 < angle <= math.pi else angle
        if not 1 <= degrees <= 150:
            raise InputError(
                f"{path.name}: {name!r} is {angle:g}; an angle of view in degrees, of 1 to 150, "
                "was expected."
            )
        side = width if VIEWS[name] == "fx" else height
        focal = 0.5 * side / math.tan(math.radians(degrees) / 2)
        if not any(n in numbers for n in (*FOCALS, "fy")) or (
            VIEWS[name] == "fy" and "fy" not in numbers
        ):
            numbers[VIEWS[name]] = focal


def camera_of_scalars(scalars: dict[str, NDArray], values: NDArray, path: Path) -> Intrinsics:
    """Make fx, fy, cx, cy from single numbers; fy defaults to fx, cx and cy to the middle.

    Args:
        scalars: by their names, as `plain_name` gives them.
        values: the depth, [H, W] or [H, W, 3].
        path: of the file, for messages.

    Raises:
        InputError: there is no focal length, or none in pixels of the depth.
    """
    numbers: dict[str, float] = {}
    for name, value in scalars.items():
        if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            unit = "degrees" if name in VIEWS else "pixels"
            raise InputError(f"{path.name}: {name!r} must be one finite number, in {unit}.")
        numbers[name] = float(value.reshape(-1)[0])
    height, width = values.shape[:2]
    _add_focals_of_views(numbers, width, height, path)
    focals = [n for n in FOCALS if n in numbers] or [n for n in ("fy",) if n in numbers]
    if not focals:
        raise InputError(
            f"{path.name} has {' and '.join(numbers)} and no focal length. Add fx (and fy), or a "
            "3×3 matrix 'K'."
        )
    fx = numbers[focals[0]]
    fy = numbers.get("fy", fx)
    if not (fx > 0 and fy > 0):
        raise InputError(f"{path.name}: the focal length {focals[0]!r} must be positive.")
    if "cx" in numbers and "cy" in numbers:
        return fx, fy, numbers["cx"], numbers["cy"]
    if not LEAST_FOCAL * width <= fx <= MOST_FOCAL * width:
        raise InputError(
            f"{path.name}: {focals[0]} {fx:g} is not a focal length in pixels of the depth's "
            f"{width} × {height}. Give it in those pixels, or fx, fy, cx and cy together."
        )
    middle = {"cx": float(width) / 2, "cy": float(height) / 2} | numbers
    return fx, fy, middle["cx"], middle["cy"]


def camera_of_matrix(k: NDArray, name: str, path: Path, notes: list[str]) -> Intrinsics:
    """Read fx, fy, cx, cy from a matrix 3×3, 3×4 or 4×4 (or with axes of length 1), or those four.

    Args:
        k: the matrix or the numbers.
        name: its name in the file.
        path: of the file, for messages.
        notes: gets what of it is not used.

    Raises:
        InputError: it has another shape, or is not a camera's.
    """
    k = k.squeeze()
    if k.shape == (9,):  # row by row, as ROS and BOP have it
        k = k.reshape(3, 3)
    if k.dtype.kind not in "fiu" or not np.isfinite(k).all():
        raise InputError(f"{path.name}: {name!r} must be a finite 3×3 matrix.")
    if k.shape == (4,):
        fx, fy, cx, cy = (float(v) for v in k)
    elif k.shape in ((3, 3), (3, 4), (4, 4)):
        if k.shape == (4, 4):
            rest = np.array([*k[3], *k[:3, 3]])
            if not np.array_equal(rest, [0, 0, 0, 1, 0, 0, 0]):
                raise InputError(
                    f"{path.name}: {name!r} is 4×4 and does more than a camera's intrinsics (its "
                    "last row and column are not those of the identity). Give its 3×3 matrix."
                )
        k = k[:3, :3]
        if k[2, 0] and k[2, 1] and not (k[0, 2] or k[1, 2]):
            k = k.T  # MATLAB's multiplies from the other side
        if abs(k[1, 0]) + abs(k[2, 0]) + abs(k[2, 1]) > 1e-6 * abs(k).max():
            raise InputError(
                f"{path.name}: {name!r} turns or mirrors, as a camera's pose does: its lower left "
                "must be 0. Give the matrix of intrinsics, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."
            )
        k = k / (k[2, 2] or 1)
        if abs(k[0, 1]) > MOST_SKEW * abs(k[0, 0]):
            notes.append(f"{path.name}: the skew in {name!r} ({k[0, 1]:.3g}) was left out.")
        fx, fy, cx, cy = float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])
    else:
        raise InputError(
            f"{path.name}: {name!r} is {list(k.shape)}, not a 3×3 matrix. Give "
            "[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."
        )
    if not (fx > 0 and fy > 0):
        raise InputError(f"{path.name}: the focal lengths in {name!r} must be positive.")
    return fx, fy, cx, cy

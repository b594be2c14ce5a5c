"""Files of depth or points → arrays in metres, and what they say of the camera.

    .npy, .npz            depth [H, W] or points [H, W, 3]; axes of length 1 before and behind go
    .tif, .tiff           depth in one channel, points in three
    .png, .pgm            depth in one channel, or in three equal ones
    .exr                  depth in the channel Z (or depth, Y, or the only one)
    .pfm                  depth in one channel

Floating-point numbers are metres, whole ones are millimetres (as depth cameras write them, in
whichever file); a scale of the user's replaces either. Points with z > 0 are in the frame of OpenCV
and MoGe (x right, y down, z forward) and are turned into ours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.arrays import MAX_ARRAY_BYTES, read_arrays
from scenelift.io.image import MAX_FILE_BYTES, MAX_PIXELS
from scenelift.io.regular import check_regular
from scenelift.io.tiff import numbers_of, read_channels
from scenelift.io.wide import wide_channels, wide_layout

__all__ = ["DepthFile", "camera_of_array", "depth_of_array", "read_depth_file"]

MILLIMETRE = 0.001
# Beyond this no object shows: Blender writes 1e10 where there is nothing.
NOTHING = 1e6
# A photo whose middle lies farther off is taken for one in millimetres that does not say so.
FARTHEST_MIDDLE = 1000.0

POINTS = ("points", "point_map", "pointmap", "xyz")
DEPTHS = ("depth", "depth_map", "depths", "z")
CAMERAS = ("intrinsics", "K", "k", "camera_matrix", "cam_K", "intrinsic", "camera_intrinsics")
# Numbers of their own in place of a matrix: both focal lengths or one, and the middle.
FOCALS = ("fx", "focal", "focal_length", "focallength_px", "focal_px", "f_px", "f")
SCALARS = (*FOCALS, "fy", "cx", "cy")
# A focal length in pixels lies between these parts of the width: a view of 150° and of 1°.
LEAST_FOCAL, MOST_FOCAL = 0.13, 60.0
MASKS = ("mask", "valid", "valid_mask")
CHANNELS = ("Z", "depth.Z", "depth.V", "Depth.Z", "depth", "Depth", "Y", "V", "R")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthFile:
    """What a file says.

    Attributes:
        values: float32 [h, w] depth along the viewing axis in metres, or [h, w, 3] points in our
            camera frame; 0, negative or not finite where there is none.
        camera: fx, fy, cx, cy as the file has them, None where it has none.
        notes: what of it was not used, in plain sentences.
    """

    values: NDArray[np.float32]
    camera: tuple[float, float, float, float] | None = None
    notes: tuple[str, ...] = ()


def read_depth_file(path: Path, scale: float | None = None) -> DepthFile:
    """Read depth or points.

    Args:
        path: in one of the forms above.
        scale: metres of one unit of the file, None for the rule above.

    Raises:
        InputError: it is missing, of another form, damaged, or in a unit that cannot be told.
    """
    check_regular(path)
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size > MAX_FILE_BYTES * 4:
            raise InputError(f"{path.name} is larger than {MAX_FILE_BYTES * 4 // 2**20} MiB.")
        camera = None
        notes: tuple[str, ...] = ()
        if suffix in (".npy", ".npz"):
            values, camera, notes = _from_arrays(path)
        elif suffix in (".png", ".tif", ".tiff", ".pfm", ".pgm"):
            values = _from_picture(path, scale)
        elif suffix == ".exr":
            values = _from_exr(path)
        else:
            raise InputError(
                f"{path.name} is no depth file. Give .npy, .npz, .exr, .tiff, .pfm or a 16-bit "
                ".png."
            )
    except FileNotFoundError as exc:
        raise InputError(f"There is no depth file {path}.") from exc
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
        MemoryError,
        PIL.Image.DecompressionBombError,
    ) as exc:
        raise InputError(f"{path.name} cannot be read as depth: {exc}") from exc
    return DepthFile(values=_in_metres(values, path, scale), camera=camera, notes=notes)


def depth_of_array(values: NDArray, scale: float | None = None) -> NDArray[np.float32]:
    """Depth [H, W] or points [H, W, 3] that a caller holds, as `read_depth_file` gives them.

    Raises:
        InputError: it has another shape or type, or holds no depth.
    """
    name = Path("depth")
    return _in_metres(_plain(values, name), name, scale)


def camera_of_array(k: NDArray) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of intrinsics that a caller holds.

    Raises:
        InputError: they are none.
    """
    return _camera(k, "camera", Path("depth"))


def _from_arrays(
    path: Path,
) -> tuple[NDArray, tuple[float, float, float, float] | None, tuple[str, ...]]:
    others: list[str] = []
    arrays = read_arrays(path, lambda names: _arrays_to_read(names, path, others))
    masks = {n: arrays.pop(n) for n in MASKS if n in arrays}
    cameras = [_camera(arrays.pop(n), n, path) for n in CAMERAS if n in arrays]
    scalars = {n: arrays.pop(n) for n in SCALARS if n in arrays}
    name, values = next(iter(arrays.items()))
    values = _plain(values, path, are_points=name in POINTS)
    if scalars and not cameras:
        cameras = [_camera_of_scalars(scalars, values, path)]
    for mask in masks.values():
        if mask.squeeze().shape == values.shape[:2] and mask.dtype.kind in "bui":
            outside = mask.squeeze() == 0
            values = values.copy()
            values[outside] = np.nan if values.dtype.kind == "f" else 0
    notes = (f"{path.name}: {', '.join(others)} was not used.",) if others else ()
    return values, cameras[0] if cameras else None, notes


def _arrays_to_read(names: tuple[str, ...], path: Path, others: list[str]) -> tuple[str, ...]:
    """The array of depth or points, then those of masks and cameras; the `others` are added to."""
    values = [n for n in (*DEPTHS, *POINTS, "arr_0") if n in names]
    beside = [n for n in names if n in (*CAMERAS, *SCALARS, *MASKS)]
    rest = [n for n in names if n not in beside]
    if not values and len(rest) == 1:
        values = rest
    if not values:
        raise InputError(
            f"{path.name} holds {', '.join(names) or 'nothing'}; an array 'depth' or 'points' was "
            "expected."
        )
    others += [n for n in rest if n != values[0]]
    return (values[0], *beside)


def _plain(values: NDArray, path: Path, *, are_points: bool = False) -> NDArray:
    """[H, W] or [H, W, 3], whatever axes of length 1 are around it; grey as a colour is depth."""
    shape = values.shape
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 3 and values.shape[0] == 3 and values.shape[-1] != 3:
        values = np.moveaxis(values, 0, -1)
    is_points = values.ndim == 3 and values.shape[-1] == 3
    if is_points and not are_points and _is_grey(values):
        values = values[..., 0]
    if not (values.ndim == 2 or is_points) or not values.size or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path.name} holds {values.dtype} {list(shape)}; numbers of shape [H, W] (depth) or "
            "[H, W, 3] (points) were expected."
        )
    if values.shape[0] * values.shape[1] > MAX_PIXELS:
        raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
    return values


def _is_grey(values: NDArray) -> bool:
    numbers = values.dtype.kind in "fiu"
    return numbers and np.array_equal(
        values, values[..., [1, 2, 0]], equal_nan=values.dtype.kind == "f"
    )


def _from_picture(path: Path, scale: float | None) -> NDArray:
    try:
        return _from_pillow(path, scale)
    except PIL.UnidentifiedImageError:
        channels = read_channels(path, MAX_ARRAY_BYTES)
        if channels is None:
            raise
        return _plain(channels, path)


def _from_pillow(path: Path, scale: float | None) -> NDArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with PIL.Image.open(path, formats=["PNG", "TIFF", "PPM"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
            layout = wide_layout(picture)
            if layout and _is_grey(np.asarray(picture)[..., :3]):
                with path.open("rb") as file:
                    wide = wide_channels(picture, layout, file)
                if wide.ndim == 2 or _is_grey(wide):
                    return wide[..., 0] if wide.ndim == 3 else wide
            if picture.mode not in ("I;16", "I;16B", "I;16L", "I", "L", "F"):
                raise InputError(
                    f"{path.name} has colours ({picture.mode}); depth must be 16-bit grey or "
                    "floating point in one channel."
                )
            if picture.mode == "L" and scale is None:
                raise InputError(
                    f"{path.name} has 8-bit grey, which no depth camera writes: what one step "
                    "means must be told with --depth-scale (metres a step). If it is a picture of "
                    "depth to look at, give the depth itself, as 16-bit PNG, .exr or .npy."
                )
            return numbers_of(picture)


def _from_exr(path: Path) -> NDArray:
    import OpenEXR

    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            low, high = file.header()["dataWindow"]
            width, height = (int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))
            if not 0 < width * height <= MAX_PIXELS:
                raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: c.pixels for name, c in file.channels().items()}
    except (RuntimeError, KeyError, IndexError) as exc:
        raise InputError(f"{path.name} cannot be read as depth: {exc}") from exc
    depth_channels = [
        n for n in channels if n in CHANNELS or n.rpartition(".")[2] in ("Z", "Depth")
    ]
    grey = {"R", "G", "B"} <= set(channels) and all(
        np.array_equal(channels["R"], channels[c], equal_nan=True) for c in "GB"
    )
    colours = {"R", "G", "B"} & set(channels)
    if colours and not grey and len(channels) > 1:
        depth_channels = [n for n in depth_channels if n not in ("R", "Y", "V")]
    if not depth_channels and len(channels) == 1:
        depth_channels = list(channels)
    if not depth_channels:
        raise InputError(
            f"{path.name} has the channels {', '.join(sorted(channels))}; depth was expected in Z."
        )
    order = {name: k for k, name in enumerate(CHANNELS)}
    return channels[min(depth_channels, key=lambda n: order.get(n, 1))].astype(np.float32)


def _in_metres(values: NDArray, path: Path, scale: float | None) -> NDArray[np.float32]:
    whole = values.dtype.kind in "iu"
    metres = values.astype(np.float32) * np.float32(scale or (MILLIMETRE if whole else 1))
    depth = metres if metres.ndim == 2 else metres[..., 2]
    usable = np.isfinite(depth) & (abs(depth) < NOTHING)
    if metres.ndim == 3 and (depth[usable] > 0).sum() > 0.5 * usable.sum():
        metres = metres * np.array([1, -1, -1], np.float32)
        depth = metres[..., 2]
    ahead = usable & ((depth > 0) if metres.ndim == 2 else (depth < 0))
    if not ahead.any():
        raise InputError(
            f"{path.name} has no point in front of the camera: depth must be positive, and points "
            "lie on one side of it, z < 0 (x right, y up, z backward) or z > 0 (x right, y down)."
        )
    middle = float(np.median(abs(depth[ahead])))
    if scale is None and middle > FARTHEST_MIDDLE:
        raise InputError(
            f"{path.name} has a median depth of {middle:.0f}, which would be metres. If those are "
            "millimetres, add --depth-scale 0.001; if they are metres, --depth-scale 1."
        )
    nothing = ~usable if metres.ndim == 2 else ~usable[..., None]
    return np.where(nothing, np.float32(np.nan), metres)


def _camera_of_scalars(
    scalars: dict[str, NDArray], values: NDArray, path: Path
) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of single numbers; what is missing is the other's, or the depth's middle."""
    numbers: dict[str, float] = {}
    for name, value in scalars.items():
        if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise InputError(f"{path.name}: {name!r} must be one finite number, in pixels.")
        numbers[name] = float(value.reshape(-1)[0])
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
    height, width = values.shape[:2]
    if "cx" in numbers and "cy" in numbers:
        return fx, fy, numbers["cx"], numbers["cy"]
    if not LEAST_FOCAL * width <= fx <= MOST_FOCAL * width:
        raise InputError(
            f"{path.name}: {focals[0]} {fx:g} is no focal length in pixels of the depth's "
            f"{width} × {height}. Give it in those pixels, or fx, fy, cx and cy together."
        )
    middle = {"cx": float(width) / 2, "cy": float(height) / 2} | numbers
    return fx, fy, middle["cx"], middle["cy"]


def _camera(k: NDArray, name: str, path: Path) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of a matrix 3×3, 3×4 or 4×4 (or with axes of length 1), or of those four."""
    k = k.squeeze()
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
        fx, fy, cx, cy = float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])
    else:
        raise InputError(
            f"{path.name}: {name!r} is {list(k.shape)}, not a 3×3 matrix. Give "
            "[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."
        )
    if not (fx > 0 and fy > 0):
        raise InputError(f"{path.name}: the focal lengths in {name!r} must be positive.")
    return fx, fy, cx, cy

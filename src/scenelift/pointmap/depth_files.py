"""Read files of depth or points as arrays in metres, and what they say about the camera.

    .npy, .npz            depth [H, W] or points [H, W, 3]; axes of length 1 before and behind go
    .tif, .tiff           depth in one channel, points in three
    .png, .pgm            depth in one channel, or in three equal ones
    .exr                  depth in Depth.Z, Z, depth or the only channel, see `depth_exr`
    .pfm                  depth in one channel

Floating-point numbers are metres, whole ones are millimetres (as depth cameras write them, in
whichever file); a scale of the file's or the user's replaces either. Arrays that are called
disparity or inverse depth are one over depth. Points with z > 0 are in the frame of OpenCV
and MoGe (x right, y down, z forward) and are turned into ours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.arrays import MAX_ARRAY_BYTES, read_arrays
from scenelift.io.image import MAX_FILE_BYTES, MAX_PIXELS
from scenelift.io.regular import check_regular
from scenelift.io.tiff import (
    A_MASK,
    SMALLER_COPY,
    kind_of_page,
    numbers_of,
    read_channels,
)
from scenelift.io.wide import wide_channels, wide_layout
from scenelift.pointmap.depth_cameras import (
    CAMERAS,
    SCALARS,
    Intrinsics,
    camera_of_matrix,
    camera_of_scalars,
    plain_name,
)
from scenelift.pointmap.depth_exr import read_exr
from scenelift.pointmap.inverse import check_is_depth, has_inverse_name

__all__ = ["DepthFile", "camera_of_array", "depth_of_array", "read_depth_file"]

MILLIMETRE = 0.001
# Beyond this no object shows: Blender writes 1e10 where there is nothing.
NOTHING = 1e6
# Whole numbers whose middle would be nearer than this, in metres, are no millimetres.
NEAREST_MIDDLE = 0.03
# What depth cameras write into 16 bits where they see nothing.
NO_DATA = 65535
# A photo whose middle lies farther off is taken for one in millimetres that does not say so.
FARTHEST_MIDDLE = 1000.0
# Beyond this it may be so, of landscapes; relative networks write such numbers, too.
FAR_MIDDLE = 100.0

# Names are compared as `plain_name` gives them.
POINTS = ("points", "pointmap", "xyz", "pts3d", "points3d")
DEPTHS = (
    *("depth", "depthmap", "depths", "z", "depthm", "preddepth", "predicteddepth", "metricdepth"),
    *("depthpred", "depthmm"),
)
# One over depth, as stereo and relative networks have it.
INVERSES = (
    *("disparity", "disp", "disparitymap", "preddisparity", "predicteddisparity"),
    *("invdepth", "inversedepth", "inversedepthmap", "idepth", "depthinv", "depthinverse"),
)
# Steps a metre where it is above 1 (as TUM's 5000), else metres a step (as RealSense's 0.001).
UNITS = ("depthscale", "depthfactor", "depthunit", "depthunits")
MASKS = ("mask", "valid", "validmask")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthFile:
    """What a depth file says.

    Attributes:
        values: float32 [h, w] depth along the viewing axis in metres, or [h, w, 3] points in our
            camera frame; 0, negative or not finite where there is none.
        camera: fx, fy, cx, cy as the file has them, None where it has none.
        notes: what of it was not used, and what was assumed, in plain sentences.
        has_metres: whether the unit is metres; where not, lengths are relative.
    """

    values: NDArray[np.float32]
    camera: Intrinsics | None = None
    notes: tuple[str, ...] = ()
    has_metres: bool = True


@dataclass(slots=True, kw_only=True)
class _Content:
    """The contents of an array file, before its unit is known.

    Attributes:
        values: the array of depth or points.
        camera: as in `DepthFile`.
        is_inverse: the values are one over depth.
        scale: metres of one step, None where the file does not say.
    """

    values: NDArray
    camera: Intrinsics | None = None
    is_inverse: bool = False
    scale: float | None = None


def read_depth_file(path: Path, scale: float | None = None) -> DepthFile:
    """Read depth or points from a file.

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
        notes: list[str] = []
        if suffix in (".npy", ".npz"):
            content = _from_arrays(path, notes)
        elif suffix in (".png", ".tif", ".tiff", ".pfm", ".pgm"):
            values = _from_picture(path, scale)
            content = _Content(values=values, is_inverse=_is_inverse("", path, values))
        elif suffix == ".exr":
            content = _from_exr(path)
        else:
            raise InputError(
                f"{path.name} is not a depth file. Give .npy, .npz, .exr, .tiff, .pfm or a 16-bit "
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
    scale = scale or content.scale
    if content.is_inverse:
        return _of_inverse(content, path, scale, notes)
    values = content.values
    if values.dtype.kind in "iu" and values.dtype.itemsize == 1 and scale is None:
        raise InputError(_no_unit(path, "8-bit numbers"))
    values = _in_metres(values, path, scale, notes)
    return DepthFile(values=values, camera=content.camera, notes=tuple(notes))


def depth_of_array(values: NDArray, scale: float | None, notes: list[str]) -> NDArray[np.float32]:
    """Convert a caller's depth [H, W] or points [H, W, 3] like `read_depth_file` does.

    Args:
        values: the array.
        scale: metres of one unit, None for the rule above.
        notes: gets what was assumed.

    Raises:
        InputError: it has another shape or type, or holds no depth.
    """
    name = Path("depth")
    return _in_metres(_plain(values, name), name, scale, notes)


def camera_of_array(k: NDArray, notes: list[str]) -> Intrinsics:
    """Read fx, fy, cx, cy from a caller's intrinsics; `notes` gets what is not used of them.

    Raises:
        InputError: they are not intrinsics.
    """
    return camera_of_matrix(k, "camera", Path("depth"), notes)


def _from_arrays(path: Path, notes: list[str]) -> _Content:
    others: list[str] = []
    by_name = read_arrays(path, lambda names: _arrays_to_read(names, path, others))
    (name, values), *beside = by_name.items()
    arrays = {plain_name(n): array for n, array in beside}
    values = _plain(values, path, are_points=plain_name(name) in POINTS)
    scalars = {n: array for n, array in arrays.items() if n in SCALARS}
    matrices = [n for n, _ in beside if plain_name(n) in CAMERAS]
    camera = None
    if matrices:
        camera = camera_of_matrix(by_name[matrices[0]], matrices[0], path, notes)
    elif scalars:
        camera = camera_of_scalars(scalars, values, path)
    for mask in (arrays[n] for n in MASKS if n in arrays):
        if mask.squeeze().shape == values.shape[:2] and mask.dtype.kind in "bui":
            outside = mask.squeeze() == 0
            values = values.copy()
            values[outside] = np.nan if values.dtype.kind == "f" else 0
    if others:
        notes.append(f"{path.name}: {', '.join(others)} was not used.")
    return _Content(
        values=values,
        camera=camera,
        is_inverse=_is_inverse(name, path, values),
        scale=next((_scale_of(arrays[n], n, path) for n in UNITS if n in arrays), None),
    )


def _is_inverse(name: str, path: Path, values: NDArray) -> bool:
    """Whether an array, or the file of one without a name, is called inverse depth."""
    if values.ndim != 2 or (values.dtype.kind in "iu" and values.dtype.itemsize == 1):
        return False
    by_file = plain_name(name) in ("", "arr0") and has_inverse_name(path)
    return by_file or plain_name(name) in INVERSES


def _arrays_to_read(names: tuple[str, ...], path: Path, others: list[str]) -> tuple[str, ...]:
    """Choose the array of depth or points, and those that belong to it; list the `others`."""
    by_name = {plain_name(n): n for n in reversed(names)}
    values = [by_name[n] for n in (*DEPTHS, *POINTS, *INVERSES, "arr0") if n in by_name]
    beside = [n for n in names if plain_name(n) in (*CAMERAS, *SCALARS, *MASKS, *UNITS)]
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


def _scale_of(value: NDArray, name: str, path: Path) -> float:
    """Return the metres of one step, from a number that says it either way round."""
    number = float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "fiu" else 0.0
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{path.name}: {name!r} must be one positive number.")
    return 1 / number if number > 1 else number


def _plain(values: NDArray, path: Path, *, are_points: bool = False) -> NDArray:
    """Reduce an array to [H, W] or [H, W, 3]: drop axes of length 1, and equal colours."""
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
            layout, levels = wide_layout(picture), _levels_of_netpbm(picture)
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
                raise InputError(_no_unit(path, "8-bit grey"))
            values = _unscaled(numbers_of(picture), levels)
            if _has_further_page(picture):
                raise InputError(
                    f"{path.name} has several pages; depth is one [H, W]. Save the page that "
                    "belongs to the photo alone."
                )
            return values


def _levels_of_netpbm(picture: PIL.Image.Image) -> int | None:
    """Return the largest number that a not yet loaded Netpbm picture may have; None for others."""
    tiles: Any = getattr(picture, "tile", [])
    arguments = tiles[0][3] if picture.format == "PPM" and tiles else None
    levels = arguments[1] if isinstance(arguments, tuple) and len(arguments) > 1 else None
    return levels if isinstance(levels, int) and levels > 0 else None


def _unscaled(values: NDArray, levels: int | None) -> NDArray:
    """Return the numbers as the file has them: Pillow scales Netpbm's to 8 or 16 bits."""
    most = 255 if values.dtype == np.uint8 else 65535
    if levels is None or levels == most:
        return values
    dtype = np.uint8 if levels < 256 else np.uint16
    return np.rint(values.astype(np.float64) * levels / most).astype(dtype)


def _has_further_page(picture: PIL.Image.Image) -> bool:
    """Return whether a second page exists that is no smaller copy and no mask of the first."""
    try:
        picture.seek(1)
    except EOFError:
        return False
    return not kind_of_page(picture) & (SMALLER_COPY | A_MASK)


def _no_unit(path: Path, kind: str) -> str:
    return (
        f"{path.name} has {kind}, which no depth camera writes: what one step means must be told "
        "with --depth-scale (metres a step). If it is a picture of depth to look at, give the "
        "depth itself, as 16-bit PNG, .exr or .npy."
    )


def _from_exr(path: Path) -> _Content:
    name, values = read_exr(path)
    if values.dtype.kind == "f":
        values = values.astype(np.float32)  # half floats
    last = plain_name(name.rpartition(".")[2])
    return _Content(values=values, is_inverse=last in INVERSES or plain_name(name) in INVERSES)


def _of_inverse(content: _Content, path: Path, scale: float | None, notes: list[str]) -> DepthFile:
    """Convert inverse depth to depth: in metres if a scale is known, else with a median of 1."""
    inverse = content.values.astype(np.float32)
    usable = np.isfinite(inverse) & (inverse > 0)
    if not usable.any():
        raise InputError(f"{path.name} has no positive disparity.")
    depth = np.full(inverse.shape, np.nan, np.float32)
    depth[usable] = 1 / inverse[usable]
    depth *= np.float32(scale or 1 / np.median(depth[usable]))
    depth[~(depth < NOTHING)] = np.nan
    if scale is None:
        notes.append(
            f"{path.name}: disparity was read as 1/depth, whose unit is not known: lengths are "
            "relative. With --depth-scale S, depth is S/disparity metres (focal length × baseline; "
            "1 for inverse metres). Of networks that leave its zero open (MiDaS, Depth Anything) "
            "the scene is bent."
        )
    return DepthFile(
        values=depth, camera=content.camera, notes=tuple(notes), has_metres=scale is not None
    )


def _in_metres(
    values: NDArray, path: Path, scale: float | None, notes: list[str]
) -> NDArray[np.float32]:
    whole = values.dtype.kind in "iu"
    metres = values.astype(np.float32) * np.float32(scale or (MILLIMETRE if whole else 1))
    if values.dtype == np.uint16:
        metres[values == NO_DATA] = np.nan
    depth = metres if metres.ndim == 2 else metres[..., 2]
    usable = np.isfinite(depth) & (abs(depth) < NOTHING)
    if metres.ndim == 3 and (depth[usable] > 0).sum() > 0.5 * usable.sum():
        metres = metres * np.array([1, -1, -1], np.float32)
        depth = metres[..., 2]
    if metres.ndim == 2 and _is_all_behind(depth[usable]):
        notes.append(f"{path.name}: all depth is negative, as OpenGL has it: its sign was turned.")
        metres = depth = -metres
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
    if scale is None and middle > FAR_MIDDLE:
        notes.append(
            f"{path.name}: a median depth of {middle:.0f} was taken for metres. If the numbers are "
            "disparity, save them in an .npz as 'disparity'."
        )
    if scale is None and whole and middle < NEAREST_MIDDLE:
        raise InputError(
            f"{path.name} has whole numbers with a median of {middle / MILLIMETRE:.0f}, which "
            "would be millimetres. If they are metres, add --depth-scale 1; centimetres, 0.01."
        )
    if scale is None and metres.ndim == 2:
        if whole:
            _check_is_not_stretched(values, path)
        else:
            _check_is_no_part(depth[usable], path, notes)
        there = np.where(usable, metres, np.float32(np.nan))
        check_is_depth(there, path.name, notes, whole=whole)
    nothing = ~usable if metres.ndim == 2 else ~usable[..., None]
    return np.where(nothing, np.float32(np.nan), metres)


def _is_all_behind(depth: NDArray[np.float32]) -> bool:
    """Return whether all depths but zeros are negative, and not one number that marks nothing."""
    there = depth[depth != 0]
    return there.size > 0 and bool((there < 0).all()) and there.min() < there.max()


def _check_is_not_stretched(values: NDArray, path: Path) -> None:
    """Refuse 16 bits that were filled from end to end, as MiDaS's pictures are.

    Raises:
        InputError: they go from 0 to 65535, and up to there without a gap.
    """
    if values.dtype != np.uint16 or values.min() > 0 or values.max() < NO_DATA:
        return
    # Of a depth camera 65535 stands alone: what it sees ends far below.
    if (values[values < NO_DATA].max() if (values < NO_DATA).any() else 0) > 0.95 * NO_DATA:
        raise InputError(
            f"{path.name} goes from 0 to 65535, like depth (or inverse depth) that was stretched "
            "to be looked at: its metres are lost. Give the depth itself, as .npy, .pfm or .exr; "
            "if you know how many metres one step is, add --depth-scale with that number."
        )


def _check_is_no_part(depth: NDArray[np.float32], path: Path, notes: list[str]) -> None:
    """Refuse depth that was stretched to 0…1; warn about depth that may have been.

    Raises:
        InputError: it goes from 0 to 1 exactly.
    """
    low, high = float(depth.min()), float(depth.max())
    if high > 1:
        return
    if high == 1 and low == 0:
        raise InputError(
            f"{path.name} goes from 0 to 1 exactly, like depth normalised for display: its metres "
            "are lost. Give the original depth; if you know how many metres 1 stands for, add "
            "--depth-scale with that number."
        )
    notes.append(
        f"{path.name}: depth of {low:.3g} to {high:.3g} was taken for metres. If it was "
        "normalised, give the depth itself."
    )

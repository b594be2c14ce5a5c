"""Read and write splats as PLY, with the properties of the first 3D Gaussian Splatting code.

Degree 0: x y z nx ny nz f_dc_0..2 opacity scale_0..2 rot_0..3, float32, little-endian. The file
holds log scales and logit opacities; memory holds activated values, and only this file converts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.geometry.transforms import transform_gaussians
from scenelift.io.files import atomic_write
from scenelift.io.regular import reading
from scenelift.jit import compiled, kernel_array
from scenelift.threads import side_by_side
from scenelift.types import Gaussians, Pose

__all__ = ["ply_bytes", "read_ply", "read_table", "splats_of", "write_ply"]

Frame = Literal["opengl", "colmap"]

PROPERTIES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
REQUIRED = tuple(name for name in PROPERTIES if name not in ("nx", "ny", "nz"))
MIN_OPACITY = 1e-6  # logits end here, on both sides: ±13.8
MIN_SCALE = 1e-12
ROWS_AT_ONCE = 1 << 16  # converted by one thread: 4 MB

MAX_HEADER = 65536  # bytes; a file of degree 3 has 1500
SCALAR_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4"},
    **{"uint32": "<u4", "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
}


def write_ply(path: Path, gaussians: Gaussians, *, frame: Frame = "opengl") -> None:
    """Write splats; the same splats give the same bytes.

    Args:
        path: the file, replaced atomically.
        gaussians: N splats, N ≥ 0.
        frame: axes of the file: "opengl" as in memory (x right, y up, z backward), or "colmap"
            (x right, y down, z forward).

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for block in _blocks(gaussians, frame):
            file.write(block)


def ply_bytes(gaussians: Gaussians, *, frame: Frame = "opengl") -> bytes:
    """Return the file that `write_ply` writes, as bytes.

    Opacities are kept 1e-6 away from 0 and 1, whose logits are infinite. Normals are zero, as
    viewers expect of splats.
    """
    return b"".join(_blocks(gaussians, frame))


def _blocks(gaussians: Gaussians, frame: Frame) -> Iterator[bytes | memoryview]:
    """Yield the file in order: the header, then some rows at a time."""
    if frame == "colmap":
        half_turn_about_x = Pose(rotation=(0.0, 1.0, 0.0, 0.0))
        gaussians = transform_gaussians(gaussians, half_turn_about_x)
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    header += [f"property float {name}" for name in PROPERTIES]
    header += ["end_header", ""]
    yield "\n".join(header).encode("ascii")
    starts = range(0, len(gaussians), ROWS_AT_ONCE)
    yield from side_by_side(lambda first: _rows(gaussians, first, first + ROWS_AT_ONCE), starts)


def _rows(gaussians: Gaussians, first: int, end: int) -> memoryview:
    some = slice(first, end)
    table = np.zeros((len(gaussians.opacities[some]), len(PROPERTIES)), "<f4")
    _fill(
        kernel_array(gaussians.means[some], np.float32),
        kernel_array(gaussians.sh0[some], np.float32),
        kernel_array(gaussians.opacities[some], np.float32),
        kernel_array(gaussians.scales[some], np.float32),
        kernel_array(gaussians.rotations[some], np.float32),
        table,
    )
    table.flags.writeable = False  # so that it can be digested later than it is written
    return table.data


@compiled
def _fill(
    means: NDArray[Any],
    sh0: NDArray[Any],
    opacities: NDArray[Any],
    scales: NDArray[Any],
    rotations: NDArray[Any],
    table: NDArray[Any],
) -> None:
    """Convert splats to rows, without a dozen turns at Python's lock for every block of them."""
    for i in range(len(table)):
        opacity = float(opacities[i])
        if opacity < MIN_OPACITY:
            opacity = MIN_OPACITY
        elif opacity > 1 - MIN_OPACITY:
            opacity = 1 - MIN_OPACITY
        for k in range(3):
            table[i, k] = means[i, k]
            table[i, 6 + k] = sh0[i, k]
            scale = float(scales[i, k])
            table[i, 10 + k] = math.log(MIN_SCALE if scale < MIN_SCALE else scale)
        table[i, 9] = math.log(opacity) - math.log1p(-opacity)
        for k in range(4):
            table[i, 13 + k] = rotations[i, k]


def read_ply(path: str | Path) -> Gaussians:
    """Read splats written by us or by any program that writes INRIA's PLY.

    Properties may stand in any order; those beyond degree 0 (`f_rest_*`) and unknown ones are
    ignored, as are elements after the vertices. Quaternions are normalised; a zero one becomes the
    identity.

    Raises:
        InputError: the file is missing, is no binary little-endian PLY, lacks a property, is
            shorter than its header says, or holds values that are not finite.
    """
    path = Path(path)
    with reading(path), path.open("rb") as file:
        return splats_of(read_table(file, path.stat().st_size, path), path)


def read_table(file: BinaryIO, size: int, path: Path) -> NDArray[Any]:
    """Read the splats of a PLY as a structured array with all its properties, unconverted.

    Args:
        file: at its start.
        size: of the whole file in bytes.
        path: for errors.

    Raises:
        InputError: as of `read_ply`, but for values that are not finite.
    """
    count, layout = _read_header(file, path)
    remaining = size - file.tell()
    if count * layout.itemsize > remaining:
        raise InputError(
            f"{path} is cut short: its header promises {count} splats of "
            f"{layout.itemsize} bytes, {remaining} bytes follow. Copy or download it again."
        )
    return np.frombuffer(file.read(count * layout.itemsize), layout, count)


def splats_of(table: NDArray[Any], path: Path) -> Gaussians:
    """Convert a table from `read_table` to splats.

    Raises:
        InputError: it holds values that are not finite.
    """
    with np.errstate(invalid="ignore"):  # whatever is not finite is refused below
        columns = {name: table[name].astype(np.float64) for name in REQUIRED}

    def stack(*names: str) -> NDArray[np.float64]:
        return np.stack([columns[name] for name in names], -1)

    rotations = stack("rot_0", "rot_1", "rot_2", "rot_3")
    norm = np.linalg.norm(rotations, axis=-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        rotations = np.where(norm > 0, rotations / np.where(norm > 0, norm, 1), [1.0, 0, 0, 0])
        values = (
            stack("x", "y", "z").astype(np.float32),
            np.exp(stack("scale_0", "scale_1", "scale_2")).astype(np.float32),
            rotations.astype(np.float32),
            (1 / (1 + np.exp(-columns["opacity"]))).astype(np.float32),
            stack("f_dc_0", "f_dc_1", "f_dc_2").astype(np.float32),
        )
    if not all(np.isfinite(v).all() for v in values):
        raise InputError(f"{path} holds values that are not finite numbers: it is damaged.")
    means, scales, rotations, opacities, sh0 = values
    return Gaussians(means=means, scales=scales, rotations=rotations, opacities=opacities, sh0=sh0)


def _read_header(file: BinaryIO, path: Path) -> tuple[int, np.dtype]:
    """Read the number of splats and the layout of one; the file then stands at the first."""

    def refuse(reason: str) -> InputError:
        return InputError(
            f"{path} is not a splat PLY that can be read: {reason}. Expected a binary "
            "little-endian file with the properties of 3D Gaussian Splatting."
        )

    if file.readline(16).strip() != b"ply":
        raise refuse("it does not start with 'ply'")
    count: int | None = None
    fields: list[tuple[str, str]] = []
    element = ""
    while True:
        raw = file.readline(MAX_HEADER)
        if not raw.endswith(b"\n") or file.tell() > MAX_HEADER:
            raise refuse("its header does not end")
        match raw.decode("ascii", "replace").split():
            case ["end_header"]:
                break
            case ["format", encoding, *_] if encoding != "binary_little_endian":
                raise refuse(f"its format is {encoding}")
            case ["element", "vertex", number]:
                if not number.isdecimal() or len(number) > 18:
                    raise refuse(f"its number of splats is {number!r}")
                count, element = int(number), "vertex"
            case ["element", name, *_]:
                if count is None:
                    raise refuse(f"the element {name!r} comes before the vertices")
                element = name
            case ["property", "list", *_] if element == "vertex":
                raise refuse("its vertices have a list property")
            case ["property", kind, name] if element == "vertex":
                if kind not in SCALAR_TYPES:
                    raise refuse(f"property {name!r} has the type {kind!r}")
                fields.append((name, SCALAR_TYPES[kind]))
            case _:
                pass
    names = [name for name, _ in fields]
    missing = [name for name in REQUIRED if name not in names]
    if count is None or missing:
        raise refuse(f"it has no {', '.join(missing) or 'vertices'}")
    if len(set(names)) != len(names):
        raise refuse("a property occurs twice")
    return count, np.dtype(fields)

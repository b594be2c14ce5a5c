"""Read and convert splats of other programs: PLY, compressed PLY, splat, SPZ, SOG, GLB.

Two habits of axes exist. PLY and its family are x right, y down, z ahead, as the cameras of COLMAP
are; SPZ by its description and glTF are x right, y up, z backward, as scenes are in this package.
"""

# gaussforge has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import FormatError, InputError
from scenelift.geometry.transforms import (
    concatenate_gaussians,
    pose_from_matrix,
    transform_gaussians,
)
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode, read_glb_splats, write_glb
from scenelift.io.ply import ply_bytes, read_table, splats_of
from scenelift.io.regular import reading
from scenelift.options import SplatFrame
from scenelift.types import Gaussians, Mesh, Pose

__all__ = [
    "SPLAT_KINDS",
    "convert_splats",
    "frame_of",
    "in_frame",
    "kind_of",
    "read_splats",
    "write_splat_file",
]

HALF_TURN = Pose(rotation=(0.0, 1.0, 0.0, 0.0))  # about x: between the two habits

SPLAT_KINDS: dict[str, SplatFrame] = {
    "compressed.ply": "y-down",
    "ply": "y-down",
    "splat": "y-down",
    "sog": "y-down",
    "spz": "y-up",
    "glb": "y-up",
}
"""Endings that can be read, and the axes that such files are expected to have."""

MOST_BYTES = 4 * 2**30
# SPZ is packed by gzip, or from version 4 on begins with its name; SOG is a ZIP.
STARTS = {"spz": (b"\x1f\x8b", b"NGSP"), "sog": (b"PK",)}

# Real spherical harmonics of degree 1 to 3 in the order of the files, each with the sign that a
# half turn about x gives it: −1 to the power of y and z in its polynomial.
_HALF_TURN_SIGNS = (
    *(-1, -1, 1),
    *(-1, 1, 1, -1, 1),
    *(-1, 1, -1, -1, 1, -1, 1),
)


def kind_of(path: Path) -> str:
    """Return the kind of splat file that a name stands for: one of `SPLAT_KINDS`.

    Raises:
        InputError: it is not a kind that can be read.
    """
    name = path.name.lower()
    for kind in SPLAT_KINDS:
        if name.endswith(f".{kind}"):
            return kind
    raise InputError(
        f"{path.name} has no ending of a splat file. Known endings: "
        f"{', '.join('.' + k for k in SPLAT_KINDS)}."
    )


def read_splats(path: str | Path, *, frame: SplatFrame | None = None) -> Gaussians:
    """Read splats of any of `SPLAT_KINDS` into this package's axes (x right, y up, z backward).

    Harmonics beyond degree 0 are left out: the types of this package hold one colour a splat.

    Args:
        path: the file.
        frame: the file's axes, where they are not those of its kind.

    Raises:
        InputError: it is missing, damaged, or of no known kind.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "glb":
        gaussians = _splats_of_glb(path)
    else:
        data = _ply_of(path, kind)
        gaussians = splats_of(read_table(io.BytesIO(data), len(data), path), path)
    if (frame or SPLAT_KINDS[kind]) == "y-down":
        gaussians = transform_gaussians(gaussians, HALF_TURN)
    return gaussians


def convert_splats(
    source: Path,
    target: Path,
    *,
    source_frame: SplatFrame | None = None,
    target_frame: SplatFrame | None = None,
    spz_version: int = 4,
) -> int:
    """Convert a splat file to another kind, with the axes of that kind.

    Harmonics of higher degrees are kept, turned with the splats, except into and out of GLB.

    Args:
        source: the file to read.
        target: the file to write, replaced atomically; its ending says what it becomes.
        source_frame, target_frame: axes, where they are not those of the kind.
        spz_version: 4, or 3 for older readers.

    Returns:
        The number of splats.

    Raises:
        InputError: the source is missing, damaged or of no known kind.
        FormatError: the splats cannot be packed.
        OutputError: the target cannot be written.
    """
    kind, new = kind_of(source), kind_of(target)
    turn = (source_frame or SPLAT_KINDS[kind]) != (target_frame or SPLAT_KINDS[new])
    if "glb" in (kind, new):
        gaussians = read_splats(source, frame=source_frame)
        if (target_frame or SPLAT_KINDS[new]) == "y-down":
            gaussians = transform_gaussians(gaussians, HALF_TURN)
        if new == "glb":
            empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
            write_glb(target, [GlbNode(name=source.stem, mesh=empty, splats=gaussians)])
            return len(gaussians)
        data = ply_bytes(gaussians)
    else:
        data = _ply_of(source, kind)
        if turn:
            data = _half_turn(data, source)
    count = len(read_table(io.BytesIO(data), len(data), source))
    write_bytes(target, data if new == "ply" else _pack(data, new, target, spz_version))
    return count


def write_splat_file(path: Path, gaussians: Gaussians, kind: str, *, frame: SplatFrame) -> None:
    """Write splats of this package as one of the kinds whose axes are a matter of choice.

    Args:
        path: the file, replaced atomically.
        gaussians: x right, y up, z backward.
        kind: ply, compressed.ply, sog or splat.
        frame: axes of the file.

    Raises:
        FormatError: the splats cannot be packed.
        OutputError: the file cannot be written.
    """
    data = ply_bytes(in_frame(gaussians, frame))
    write_bytes(path, data if kind == "ply" else _pack(data, kind, path, 4))


def _splats_of_glb(path: Path) -> Gaussians:
    parts = [
        transform_gaussians(splats, pose_from_matrix(matrix))
        for splats, matrix in read_glb_splats(path)
    ]
    if not parts:
        raise InputError(f"{path} holds no splats (KHR_gaussian_splatting).")
    return concatenate_gaussians(parts)


def _ply_of(path: Path, kind: str) -> bytes:
    """Convert the file to a PLY with the same axes."""
    with reading(path):
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES / 2**30:.0f} GiB.")
        data = path.read_bytes()
    if kind in STARTS and not data.startswith(STARTS[kind]):
        raise InputError(f"{path} is no .{kind}: it begins otherwise. Is it complete?")
    return data if kind == "ply" else _unpack(path, kind)


# Its own process: what unpacks others' files is native code, which damage can make it end.
_UNPACK = """
import sys
from pathlib import Path
from gaussforge import GaussForge

kind, source, target = sys.argv[1:]
try:
    done = GaussForge().convert(Path(source).read_bytes(), kind, "ply")
except Exception as exc:
    done = {"error": str(exc)}
if "data" not in done:
    Path(target).write_text(str(done.get("error")), "utf-8")
    raise SystemExit(3)
Path(target).write_bytes(done["data"])
"""
REFUSED = 3  # its exit code where it says why


def _unpack(path: Path, kind: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="scenelift-splats-") as folder:
        target = Path(folder) / "splats.ply"
        # What it prints on its way says nothing to a user.
        process = subprocess.run(
            [sys.executable, "-c", _UNPACK, kind, str(path.absolute()), str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if process.returncode == 0:
            return target.read_bytes()
        reason = target.read_text("utf-8") if process.returncode == REFUSED else ""
        # Of C++ itself, when a damaged file claims more than there is memory for.
        if not reason or any(name in reason for name in ("std::", "vector::", "basic_string")):
            reason = "it is damaged, or of another kind"
        raise InputError(f"{path} cannot be read as .{kind}: {reason.rstrip('.')}. Is it complete?")


def _pack(data: bytes, kind: str, target: Path, spz_version: int) -> bytes:
    from gaussforge import GaussForge

    reply = GaussForge().convert(data, "ply", kind, spz_version=spz_version)
    if "data" not in reply:
        raise FormatError(f"The splats could not be packed as {target.name}: {reply.get('error')}")
    return bytes(reply["data"])


def _half_turn(data: bytes, path: Path) -> bytes:
    """Rotate a PLY by 180° about x, with all its properties."""
    vertices = read_table(io.BytesIO(data), len(data), path)
    names = vertices.dtype.names or ()
    table = vertices.astype([(name, "<f4") for name in names])
    # The product of the half turn's quaternion (0, 1, 0, 0) with (w, x, y, z) is (−x, w, −z, y).
    w, x, y, z = (table[f"rot_{k}"].copy() for k in range(4))
    table["rot_0"], table["rot_1"], table["rot_2"], table["rot_3"] = -x, w, -z, y
    for name in ("y", "z", "ny", "nz"):
        if name in names:
            table[name] = -table[name]
    rest = sum(name.startswith("f_rest_") for name in names)
    _turn_harmonics(table, rest // 3)
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [*(f"property float {name}" for name in names), "end_header", ""]
    return "\n".join(header).encode("ascii") + table.tobytes()


def _turn_harmonics(table: NDArray[Any], per_channel: int) -> None:
    """Flip the signs of coefficients of degree 1 and more as a half turn does, per channel."""
    for channel in range(3):
        for k in range(min(per_channel, len(_HALF_TURN_SIGNS))):
            if _HALF_TURN_SIGNS[k] < 0:
                name = f"f_rest_{channel * per_channel + k}"
                table[name] = -table[name]


def in_frame(gaussians: Gaussians, frame: SplatFrame) -> Gaussians:
    """Convert splats of this package to the axes of a file."""
    return gaussians if frame == "y-up" else transform_gaussians(gaussians, HALF_TURN)


def frame_of(text: str | None) -> SplatFrame | None:
    """Return a frame by its name, None for None.

    Raises:
        InputError: there is no frame of that name.
    """
    if text is None or text == "y-up" or text == "y-down":
        return text
    raise InputError(f"{text!r} is not a frame of splats. Known: y-up, y-down.")

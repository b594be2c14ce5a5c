"""Read users' .npy and .npz files; sizes are checked before memory is allocated."""

from __future__ import annotations

import math
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.image import MAX_FILE_BYTES
from scenelift.io.regular import check_regular

__all__ = ["MAX_ARRAY_BYTES", "read_arrays"]

# A point map of the largest photo that we read, in float64.
MAX_ARRAY_BYTES = 2**27 * 3 * 8


def read_arrays(
    path: Path,
    choose: Callable[[tuple[str, ...]], tuple[str, ...]],
    *,
    check_shape: Callable[[tuple[int, ...]], object] = lambda shape: None,
) -> dict[str, NDArray[Any]]:
    """Read some arrays of a file. Pickles are refused, as the file may come from anywhere.

    Args:
        path: .npy, or .npz, whichever it says it is.
        choose: gets the names of all arrays ("" for the one of an .npy), returns those to read.
        check_shape: gets an array's shape before its values are read; raises to refuse it.

    Raises:
        InputError: it is neither, is damaged, holds Python objects, or is larger than we read.
        OSError: it cannot be opened.
    """
    check_regular(path)
    if path.stat().st_size > MAX_FILE_BYTES * 4:
        raise InputError(f"{path.name} is larger than {MAX_FILE_BYTES * 4 // 2**20} MiB.")
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if not start.startswith(b"PK"):
                return {name: _read(file, check_shape) for name in choose(("",))}
            with zipfile.ZipFile(file) as archive:
                members = {n.removesuffix(".npy"): n for n in archive.namelist()}
                arrays: dict[str, NDArray[Any]] = {}
                for name in choose(tuple(members)):
                    with archive.open(members[name]) as member:
                        arrays[name] = _read(member, check_shape)
                return arrays
    except (
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,  # numpy reads a header as Python
        NotImplementedError,
        RecursionError,
        MemoryError,
        RuntimeError,  # an encrypted archive
        OverflowError,
        zipfile.BadZipFile,
        *_zlib_errors(),
    ) as exc:
        raise InputError(f"{path.name} cannot be read as a NumPy array: {exc}") from exc


def _zlib_errors() -> tuple[type[Exception], ...]:
    import lzma
    import zlib

    return (zlib.error, lzma.LZMAError)


def _read(file: IO[bytes], check_shape: Callable[[tuple[int, ...]], object]) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if header is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, in_columns, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read: save the arrays alone")
    check_shape(shape)
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_ARRAY_BYTES or len(shape) > 8:
        raise ValueError(f"it claims {list(shape)} values of {dtype}, more than any photo has")
    data = file.read(size)
    if len(data) < size:
        raise ValueError(f"it ends after {len(data)} of {size} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")

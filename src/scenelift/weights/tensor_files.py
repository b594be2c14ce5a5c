"""Writes safetensors files tensor by tensor, and stores what two files share only once.

The package's own writer wants a file's tensors in memory all at once. The format
(https://github.com/huggingface/safetensors#format) is a JSON header, padded to eight bytes, and the
tensors' bytes behind it. Two names cannot point to the same bytes there, so a tensor that is stored
elsewhere is named in the header's metadata: `same_as` is a JSON table from its name to
`FILE:NAME`, FILE being this file or one beside it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from scenelift.errors import WeightsError
from scenelift.io.files import TEMPORARY_PREFIX

__all__ = ["read_tensors", "write_tensors"]

_CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_SAME_AS = "same_as"


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    types: Mapping[str, torch.dtype],
    same_as: Mapping[str, str],
    on_bytes: Callable[[int], None],
) -> str:
    """Write a file that appears under its name only once it is complete.

    Args:
        path: of the file; one that is there is replaced.
        tensors: by name, on any device; one at a time is converted and copied.
        types: the type to store each of them in.
        same_as: of those tensors that are stored elsewhere, where: `FILE:NAME`.
        on_bytes: called with the size of each tensor that is written; may raise Cancelled.

    Returns:
        SHA-256 of the file.
    """
    # The largest types first, which keeps every tensor aligned to its own.
    order = sorted(tensors.keys() - same_as.keys(), key=lambda n: (-types[n].itemsize, n))
    header: dict[str, object] = {
        "__metadata__": {"format": "pt", _SAME_AS: json.dumps(dict(sorted(same_as.items())))}
    }
    end = 0
    for name in order:
        start, end = end, end + tensors[name].numel() * types[name].itemsize
        header[name] = {
            "dtype": _CODES[types[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    digest = hashlib.sha256()
    partial = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        with partial.open("wb") as file:
            for data in (struct.pack("<Q", len(text)), text):
                digest.update(data)
                file.write(data)
            for name in order:
                stored = tensors[name].detach().to("cpu", types[name]).contiguous()
                data = stored.reshape(-1).view(torch.uint8).numpy().data
                digest.update(data)
                file.write(data)
                on_bytes(len(data))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors of a file by name, mapped from disk, with those it shares with files beside it.

    Raises:
        SafetensorError, OSError: the file is missing, damaged, or no safetensors file.
        WeightsError: a tensor it shares is not where it says.
    """
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        table = (file.metadata() or {}).get(_SAME_AS, "{}")
    try:
        same_as = {str(name): str(place) for name, place in json.loads(table).items()}
    except (ValueError, AttributeError) as exc:
        raise WeightsError(f"{path}: its table {_SAME_AS!r} cannot be read: {exc}") from exc
    beside = {path.name: tensors}
    for name, place in same_as.items():
        other, _, twin = place.partition(":")
        if other not in beside and Path(other).name == other:
            beside[other] = load_file(path.with_name(other))
        if twin not in beside.get(other, {}):
            raise WeightsError(
                f"{path} says that {name!r} is stored at {place}, and it is not. Convert the "
                "weights again: `scenelift models convert full`."
            )
        tensors[name] = beside[other][twin]
    return tensors

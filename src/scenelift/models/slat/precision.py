"""Chooses which tensors of a network are computed in half precision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["tensor_types", "to_half"]

_TORSO = ("blocks", "input_blocks", "out_blocks", "middle_block", "upsample", "projection_nets")


def to_half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert matrices and convolutions inside the networks' blocks to float16, the rest unchanged.

    Norms, query and key gains, embeddings, and the first and last layer stay as they are: they
    are small, and the published code computes them in float32.
    """
    return {name: t.half() if _in_torso(name, tensors) else t for name, t in tensors.items()}


def _in_torso(name: str, tensors: Mapping[str, Tensor]) -> bool:
    path, _, last = name.rpartition(".")
    weight = tensors.get(f"{path}.weight")
    return (
        last in ("weight", "bias")
        and weight is not None
        and weight.ndim >= 2
        and any(part in _TORSO for part in path.split("."))
    )


def tensor_types(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Type that each tensor of a network is to have, by its published name.

    Matrices and convolutions inside the blocks get `dtype`. Norms, embeddings, first and last
    layers stay float32, so a network takes and returns float32 and needs no autocast around it.
    """
    # Which tensors may be half precision follows from names and shapes.
    blank = {
        n: torch.empty(t.shape, dtype=torch.float32, device="meta") for n, t in tensors.items()
    }
    return {
        name: dtype if t.dtype == torch.float16 else torch.float32
        for name, t in to_half(blank).items()
    }

"""Golden cases: inputs and outputs of the published code, with weights that follow from names.

A case is two files: `NAME.safetensors`, or the same file compressed as `NAME.safetensors.xz`, holds
tensors `inputs.*`, `outputs.*` and `meta.*`; `NAME.json` holds names and shapes of the parameters,
and the scalars. The weights themselves are not stored: `weights` computes each from its published
name and a salt.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from scenelift.errors import InputError
from scenelift.models.layers.embeddings import absolute_position_embedding
from scenelift.weights.state_dicts import read_state_dict

__all__ = ["GoldenCase", "case_names", "read_case", "weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCase:
    """One recorded run of a published module.

    Attributes:
        name: of its files, without suffix.
        folder: where they lie.
        parameters: shape of every tensor of the module's state dict, by published name.
        scalars: sizes and settings: `meta.heads`, `inputs.res`, `outputs.factor`.
        tensors: by full name, such as `inputs.cond`.
        state: the state dict, for the salt that the case was read with.
    """

    name: str
    folder: Path
    parameters: Mapping[str, tuple[int, ...]]
    scalars: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Tensor]

    def input(self, name: str) -> Tensor:
        return self.tensors[f"inputs.{name}"]

    def output(self, name: str) -> Tensor:
        return self.tensors[f"outputs.{name}"]

    def scalar(self, *names: str) -> Any:
        """Return the value of the first of several scalars that is there, or None."""
        return next((self.scalars[name] for name in names if name in self.scalars), None)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Select tensors below a prefix, such as `outputs.velocity`, by the rest of their names."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def case_names(folder: Path) -> list[str]:
    """List the names of the cases in a folder.

    Raises:
        InputError: it holds none.
    """
    names = sorted(path.stem for path in folder.glob("*.json"))
    if not names:
        raise InputError(f"No golden case in {folder}: expected pairs of .json and .safetensors.")
    return names


def read_case(folder: Path, name: str, *, salt: int = 0) -> GoldenCase:
    """Read one case and make its weights."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    parameters = {k: tuple(shape) for k, shape in facts["parameters"].items()}
    return GoldenCase(
        name=name,
        folder=folder,
        parameters=parameters,
        scalars=facts["scalars"],
        tensors=_read_tensors(folder / f"{name}.safetensors"),
        state=weights(parameters, salt=salt),
    )


def _read_tensors(file: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a safetensors file, which may be stored compressed instead."""
    compressed = file.with_name(file.name + ".xz")
    if file.exists() or not compressed.exists():
        return read_state_dict(file)
    return safetensors.torch.load(lzma.decompress(compressed.read_bytes()))


def weights(parameters: Mapping[str, tuple[int, ...]], *, salt: int = 0) -> dict[str, Tensor]:
    """Make the state dict that names and shapes stand for."""
    return {name: _tensor(_published(name), shape, salt) for name, shape in parameters.items()}


def _published(name: str) -> str:
    """Return a parameter's name in its own network, where a case has several."""
    return name.rpartition("/")[2].removeprefix("naf.")


def _tensor(name: str, shape: tuple[int, ...], salt: int) -> Tensor:
    last = name.rpartition(".")[2]
    if name in ("pos_emb", "latent_mapping.shape.pos_emb"):
        return _grid_embedding(*shape)
    if last == "offset_perturbation":
        return _offset_perturbation(shape[0])
    if name.endswith("rope.periods"):
        return 100.0 ** (2 * torch.arange(shape[0]) / (2 * shape[0]))
    if last in ("image_mean", "image_std"):
        values = (0.485, 0.456, 0.406) if last == "image_mean" else (0.229, 0.224, 0.225)
        return torch.tensor(values).reshape(shape)
    digest = hashlib.sha256(f"{salt}:{name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    z = torch.from_numpy(np.asarray(rng.standard_normal(shape, dtype=np.float32)))
    if last == "gamma" or (z.ndim == 1 and last.endswith("weight")):
        return 1 + 0.1 * z
    if z.ndim <= 1:
        return 0.1 * z
    return z / math.sqrt(z[0].numel())


def _grid_embedding(tokens: int, width: int) -> Tensor:
    side = torch.arange(round(tokens ** (1 / 3)))
    return absolute_position_embedding(torch.cartesian_prod(side, side, side), width)


def _offset_perturbation(count: int) -> Tensor:
    """Place a voxel's Gaussians before the decoder's tanh: a Hammersley set."""
    points = [[i / count, _radical_inverse(i, 2), _radical_inverse(i, 3)] for i in range(count)]
    return torch.atanh((2 * torch.tensor(points) - 1) / 1.5)


def _radical_inverse(i: int, base: int) -> float:
    value, place = 0.0, 1.0 / base
    while i:
        i, digit = divmod(i, base)
        value += digit * place
        place /= base
    return value

"""Reads tensors from weight files, and puts them into modules, strictly.

Nothing here runs code from a file: safetensors holds none, and pickles go through PyTorch's
restricted reader.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from scenelift.errors import SetupError, WeightsError, first_line
from scenelift.weights.tensor_files import read_tensors

__all__ = ["StateDict", "load_module", "read_pickle", "read_state_dict", "under_prefix"]

StateDict = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)


def read_state_dict(path: Path, *, member: str | None = None) -> dict[str, Tensor]:
    """Read tensors of a weight file by name, mapped from disk rather than copied.

    Args:
        path: a `.safetensors` file, or else a file written by `torch.save`.
        member: name of the state dict inside a pickled dictionary that holds more; where the
            dictionary has no such member, it is the state dict itself.

    Raises:
        WeightsError: the file is missing, damaged, or holds something else.
    """
    if path.suffix == ".safetensors":
        _expect_file(path)
        try:
            return read_tensors(path)
        except (SafetensorError, OSError) as exc:
            raise _damaged(path, exc) from exc
    content = read_pickle(path)
    if member is not None and isinstance(content, Mapping) and member in content:
        content = content[member]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise WeightsError(
            f"{path} holds no table of named tensors, which is what model weights are. "
            f"Check that it is the file you meant, or fetch it again."
        )
    return dict(content)


def read_pickle(path: Path) -> Any:
    """Read a file written by `torch.save`: tensors, numbers, text and containers of them.

    Raises:
        WeightsError: the file is missing or damaged, or its pickle asks for anything else.
        SetupError: this PyTorch's restricted reader has a known hole.
    """
    # Before 2.6 a crafted file could run code even so: CVE-2025-32434.
    if torch.__version__ < "2.6":  # a TorchVersion: compares numbers, not text
        raise SetupError(
            f"PyTorch {torch.__version__} cannot read {path.name} safely; 2.6 or later can. "
            f"Run `pip install 'torch>=2.6'`, or convert the weights to safetensors elsewhere."
        )
    _expect_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # noqa: TID251
    except pickle.UnpicklingError as exc:
        raise WeightsError(
            f"{path} is refused: it is damaged, or asks to run code while it is read, which weight "
            f"files have no need for. Fetch it again from its publisher. ({first_line(exc)})"
        ) from exc
    except (
        *(RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
        *(MemoryError, SyntaxError, ArithmeticError),
    ) as exc:
        # What its reader lets slip for archives and pickles that were damaged just so.
        raise _damaged(path, exc) from exc


def under_prefix(tensors: StateDict, prefix: str) -> dict[str, Tensor]:
    """Select tensors whose name begins with the prefix, by the rest of the name."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_module(build: Callable[[], M], tensors: StateDict, *, source: str) -> M:
    """Build a module around tensors: nothing is allocated, copied or initialised.

    Args:
        build: makes the module; called with the meta device as the default.
        tensors: one for every parameter and persistent buffer, and no other.
        source: what the tensors are, for the message.

    Returns:
        The module in evaluation mode, without gradients, in the types of the tensors.

    Raises:
        WeightsError: a tensor is missing, left over, or of another shape.
    """
    with torch.device("meta"):
        module = build()
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    actual = {name: tuple(t.shape) for name, t in tensors.items()}
    complaints = [
        _name_list("missing", expected.keys() - actual.keys()),
        _name_list("left over", actual.keys() - expected.keys()),
        _name_list(
            "of another shape",
            (
                f"{name} {list(actual[name])} instead of {list(expected[name])}"
                for name in expected.keys() & actual.keys()
                if expected[name] != actual[name]
            ),
        ),
    ]
    if any(complaints):
        raise WeightsError(
            f"The weights do not fit the model: {source}: {'; '.join(filter(None, complaints))}. "
            f"Check that the file belongs to this model and version."
        )
    module.load_state_dict(dict(tensors), strict=True, assign=True)
    for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
        if tensor.is_meta:
            raise RuntimeError(f"{type(module).__name__}.{name} is not part of its state dict")
    return module.eval().requires_grad_(False)


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(
            f"No weight file at {path}. `scenelift models download` fetches what is public; "
            f"`scenelift models list` says where each file comes from."
        )


def _damaged(path: Path, exc: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read: it is cut short, damaged, or no weight file. "
        f"Fetch it again; `scenelift models verify` compares sizes and hashes. "
        f"({first_line(exc)})"
    )


def _name_list(complaint: str, names: Iterable[str], most: int = 4) -> str:
    every = sorted(names)
    if not every:
        return ""
    names_text = ", ".join(every[:most])
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return f"{len(every)} {complaint} ({names_text}{more})"

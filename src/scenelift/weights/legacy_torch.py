"""Reads tensors of a state dict that an old PyTorch wrote (before zip files), without PyTorch.

The file is five pickles, then the bytes of every storage. Only names of tensors, shapes and
storages are understood; whatever else a pickle asks for is refused, so nothing in it is executed.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import WeightsError

__all__ = ["read_state_dict"]

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage:
    """A run of numbers whose bytes come later in the file."""

    def __init__(self, dtype: np.dtype, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count
        self.values: NDArray[Any] = np.zeros(0, dtype)


class _View:
    """A tensor: some numbers of a storage, in steps of its own along each axis."""

    def __init__(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        *_: Any,
    ) -> None:
        self.storage, self.offset, self.shape, self.steps = storage, offset, shape, steps

    def array(self) -> NDArray[Any]:
        values = self.storage.values[self.offset :]
        last = sum((side - 1) * step for side, step in zip(self.shape, self.steps, strict=True))
        if min((self.offset, *self.shape, *self.steps)) < 0 or last >= len(values):
            raise ValueError("a tensor lies outside its numbers")
        steps = [step * values.itemsize for step in self.steps]
        return np.lib.stride_tricks.as_strided(values, self.shape, steps).copy()


class _Reader(pickle.Unpickler):
    """An unpickler that knows only four names."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise WeightsError(f"The weights ask for {module}.{name}: only tensors are read.")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _place, count, _view = pid
        if kind != "storage":
            raise WeightsError(f"The weights hold a {kind!r}: only tensors are read.")
        return self.storages.setdefault(key, _Storage(dtype, key, count))


def read_state_dict(data: bytes) -> dict[str, NDArray[Any]]:
    """Read the tensors by name.

    Raises:
        WeightsError: it is another kind of file, or is damaged.
    """
    file = io.BytesIO(data)
    try:
        if _Reader(file).load() != MAGIC:
            raise WeightsError("These are not weights that an old PyTorch wrote.")
        for _ in range(2):  # the format's version, the machine's word sizes
            _Reader(file).load()
        reader = _Reader(file)
        views = reader.load()
        for key in _Reader(file).load():
            storage = reader.storages[key]
            (count,) = np.frombuffer(file.read(8), "<i8")
            storage.values = np.frombuffer(
                file.read(int(count) * storage.dtype.itemsize), storage.dtype
            )
        return {name: view.array() for name, view in views.items()}
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as exc:
        raise WeightsError(f"The weights are damaged: {exc}") from exc

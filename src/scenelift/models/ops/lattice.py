"""Sets of lattice points as sorted keys: a search takes the place of a hash table or a dense grid.

Shape letters in this file: N points of a set, Q points asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["KeySet", "lattice_keys"]


def lattice_keys(
    points: Tensor,  # int [..., 3]
    side: int,  # coordinates lie in 0 … side − 1
) -> Tensor:  # int32 (int64 from side 1291 up) [...]
    """Number the points of a cubic lattice in lexicographic order of x, y, z."""
    dtype = torch.int32 if side**3 <= torch.iinfo(torch.int32).max else torch.int64
    x, y, z = points.to(dtype).unbind(-1)
    return (x * side + y) * side + z


class KeySet:
    """Looks up where keys stand in a set of keys; on any device, without waiting for it."""

    def __init__(self, keys: Tensor) -> None:  # [N], no repeats, any order
        self._sorted, self._row = torch.sort(keys)

    def rows_of(self, keys: Tensor) -> Tensor:  # [Q] -> int64 [Q]
        """Return the row of each key in the set as it was given, −1 where the set lacks it."""
        if not len(self._sorted):
            return torch.full_like(keys, -1, dtype=torch.int64)
        keys = keys.contiguous()
        at = torch.searchsorted(self._sorted, keys).clamp_(max=len(self._sorted) - 1)
        return torch.where(self._sorted[at] == keys, self._row[at], -1)

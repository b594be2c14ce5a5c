"""Materials as numbers on fine voxels around a surface, interpolated at points between.

Shape letters in this file: N voxels, P points, A attributes of a voxel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scenelift.models.ops.lattice import KeySet, lattice_keys

__all__ = ["AttributeField"]

# Points looked up at a time: a table of eight rows and weights for each.
_AT_ONCE = 1 << 21


class AttributeField:
    """Interpolates between the centres of voxels, from the eight around a point that exist.

    Args:
        cells: int [N, 3], no repeats.
        values: float [N, A], at the cells' centres.
        resolution: cells lie in 0 … resolution − 1.
    """

    def __init__(self, cells: Tensor, values: Tensor, resolution: int) -> None:
        self.resolution = resolution
        self._values = values
        self._voxels = KeySet(lattice_keys(cells, resolution))

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Compute weighted means: trilinear, where the others get the weights of missing voxels.

        Args:
            points: float [P, 3], in voxels from the grid's low corner.

        Returns:
            Values [P, A], 0 where no voxel is near, and the weight [P] of those that exist, 0…1.
        """
        parts = [self._at(part) for part in points.split(_AT_ONCE)]
        if not parts:
            return points.new_zeros(0, self._values.shape[1]), points.new_zeros(0)
        values, weights = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(weights)

    def _at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        low = (points - 0.5).floor()
        steps = torch.arange(2, device=points.device)
        corners = torch.cartesian_prod(steps, steps, steps)  # [8, 3]
        total = points.new_zeros(len(points), self._values.shape[1])
        weight = points.new_zeros(len(points))
        for corner in corners:  # not all eight at once: a row of values for each would be large
            cells = low + corner
            near = (1 - (points - cells - 0.5).abs()).clamp(min=0).prod(1)
            inside = ((cells >= 0) & (cells < self.resolution)).all(1)
            keys = lattice_keys(cells.clamp(0, self.resolution - 1).long(), self.resolution)
            row = self._voxels.rows_of(keys)
            share = torch.where(inside & (row >= 0), near, 0)
            total.addcmul_(self._values[row.clamp(min=0)], share[:, None])
            weight += share
        return total / weight.clamp(min=1e-12)[:, None], weight

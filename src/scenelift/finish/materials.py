"""Materials of points on a surface, from the attributes of voxels around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["material_bytes"]


def material_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:  # [P, 6] -> [P, 6]
    """Attributes in 0…1 as bytes, cut off as the published export does: never rounded up."""
    return np.clip(values * np.float32(255), 0, 255).astype(np.uint8)

"""The published object frame is z-up; ours is y-up."""

import numpy as np

__all__ = ["OBJECT_FROM_ZUP"]

OBJECT_FROM_ZUP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) → (x, z, −y), for column vectors."""

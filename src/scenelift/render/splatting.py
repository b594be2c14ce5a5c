"""What all splat rasterisers share: the constants of their one contract.

An opacity of n > 1 stands for n opaque splats in one place, as `detail.py` makes of many: it fades,
and ends where it can no longer be seen, as one of them does, and then weighs n times as much.
"""

from __future__ import annotations

TILE = 16  # pixels
DILATION = 0.3  # pixels², added to the variance on the screen
MIN_ALPHA = 1 / 255  # what is fainter cannot be seen
MAX_ALPHA = 0.99  # keeps the transmittance above zero
MIN_TRANSMITTANCE = 1e-4  # a pixel is finished
LARGEST = 1e6  # pixels; single precision ends there, and so does a splat that reaches so far
# A splat far outside the picture is linearised at its edge, plus this share of its half-width.
FRUSTUM_MARGIN = 0.3

"""What SAM 3D Objects and TRELLIS can be told beyond what every backend is told.

Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from scenelift.device import Precision
from scenelift.registry import BackendOptions

__all__ = ["DISTILLED_STEPS", "ReconstructionOptions", "ViewMode", "VoxelKind"]

ViewMode: TypeAlias = Literal["stochastic", "multidiffusion"]
"""How several conditions of one object, such as photos from several sides, are combined:
"stochastic" takes one a step in turn, "multidiffusion" the mean of all velocities at every step,
which costs as many evaluations (the names of TRELLIS's published code)."""

# A straightened flow needs few steps; the publishers leave their number to the caller.
DISTILLED_STEPS = 4

VoxelKind: TypeAlias = Literal["512", "1024", "1024_cascade", "1536_cascade"]
"""What TRELLIS.2 and its successors make: how many fine voxels a side, and whether by way of a
coarser shape (the names of TRELLIS.2's published code)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionOptions(BackendOptions):
    """Options for `BackendOptions`' place; other backends ignore what is added here.

    The defaults are the published settings.

    Attributes:
        structure_steps: of the first stage, which makes the shape (and SAM 3D the pose); None for
            what the checkpoint says (25), or 4 where distilled.
        latent_steps: of the second stage, which makes appearance and detail; None likewise (25).
        distilled: SAM 3D only: run the first stage without guidance and with its step size as an
            input, as it was distilled for: a tenth of the work, a little less faithful.
        splats_per_voxel: SAM 3D only: 32, or 4 for a file an eighth as large.
        precision: of the large matrices; "auto" is float16 on CUDA and float32 elsewhere.
        compile: let PyTorch compile the flows on CUDA, which pays from a few objects on.
        view_mode: TRELLIS only: how several photos of one object are combined. "stochastic" looks
            at one a step in turn and takes no longer than one photo; "multidiffusion" takes the
            mean over all of them at every step.
        voxel_kind: TRELLIS.2 and Pixal3D only: how fine, and by what way. "512" is the fastest and
            needs the least memory; Pixal3D has the cascades alone.
    """

    structure_steps: int | None = None
    latent_steps: int | None = None
    distilled: bool = False
    splats_per_voxel: Literal[4, 32] = 32
    precision: Precision = "auto"
    compile: bool = False
    view_mode: ViewMode = "stochastic"
    voxel_kind: VoxelKind = "1024_cascade"

    def __post_init__(self) -> None:
        for name in ("structure_steps", "latent_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

"""Masks in messages: lengths of runs, outside and inside by turns, row by row.

Nothing has to be decoded to check them, and none can be larger than it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MAX_RUNS", "MAX_SIDE", "Runs", "mask_of_runs", "runs_of_mask"]

MAX_SIDE = 2048
MAX_RUNS = 200_000

Length = Annotated[int, Field(ge=0, le=MAX_SIDE**2, strict=True)]


class Runs(BaseModel):
    """A mask over the whole photo."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"example": {"width": 4, "height": 2, "runs": [1, 2, 5]}},
    )

    width: int = Field(ge=1, le=MAX_SIDE)
    height: int = Field(ge=1, le=MAX_SIDE)
    runs: tuple[Length, ...] = Field(
        max_length=MAX_RUNS,
        description="pixels outside, inside, outside …, row by row from the top left",
    )

    @model_validator(mode="after")
    def _covers_all(self) -> Self:
        if sum(self.runs) != self.width * self.height:
            raise ValueError(
                f"the runs have {sum(self.runs)} pixels, the mask {self.width} × {self.height}"
            )
        return self


def runs_of_mask(mask: NDArray[np.bool_]) -> Runs:
    """Encode a mask [H, W] of at most `MAX_SIDE` a side as runs."""
    import numpy as np

    flat = np.concatenate([[False], mask.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff(np.concatenate([[0], edges, [mask.size]]))
    height, width = mask.shape
    return Runs.model_construct(width=width, height=height, runs=tuple(lengths.tolist()))


def mask_of_runs(runs: Runs, width: int, height: int) -> NDArray[np.float32]:
    """Decode the mask at another size, soft at its edges: float32 [height, width] in 0…1."""
    import numpy as np
    from PIL import Image as Pillow

    inside = np.arange(len(runs.runs)) % 2 == 1
    flat = np.repeat(inside, runs.runs)
    picture = Pillow.fromarray(flat.reshape(runs.height, runs.width).astype(np.uint8) * 255)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Pillow.Resampling.BILINEAR)
    return np.asarray(picture, np.float32) / np.float32(255)

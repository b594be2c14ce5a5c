"""The stages of a run: their names in results, events and options, and their titles for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["STAGES", "TITLES", "Stage", "StageName"]

Stage = Literal[
    "segment", "pointmap", "reconstruct", "finish", "compose", "background", "preview", "write"
]


@dataclass(frozen=True, slots=True)
class StageName:
    """A stage of a run.

    Attributes:
        name: in manifests, events and stored results.
        title: what people read while it runs.
        seconds: a first guess of what it takes, with the embedded models on a laptop's CPU; of one
            object where it is `of_object`.
        of_object: it runs once for each object.
    """

    name: Stage
    title: str
    seconds: float
    of_object: bool = False


STAGES = (
    StageName("segment", "Finding objects", 3.0),
    StageName("pointmap", "Estimating depth", 1.0),
    StageName("reconstruct", "Reconstructing", 3.0, of_object=True),
    StageName("finish", "Finishing meshes", 1.0, of_object=True),
    StageName("compose", "Placing objects", 1.5),
    StageName("background", "Building the background", 2.0),
    StageName("preview", "Drawing the preview", 3.0),
    StageName("write", "Writing files", 1.0),
)
"""In the order in which they run."""

TITLES: dict[str, str] = {stage.name: stage.title for stage in STAGES} | {
    "weights": "Fetching weights",
    "convert": "Converting weights",
}

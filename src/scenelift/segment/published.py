"""Names the segmenters' published models, and the phrases for suggestions.

Nothing here imports PyTorch: the registry reads it to say what is missing.
"""

from __future__ import annotations

from pathlib import Path

from scenelift.lacks import Lack, lacking_packages
from scenelift.options import BackendOptions
from scenelift.segment.hub import PACKAGES, lacking_weights
from scenelift.weights.published import MODELS

__all__ = [
    "COMMON",
    "GROUNDED_PAIRS",
    "GROUNDING_DINO",
    "SAM2",
    "SAM3",
    "grounded_sam2_lacks",
    "sam3_lacks",
    "split_pair",
]

SAM3 = MODELS["sam3"]
GROUNDING_DINO = MODELS["grounding-dino"]
SAM2 = MODELS["sam2.1"]

# Backends of Grounding DINO and SAM 2.1, by name: what finds boxes, and what cuts out.
GROUNDED_PAIRS = {
    "grounded-sam2": (GROUNDING_DINO, SAM2),
    "grounded-sam2-tiny": (MODELS["grounding-dino-tiny"], MODELS["sam2.1-tiny"]),
}

# What is looked for to make suggestions when nothing matched: frequent in photos, and apart.
COMMON = (
    *("person", "chair", "table", "cup", "bottle", "plant", "book", "lamp"),
    *("car", "dog", "cat", "bag", "shoe", "toy", "fruit", "box"),
)


def sam3_lacks(options: BackendOptions) -> list[Lack]:
    """List what "sam3" lacks here."""
    return [*lacking_packages(*PACKAGES), *lacking_weights(SAM3, options.weights, options.model)]


def grounded_sam2_lacks(options: BackendOptions, name: str = "grounded-sam2") -> list[Lack]:
    """List what one of `GROUNDED_PAIRS` lacks here."""
    return [
        *lacking_packages(*PACKAGES),
        *(
            reason
            for model, repository in zip(
                GROUNDED_PAIRS[name], split_pair(options.model, name), strict=True
            )
            for reason in lacking_weights(model, options.weights, repository)
        ),
    ]


def split_pair(model: str | None, name: str = "grounded-sam2") -> tuple[str | None, str | None]:
    """Split `--segmenter-model` into the detector and the mask model of one of `GROUNDED_PAIRS`.

    Either "detector+masks", each a folder or a hub id, or one folder that holds both in folders of
    their names.
    """
    if not model:
        return None, None
    folder = Path(model).expanduser()
    if folder.is_dir():
        detector, masks = GROUNDED_PAIRS[name]
        return str(folder / detector.name), str(folder / masks.name)
    first, _, second = model.partition("+")
    return first or None, second or None

"""Which published models the segmenters are, and what we ask any of them for suggestions.

Nothing here imports PyTorch: the registry reads it to say what is missing.
"""

from __future__ import annotations

from pathlib import Path

from scenelift.registry import BackendOptions
from scenelift.segment.hub import HubModel, lacking_packages, lacking_weights

__all__ = [
    "COMMON",
    "GROUNDING_DINO",
    "SAM2",
    "SAM3",
    "grounded_sam2_lacks",
    "sam3_lacks",
    "split_pair",
]

SAM3 = HubModel(
    name="sam3",
    hub_id="facebook/sam3",
    model_types=("sam3", "sam3_video"),
    bundle="full",
    gated=True,
)
GROUNDING_DINO = HubModel(
    name="grounding-dino",
    hub_id="IDEA-Research/grounding-dino-base",
    model_types=("grounding-dino",),
    bundle="open",
)
SAM2 = HubModel(
    name="sam2.1",
    hub_id="facebook/sam2.1-hiera-large",
    model_types=("sam2", "sam2_video"),
    bundle="open",
    reads_text=False,
)

# What is looked for to make suggestions when nothing matched: frequent in photos, and apart.
COMMON = (
    *("person", "chair", "table", "cup", "bottle", "plant", "book", "lamp"),
    *("car", "dog", "cat", "bag", "shoe", "toy", "fruit", "box"),
)


def sam3_lacks(options: BackendOptions) -> list[str]:
    """What "sam3" lacks here."""
    return [*lacking_packages(), *lacking_weights(SAM3, options.weights, options.model)]


def grounded_sam2_lacks(options: BackendOptions) -> list[str]:
    """What "grounded-sam2" lacks here."""
    detector, masks = split_pair(options.model)
    return [
        *lacking_packages(),
        *lacking_weights(GROUNDING_DINO, options.weights, detector),
        *lacking_weights(SAM2, options.weights, masks),
    ]


def split_pair(model: str | None) -> tuple[str | None, str | None]:
    """The detector and the mask model that `--segmenter-model` names for "grounded-sam2".

    Either "detector+masks", each a folder or a hub id, or one folder that holds both in folders of
    their names.
    """
    if not model:
        return None, None
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder / GROUNDING_DINO.name), str(folder / SAM2.name)
    detector, _, masks = model.partition("+")
    return detector or None, masks or None

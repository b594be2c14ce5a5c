"""Stage 1, segment: which pixels belong to which object."""

from scenelift.lacks import Lack
from scenelift.options import BackendOptions
from scenelift.registry import Backend
from scenelift.runtime import Runtime
from scenelift.segment.base import SEGMENTERS, Segmenter

__all__ = ["SEGMENTERS", "Segmenter"]


def _load_embedded(runtime: Runtime) -> Segmenter:
    from scenelift.segment.embedded import EmbeddedSegmenter

    return EmbeddedSegmenter.load(runtime)


def _embedded_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.weights.embedded import missing_for

    return missing_for("segment", options.weights)


def _load_sam3(runtime: Runtime) -> Segmenter:
    from scenelift.segment.sam3 import SAM3Segmenter

    return SAM3Segmenter.load(runtime)


def _sam3_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.segment.published import sam3_lacks

    return sam3_lacks(options)


def _load_grounded_sam2(runtime: Runtime) -> Segmenter:
    from scenelift.segment.grounded_sam2 import GroundedSAM2Segmenter

    return GroundedSAM2Segmenter.load(runtime)


def _grounded_sam2_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.segment.published import grounded_sam2_lacks

    return grounded_sam2_lacks(options)


SEGMENTERS.add(
    Backend(
        name="sam3",
        load=_load_sam3,
        networks=True,
        lacks=_sam3_lacks,
        licence=(
            "code Apache-2.0; weights SAM License, gated: commercial use under its conditions, "
            "https://huggingface.co/facebook/sam3"
        ),
    )
)
SEGMENTERS.add(
    Backend(
        name="grounded-sam2",
        load=_load_grounded_sam2,
        networks=True,
        lacks=_grounded_sam2_lacks,
        licence=(
            "code and weights Apache-2.0: commercial use allowed, "
            "https://huggingface.co/IDEA-Research/grounding-dino-base, "
            "https://huggingface.co/facebook/sam2.1-hiera-large"
        ),
    )
)


def _load_grounded_sam2_tiny(runtime: Runtime) -> Segmenter:
    from scenelift.segment.grounded_sam2 import GroundedSAM2Segmenter

    return GroundedSAM2Segmenter.load(runtime, name="grounded-sam2-tiny")


def _grounded_sam2_tiny_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.segment.published import grounded_sam2_lacks

    return grounded_sam2_lacks(options, "grounded-sam2-tiny")


SEGMENTERS.add(
    Backend(
        name="grounded-sam2-tiny",
        load=_load_grounded_sam2_tiny,
        networks=True,
        lacks=_grounded_sam2_tiny_lacks,
        licence=(
            "code and weights Apache-2.0: commercial use allowed, "
            "https://huggingface.co/IDEA-Research/grounding-dino-tiny, "
            "https://huggingface.co/facebook/sam2.1-hiera-tiny"
        ),
    )
)
SEGMENTERS.add(
    Backend(
        name="embedded",
        load=_load_embedded,
        lacks=_embedded_lacks,
        licence="code and weights Apache-2.0 or MIT: commercial use allowed, see NOTICE",
    )
)

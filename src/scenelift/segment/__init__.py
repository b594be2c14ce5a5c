"""Stage 1, segment: which pixels belong to which object."""

from scenelift.registry import Backend, BackendOptions
from scenelift.segment.base import SEGMENTERS, Segmenter

__all__ = ["SEGMENTERS", "Segmenter"]


def _load_embedded(options: BackendOptions) -> Segmenter:
    from scenelift.segment.embedded import EmbeddedSegmenter

    return EmbeddedSegmenter.load(options)


def _embedded_lacks(options: BackendOptions) -> list[str]:
    from scenelift.weights.embedded import missing_for

    return missing_for("segment", options.weights)


SEGMENTERS.add(
    Backend(
        name="embedded",
        load=_load_embedded,
        lacks=_embedded_lacks,
        licence="code and weights Apache-2.0 / MIT (NOTICE names each)",
    )
)

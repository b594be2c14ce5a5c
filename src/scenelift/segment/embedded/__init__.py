"""Segmentation with small models that ship inside ordinary packages: no gate, no GPU."""

from scenelift.segment.embedded.segmenter import EmbeddedSegmenter

__all__ = ["EmbeddedSegmenter"]

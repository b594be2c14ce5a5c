"""The first stage: from text, boxes or masks to instances."""

from __future__ import annotations

from typing import Protocol

from scenelift.progress import Reporter
from scenelift.registry import Registry
from scenelift.types import Image, Prompt, Segmentation

__all__ = ["SEGMENTERS", "Segmenter"]


class Segmenter(Protocol):
    """Finds every object that the prompt names.

    `version` names the model and its weights; together with the inputs it decides whether a
    saved result can be used again.
    """

    name: str
    version: str

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """Find the objects.

        Args:
            image: the photo, of any size.
            prompt: phrases and boxes; a phrase may match any number of objects.
            report: progress; raises Cancelled between steps.

        Returns:
            Instances ordered by score, then area, masks at the photo's resolution. Empty when
            nothing matched: `notes` and `suggestions` then help the user.
        """
        ...


SEGMENTERS: Registry[Segmenter] = Registry("segmenter")

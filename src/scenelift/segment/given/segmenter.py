"""Returns the user's masks, and has boxes cut out by another segmenter."""

from __future__ import annotations

from collections.abc import Sequence

from scenelift.errors import InputError
from scenelift.progress import Reporter
from scenelift.segment.base import Segmenter
from scenelift.segment.clicks import Clicker, TakesClicks
from scenelift.stages import digest
from scenelift.types import BoxPrompt, Dropped, Image, Instance, Prompt, Segmentation

__all__ = ["INSTANCES_NAME", "GivenSegmenter"]

INSTANCES_NAME = "instances.json"


class GivenSegmenter:
    """Returns masks that were loaded before; a prompt's boxes leave out what they exclude.

    Args:
        instances: objects with masks.
        boxes: objects of which only a box is known.
        cutter: makes masks of those boxes and of the prompt's; needed where there are any.
        notes: told with the result.
    """

    name = "given"

    def __init__(
        self,
        instances: Sequence[Instance],
        *,
        boxes: Sequence[BoxPrompt] = (),
        cutter: Segmenter | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        if boxes and cutter is None:
            raise ValueError("boxes need a segmenter that cuts them out")
        self._instances, self._boxes = tuple(instances), tuple(boxes)
        self._cutter, self._notes = cutter, tuple(notes)
        parts = [self._instances, self._boxes, cutter and f"{cutter.name} {cutter.version}"]
        self.version = digest(*parts)[:16]

    @property
    def clicker(self) -> Clicker | None:
        """The cutter's; None where there is no cutter or it takes no points."""
        return self._cutter.clicker if isinstance(self._cutter, TakesClicks) else None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the objects, each once."""
        return tuple(dict.fromkeys(i.label for i in (*self._instances, *self._boxes)))

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """Return the given masks in their order, then what given and drawn boxes hold.

        Raises:
            InputError: masks are not of the photo's size.
        """
        report.check()
        instances: list[Instance] = []
        dropped: list[Dropped] = []
        for instance in self._instances:
            if instance.mask.shape != (image.height, image.width):
                height, width = instance.mask.shape
                raise InputError(
                    f"The mask {instance.label!r} is {width} × {height} pixels, the photo is "
                    f"{image.width} × {image.height}. Masks must have the photo's size (after its "
                    "EXIF orientation)."
                )
            reason = None
            if prompt.min_score is not None and instance.score < prompt.min_score:
                reason = f"score {instance.score:.2f} is below {prompt.min_score:g}"
            elif any(_covers(b.box, instance) for b in prompt.boxes if not b.positive):
                reason = "in a box that was excluded"
            if reason is None:
                instances.append(instance)
            else:
                dropped.append(Dropped.of(instance, reason))
        notes = self._notes
        boxes = (*self._boxes, *prompt.boxes)
        if self._cutter is not None and any(prompt_box.positive for prompt_box in boxes):
            boxes_prompt = Prompt(boxes=boxes, mask_threshold=prompt.mask_threshold)
            from_boxes = self._cutter.segment(image, boxes_prompt, report)
            instances += from_boxes.instances
            dropped += from_boxes.dropped
            notes += from_boxes.notes
        return Segmentation(instances=tuple(instances), dropped=tuple(dropped), notes=notes)


def _covers(box: tuple[float, float, float, float], instance: Instance) -> bool:
    """Tell whether most of an object lies in a box."""
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    return instance.mask[y0:y1, x0:x1].sum() > 0.5 * instance.mask.sum()

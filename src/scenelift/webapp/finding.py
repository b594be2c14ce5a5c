"""The first stage as the web app runs it: masks are shown, and chosen from, before the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scenelift.errors import InputError
from scenelift.inputs import working_prompt
from scenelift.io.files import prepare_output_folder
from scenelift.output.instances import write_instances
from scenelift.pipeline import limit_objects
from scenelift.progress import Reporter
from scenelift.segment import Segmenter
from scenelift.segment.clicks import segment_prompt
from scenelift.stages import digest
from scenelift.types import Dropped, Image, Instance, Prompt, Segmentation
from scenelift.webapp.mask_runs import mask_of_runs
from scenelift.webapp.models import NOTHING_LEFT, DrawnMask, Selection, check_indices

__all__ = ["ChosenSegmenter", "ShowingSegmenter", "choose"]


class ShowingSegmenter:
    """A segmenter that shows what it found: masks and overlay are written at once.

    Args:
        inner: finds the objects; results are exactly its own.
        folder: where masks and overlay go.
        show: told what will be reconstructed.
    """

    def __init__(
        self, inner: Segmenter, folder: Path, show: Callable[[Segmentation], None]
    ) -> None:
        self.name, self.version = inner.name, inner.version
        self.takes_points = True
        self._inner, self._folder, self._show = inner, folder, show

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        segmentation = segment_prompt(self._inner, image, prompt, report)
        if segmentation.instances:
            shortlist = limit_objects(segmentation, prompt.max_objects)
            prepare_output_folder(self._folder)
            write_instances(self._folder, image, shortlist)
            self._show(shortlist)
        return segmentation


class ChosenSegmenter:
    """Returns the user's choice from an earlier search, under the name of its segmenter."""

    def __init__(self, finder: Segmenter, segmentation: Segmentation) -> None:
        self.name = finder.name
        self.version = f"{finder.version}, chosen by hand {digest(segmentation)[:16]}"
        self.takes_points = True  # what was pointed at is among the objects already
        self._segmentation = segmentation

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        report.check()
        return self._segmentation


def choose(
    segmentation: Segmentation,
    selection: Selection,
    segmenter: Segmenter,
    image: Image,
    report: Reporter,
    *,
    masks: Sequence[DrawnMask] = (),
    most: int,
) -> Segmentation:
    """Build the segmentation of the user's choice: kept objects, then boxes, then painted masks.

    Args:
        masks: of objects that were clicked and painted.
        most: objects that one job may have.

    Raises:
        InputError: an index or a box is outside of what there is, or nothing is left.
    """
    check_indices(selection.keep, len(segmentation.instances))
    keep = dict.fromkeys(selection.keep)
    additions: list[Instance] = []
    notes: list[str] = []
    unfit: list[Dropped] = []
    for box in selection.add:
        prompt, prompt_notes = working_prompt(image, Prompt(boxes=(box.to_prompt(),)))
        in_box = segmenter.segment(image, prompt, report)
        additions += in_box.instances[:1]
        notes += [*prompt_notes, *in_box.notes]
        unfit += in_box.dropped
        if not in_box.instances:
            notes.append(f"Nothing was found in the box around {box.label or 'an object'}.")
    additions += [
        instance for mask in masks if (instance := _instance_of_mask(image, mask)) is not None
    ]
    instances_to_keep = (
        replace(segmentation.instances[index], label=selection.names.get(index) or own)
        for index in keep
        for own in (segmentation.instances[index].label,)
    )
    instances = (*instances_to_keep, *additions)
    if not instances:
        raise InputError(NOTHING_LEFT)
    left_out = [
        Dropped(label=i.label, score=i.score, box=i.box, reason="left out by you")
        for index, i in enumerate(segmentation.instances)
        if index not in keep
    ]
    result = Segmentation(
        instances=instances,
        dropped=(*segmentation.dropped, *left_out, *unfit),
        notes=(*segmentation.notes, *notes),
    )
    return limit_objects(result, most)


def _instance_of_mask(image: Image, drawn_mask: DrawnMask) -> Instance | None:
    """Make an object of a mask that the page sent; None for an empty one."""
    alpha = mask_of_runs(drawn_mask.mask, image.width, image.height)
    mask = alpha >= 0.5
    if not mask.any():
        return None
    label = drawn_mask.label or "object"
    return Instance(mask=mask, alpha=alpha, label=label, score=1.0, box=Instance.box_of(mask))

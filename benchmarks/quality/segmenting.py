"""The first stage alone: masks from true boxes, masks from prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.quality.metrics import match_by_iou
from benchmarks.quality.report import Attempts, Row, Table, mean
from benchmarks.synthetic import COCO, SyntheticScene
from scenelift.progress import silent
from scenelift.segment import Segmenter
from scenelift.types import BoxPrompt, Prompt, Segmentation

__all__ = ["measure_boxes", "measure_prompts"]

FOUND = 0.5
"""An object is found when its mask has at least this IoU."""


def measure_boxes(segmenters: Sequence[Segmenter], scenes: Sequence[SyntheticScene]) -> list[Table]:
    """Mask IoU when every object's true box is given; overall, and by label."""
    rows, failures = [], []
    by_label: dict[str, dict[str, list[float]]] = {}
    for segmenter in segmenters:
        attempts, ious = Attempts(), defaultdict(list)
        for scene in scenes:
            boxes = tuple(BoxPrompt(box=o.instance.box, label=o.label) for o in scene.objects)
            prompt = Prompt(boxes=boxes)
            result = attempts.run(scene.name, segmenter.segment, scene.image, prompt, silent())
            found = [i.mask for i in result.instances] if result else []
            matched, _ = match_by_iou(found, [o.mask for o in scene.objects])
            for o, iou in zip(scene.objects, matched, strict=True):
                ious[o.label].append(iou)
        every = [iou for values in ious.values() for iou in values]
        by_label[segmenter.name] = ious
        failures += attempts.failures
        rows.append(
            Row(
                name=segmenter.name,
                count=len(every),
                failed=sum(iou == 0 for iou in every),
                figures={"IoU": mean(every), "IoU ≥ .5": mean([iou >= FOUND for iou in every])},
                seconds=sum(attempts.seconds) / max(1, len(every)),
            )
        )
    labels = sorted({label for ious in by_label.values() for label in ious})
    detail = [
        Row(
            name=label,
            count=len(by_label[segmenters[0].name][label]),
            failed=sum(iou == 0 for iou in by_label[segmenters[-1].name][label]),
            figures={f"IoU {name}": mean(ious[label]) for name, ious in by_label.items()},
        )
        for label in labels
    ]
    return [
        Table(title="Masks from true boxes", of="objects", rows=rows, failures=failures),
        Table(title="Masks from true boxes, by label", of="objects", rows=detail),
    ]


def measure_prompts(segmenter: Segmenter, scenes: Sequence[SyntheticScene]) -> Table:
    """What is found when all labels of a scene are asked for at once."""
    attempts = Attempts()
    results = [
        attempts.run(
            scene.name, segmenter.segment, scene.image, Prompt(phrases=labels_of(scene)), silent()
        )
        for scene in scenes
    ]
    rows = [
        _prompt_row(f"{segmenter.name}, {name}", scenes, results, attempts, known)
        for name, known in (("COCO's 80 classes", True), ("other words", False))
    ]
    return Table(title="Masks from prompts", of="objects", rows=rows, failures=attempts.failures)


def labels_of(scene: SyntheticScene) -> tuple[str, ...]:
    return tuple(sorted({o.label for o in scene.objects}))


def _prompt_row(
    name: str,
    scenes: Sequence[SyntheticScene],
    results: Sequence[Segmentation | None],
    attempts: Attempts,
    known: bool,
) -> Row:
    ious: list[float] = []
    wrong = 0
    for scene, result in zip(scenes, results, strict=True):
        for label in labels_of(scene):
            if (label in COCO) != known:
                continue
            truth = [o.mask for o in scene.objects if o.label == label]
            found = [i.mask for i in result.instances if i.label == label] if result else []
            matched, partners = match_by_iou(found, truth)
            ious += matched
            wrong += sum(p is None or matched[p] < FOUND for p in partners)
    hits = [iou for iou in ious if iou >= FOUND]
    return Row(
        name=name,
        count=len(ious),
        failed=sum(iou == 0 for iou in ious),
        figures={
            "recall": len(hits) / len(ious) if ious else float("nan"),
            "IoU, misses 0": mean(ious),
            "IoU of found": mean(hits),
            "false": wrong,
            "precision": len(hits) / (len(hits) + wrong) if hits or wrong else float("nan"),
        },
        seconds=mean(attempts.seconds),
    )

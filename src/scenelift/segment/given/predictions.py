"""Results of detectors as JSON.

Ultralytics' `to_json` (https://docs.ultralytics.com/modes/predict), Roboflow's inference
(https://docs.roboflow.com), transformers' pipelines (https://huggingface.co/docs/transformers) and
MMDetection's `DetInferencer` (https://mmdetection.readthedocs.io).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import coco_mask, polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_about, box_of_numbers, score_of
from scenelift.segment.given.yolo import NO_NAMES, class_names

__all__ = [
    "is_mmdetection",
    "is_roboflow",
    "is_ultralytics",
    "read_mmdetection",
    "read_roboflow",
    "read_ultralytics",
]

# Names of a box's corners: Ultralytics', and transformers'.
CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))


def is_ultralytics(document: Any) -> bool:
    """Whether a JSON document is one photo's results by Ultralytics, or by transformers."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(e, dict) and isinstance(e.get("box"), dict) for e in document)
        and any(names[0] in document[0]["box"] for names in CORNERS)
    )


def read_ultralytics(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read segments and boxes, with their confidence as score."""
    corners = next(names for names in CORNERS if names[0] in document[0]["box"])
    numbers = [float(v) for e in document for v in _numbers_of(e, corners)]
    unit = canvas.unit(numbers)  # `normalize=True` writes parts of the photo
    outlines: list[Outline] = []
    for entry in document:
        label, score = str(entry.get("name") or entry.get("label") or ""), _confidence(entry)
        segments = entry.get("segments")
        if segments and len(segments["x"]) > 2:
            pairs = zip(segments["x"], segments["y"], strict=True)
            polygon = [float(v) * u for pair in pairs for v, u in zip(pair, unit, strict=True)]
            mask = canvas.fitted(polygons_mask([polygon], canvas.full), path.name)
            outlines.append(Outline(label=label, score=score, mask=mask))
            continue
        box = [float(entry["box"][k]) * unit[n % 2] for n, k in enumerate(corners)]
        outlines.append(Outline(label=label, score=score, box=canvas.box(box_of_numbers(*box))))
    return outlines, []


def _numbers_of(entry: dict[str, Any], corners: tuple[str, ...]) -> list[Any]:
    segments = entry.get("segments") or {}
    return [*(entry["box"][k] for k in corners), *segments.get("x", ()), *segments.get("y", ())]


def is_roboflow(document: Any) -> bool:
    """Whether a JSON document is an answer of Roboflow's inference on one photo."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("predictions"), list)
        and all(
            isinstance(e, dict) and ("x" in e or "points" in e) for e in document["predictions"]
        )
        and bool(document["predictions"])
    )


def read_roboflow(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read polygons, run lengths and boxes, whose x and y are their middles."""
    sides: Any = document.get("image") or {}
    sides = sides[0] if isinstance(sides, list) else sides
    width, height = sides.get("width"), sides.get("height")
    size = (int(height), int(width)) if width and height else None
    notes = about(canvas, path, None, size)
    outlines: list[Outline] = []
    for entry in document["predictions"]:
        label, score = str(entry.get("class") or ""), _confidence(entry)
        runs = entry.get("rle") or entry.get("rle_mask")
        if runs or entry.get("points"):
            polygon = [float(v) for p in entry.get("points") or () for v in (p["x"], p["y"])]
            mask = coco_mask(runs, canvas) if runs else polygons_mask([polygon], canvas.full)
            outlines.append(Outline(label=label, score=score, mask=canvas.fitted(mask, path.name)))
            continue
        box = box_about(*(float(entry[k]) for k in ("x", "y", "width", "height")))
        outlines.append(Outline(label=label, score=score, box=canvas.box(box)))
    return outlines, notes


def is_mmdetection(document: Any) -> bool:
    """Whether a JSON document is one photo's results by MMDetection."""
    return isinstance(document, dict) and all(
        isinstance(document.get(key), list) for key in ("labels", "scores", "bboxes")
    )


def read_mmdetection(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read masks and boxes; the names of their classes come from a file beside, as YOLO's do."""
    names = class_names(path.parent)
    outlines: list[Outline] = []
    masks = document.get("masks") or [None] * len(document["bboxes"])
    for number, score, box, mask in zip(
        document["labels"], document["scores"], document["bboxes"], masks, strict=True
    ):
        label, certainty = names.get(number, ""), score_of({"score": score})
        if mask is None:
            corners = box_of_numbers(*(float(v) for v in box))
            outlines.append(Outline(label=label, score=certainty, box=canvas.box(corners)))
        else:
            whole = canvas.fitted(coco_mask(mask, canvas), path.name)
            outlines.append(Outline(label=label, score=certainty, mask=whole))
    return outlines, [] if names else [f"{path.name}: {NO_NAMES}"]


def _confidence(entry: dict[str, Any]) -> float:
    return score_of({"score": entry.get("confidence", entry.get("score", 1.0))})

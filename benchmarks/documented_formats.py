"""Annotations of a ball and a box, written from the documented formats of other tools.

No file of the tools themselves was at hand: `python -m benchmarks.other_tools` calls these
"format".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DOCUMENTS", "corners", "documented_formats", "outline"]

Mask = NDArray[np.bool_]
Polygon = list[tuple[float, float]]


def documented_formats(
    masks: Callable[[], NDArray[np.bool_]],
) -> dict[str, Callable[[Path], str]]:
    """Return for each format a function that writes a file into a folder and returns its name."""

    def written(name: str, document: Callable[[Mask, Mask], Any]) -> Callable[[Path], str]:
        def make(folder: Path) -> str:
            content = document(*masks())
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text)
            if name in ("photo.txt", "0.json"):  # whose classes are numbers
                (folder / "classes.txt").write_text("ball\nbox\n")
            return name

        return make

    return {name: written(*entry) for name, entry in DOCUMENTS.items()}


def outline(mask: Mask) -> Polygon:
    """Corners along the pixels' edges, of a mask whose rows are one run each."""
    rows = np.flatnonzero(mask.any(1))
    edges = [np.flatnonzero(mask[row])[[0, -1]] + (0, 1) for row in rows]
    left = [(float(e[0]), float(y)) for r, e in zip(rows, edges, strict=True) for y in (r, r + 1)]
    right = [(float(e[1]), float(y)) for r, e in zip(rows, edges, strict=True) for y in (r, r + 1)]
    return left + right[::-1]


def corners(mask: Mask) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1."""
    xs, ys = zip(*outline(mask), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def flat(mask: Mask) -> list[float]:
    return [v for corner in outline(mask) for v in corner]


def cityscapes(ball: Mask, box: Mask) -> Any:
    # The sky lies behind both; the box's outline is larger and is covered by the ball in front.
    everything = [[0, 0], [ball.shape[1], 0], [ball.shape[1], ball.shape[0]], [0, ball.shape[0]]]
    return {
        "imgHeight": ball.shape[0],
        "imgWidth": ball.shape[1],
        "objects": [
            {"label": "sky", "polygon": everything},
            {"label": "box", "polygon": outline(box)},
            {"label": "ball", "polygon": outline(ball)},
        ],
    }


def bdd100k(ball: Mask, box: Mask) -> Any:
    def label(name: str, mask: Mask) -> dict[str, Any]:
        vertices = outline(mask)
        poly2d = [{"vertices": vertices, "types": "L" * len(vertices), "closed": True}]
        return {"id": name, "category": name, "poly2d": poly2d}

    lane = [{"vertices": [[0, 0], [9, 9]], "types": "LL", "closed": False}]
    others = [{"category": "lane/road curb", "poly2d": lane}]
    return [
        {"name": "photo.png", "labels": [label("ball", ball), label("box", box), *others]},
        {"name": "other.png", "labels": [label("box", box)]},
    ]


def geojson(ball: Mask, box: Mask) -> Any:
    def feature(mask: Mask, properties: dict[str, Any]) -> dict[str, Any]:
        ring = outline(mask)
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    qupath = {"objectType": "annotation", "classification": {"name": "ball", "color": [1, 2, 3]}}
    return {
        "type": "FeatureCollection",
        "features": [feature(ball, qupath), feature(box, {"label": "box"})],
    }


def ultralytics_json(ball: Mask, box: Mask) -> Any:
    def result(number: int, name: str, mask: Mask) -> dict[str, Any]:
        xs, ys = (list(values) for values in zip(*outline(mask), strict=True))
        sides = dict(zip(("x1", "y1", "x2", "y2"), corners(mask), strict=True))
        segments = {"x": xs, "y": ys}
        return {
            **{"name": name, "class": number, "confidence": 0.75, "box": sides},
            "segments": segments,
        }

    return [result(0, "ball", ball), result(1, "box", box)]


def ultralytics_text(ball: Mask, box: Mask) -> str:
    height, width = ball.shape
    lines: list[str] = []
    for number, mask in enumerate((ball, box)):
        parts = [f"{x / width!r} {y / height!r}" for x, y in outline(mask)]
        lines.append(f"{number} {' '.join(parts)} 0.75")  # as `save_conf` writes it
    return "\n".join(lines)


def roboflow_coco(ball: Mask, box: Mask) -> Any:
    size = {"height": ball.shape[0], "width": ball.shape[1]}
    names = ("other_png.rf.0123456789abcdef.jpg", "photo_png.rf.fedcba9876543210.jpg")
    return {
        "info": {"description": "Exported from roboflow.com"},
        "categories": [
            {"id": k, "name": name, "supercategory": "things"}
            for k, name in enumerate(("things", "ball", "box"))
        ],
        "images": [{"id": k, "file_name": name, **size} for k, name in enumerate(names)],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 2, "segmentation": [flat(box)]},
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [flat(ball)]},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [flat(box)]},
        ],
    }


def roboflow_inference(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    middle = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}
    points = [{"x": x, "y": y} for x, y in outline(ball)]
    return {
        "image": {"width": ball.shape[1], "height": ball.shape[0]},
        "predictions": [
            {**middle, "class": "ball", "confidence": 0.75, "points": points},
            {**middle, "class": "box", "confidence": 0.5},
        ],
    }


def via2(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    xs, ys = (list(values) for values in zip(*outline(ball), strict=True))
    regions = [
        {
            "shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
            "region_attributes": {"name": "ball"},
        },
        {
            "shape_attributes": {"name": "rect", "x": x0, "y": y0, "width": x1 - x0}
            | {"height": y1 - y0},
            "region_attributes": {"name": "box"},
        },
    ]
    return {"photo.png123": {"filename": "photo.png", "size": 123, "regions": regions}}


def via_table(ball: Mask, box: Mask) -> str:
    rows = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"]
    rows[0] += "region_attributes"
    for number, region in enumerate(via2(ball, box)["photo.png123"]["regions"]):
        cells = [json.dumps(region[key]).replace('"', '""') for key in region]
        rows.append(f'photo.png,123,"{{}}",2,{number},"{cells[0]}","{cells[1]}"')
    rows.append('other.png,12,"{}",0,0,"{}","{}"')
    return "\n".join(rows)


def via3(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    return {
        "project": {"pname": "project", "vid_list": ["1", "2"]},
        "attribute": {"1": {"aname": "kind", "options": {"0": "ball", "1": "box"}}},
        "file": {
            "1": {"fid": 1, "fname": "photo.png", "type": 2},
            "2": {"fid": 2, "fname": "other.png", "type": 2},
        },
        "view": {"1": {"fid_list": [1]}, "2": {"fid_list": [2]}},
        "metadata": {
            "1_a": {"vid": "1", "z": [], "xy": [7, *flat(ball)], "av": {"1": "0"}},
            "1_b": {"vid": "1", "z": [], "xy": [2, x0, y0, x1 - x0, y1 - y0], "av": {"1": "1"}},
            "2_a": {"vid": "2", "z": [], "xy": [2, 1, 1, 9, 9], "av": {"1": "1"}},
        },
    }


def datumaro(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    return {
        "info": {},
        "categories": {"label": {"labels": [{"name": "ball"}, {"name": "box"}]}},
        "items": [
            {
                "id": "photo",
                "image": {"path": "photo.png", "size": list(ball.shape)},
                "annotations": [
                    {"type": "polygon", "label_id": 0, "points": flat(ball), "group": 1},
                    {"type": "bbox", "label_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]},
                ],
            },
            {"id": "other", "annotations": []},
        ],
    }


def vott(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    points = [{"x": x, "y": y} for x, y in outline(ball)]
    around = {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}
    return {
        "asset": {"name": "photo.png", "size": {"width": ball.shape[1], "height": ball.shape[0]}},
        "regions": [
            {"type": "POLYGON", "tags": ["ball"], "points": points},
            {"type": "RECTANGLE", "tags": ["box"], "boundingBox": around, "points": []},
        ],
        "version": "2.1.0",
    }


def superannotate(ball: Mask, box: Mask) -> Any:
    sides = dict(zip(("x1", "y1", "x2", "y2"), corners(box), strict=True))
    return {
        "metadata": {"name": "photo.png", "width": ball.shape[1], "height": ball.shape[0]},
        "instances": [
            {"type": "polygon", "className": "ball", "points": flat(ball), "exclude": []},
            {"type": "bbox", "className": "box", "points": sides},
        ],
    }


def _middle(mask: Mask) -> dict[str, float]:
    x0, y0, x1, y1 = corners(mask)
    return {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}


def create_ml(ball: Mask, box: Mask) -> Any:
    marks = [{"label": n, "coordinates": _middle(m)} for n, m in (("ball", ball), ("box", box))]
    return [{"image": "photo.png", "annotations": marks}, {"image": "o.png", "annotations": []}]


def mmdetection(ball: Mask, box: Mask) -> Any:
    def runs(mask: Mask) -> dict[str, Any]:
        columns = mask.T.ravel()
        edges = np.flatnonzero(np.diff(columns.astype(np.int8), prepend=0, append=0))
        counts = np.diff(edges, prepend=0, append=len(columns)).tolist()
        return {"size": list(mask.shape), "counts": counts[:-1] if not counts[-1] else counts}

    return {
        "labels": [0, 1],
        "scores": [0.75, 0.5],
        "bboxes": [list(corners(ball)), list(corners(box))],
        "masks": [runs(ball), runs(box)],
    }


def transformers(ball: Mask, box: Mask) -> Any:
    names = ("xmin", "ymin", "xmax", "ymax")
    return [
        {"score": 0.75, "label": n, "box": dict(zip(names, map(int, corners(m)), strict=True))}
        for n, m in (("ball", ball), ("box", box))
    ]


def sam_matrices(ball: Mask, box: Mask) -> Any:
    return [
        {
            "segmentation": mask.tolist(),
            "label": name,
            "bbox": [1, 2, 3, 4],
            "area": int(mask.sum()),
        }
        for name, mask in (("ball", ball), ("box", box))
    ]


def labelme_turned(ball: Mask, box: Mask) -> Any:
    x0, y0, x1, y1 = corners(box)
    points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    shapes = [
        {"label": "ball", "shape_type": "polygon", "points": outline(ball)},
        {"label": "box", "shape_type": "oriented_rectangle", "points": points},
    ]
    height, width = ball.shape
    return {"imagePath": "photo.png", "imageHeight": height, "imageWidth": width, "shapes": shapes}


def tensorflow(ball: Mask, box: Mask) -> str:
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name, mask in (("ball", ball), ("box", box)):
        sides = ",".join(f"{v:g}" for v in corners(mask))
        rows.append(f"photo.png,{ball.shape[1]},{ball.shape[0]},{name},{sides}")
    return "\n".join([*rows, "other.png,640,480,box,1,1,9,9"])


DOCUMENTS: dict[str, tuple[str, Callable[[Mask, Mask], Any]]] = {
    "Cityscapes, polygons": ("photo_gtFine_polygons.json", cityscapes),
    "BDD100K": ("bdd100k.json", bdd100k),
    "GeoJSON, QuPath's and a plain one": ("shapes.geojson", geojson),
    "Ultralytics, results as JSON": ("results.json", ultralytics_json),
    "Ultralytics, polygons as text": ("photo.txt", ultralytics_text),
    "Roboflow, COCO": ("_annotations.coco.json", roboflow_coco),
    "Roboflow, inference": ("answer.json", roboflow_inference),
    "VIA 2": ("via_region_data.json", via2),
    "VIA 2, CSV": ("via_export.csv", via_table),
    "VIA 3": ("via_project.json", via3),
    "labelme 6, turned rectangle": ("photo.json", labelme_turned),
    "MMDetection": ("0.json", mmdetection),
    "transformers, boxes": ("boxes.json", transformers),
    "Segment Anything, pixel by pixel": ("sam.json", sam_matrices),
    "Datumaro": ("default.json", datumaro),
    "VoTT": ("photo-asset.json", vott),
    "SuperAnnotate": ("photo.png.json", superannotate),
    "Create ML, boxes": ("_annotations.createml.json", create_ml),
    "TensorFlow's CSV, boxes": ("_annotations.csv", tensorflow),
}

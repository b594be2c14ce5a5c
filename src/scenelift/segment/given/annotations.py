"""Reads the objects of a file of annotations, whichever tool wrote it."""

from __future__ import annotations

import csv
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import PIL.Image

from scenelift.errors import InputError
from scenelift.io.image import MAX_FILE_BYTES
from scenelift.io.regular import check_regular
from scenelift.json_text import parse_json
from scenelift.segment.given.bdd100k import is_bdd100k, read_bdd100k
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.cityscapes import is_cityscapes, read_cityscapes
from scenelift.segment.given.coco import is_coco, read_coco
from scenelift.segment.given.cvat import read_cvat
from scenelift.segment.given.darwin import is_darwin, read_darwin
from scenelift.segment.given.datumaro import is_datumaro, read_datumaro
from scenelift.segment.given.drawn import (
    is_create_ml,
    is_superannotate,
    is_vott,
    read_create_ml,
    read_superannotate,
    read_vott,
)
from scenelift.segment.given.geojson import is_geojson, read_geojson
from scenelift.segment.given.label_studio import is_label_studio, read_label_studio
from scenelift.segment.given.labelme import is_labelme, read_labelme
from scenelift.segment.given.predictions import (
    is_mmdetection,
    is_roboflow,
    is_ultralytics,
    read_mmdetection,
    read_roboflow,
    read_ultralytics,
)
from scenelift.segment.given.shapes import Outline
from scenelift.segment.given.supervisely import is_supervisely, read_supervisely
from scenelift.segment.given.tables import is_table, read_table
from scenelift.segment.given.via import is_via, read_via
from scenelift.segment.given.via3 import is_via3, read_via3
from scenelift.segment.given.voc import is_voc, read_voc
from scenelift.segment.given.yolo import is_yolo, read_yolo

__all__ = ["is_annotations", "may_be_annotations", "read_annotations", "read_json"]

JSON = (".json", ".geojson")
SUFFIXES = (*JSON, ".xml", ".txt", ".csv")
# The first that fits a document reads it.
READERS = (
    (is_label_studio, read_label_studio),
    (is_darwin, read_darwin),
    (is_datumaro, read_datumaro),
    (is_coco, read_coco),
    (is_labelme, read_labelme),
    (is_supervisely, read_supervisely),
    (is_cityscapes, read_cityscapes),
    (is_bdd100k, read_bdd100k),
    (is_geojson, read_geojson),
    (is_ultralytics, read_ultralytics),
    (is_roboflow, read_roboflow),
    (is_mmdetection, read_mmdetection),
    (is_via3, read_via3),
    (is_via, read_via),
    (is_vott, read_vott),
    (is_superannotate, read_superannotate),
    (is_create_ml, read_create_ml),
)


def may_be_annotations(file: Path) -> bool:
    """Whether a file's ending is one that annotations have."""
    return file.suffix.lower() in SUFFIXES


def is_annotations(file: Path) -> bool:
    """Whether a file of a folder holds annotations: of text and tables, by their first line."""
    look = {".txt": is_yolo, ".csv": is_table}.get(file.suffix.lower())
    return may_be_annotations(file) and (look is None or look(file))


def read_annotations(file: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of this photo, and notes on those ignored.

    Raises:
        InputError: it is of no tool that is known here, damaged, or of another photo.
    """
    suffix = file.suffix.lower()
    try:
        if suffix == ".xml":
            return _of_xml(file, canvas)
        if suffix in (".txt", ".csv"):
            _check_bytes(file)
            text = file.read_bytes().decode("utf-8-sig")
            return (read_yolo if suffix == ".txt" else read_table)(text, file, canvas)
        document = read_json(file)
        for fits, parse in READERS:
            if fits(document):
                return parse(document, file, canvas)
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        OSError,
        SyntaxError,
        RecursionError,
        csv.Error,
        zlib.error,
        PIL.Image.DecompressionBombError,
    ) as exc:
        raise InputError(f"{file.name} cannot be read as annotations: {exc}") from exc
    raise InputError(
        f"{file.name} holds no COCO annotations (a list, or under 'annotations'), and none of the "
        "other tools in docs/segment-models.md. Most tools export COCO: choose that."
    )


def _of_xml(file: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of VOC's or CVAT's XML.

    Raises:
        InputError: it is none, or declares entities, which neither tool does.
    """
    _check_bytes(file)
    text = file.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{file.name} declares entities, which CVAT does not: it is not read.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as exc:
        raise InputError(f"{file.name} cannot be read as XML: {exc}") from exc
    return (read_voc if is_voc(root) else read_cvat)(root, file, canvas)


def read_json(path: Path) -> Any:
    """Read a JSON file of a user's.

    Raises:
        InputError: it is too large, or no JSON.
    """
    try:
        _check_bytes(path)
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as exc:
        advice = " Save it as UTF-8." if isinstance(exc.__cause__, UnicodeDecodeError) else ""
        raise InputError(f"{path} cannot be read as JSON: {exc}.{advice}") from exc


def _check_bytes(file: Path) -> None:
    check_regular(file)
    if file.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{file.name} is larger than {MAX_FILE_BYTES // 2**20} MiB.")

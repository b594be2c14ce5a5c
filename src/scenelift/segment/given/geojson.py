"""GeoJSON (RFC 7946) whose coordinates are pixels of the photo, as QuPath and rasterio write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.prompts import LEAST_SIDE
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, score_of

__all__ = ["is_geojson", "read_geojson"]

NAMES = ("name", "label", "class", "class_name", "category", "classification", "type")
# What GDAL calls the coordinates of a picture that lies nowhere on Earth.
NO_PLACE = ("engineering", "undefined", "pixel", "image")


def is_geojson(document: Any) -> bool:
    """Whether a JSON document is a collection of features, a feature, or a list of features."""
    return bool(_features(document))


def read_geojson(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the areas of features. Holes are cut out, as each polygon says.

    Raises:
        InputError: the coordinates are places on a map.
    """
    features, notes = _features(document), list[str]()
    system = str(document.get("crs") or "") if isinstance(document, dict) else ""
    shapes = [list(_polygons(feature.get("geometry"))) for feature in features]
    rings = [np.array(ring, np.float64)[:, :2] for shape in shapes for p in shape for ring in p]
    corners = np.concatenate(rings) if rings else np.zeros((0, 2))
    rows, columns = canvas.full
    upwards = len(corners) > 0 and bool((corners[:, 1] <= 0).all())  # as QGIS draws on a picture
    if upwards:
        corners = corners * (1, -1)
    unit = canvas.unit(corners.ravel().tolist())
    on_map = bool(system) and not any(word in system.casefold() for word in NO_PLACE)
    if len(corners) and unit == (1.0, 1.0):
        low, high = corners.min(0), corners.max(0)
        on_map |= bool((low < -0.5 * max(canvas.full)).any())
        on_map |= bool((high > 1.5 * np.array((columns, rows))).any())
        on_map |= bool((high - low < LEAST_SIDE).all())  # of a house, in degrees
    if on_map:
        raise InputError(
            f"{path.name} has places on a map, not pixels of the photo. Export the shapes in the "
            "picture's own pixels (no coordinate system), or as a mask."
        )
    scale = np.array(unit) * (1, -1 if upwards else 1)
    outlines: list[Outline] = []
    for number, (feature, polygons) in enumerate(zip(features, shapes, strict=True)):
        properties = feature.get("properties")
        properties = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
        if not polygons:
            kind = (feature.get("geometry") or {}).get("type")
            notes.append(f"{path.name}: feature {number} ({kind}) encloses nothing: ignored.")
            continue
        mask = np.zeros(canvas.full, np.bool_)
        for polygon in polygons:
            mask |= _area(polygon, scale, canvas)
        mask = canvas.fitted(mask, path.name)
        outlines.append(Outline(label=_label(properties), score=score_of(properties), mask=mask))
    return outlines, notes


def _features(document: Any) -> list[dict[str, Any]]:
    entries: Any = document
    if isinstance(document, dict):
        entries = [document] if "geometry" in document else document.get("features")
    fits = isinstance(entries, list) and any(
        isinstance(e, dict) and e.get("type") == "Feature" and "geometry" in e for e in entries
    )
    return [e for e in entries if isinstance(e, dict) and "geometry" in e] if fits else []


def _polygons(geometry: Any) -> Iterator[list[Any]]:
    """List polygons, each its outline and its holes."""
    if not isinstance(geometry, dict):
        return
    kind = geometry.get("type")
    if kind == "Polygon":
        yield geometry["coordinates"]
    elif kind == "MultiPolygon":
        yield from geometry["coordinates"]
    elif kind == "GeometryCollection":
        for part in geometry["geometries"]:
            if isinstance(part, dict) and part.get("type") in ("Polygon", "MultiPolygon"):
                yield from _polygons(part)


def _area(rings: list[Any], scale: NDArray[np.float64], canvas: Canvas) -> NDArray[np.bool_]:
    outline, *holes = (
        polygons_mask([(np.array(ring, np.float64)[:, :2] * scale).ravel()], canvas.full)
        for ring in rings
    )
    for hole in holes:
        outline &= ~hole
    return outline


def _label(properties: dict[str, Any]) -> str:
    """Return the name that a feature's properties have, QuPath's classification first."""
    by_name = {str(key).casefold(): value for key, value in properties.items()}
    classification = by_name.get("classification")
    if isinstance(classification, dict) and classification.get("name"):
        return str(classification["name"])
    return next((v for n in NAMES if isinstance(v := by_name.get(n), str) and v), "")

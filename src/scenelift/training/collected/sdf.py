"""Reads what a simulator's model.sdf shows: its visuals with their poses and scales."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenelift.errors import InputError
from scenelift.training.collected.reading import read_model
from scenelift.training.scenes.meshes import Surface, join

__all__ = ["linked_models", "read_sdf"]

Z_FROM_Y = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])


def read_sdf(path: Path) -> Surface:
    """Read all visuals of a model, z up, in metres.

    Raises:
        InputError: it is no SDF, or shows nothing that can be read.
    """
    parts = []
    for link in _model(path).iter("link"):
        at_link = _pose(link.findtext("pose"))
        for visual in link.findall("visual"):
            geometry = visual.find("geometry")
            part = None if geometry is None else _geometry(geometry, path)
            if part is not None:
                parts.append(part.moved(at_link @ _pose(visual.findtext("pose"))))
    if not parts:
        raise InputError(f"{path.name} shows no mesh, box or cylinder")
    return join(parts)


def linked_models(path: Path) -> Iterator[str]:
    """List the names of the models whose meshes a model.sdf uses."""
    for uri in _model(path).iter("uri"):
        text = (uri.text or "").strip()
        if text.startswith("model://"):
            yield text.removeprefix("model://").split("/")[0]


def _model(path: Path) -> ET.Element:
    try:
        text = path.read_text("utf-8", "replace")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise InputError(f"{path.name} has a document type, which no SDF needs")
        model = ET.fromstring(text.strip()).find(".//model")
    except (OSError, ET.ParseError) as exc:
        raise InputError(f"{path.name} cannot be read: {exc}") from exc
    if model is None:
        raise InputError(f"{path.name} has no <model>")
    return model


def _pose(text: str | None) -> NDArray[np.float64]:
    matrix = np.eye(4)
    if text and text.strip():
        x, y, z, *angles = (float(word) for word in text.split()[:6])
        matrix[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
        matrix[:3, 3] = x, y, z
    return matrix


def _geometry(geometry: ET.Element, path: Path) -> Surface | None:
    uri = geometry.findtext("mesh/uri")
    if uri is not None:
        text = uri.strip()
        # Models lie side by side, each in a folder of its name.
        root = path.parent.parent if text.startswith("model://") else path.parent
        file = (root / text.removeprefix("model://").removeprefix("file://")).resolve()
        if not file.is_relative_to(path.parent.parent.resolve()):
            raise InputError(f"{path.name} names a mesh elsewhere: {text}")
        surface = read_model(file)
        if file.suffix.lower() == ".dae" and b"<up_axis>Z_UP" in file.read_bytes():
            # assimp has stood it upright; simulators take it as it is.
            surface = surface.moved(Z_FROM_Y)
        scale = [float(word) for word in geometry.findtext("mesh/scale", "1 1 1").split()]
        return surface.moved(np.diag([*scale, 1.0]))
    box, cylinder = geometry.findtext("box/size"), geometry.find("cylinder")
    if box is not None:
        return _plain(trimesh.creation.box([float(word) for word in box.split()]))
    if cylinder is not None:
        radius, length = (float(cylinder.findtext(key, "1")) for key in ("radius", "length"))
        return _plain(trimesh.creation.cylinder(radius, length))
    return None


def _plain(mesh: trimesh.Trimesh) -> Surface:
    # Each face by itself, so that its edges are sharp.
    corners = np.asarray(mesh.triangles, np.float32).reshape(-1, 3)
    count = len(mesh.faces)
    return Surface(
        vertices=corners,
        faces=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        normals=np.asarray(mesh.face_normals, np.float32).repeat(3, 0),
        uv=np.zeros((3 * count, 2), np.float32),
        face_color=np.full((count, 3), 0.7, np.float32),
        face_texture=np.full(count, -1, np.int32),
    )

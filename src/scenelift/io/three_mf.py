"""Write coloured meshes as 3MF for printers: one body per object, colours at its vertices.

3MF core specification 1.3 and its materials extension 1.2 (https://3mf.io/spec): a zip of XML, in
millimetres. Slicers that know several filaments take the colours from `colorgroup`; the others
ignore it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import FormatError
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.io.printing import in_millimetres
from scenelift.types import Mesh

__all__ = ["write_3mf"]

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
MODEL = "3D/3dmodel.model"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same scene gives the same bytes

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" '
    'ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Target="/{MODEL}" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)


def write_3mf(path: Path, nodes: Sequence[GlbNode], *, metres: bool = False) -> None:
    """Write all objects in their places, z up, standing on z = 0, with their colours.

    Args:
        path: the file, replaced atomically.
        nodes: meshes with their poses.
        metres: whether the scene's unit is the metre: sizes are then true; otherwise the longest
            side is 100 mm.

    Raises:
        FormatError: there is no face.
        OutputError: the file cannot be written.
    """
    node_vertices = in_millimetres(nodes, metres=metres)
    if not node_vertices:
        raise FormatError(f"There is no mesh to write to {path.name}.")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<model unit="millimeter" xml:lang="en-US" xmlns="{CORE}" xmlns:m="{MATERIALS}">',
        "<resources>",
    ]
    items: list[str] = []
    for number, (node, vertices) in enumerate(node_vertices):
        colours, body = 2 * number + 1, 2 * number + 2
        lines += _object(node, vertices, colours, body)
        items.append(f'<item objectid="{body}"/>')
    lines += ["</resources>", "<build>", *items, "</build>", "</model>", ""]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("[Content_Types].xml", _TYPES),
            ("_rels/.rels", _RELATIONS),
            (MODEL, "\n".join(lines)),
        ):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)
    write_bytes(path, buffer.getvalue())


def _object(node: GlbNode, vertices: NDArray[np.float64], colours: int, body: int) -> list[str]:
    """Write a colour group and the object that uses it."""
    palette, number = np.unique(vertex_colours(node.mesh), axis=0, return_inverse=True)
    number = number.ravel()
    rows = [f'<m:colorgroup id="{colours}">']
    rows += [f'<m:color color="#{r:02X}{g:02X}{b:02X}FF"/>' for r, g, b in palette.tolist()]
    rows += [
        "</m:colorgroup>",
        f'<object id="{body}" type="model" name={quoteattr(node.name)} pid="{colours}" pindex="0">',
        "<mesh>",
        "<vertices>",
    ]
    rows += [f'<vertex x="{x:.6g}" y="{y:.6g}" z="{z:.6g}"/>' for x, y, z in vertices.tolist()]
    rows += ["</vertices>", "<triangles>"]
    faces = node.mesh.faces
    solid = (faces != np.roll(faces, 1, 1)).all(1)  # the format forbids a corner twice
    table = np.concatenate([faces[solid], number[faces[solid]]], 1)
    triangle = f'<triangle v1="%d" v2="%d" v3="%d" pid="{colours}" p1="%d" p2="%d" p3="%d"/>'
    rows += [triangle % tuple(row) for row in table.tolist()]
    return [*rows, "</triangles>", "</mesh>", "</object>"]


def vertex_colours(mesh: Mesh) -> NDArray[np.uint8]:
    """Return every vertex's sRGB colour [V, 3]: its own, the texture's at its place, or grey."""
    if mesh.colors is not None and mesh.texture is None:
        return mesh.colors
    if mesh.texture is None or mesh.uv is None:
        return np.full((len(mesh.vertices), 3), 204, np.uint8)
    height, width = mesh.texture.shape[:2]
    column = np.clip((mesh.uv[:, 0] * width).astype(np.int64), 0, width - 1)
    row = np.clip(((1 - mesh.uv[:, 1]) * height).astype(np.int64), 0, height - 1)
    return mesh.texture[row, column]

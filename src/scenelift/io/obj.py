"""Write meshes as Wavefront OBJ, which every 3D program reads, with materials and textures.

All objects are in the scene frame, as OBJ has no poses. Vertex colours follow the coordinates of
their vertex (`v x y z r g b`, sRGB), which MeshLab, Blender, three and trimesh read and others
ignore. An object with vertex colours has no material: three would paint it white, the material's
own colour. Such objects come first in the file, since a material holds for all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import pose_from_matrix, transform_points
from scenelift.io.decimals import lines_of
from scenelift.io.files import atomic_write, write_bytes
from scenelift.io.glb import GlbNode
from scenelift.io.png import png_bytes
from scenelift.jit import compiled, kernel_array
from scenelift.threads import side_by_side
from scenelift.types import Mesh

__all__ = ["write_obj"]

GREY = 0.8  # sRGB, of a mesh without colours
ROWS_AT_ONCE = 50_000
MOST = 8  # objects that are computed side by side, of so many faces in all
FACES_AT_ONCE = 3_000_000  # some 300 MB of text; twice as much is held
FACE, SPACE, SLASH, ZERO, NEWLINE = b"f /0\n"
LONGEST_FACE = 2 + 3 * (3 + 3 * 19)  # bytes: nine numbers of up to 19 digits


def write_obj(path: Path, nodes: Sequence[GlbNode]) -> list[Path]:
    """Write objects as one OBJ; the same objects give the same bytes.

    Args:
        path: `scene.obj`; where an object has a material, `scene.mtl` and a picture for every map
            (`scene_NAME.png`, …) are written beside it.
        nodes: one `o` group each, under its name.

    Returns:
        The files written, the OBJ last: when it is there, what it refers to is.

    Raises:
        ValueError: a matrix mirrors, shears or scales its axes differently.
        OutputError: a file cannot be written.
    """
    files: list[Path] = []
    materials: list[str] = []
    names = [f"{re.sub(r'[^A-Za-z0-9_.-]', '_', node.key) or 'object'}" for node in nodes]
    names = [n if names.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(names)]
    # Those without a material first, otherwise in their order.
    objects = sorted(zip(names, nodes, strict=True), key=lambda o: _has_material(o[1].mesh))
    pictures: dict[Path, NDArray[np.uint8]] = {}
    for name, node in objects:
        if not _has_material(node.mesh):
            continue
        lines, maps = _material(name, node.mesh, path)
        pictures |= maps
        materials.append("\n".join(lines) + "\n")
    # Side by side, as packing takes longer than all else.
    packed = side_by_side(png_bytes, pictures.values())
    for file, content in zip(pictures, packed, strict=True):
        write_bytes(file, content)
        files.append(file)
    library = path.with_suffix(".mtl")
    if materials:
        write_bytes(library, "\n".join(materials).encode("ascii"))
        files.append(library)

    meshes = [node.mesh for _, node in objects]
    counts = [
        len(m.vertices) * np.array([True, m.uv is not None, m.normals is not None]) for m in meshes
    ]
    # Numbers of each object's first vertex, texture coordinate and normal.
    firsts = np.cumsum([np.ones(3, np.int64), *counts], 0)
    largest = max([1, *(len(m.faces) for m in meshes)])
    texts = side_by_side(
        lambda k: _object(meshes[k], objects[k][1].matrix, firsts[k]),
        range(len(objects)),
        most=max(1, min(MOST, FACES_AT_ONCE // largest)),
    )
    with atomic_write(path) as file:
        if materials:
            file.write(f"mtllib {library.name}\n".encode())
        for (name, node), blocks in zip(objects, texts, strict=True):
            # Files and materials have plain names; the group's is the object's own.
            title = re.sub(r"[^\w.-]", "_", node.name) or name
            file.write(f"o {title if node.key != node.name else name}\n".encode())
            if _has_material(node.mesh):
                file.write(f"usemtl {name}\n".encode("ascii"))
            for block in blocks:
                file.write(block)
    return [*files, path]


def _has_material(mesh: Mesh) -> bool:
    return mesh.colors is None or mesh.texture is not None or mesh.material is not None


def _material(name: str, mesh: Mesh, path: Path) -> tuple[list[str], dict[Path, NDArray[np.uint8]]]:
    """Write the lines of the material file, and list the pictures that they name.

    Metallic, roughness and normal maps go by the keys that Blender, MeshLab and others have agreed
    on (`Pm`, `Pr`, `norm`); who does not know them reads the classic ones before.
    """
    tint = GREY if mesh.texture is None and mesh.colors is None else 1
    lines = [f"newmtl {name}", "illum 1", f"Kd {tint} {tint} {tint}", "Ks 0 0 0"]
    maps: dict[Path, NDArray[np.uint8]] = {}

    def add(key: str, suffix: str, pixels: NDArray[np.uint8]) -> None:
        file = path.with_name(f"{path.stem}_{name}{suffix}.png")
        maps[file] = pixels
        lines.append(f"{key} {file.name}")

    if mesh.texture is not None:
        add("map_Kd", "", mesh.texture)
    material = mesh.material
    if material is not None:
        if material.alpha is not None:
            add("map_d", "_alpha", material.alpha)
        if material.surface is None:
            lines += [f"Pm {material.metallic:.4g}", f"Pr {material.roughness:.4g}"]
        else:
            lines += ["Pm 1", "Pr 1"]
            add("map_Pm", "_metallic", material.surface[..., 0])
            add("map_Pr", "_roughness", material.surface[..., 1])
        if material.normal is not None:
            add("norm", "_normals", material.normal)
    return lines, maps


def _object(mesh: Mesh, matrix: NDArray[np.float64], first: NDArray[Any]) -> list[bytes]:
    """Write one object, whose elements start at the numbers `first` [3]."""
    vertices = transform_points(mesh.vertices, matrix)
    blocks: list[bytes] = []
    if mesh.colors is not None:
        table = np.concatenate([vertices, mesh.colors / 255], 1)
        blocks += _lines("v", table, (7, 7, 7, 4, 4, 4))
    else:
        blocks += _lines("v", vertices, (7, 7, 7))
    if mesh.uv is not None:
        blocks += _lines("vt", mesh.uv, (7, 7))
    if mesh.normals is not None:
        rotation = matrix[:3, :3] / pose_from_matrix(matrix).scale
        blocks += _lines("vn", mesh.normals @ rotation.T, (5, 5, 5))
    has_elements = np.array([True, mesh.uv is not None, mesh.normals is not None])
    faces = kernel_array(mesh.faces, np.int64)
    for start in range(0, len(faces), ROWS_AT_ONCE):
        rows = faces[start : start + ROWS_AT_ONCE]
        text = np.zeros(len(rows) * LONGEST_FACE, np.uint8)
        length = _face_lines(rows, np.asarray(first, np.int64), has_elements, text)
        blocks.append(text[:length].tobytes())
    return blocks


@compiled
def _face_lines(
    faces: NDArray[Any], first: NDArray[Any], has_elements: NDArray[Any], text: NDArray[Any]
) -> int:
    """Write lines like "f 1/1/1 2/2/2 3/3/3", and return how long they are.

    Python's own formatting holds its lock for as long as all else of the file takes.

    Args:
        faces: int64 [F, 3].
        first: int64 [3], added to the numbers of vertex, texture coordinate and normal.
        has_elements: bool [3], which of these there are.
        text: uint8, long enough.
    """
    at = 0
    for row in faces:
        text[at] = FACE
        at += 1
        for vertex in row:
            text[at] = SPACE
            at += 1
            for k in range(3):
                if k > 0 and has_elements[k:].any():
                    text[at] = SLASH
                    at += 1
                if has_elements[k]:
                    number = vertex + first[k]
                    end = at + 1
                    rest = number // 10
                    while rest > 0:
                        rest //= 10
                        end += 1
                    for place in range(end - 1, at - 1, -1):
                        text[place] = ZERO + number % 10
                        number //= 10
                    at = end
        text[at] = NEWLINE
        at += 1
    return at


def _lines(name: str, table: NDArray[Any], digits: Sequence[int]) -> list[bytes]:
    """Write a line for every row, many at a time."""
    starts = range(0, len(table), ROWS_AT_ONCE)
    return [lines_of(name, table[start : start + ROWS_AT_ONCE], digits) for start in starts]

"""Reads models of other people's formats as surfaces: glTF by trimesh, the others by assimp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageColor
from trimesh.visual.color import ColorVisuals

from scenelift.errors import InputError, SetupError
from scenelift.training.scenes.meshes import Surface, join, texture_colours

__all__ = ["flat_coloured", "read_model"]

TEXTURE_SIDE = 256
PLAIN_SPREAD, PLAIN_SPAN = 0.03, 0.12  # colours of a face, and its reach over the picture
MOST_CUT_OUT = 0.12  # share of a surface that its picture makes invisible
GREY = 0.7

PICTURE_FORMATS = ("PNG", "JPEG", "TGA", "BMP", "TIFF", "WEBP", "DDS")

MATERIALS = {
    "saddlebrown": ("wood", "hair"),
    "darkgrey": ("metal", "steel"),
    "lightsteelblue": ("glass",),
    "slategrey": ("window",),
    "black": ("tire", "wheel", "rubber", "eye"),
    "forestgreen": ("leaf", "leaves", "grass"),
    "burlywood": ("skin",),
    "grey": ("stone",),
    "dimgrey": ("rock",),
    "sienna": ("brick", "meat"),
    "peru": ("bread",),
    "orange": ("cheese",),
}
"""Colours for files that have lost theirs but name their materials."""


def read_model(path: Path) -> Surface:
    """Read one model file, all its parts where they belong, in the file's own frame and unit.

    Raises:
        InputError: it cannot be read, or is cut out of cards by transparent pictures.
        SetupError: its format needs assimp, which is not installed.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path.name} in the repository")
    parts = [*(_gltf(path) if path.suffix.lower() in (".gltf", ".glb") else _by_assimp(path))]
    if not parts:
        raise InputError(f"{path.name} has no triangles")
    return join(parts)


def _gltf(path: Path) -> Iterator[Surface]:
    try:
        scene = trimesh.load_scene(path, process=False)
    except Exception as exc:  # whatever a damaged file makes trimesh raise
        raise InputError(f"{path.name} cannot be read: {exc!r}") from exc
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh = scene.geometry[name]
        if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
            continue
        material = getattr(mesh.visual, "material", None)
        factor = getattr(material, "baseColorFactor", None)
        colour = np.ones(3) if factor is None else np.asarray(factor[:3], float) / 255
        image = getattr(material, "baseColorTexture", None)
        uv = getattr(mesh.visual, "uv", None)
        if isinstance(mesh.visual, ColorVisuals) and mesh.visual.kind == "vertex":
            colours = np.asarray(mesh.visual.vertex_colors[:, :3], float) / 255
            colour = _srgb(colours[mesh.faces].mean(1))
        else:
            colour = _srgb(colour)
        part = _part(mesh.vertices, mesh.faces, mesh.vertex_normals, uv, colour, image)
        yield part.moved(transform)


def _by_assimp(path: Path) -> Iterator[Surface]:
    try:
        import assimp_py  # pyright: ignore[reportMissingImports]
    except ImportError as exc:
        raise SetupError(
            f"{path.suffix} files are read by assimp-py, which is not installed: "
            '`pip install "scenelift[train]"`.'
        ) from exc
    flags = (
        assimp_py.Process_Triangulate
        | assimp_py.Process_PreTransformVertices
        | assimp_py.Process_GenSmoothNormals
        | assimp_py.Process_SortByPType
    )
    try:
        scene = assimp_py.import_file(str(path), flags)
    except Exception as exc:  # whatever the bindings raise
        raise InputError(f"{path.name} cannot be read: {exc!r}") from exc
    colours = [np.asarray(m.get("COLOR_DIFFUSE", (GREY,) * 3)[:3], float) for m in scene.materials]
    images = [_picture(path, m) for m in scene.materials]
    colourless = not any(images) and len({tuple(c.round(3)) for c in colours}) <= 1
    for mesh in scene.meshes:
        if mesh.num_indices != 3 * mesh.num_faces or not mesh.num_faces:
            continue  # lines and points
        material = mesh.material_index
        colour = colours[material]
        if colourless:
            colour = _by_name(str(scene.materials[material].get("NAME", "")), colour)
        vertices = np.asarray(mesh.vertices, float).reshape(-1, 3)
        uv = None
        if mesh.texcoords:
            uv = np.asarray(mesh.texcoords[0], float).reshape(len(vertices), -1)[:, :2]
        yield _part(
            vertices,
            np.asarray(mesh.indices).reshape(-1, 3),
            np.asarray(mesh.normals, float).reshape(-1, 3),
            uv,
            # Old exporters write a grey beside each picture, which viewers ignore.
            colour if images[material] is None else np.ones(3),
            images[material],
        )


def _picture(path: Path, material: dict[str, Any]) -> Pillow.Image | None:
    """Open a material's picture: where it says, or of that name beside the model or above it."""
    import assimp_py  # pyright: ignore[reportMissingImports]

    for text in material.get("TEXTURES", {}).get(assimp_py.TextureType_DIFFUSE, ()):
        name = text.replace("\\", "/").rsplit("/", 1)[-1].lower()
        for folder in (path.parent, path.parent.parent):
            for file in sorted(folder.rglob("*")):
                if file.name.lower() == name and file.is_file():
                    return Pillow.open(file, formats=PICTURE_FORMATS)
    return None


def _by_name(name: str, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    letters = re.sub(r"[^a-z]", "", name.lower())
    colours = {word: colour for colour, words in MATERIALS.items() for word in words}
    colours |= {colour: colour for colour in ImageColor.colormap}
    longest = max((word for word in colours if word in letters), key=len, default=None)
    return otherwise if longest is None else np.array(ImageColor.getrgb(colours[longest])[:3]) / 255


def _srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _part(
    vertices: NDArray,
    faces: NDArray,
    normals: NDArray,
    uv: NDArray | None,
    colour: NDArray[np.float64],  # sRGB, [3] or [F, 3]; tints the picture
    image: Pillow.Image | None,
) -> Surface:
    face_color = np.broadcast_to(colour, (len(faces), 3)).clip(0, 1)
    textures: tuple[NDArray[np.uint8], ...] = ()
    if image is not None and uv is not None and len(uv) == len(vertices):
        uv = np.nan_to_num(np.asarray(uv, float))
        corners = uv[faces]  # [F, 3, 2]
        if "A" in image.getbands():
            alpha = np.asarray(image.getchannel("A"))[..., None].repeat(3, 2)
            if (texture_colours(alpha, corners.mean(1))[:, 0] < 0.5).mean() > MOST_CUT_OUT:
                raise InputError("it is cut out by transparent pictures")
        small = image.convert("RGB")
        small.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
        tint = face_color.mean(0)
        texture = (np.asarray(small) * tint).astype(np.uint8)
        colours = texture_colours(
            texture, np.concatenate([corners, corners.mean(1, keepdims=True)], 1)
        )
        spread = np.abs(colours[:, :3] - colours[:, 3:]).max((1, 2)).mean()
        if spread < PLAIN_SPREAD and np.ptp(corners, axis=1).max(1).mean() < PLAIN_SPAN:
            face_color = colours.mean(1)  # a palette
        else:
            textures = (texture,)
    return Surface(
        vertices=np.asarray(vertices, np.float32),
        faces=np.asarray(faces, np.int32),
        normals=np.nan_to_num(np.asarray(normals, np.float32)),
        uv=(np.zeros((len(vertices), 2)) if not textures or uv is None else uv).astype(np.float32),
        face_color=face_color.astype(np.float32),
        face_texture=np.full(len(faces), 0 if textures else -1, np.int32),
        textures=textures,
    )


def flat_coloured(surface: Surface) -> Surface:
    """Give each face one colour of its texture, and drop the textures."""
    colours = surface.face_color.copy()
    corners = surface.uv[surface.faces].astype(float)
    for index, texture in enumerate(surface.textures):
        here = surface.face_texture == index
        both = np.concatenate([corners[here], corners[here].mean(1, keepdims=True)], 1)
        colours[here] = texture_colours(texture, both).mean(1)
    return Surface(
        vertices=surface.vertices,
        faces=surface.faces,
        normals=surface.normals,
        uv=np.zeros_like(surface.uv),
        face_color=colours,
        face_texture=np.full(len(surface.faces), -1, np.int32),
    )

"""Meshes for the renderer, read from the catalogue or made from quads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np
import trimesh
from numpy.typing import ArrayLike, NDArray
from trimesh.resolvers import ZipResolver
from trimesh.visual.material import SimpleMaterial

from scenelift.training.scenes.catalogue import Entry

__all__ = ["Surface", "join", "load_entry", "texture_colours"]

MAX_TEXTURE = 512
MAX_FACES = 80_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Triangles with a colour or a texture each.

    Attributes:
        vertices: float32 [V, 3].
        faces: int32 [F, 3].
        normals: float32 [V, 3], unit, for smooth shading; either side.
        uv: float32 [V, 2], v upwards; the texture repeats.
        face_color: float32 [F, 3], sRGB in 0…1, used where there is no texture.
        face_texture: int32 [F], index into `textures`, −1 where there is none.
        textures: uint8 [h, w, 3] each, sRGB.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    face_color: NDArray[np.float32]
    face_texture: NDArray[np.int32]
    textures: tuple[NDArray[np.uint8], ...] = ()

    def moved(self, matrix: ArrayLike) -> Surface:
        """Apply an affine transform (4×4) that has an inverse to the surface."""
        m = np.asarray(matrix, np.float64)
        turned = self.normals @ np.linalg.inv(m[:3, :3])  # normals go by the inverse's transpose
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        return Surface(
            vertices=(self.vertices @ m[:3, :3].T + m[:3, 3]).astype(np.float32),
            faces=self.faces,
            normals=(turned / np.maximum(length, 1e-12)).astype(np.float32),
            uv=self.uv,
            face_color=self.face_color,
            face_texture=self.face_texture,
            textures=self.textures,
        )


def join(surfaces: Sequence[Surface]) -> Surface:
    """Join the triangles of several surfaces into one, in order."""
    vertex_offset = np.cumsum([0] + [len(s.vertices) for s in surfaces])
    texture_offset = np.cumsum([0] + [len(s.textures) for s in surfaces])
    return Surface(
        vertices=np.concatenate([s.vertices for s in surfaces]),
        faces=np.concatenate(
            [s.faces + o for s, o in zip(surfaces, vertex_offset, strict=False)]
        ).astype(np.int32),
        normals=np.concatenate([s.normals for s in surfaces]),
        uv=np.concatenate([s.uv for s in surfaces]),
        face_color=np.concatenate([s.face_color for s in surfaces]),
        face_texture=np.concatenate(
            [
                np.where(s.face_texture < 0, -1, s.face_texture + o)
                for s, o in zip(surfaces, texture_offset, strict=False)
            ]
        ).astype(np.int32),
        textures=tuple(t for s in surfaces for t in s.textures),
    )


def texture_colours(texture: NDArray[np.uint8], uv: NDArray) -> NDArray[np.float64]:
    """Look up a repeating texture's colours [..., 3], sRGB in 0…1, at coordinates [..., 2]."""
    height, width = texture.shape[:2]
    row = ((1 - uv[..., 1]) % 1 * height).astype(int).clip(0, height - 1)
    column = (uv[..., 0] % 1 * width).astype(int).clip(0, width - 1)
    return texture[row, column] / 255.0


@lru_cache(maxsize=64)
def load_entry(entry: Entry) -> Surface | None:
    """Load a model of the catalogue in its canonical frame: y up, centred, longest side 1.

    Its front faces +z, as the catalogue's convention has it. Lengths are those of the catalogue:
    multiply by `max(entry.size)` for metres.

    Returns:
        None for a model that cannot be rendered faithfully here: more than `MAX_FACES`
        triangles, or leaves and grilles that are cut out by a texture's transparency.
    """
    parts = []
    with zipfile.ZipFile(entry.archive) as archive:
        folder = str(PurePosixPath(entry.path).parent)
        resolver = ZipResolver(
            {
                name: io.BytesIO(archive.read(name))
                for name in archive.namelist()
                if name.startswith(f"{folder}/")
            },
            namespace=folder,
        )
        loaded = trimesh.load_scene(
            io.BytesIO(archive.read(entry.path)), file_type="obj", resolver=resolver, process=False
        )
    for node in loaded.graph.nodes_geometry:
        transform, name = loaded.graph[node]
        geometry = loaded.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
            continue
        part = _part(geometry)
        if part is None:
            return None
        parts.append(part.moved(transform))
    if not parts or sum(len(part.faces) for part in parts) > MAX_FACES:
        return None
    return _canonical(join(parts), entry)


def _part(geometry: trimesh.Trimesh) -> Surface | None:
    material = getattr(geometry.visual, "material", None)
    uv = getattr(geometry.visual, "uv", None)
    color, image = np.full(3, 0.7), None
    if isinstance(material, SimpleMaterial):
        color, image = np.asarray(material.diffuse[:3], float) / 255, material.image
    textures: tuple[NDArray[np.uint8], ...] = ()
    if image is not None and uv is not None and len(uv) == len(geometry.vertices):
        if "A" in image.getbands() and np.mean(np.asarray(image.getchannel("A")) < 128) > 0.02:
            return None
        image = image.convert("RGB")
        image.thumbnail((MAX_TEXTURE, MAX_TEXTURE))
        textures = (np.asarray(image),)
    else:
        uv = np.zeros((len(geometry.vertices), 2))
    return Surface(
        vertices=geometry.vertices.astype(np.float32),
        faces=geometry.faces.astype(np.int32),
        normals=geometry.vertex_normals.astype(np.float32),
        uv=np.nan_to_num(np.asarray(uv, np.float32)),
        face_color=np.tile(color, (len(geometry.faces), 1)).astype(np.float32),
        face_texture=np.full(len(geometry.faces), 0 if textures else -1, np.int32),
        textures=textures,
    )


def _canonical(surface: Surface, entry: Entry) -> Surface:
    upright = np.eye(4)
    if entry.rotation:
        upright[:3, :3] = np.reshape(entry.rotation, (3, 3))
    surface = surface.moved(upright)
    # Only vertices that a face uses: some files carry leftovers far from the model.
    used = surface.vertices[np.unique(surface.faces)]
    low, high = used.min(0), used.max(0)
    place = np.eye(4)
    place[:3, :3] /= max(float((high - low).max()), 1e-9)
    place[:3, 3] = -place[0, 0] * (low + high) / 2
    return surface.moved(place)

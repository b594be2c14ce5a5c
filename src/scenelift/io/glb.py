"""Write and read meshes and splats as binary glTF 2.0 (registry.khronos.org/glTF).

One named node per object, with its pose; frames agree (right-handed, y up), so coordinates go out
as they are. glTF differs in three ways, and only this file knows: vertex colours are linear light,
v of texture coordinates counts from the top row, quaternions are x, y, z, w.

Where an object has splats beside its mesh, its node has two children, `NAME mesh` and
`NAME splats`: readers refuse a glTF mesh that mixes both. The splats are points with the attributes
of KHR_gaussian_splatting, and `COLOR_0` for readers that know no more than points.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from scenelift.errors import InputError
from scenelift.geometry.transforms import compose_transform, pose_from_matrix
from scenelift.io.closed import is_closed
from scenelift.io.files import write_bytes
from scenelift.io.png import png_bytes
from scenelift.io.regular import reading
from scenelift.srgb import linear_from_srgb, srgb_from_linear
from scenelift.types import PLAIN_MATERIAL, AlphaMode, Gaussians, Material, Mesh

__all__ = ["GlbNode", "Part", "glb_bytes", "read_glb", "read_glb_splats", "write_glb"]

Part = Literal["mesh", "splats"]
"""What an object consists of in a file with both."""

SPLATTING, VISIBILITY = "KHR_gaussian_splatting", "KHR_node_visibility"
# Ordinary Gaussians, whose harmonics give colours as displays take them (of the extension).
SPLAT_KIND = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
POINTS = 0  # mode of a primitive

GREY = 0.6  # linear, of a mesh without colours

# Numbers of the glTF specification.
MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
COMPONENT_TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SPLAT_COMPONENT_TYPES = COMPONENT_TYPES | {5120: "i1", 5122: "<i2"}
MAX_DEPTH = 64  # of nodes in nodes
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
MAX_TEXTURE_PIXELS = 64 * 2**20

# What reading a damaged or foreign file can end in; JSON may hold anything anywhere.
NOT_OURS = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError),
    *(struct.error, OSError, PillowImage.DecompressionBombError),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GlbNode:
    """An object with its pose, to write to a file.

    Attributes:
        name: what viewers show.
        mesh: in the object's frame.
        matrix: float64 [4, 4], scene_from_object, a similarity without mirroring.
        splats: in the object's frame too, or None for the mesh alone.
        key: a name for files and tables, of plain letters; `name` where it is empty.
    """

    name: str
    mesh: Mesh
    matrix: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    splats: Gaussians | None = None
    key: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)


def write_glb(path: Path, nodes: Sequence[GlbNode], *, hidden: Part = "mesh") -> None:
    """Write objects as one GLB; the same objects give the same bytes.

    Materials are metallic and rough as the mesh says; one that says nothing is not metallic (glTF's
    default is, and black without an environment). They are seen from both sides only where the
    mesh is open. Textures are embedded as PNG. A mesh without faces becomes an empty node.

    Args:
        hidden: of objects with mesh and splats, the part that is not shown at first
            (KHR_node_visibility): both at once would lie over each other.

    Raises:
        ValueError: a matrix mirrors, shears or scales its axes differently.
        OutputError: the file cannot be written.
    """
    write_bytes(path, glb_bytes(nodes, hidden=hidden))


def glb_bytes(nodes: Sequence[GlbNode], *, hidden: Part = "mesh") -> bytes:
    """Return the file that `write_glb` writes, as bytes.

    Raises:
        ValueError: a matrix mirrors, shears or scales its axes differently.
    """
    document = _Document(hidden)
    for node in nodes:
        document.add(node)
    return document.to_bytes()


class _Document:
    """The JSON and the binary chunk of a file while it is built."""

    def __init__(self, hidden: Part) -> None:
        self._hidden = hidden
        self._roots: list[int] = []
        self._extensions: set[str] = set()
        self._binary = bytearray()
        self._lists: dict[str, list[dict[str, Any]]] = {
            name: []
            for name in (
                *("nodes", "meshes", "materials", "textures", "images"),
                *("accessors", "bufferViews"),
            )
        }

    def add(self, node: GlbNode) -> None:
        entry: dict[str, Any] = {"name": node.name}
        pose = pose_from_matrix(node.matrix)
        if pose.translation != (0, 0, 0):
            entry["translation"] = list(pose.translation)
        if pose.rotation != (1, 0, 0, 0):
            w, x, y, z = pose.rotation
            entry["rotation"] = [x, y, z, w]
        if pose.scale != 1:
            entry["scale"] = [pose.scale] * 3
        mesh = self._mesh(node.name, node.mesh) if len(node.mesh.faces) else None
        if node.splats is not None and len(node.splats):
            parts: dict[Part, int] = {} if mesh is None else {"mesh": mesh}
            parts["splats"] = self._splats(node.name, node.splats)
            entry["children"] = [
                self._part(node.name, part, index, alone=mesh is None)
                for part, index in parts.items()
            ]
        elif mesh is not None:
            entry["mesh"] = mesh
        self._roots.append(self._append("nodes", entry))

    def _part(self, name: str, part: Part, mesh: int, *, alone: bool) -> int:
        """Add a child of an object's node: its mesh or its splats."""
        entry: dict[str, Any] = {"name": f"{name} {part}", "mesh": mesh}
        if part == self._hidden and not alone:
            self._extensions.add(VISIBILITY)
            entry["extensions"] = {VISIBILITY: {"visible": False}}
        return self._append("nodes", entry)

    def to_bytes(self) -> bytes:
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "scenelift"},
            "scene": 0,
            "scenes": [{"nodes": self._roots}],
        }
        if self._extensions:
            document["extensionsUsed"] = sorted(self._extensions)
        if not self._lists["nodes"]:
            document["scenes"] = [{}]  # glTF knows no empty lists
        document |= {name: entries for name, entries in self._lists.items() if entries}
        if self._binary:
            document["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        chunks = [(JSON_CHUNK, _padded(text.encode(), b" "))]
        if self._binary:
            chunks.append((BINARY_CHUNK, bytes(self._binary)))
        body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body

    def _mesh(self, name: str, mesh: Mesh) -> int:
        attributes = {
            "POSITION": self._accessor(mesh.vertices, "VEC3", bounds=True),
        }
        if mesh.normals is not None:
            attributes["NORMAL"] = self._accessor(_unit(mesh.normals), "VEC3")
        mapped = mesh.material is not None and mesh.material.normal is not None
        if mesh.tangents is not None and mapped:
            # v counts from the other end there, but y of a normal map still points up.
            attributes["TANGENT"] = self._accessor(mesh.tangents, "VEC4")
        if mesh.uv is not None:
            attributes["TEXCOORD_0"] = self._accessor(_flip_v(mesh.uv), "VEC2")
        if mesh.colors is not None:
            # 16 bits, as 8 would merge the dark tones; with alpha, as each vertex of an attribute
            # must start at a multiple of four bytes.
            linear = np.full((len(mesh.colors), 4), 65535, np.uint16)
            linear[:, :3] = np.rint(linear_from_srgb(mesh.colors) * 65535)
            attributes["COLOR_0"] = self._accessor(linear, "VEC4", normalized=True)
        # The largest number of each type is reserved.
        index_type = np.uint16 if len(mesh.vertices) < 65535 else np.uint32
        primitive = {
            "attributes": attributes,
            "indices": self._accessor(
                mesh.faces.astype(index_type).ravel(), "SCALAR", target=ELEMENT_ARRAY_BUFFER
            ),
            "material": self._material(name, mesh),
        }
        return self._append("meshes", {"name": name, "primitives": [primitive]})

    def _splats(self, name: str, splats: Gaussians) -> int:
        self._extensions.add(SPLATTING)
        fallback = np.zeros((len(splats), 4), np.uint8)
        fallback[:, :3] = np.rint(linear_from_srgb(splats.rgb) * 255)
        fallback[:, 3] = np.rint(np.clip(splats.opacities, 0, 1) * 255)
        attributes = {
            "POSITION": self._accessor(splats.means, "VEC3", bounds=True),
            "COLOR_0": self._accessor(fallback, "VEC4", normalized=True),
            f"{SPLATTING}:ROTATION": self._accessor(np.roll(splats.rotations, -1, 1), "VEC4"),
            f"{SPLATTING}:SCALE": self._accessor(splats.scales, "VEC3"),
            f"{SPLATTING}:OPACITY": self._accessor(splats.opacities, "SCALAR"),
            f"{SPLATTING}:SH_DEGREE_0_COEF_0": self._accessor(splats.sh0, "VEC3"),
        }
        primitive = {
            "mode": POINTS,
            "attributes": attributes,
            "extensions": {SPLATTING: dict(SPLAT_KIND)},
        }
        return self._append("meshes", {"name": f"{name} splats", "primitives": [primitive]})

    def _material(self, name: str, mesh: Mesh) -> int:
        look = mesh.material or PLAIN_MATERIAL
        surface: dict[str, Any] = {
            "metallicFactor": look.metallic,
            "roughnessFactor": look.roughness,
        }
        material: dict[str, Any] = {"name": name, "pbrMetallicRoughness": surface}
        if mesh.texture is not None:
            base = mesh.texture if look.alpha is None else np.dstack([mesh.texture, look.alpha])
            surface["baseColorTexture"] = self._texture(name, base)
        elif mesh.colors is None:
            surface["baseColorFactor"] = [GREY, GREY, GREY, 1]
        if look.surface is not None:
            surface |= {"metallicFactor": 1, "roughnessFactor": 1}
            pixels = np.zeros((*look.surface.shape[:2], 3), np.uint8)
            pixels[..., 2], pixels[..., 1] = look.surface[..., 0], look.surface[..., 1]
            surface["metallicRoughnessTexture"] = self._texture(f"{name} surface", pixels)
        if look.normal is not None:
            material["normalTexture"] = self._texture(f"{name} normals", look.normal)
        if look.alpha_mode != "opaque":
            material["alphaMode"] = look.alpha_mode.upper()
        if not is_closed(mesh):
            material["doubleSided"] = True
        return self._append("materials", material)

    def _texture(self, name: str, pixels: NDArray[np.uint8]) -> dict[str, int]:
        view = self._buffer_view(png_bytes(pixels))
        image = self._append("images", {"name": name, "mimeType": "image/png", "bufferView": view})
        return {"index": self._append("textures", {"source": image})}

    def _accessor(
        self,
        values: NDArray[Any],
        kind: str,
        *,
        bounds: bool = False,
        normalized: bool = False,
        target: int = ARRAY_BUFFER,
    ) -> int:
        component = next(k for k, v in COMPONENT_TYPES.items() if np.dtype(v) == values.dtype)
        entry: dict[str, Any] = {
            "bufferView": self._buffer_view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": component,
            "count": len(values),
            "type": kind,
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self._append("accessors", entry)

    def _buffer_view(self, data: bytes, target: int | None = None) -> int:
        entry = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        if target is not None:
            entry["target"] = target
        self._binary += _padded(data, b"\0")
        return self._append("bufferViews", entry)

    def _append(self, name: str, entry: dict[str, Any]) -> int:
        self._lists[name].append(entry)
        return len(self._lists[name]) - 1


def _padded(data: bytes, fill: bytes) -> bytes:
    return data + fill * (-len(data) % 4)


def _flip_v(uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flip texture coordinates, so that they count from the other end of the picture."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], -1)


def _unit(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise normals; those without length become up."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0, 1, 0], np.float32)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), up).astype(np.float32)


def read_glb(path: Path) -> list[GlbNode]:
    """Read a file that `write_glb` wrote.

    Reads nodes directly below the scene with triangle meshes of one primitive, or with a mesh and
    splats below them; normals, tangents, vertex colours, texture coordinates and embedded textures.
    Other files may be richer than that: they are refused rather than half understood.

    Raises:
        InputError: the file is missing, damaged, or holds what we do not write.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        return _Reader(data).nodes()
    except NOT_OURS as exc:
        raise InputError(
            f"{path} is not a GLB that can be read here ({type(exc).__name__}: {exc}). "
            "Expected a file written by scenelift."
        ) from exc


def read_glb_splats(path: str | Path) -> list[tuple[Gaussians, NDArray[np.float64]]]:
    """Read the splats of any program's GLB (KHR_gaussian_splatting), of harmonics degree 0 alone.

    Returns:
        Each set of splats with the matrix [4, 4] that takes it to the scene.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = Path(path)
    with reading(path):
        data = path.read_bytes()
    try:
        return _Reader(data).all_splats()
    except NOT_OURS as exc:
        raise InputError(
            f"{path} is not a GLB whose splats can be read ({type(exc).__name__}: {exc}). "
            "Expected the extension KHR_gaussian_splatting."
        ) from exc


class _Reader:
    """A parsed file; broken files raise ValueError, KeyError, IndexError or TypeError."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 12:
            raise ValueError("no glTF 2.0 binary, or cut short")
        magic, version, length = struct.unpack_from("<4sII", data)
        if magic != MAGIC or version != VERSION or length != len(data):
            raise ValueError("no glTF 2.0 binary, or cut short")
        chunks: dict[bytes, bytes] = {}
        offset = 12
        while offset < length:
            size, kind = struct.unpack_from("<I4s", data, offset)
            chunks[kind] = data[offset + 8 : offset + 8 + size]
            offset += 8 + size
        self._json: Mapping[str, Any] = json.loads(chunks[JSON_CHUNK])
        self._binary = chunks.get(BINARY_CHUNK, b"")

    def nodes(self) -> list[GlbNode]:
        scene = self._json["scenes"][self._json.get("scene", 0)]
        return [self._node(self._json["nodes"][i]) for i in scene.get("nodes", [])]

    def _node(self, node: Mapping[str, Any]) -> GlbNode:
        if "matrix" in node:
            raise ValueError("nodes with a matrix")
        x, y, z, w = node.get("rotation", [0, 0, 0, 1])
        matrix = compose_transform(
            node.get("scale", [1, 1, 1]), [w, x, y, z], node.get("translation", [0, 0, 0])
        )
        mesh = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
        splats = None
        for part in [node, *(self._json["nodes"][i] for i in node.get("children", []))]:
            if part is not node and {"children", "rotation", "scale", "translation"} & set(part):
                raise ValueError("nodes below an object's parts, or parts with a pose of their own")
            if "mesh" not in part:
                continue
            (primitive,) = self._json["meshes"][part["mesh"]]["primitives"]
            if SPLATTING in primitive.get("extensions", {}):
                splats = self._splats(primitive)
            else:
                mesh = self._mesh(primitive)
        return GlbNode(name=node.get("name", ""), mesh=mesh, matrix=matrix, splats=splats)

    def all_splats(self) -> list[tuple[Gaussians, NDArray[np.float64]]]:
        """Read all splats of the file, whoever wrote it, each with scene_from_node [4, 4]."""
        scene = self._json["scenes"][self._json.get("scene", 0)]
        splats: list[tuple[Gaussians, NDArray[np.float64]]] = []
        waiting = [(i, np.eye(4), 0) for i in reversed(scene.get("nodes", []))]
        while waiting:
            index, above, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise ValueError("nodes nested too deeply, or in a circle")
            node = self._json["nodes"][index]
            if "matrix" in node:  # column after column
                own = np.array(node["matrix"], np.float64).reshape(4, 4).T
            else:
                x, y, z, w = node.get("rotation", [0, 0, 0, 1])
                own = compose_transform(
                    node.get("scale", [1, 1, 1]), [w, x, y, z], node.get("translation", [0, 0, 0])
                )
            matrix = above @ own
            if "mesh" in node:
                splats += [
                    (self._splats(primitive), matrix)
                    for primitive in self._json["meshes"][node["mesh"]]["primitives"]
                    if SPLATTING in primitive.get("extensions", {})
                ]
            waiting += [(i, matrix, depth + 1) for i in reversed(node.get("children", []))]
        return splats

    def _splats(self, primitive: Mapping[str, Any]) -> Gaussians:
        kind = primitive["extensions"][SPLATTING]
        if kind.get("kernel", "ellipse") != SPLAT_KIND["kernel"]:
            raise ValueError(f"splats of the kernel {kind.get('kernel')!r}")
        attributes = primitive["attributes"]

        def values(name: str) -> NDArray[np.float32]:
            return self._numbers(attributes[name])

        return Gaussians(
            means=values("POSITION"),
            scales=values(f"{SPLATTING}:SCALE"),
            rotations=np.roll(values(f"{SPLATTING}:ROTATION"), 1, 1),
            opacities=values(f"{SPLATTING}:OPACITY"),
            sh0=values(f"{SPLATTING}:SH_DEGREE_0_COEF_0"),
        )

    def _mesh(self, primitive: Mapping[str, Any]) -> Mesh:
        attributes = primitive["attributes"]
        vertices = self._array(attributes["POSITION"]).astype(np.float32)
        faces = self._array(primitive["indices"]).astype(np.int64).reshape(-1, 3)
        if faces.size and faces.max() >= len(vertices):
            raise ValueError("a face names a vertex that does not exist")
        normals = tangents = uv = colors = None
        if "NORMAL" in attributes:
            normals = self._array(attributes["NORMAL"]).astype(np.float32)
        if "TANGENT" in attributes:
            tangents = self._array(attributes["TANGENT"]).astype(np.float32)
        if "TEXCOORD_0" in attributes:
            uv = _flip_v(self._array(attributes["TEXCOORD_0"]).astype(np.float32))
        if "COLOR_0" in attributes:
            linear = self._array(attributes["COLOR_0"])[:, :3] / 65535
            colors = np.rint(srgb_from_linear(linear) * 255).astype(np.uint8)
        texture, material = self._material(self._json["materials"][primitive["material"]])
        return Mesh(
            vertices=vertices,
            faces=faces.astype(np.int32),
            colors=colors,
            uv=uv,
            texture=texture,
            normals=normals,
            tangents=tangents,
            material=material,
        )

    def _material(
        self, entry: Mapping[str, Any]
    ) -> tuple[NDArray[np.uint8] | None, Material | None]:
        """Read base colour and the rest; None if the material is the plain one."""
        surface = entry["pbrMetallicRoughness"]
        modes: dict[str, AlphaMode] = {"OPAQUE": "opaque", "MASK": "mask", "BLEND": "blend"}
        mode = modes[entry.get("alphaMode", "OPAQUE")]
        base = self._picture(surface.get("baseColorTexture"), "RGB" if mode == "opaque" else "RGBA")
        surface_map = self._picture(surface.get("metallicRoughnessTexture"), "RGB")
        normal = self._picture(entry.get("normalTexture"), "RGB")
        texture = None if base is None else np.ascontiguousarray(base[..., :3])
        plain = (surface.get("metallicFactor", 1), surface.get("roughnessFactor", 1)) == (
            PLAIN_MATERIAL.metallic,
            PLAIN_MATERIAL.roughness,
        )
        if plain and surface_map is None and normal is None and mode == "opaque":
            return texture, None
        material = Material(
            metallic=PLAIN_MATERIAL.metallic
            if surface_map is not None
            else surface["metallicFactor"],
            roughness=(
                PLAIN_MATERIAL.roughness if surface_map is not None else surface["roughnessFactor"]
            ),
            surface=None if surface_map is None else np.ascontiguousarray(surface_map[..., [2, 1]]),
            alpha=None if base is None or mode == "opaque" else np.ascontiguousarray(base[..., 3]),
            alpha_mode=mode,
            normal=normal,
        )
        return texture, material

    def _picture(self, texture: Mapping[str, Any] | None, mode: str) -> NDArray[np.uint8] | None:
        if texture is None:
            return None
        source = self._json["textures"][texture["index"]]["source"]
        png = self._bytes(self._json["images"][source]["bufferView"])
        with PillowImage.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.width * image.height > MAX_TEXTURE_PIXELS:
                raise ValueError(f"a texture of {image.width}×{image.height} pixels")
            return np.array(image.convert(mode))

    def _numbers(self, accessor: int) -> NDArray[np.float32]:
        """Read numbers like `_array`, with any spacing and normalised type of other programs."""
        entry = self._json["accessors"][accessor]
        view = self._json["bufferViews"][entry["bufferView"]]
        width, count = COMPONENTS[entry["type"]], entry["count"]
        dtype = np.dtype(SPLAT_COMPONENT_TYPES[entry["componentType"]])
        data = self._bytes(entry["bufferView"])[entry.get("byteOffset", 0) :]
        stride = view.get("byteStride", width * dtype.itemsize)
        if count and (count - 1) * stride + width * dtype.itemsize > len(data):
            raise ValueError("an accessor outside its buffer view")
        table = np.ndarray((count, width), dtype, data, strides=(stride, dtype.itemsize))
        values = table.astype(np.float32)
        if entry.get("normalized") and dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(dtype).max, -1).astype(np.float32)
        return values[:, 0] if width == 1 else values

    def _array(self, accessor: int) -> NDArray[Any]:
        entry = self._json["accessors"][accessor]
        width = COMPONENTS[entry["type"]]
        dtype = np.dtype(COMPONENT_TYPES[entry["componentType"]])
        data = self._bytes(entry["bufferView"])
        values = np.frombuffer(data, dtype, entry["count"] * width)
        return values if width == 1 else values.reshape(-1, width)

    def _bytes(self, view: int) -> bytes:
        entry = self._json["bufferViews"][view]
        start, size = entry.get("byteOffset", 0), entry["byteLength"]
        if not 0 <= start <= start + size <= len(self._binary):
            raise ValueError("a buffer view outside the file")
        return self._binary[start : start + size]

"""Compress GLB for the web: meshopt for geometry, WebP for textures.

Extensions: EXT_meshopt_compression, KHR_mesh_quantization, EXT_texture_webp. three.js, Babylon,
PlayCanvas and model-viewer read them; Blender and Windows' viewer do not, so `scene.glb` stays
plain.
"""

# meshoptimizer has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from scenelift.errors import SetupError
from scenelift.io.glb import BINARY_CHUNK, COMPONENT_TYPES, COMPONENTS, JSON_CHUNK, MAGIC, VERSION

__all__ = ["compact_glb"]

MESHOPT, QUANTIZED, WEBP = (
    "EXT_meshopt_compression",
    "KHR_mesh_quantization",
    "EXT_texture_webp",
)
WEBP_QUALITY = 90
POSITION_BITS = 15  # of the longest side of a mesh's box: 3 hundredths of a millimetre a metre
BYTE, UNSIGNED_SHORT = 5120, 5123


def compact_glb(data: bytes) -> bytes:
    """Compress a file that `write_glb` wrote.

    Positions are rounded to 1/32768 of the mesh's longest side, normals and tangents to bytes,
    texture coordinates to 1/65535; triangles and vertices change their order, base colours lose
    what WebP at quality 90 loses. The other maps lose nothing.

    Raises:
        SetupError: the package meshoptimizer is not installed.
    """
    try:
        import meshoptimizer
    except ImportError as exc:
        raise SetupError(
            "A compact GLB needs the package meshoptimizer: pip install 'scenelift[compact]'."
        ) from exc
    meshoptimizer.encode_vertex_version(0)  # what the extension's decoders read
    document, binary = _parsed(data)
    writer = _Writer(document)
    views = document.get("bufferViews", [])
    document["bufferViews"] = []
    colours = _colour_images(document)
    for number, image in enumerate(document.get("images", [])):
        view = views[image["bufferView"]]
        png = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        webp = _webp(png, lossless=number not in colours)
        image |= {"mimeType": "image/webp", "bufferView": writer.plain(webp)}
    for texture in document.get("textures", []):
        texture["extensions"] = {WEBP: {"source": texture.pop("source")}}
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            _compress(primitive, document["accessors"], views, binary, writer)
    extensions: list[str] = []
    if document.get("meshes"):
        extensions += [MESHOPT, QUANTIZED]
    if document.get("textures"):
        extensions.append(WEBP)
    if extensions:
        document |= {"extensionsUsed": extensions, "extensionsRequired": extensions}
    return writer.to_bytes()


class _Writer:
    """Collects the new buffer, and a placeholder buffer for what decoders will fill."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document, self._binary, self._decoded = document, bytearray(), 0

    def plain(self, data: bytes) -> int:
        return self._view({"buffer": 0, "byteOffset": self._put(data), "byteLength": len(data)})

    def compressed(self, data: bytes, *, mode: str, count: int, stride: int, target: int) -> int:
        start = self._decoded
        length = count * stride
        self._decoded += length + -length % 4
        source = {"buffer": 0, "byteOffset": self._put(data), "byteLength": len(data)}
        packing = source | {"byteStride": stride, "mode": mode, "count": count}
        view = {"buffer": 1, "byteOffset": start, "byteLength": length, "target": target}
        if mode == "ATTRIBUTES":
            view["byteStride"] = stride
        return self._view(view | {"extensions": {MESHOPT: packing}})

    def to_bytes(self) -> bytes:
        buffers: list[dict[str, Any]] = [{"byteLength": len(self._binary)}]
        if self._decoded:
            fallback = {"fallback": True}
            buffers.append({"byteLength": self._decoded, "extensions": {MESHOPT: fallback}})
        if self._binary:
            self._document["buffers"] = buffers
        else:
            self._document.pop("bufferViews", None)
        text = json.dumps(self._document, separators=(",", ":"), ensure_ascii=False).encode()
        chunks = [(JSON_CHUNK, text + b" " * (-len(text) % 4))]
        if self._binary:
            chunks.append((BINARY_CHUNK, bytes(self._binary)))
        body = b"".join(struct.pack("<I4s", len(part), kind) + part for kind, part in chunks)
        return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body

    def _put(self, data: bytes) -> int:
        start = len(self._binary)
        self._binary += data + b"\0" * (-len(data) % 4)
        return start

    def _view(self, view: dict[str, Any]) -> int:
        self._document["bufferViews"].append(view)
        return len(self._document["bufferViews"]) - 1


def _compress(
    primitive: dict[str, Any],
    accessors: list[dict[str, Any]],
    views: list[dict[str, Any]],
    binary: bytes,
    writer: _Writer,
) -> None:
    """Order one mesh's triangles and vertices so that they compress best, and pack them."""
    import meshoptimizer

    entry = accessors[primitive["indices"]]
    indices = _values(entry, views, binary).astype(np.uint32)
    columns = {
        name: _values(accessors[number], views, binary)
        for name, number in primitive["attributes"].items()
    }
    count = len(columns["POSITION"])
    cached = np.zeros_like(indices)
    meshoptimizer.optimize_vertex_cache(cached, indices, len(indices), count)
    # Vertices in the order of their first use; those that no triangle uses go.
    places, first = np.unique(cached, return_index=True)
    order = places[np.argsort(first)]
    number = np.zeros(count, np.uint32)
    number[order] = np.arange(len(order), dtype=np.uint32)
    stored = number[cached].astype(np.uint16 if len(order) < 65535 else np.uint32)
    entry["bufferView"] = writer.compressed(
        meshoptimizer.encode_index_buffer(number[cached], len(cached), len(order)),
        mode="TRIANGLES",
        count=len(stored),
        stride=stored.itemsize,
        target=34963,
    )
    entry["componentType"] = UNSIGNED_SHORT if stored.itemsize == 2 else 5125
    for name, values in columns.items():
        table, changes = _quantize(name, values[order])
        accessor = accessors[primitive["attributes"][name]]
        accessor |= changes | {"count": len(table)}
        accessor["bufferView"] = writer.compressed(
            meshoptimizer.encode_vertex_buffer(table, len(table), table.strides[0]),
            mode="ATTRIBUTES",
            count=len(table),
            stride=table.strides[0],
            target=34962,
        )


def _quantize(name: str, values: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Quantise an attribute to rows of whole words; return them with what their accessor says."""
    if name == "POSITION":
        step = 2.0 ** (np.ceil(np.log2(max(float(np.ptp(values, 0).max()), 1e-12))) - POSITION_BITS)
        rounded = (np.rint(values / step) * step).astype(np.float32)
        return rounded, {"min": rounded.min(0).tolist(), "max": rounded.max(0).tolist()}
    if name in ("NORMAL", "TANGENT"):
        table = np.zeros((len(values), 4), np.int8)  # a normal's fourth is never read
        table[:, : values.shape[1]] = np.rint(np.clip(values, -1, 1) * 127)
        return table, {"componentType": BYTE, "normalized": True}
    if name == "TEXCOORD_0" and values.min() >= 0 and values.max() <= 1:
        table = np.rint(values.astype(np.float64) * 65535).astype(np.uint16)
        return table, {"componentType": UNSIGNED_SHORT, "normalized": True}
    return np.ascontiguousarray(values), {}


def _values(entry: dict[str, Any], views: list[dict[str, Any]], binary: bytes) -> NDArray[Any]:
    kind, width = COMPONENT_TYPES[entry["componentType"]], COMPONENTS[entry["type"]]
    start = views[entry["bufferView"]]["byteOffset"]
    values = np.frombuffer(binary, kind, entry["count"] * width, start)
    return values if width == 1 else values.reshape(-1, width)


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack_from("<I", data, 12)[0]
    rest = 20 + length
    return json.loads(data[20:rest]), data[rest + 8 :]


def _colour_images(document: dict[str, Any]) -> set[int]:
    """List the images with colours; the others hold numbers, which must not lose anything."""
    textures = [
        material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        for material in document.get("materials", [])
        if "baseColorTexture" in material["pbrMetallicRoughness"]
    ]
    return {document["textures"][index]["source"] for index in textures}


def _webp(png: bytes, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    with PillowImage.open(io.BytesIO(png), formats=["PNG"]) as picture:
        kind = "RGBA" if picture.mode == "RGBA" else "RGB"
        quality = {"lossless": True} if lossless else {"quality": WEBP_QUALITY}
        picture.convert(kind).save(buffer, "WEBP", method=4, **quality)
    return buffer.getvalue()

"""A compact GLB shows what the plain one shows: three.js' own decoder says what is inside."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from scenelift.io.glb import GlbNode, glb_bytes
from scenelift.types import Mesh

pytest.importorskip("meshoptimizer", reason="meshoptimizer is not installed")
from scenelift.io.glb_compact import compact_glb

ROOT = Path(__file__).parents[2]
DECODER = ROOT / "frontend/node_modules/three/examples/jsm/libs/meshopt_decoder.module.js"
SCRIPT = """
import { readFileSync } from 'node:fs';
const { MeshoptDecoder } = await import(process.argv[2]);
await MeshoptDecoder.ready;
const data = readFileSync(process.argv[3]);
const size = data.readUInt32LE(12);
const gltf = JSON.parse(data.subarray(20, 20 + size).toString());
const binary = data.subarray(28 + size);
const views = gltf.bufferViews.map((view) => {
  const packed = view.extensions?.EXT_meshopt_compression;
  if (!packed) return null;
  const out = new Uint8Array(packed.count * packed.byteStride);
  const source = binary.subarray(packed.byteOffset, packed.byteOffset + packed.byteLength);
  MeshoptDecoder.decodeGltfBuffer(out, packed.count, packed.byteStride, source, packed.mode);
  return Buffer.from(out).toString('base64');
});
console.log(JSON.stringify({ gltf, views }));
"""


def ball() -> Mesh:
    solid = trimesh.creation.icosphere(subdivisions=3)
    vertices = solid.vertices.astype(np.float32)
    return Mesh(
        vertices=vertices,
        faces=solid.faces.astype(np.int32),
        normals=vertices.copy(),
        uv=np.clip(vertices[:, :2] / 2 + 0.5, 0, 1).astype(np.float32),
        texture=np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8),
    )


def document(data: bytes) -> dict:
    (size,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + size])


def decoded(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    """Attributes and indices of the first mesh, as three.js decodes them."""
    node = shutil.which("node")
    if node is None or not DECODER.is_file():
        reason = "node is absent, or the page was never built (`make page`)"
        if os.environ.get("SCENELIFT_REQUIRE_NODE"):
            pytest.fail(reason)
        pytest.skip(reason)
    (folder / "scene.glb").write_bytes(data)
    (folder / "decode.mjs").write_text(SCRIPT)
    command = [node, str(folder / "decode.mjs"), DECODER.as_uri(), str(folder / "scene.glb")]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    answer = json.loads(done.stdout)
    gltf = answer["gltf"]
    primitive = gltf["meshes"][0]["primitives"][0]
    types = {5120: "i1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
    out = {}
    for name, number in {**primitive["attributes"], "indices": primitive["indices"]}.items():
        import base64

        accessor = gltf["accessors"][number]
        raw = base64.b64decode(answer["views"][accessor["bufferView"]])
        values = np.frombuffer(raw, types[accessor["componentType"]]).reshape(accessor["count"], -1)
        if accessor.get("normalized"):
            values = values / np.iinfo(values.dtype).max
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
        out[name] = values[:, :width]
    return out


def test_the_surface_its_normals_and_its_texture_coordinates_stay(tmp_path):
    mesh = ball()
    plain = glb_bytes([GlbNode(name="ball", mesh=mesh)])
    packed = compact_glb(plain)
    assert len(packed) < len(plain) / 2
    found = decoded(packed, tmp_path)
    distance, match = cKDTree(mesh.vertices).query(found["POSITION"])
    assert distance.max() <= 2 * 2.0**-15  # a step of the grid, of a ball 2 across
    assert np.abs(found["NORMAL"] - mesh.normals[match]).max() < 1 / 127
    flipped = np.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], 1)  # glTF counts v from the top
    assert np.abs(found["TEXCOORD_0"] - flipped[match]).max() < 1 / 65535
    # The same triangles, each turned the same way round.
    before = {tuple(np.roll(f, -f.argmin())) for f in mesh.faces}
    after = {tuple(np.roll(f, -f.argmin())) for f in match[found["indices"].reshape(-1, 3)]}
    assert after == before


def test_a_scene_of_many_meshes_and_of_none_stays_valid_json_with_every_extension_named():
    two = [GlbNode(name="a", mesh=ball()), GlbNode(name="b", mesh=ball())]
    assert set(document(compact_glb(glb_bytes(two)))["extensionsRequired"]) == {
        "EXT_meshopt_compression",
        "KHR_mesh_quantization",
        "EXT_texture_webp",
    }
    assert "extensionsUsed" not in document(compact_glb(glb_bytes([])))

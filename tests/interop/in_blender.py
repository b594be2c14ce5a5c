"""What Blender makes of a file: PYTHON-WITH-BPY in_blender.py FILE. Needs nothing of scenelift."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

HUES = ("red", "green", "blue")
SH_C0 = 0.28209479177387814  # of splats' colours
OPERATORS = {
    "glb": lambda f: bpy.ops.import_scene.gltf(filepath=f),
    "obj": lambda f: bpy.ops.wm.obj_import(filepath=f),
    "usdc": lambda f: bpy.ops.wm.usd_import(filepath=f),
    "usdz": lambda f: bpy.ops.wm.usd_import(filepath=f),
    "stl": lambda f: bpy.ops.wm.stl_import(filepath=f),
    "ply": lambda f: bpy.ops.wm.ply_import(filepath=f),
}


def encode(linear):
    v = np.clip(linear, 0, 1)
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


def base_colour(mesh):
    """What the material has for its base: a picture's mean, vertex colours, or one colour."""
    if "f_dc_0" in mesh.attributes:
        bands = [mesh.attributes[f"f_dc_{k}"].data for k in range(3)]
        return 0.5 + SH_C0 * np.array([[item.value for item in band] for band in bands]).T
    for material in mesh.materials:
        nodes = material.node_tree.nodes if material and material.node_tree else []
        for node in nodes:
            if node.type == "TEX_IMAGE" and node.image is not None:
                pixels = np.array(node.image.pixels[:]).reshape(-1, node.image.channels)
                return pixels[:, :3].mean(0, keepdims=True)
    if mesh.color_attributes:
        colours = mesh.color_attributes[0]
        linear = np.array([tuple(item.color)[:3] for item in colours.data])
        if colours.domain == "CORNER":
            corners = np.array([loop.vertex_index for loop in mesh.loops])
            by_vertex = np.zeros((len(mesh.vertices), 3))
            by_vertex[corners] = linear
            linear = by_vertex
        return encode(linear)
    return None


def part(item):
    mesh = item.data
    points = np.array([tuple(item.matrix_world @ v.co) for v in mesh.vertices])
    rgb = base_colour(mesh)
    hues = np.array(["none"] * len(points), dtype=object)
    if rgb is not None:
        rgb = np.broadcast_to(rgb, points.shape)
        hues = np.array(HUES, dtype=object)[rgb.argmax(1)]
    return {
        "name": item.name,
        "kind": "mesh" if mesh.polygons else "points",
        "count": len(points),
        "low": points.min(0).tolist(),
        "high": points.max(0).tolist(),
        "shown": not item.hide_get() and not item.hide_viewport,
        "hues": {
            str(hue): {
                "centre": points[hues == hue].mean(0).tolist(),
                "rgb": [0.0] * 3 if rgb is None else rgb[hues == hue].mean(0).tolist(),
                "count": int((hues == hue).sum()),
            }
            for hue in sorted(set(hues))
        },
    }


path = Path(sys.argv[1])
bpy.ops.wm.read_factory_settings(use_empty=True)
OPERATORS[path.suffix[1:]](str(path))
bpy.context.view_layer.update()
objects = [o for o in bpy.data.objects if o.type == "MESH" and len(o.data.vertices)]
sys.stdout.write(f"PARTS {json.dumps([part(o) for o in objects])}\n")

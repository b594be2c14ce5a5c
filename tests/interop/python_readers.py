"""Other people's readers that are Python packages."""

# pyright: reportAttributeAccessIssue=false
# (pxr's and mujoco's modules get their members from C++ as they are imported.)

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from tests.drivers.browser import PATIENCE_MS
from tests.interop.readings import Reading, part_of, reading_of

from scenelift.srgb import srgb_from_linear
from scenelift.types import SH_C0

__all__ = [
    "blender",
    "blender_python",
    "mujoco_reads",
    "nvidia_says",
    "openusd",
    "openusd_says",
    "trimesh_reads",
]


def blender_python() -> str:
    """The Python that has Blender's module `bpy`, or empty: `BPY_PYTHON` names it."""
    return os.environ.get("BPY_PYTHON", "")


def blender(path: Path) -> Reading:
    """Blender, whose axes are x right, z up, y ahead."""
    done = subprocess.run(
        [blender_python(), str(Path(__file__).parent / "in_blender.py"), str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_MS / 1000,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("PARTS ")]
    if not lines:
        return Reading(refusal=(done.stderr or done.stdout).strip().splitlines()[-1])
    return reading_of(json.loads(lines[-1].removeprefix("PARTS ")))


def trimesh_reads(path: Path) -> Reading:
    """trimesh, as it comes."""
    import trimesh

    parts = []
    scene = trimesh.load_scene(str(path))
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        shape = scene.geometry[name]
        points = trimesh.transform_points(shape.vertices, matrix)
        parts.append(part_of(str(node), "mesh", points, _trimesh_colours(shape, path)))
    return reading_of(parts)


def _trimesh_colours(shape: Any, path: Path) -> NDArray | None:
    visual = shape.visual
    if visual.kind == "texture":
        picture = getattr(visual.material, "image", None)
        picture = picture or getattr(visual.material, "baseColorTexture", None)
        return None if picture is None else _mean(picture)
    if visual.kind not in ("vertex", "face"):
        return None
    rgb = visual.vertex_colors[:, :3] / 255
    # glTF's colours are linear light, and trimesh hands them on.
    return srgb_from_linear(rgb) if path.suffix == ".glb" else rgb


def openusd(path: Path) -> Reading:
    """OpenUSD's own Python, in metres whatever the file's unit."""
    from pxr import Usd, UsdGeom

    stage, cache = Usd.Stage.Open(str(path)), UsdGeom.XformCache()
    unit = UsdGeom.GetStageMetersPerUnit(stage)
    parts = []
    for prim in stage.Traverse():
        splats = prim.GetTypeName() == "ParticleField3DGaussianSplat"
        if not splats and not prim.IsA(UsdGeom.Mesh):
            continue
        if UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide:
            continue
        points = np.array(prim.GetAttribute("positions" if splats else "points").Get(), float)
        matrix = np.array(cache.GetLocalToWorldTransform(prim))
        points = (np.c_[points, np.ones(len(points))] @ matrix)[:, :3] * unit
        rgb = _splat_colours(prim) if splats else _usd_colours(stage, prim, path)
        parts.append(part_of(prim.GetName(), "splats" if splats else "mesh", points, rgb))
    return reading_of(parts)


def _splat_colours(prim: Any) -> NDArray:
    name = "radiance:sphericalHarmonicsCoefficients"
    return 0.5 + SH_C0 * np.array(prim.GetAttribute(name).Get())


def _usd_colours(stage: Any, prim: Any, path: Path) -> NDArray | None:
    from pxr import Ar, UsdShade

    colours = prim.GetAttribute("primvars:displayColor").Get()
    if colours is not None:
        return srgb_from_linear(np.array(colours))
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    texture = stage.GetPrimAtPath(material.GetPath().AppendChild("texture"))
    if not texture:
        return None
    file = texture.GetAttribute("inputs:file").Get().resolvedPath
    asset = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(file))
    work = path.with_suffix(".texture.png")
    work.write_bytes(asset.GetBuffer())
    return _mean(PillowImage.open(work))


def openusd_says(path: Path) -> str:
    """What OpenUSD's validators complain of: their number, and the first."""
    from pxr import Usd, UsdValidation

    registry = UsdValidation.ValidationRegistry()
    names = [m.name for m in registry.GetAllValidatorMetadata()]
    context = UsdValidation.ValidationContext(registry.GetOrLoadValidatorsByName(names))
    found = [error.GetMessage() for error in context.Validate(Usd.Stage.Open(str(path)))]
    return f"{len(found)} complaints of {len(names)} validators" + "".join(
        f": {m}" for m in found[:1]
    )


def nvidia_says(path: Path) -> tuple[str, list[str]]:
    """What NVIDIA's validator says, the rules for splats included: a line, and what fails."""
    import usd_validation_nvidia as nvidia
    from pxr import Usd

    engine = nvidia.ValidationEngine()
    engine.enable_rule(nvidia.GaussianSplatSchemaChecker)  # not among its defaults yet
    issues = list(engine.validate(Usd.Stage.Open(str(path))).issues())
    failures = [
        f"{i.rule.__name__}: {i.message} {i.at}" for i in issues if i.severity.name != "WARNING"
    ]
    warnings = sorted({i.rule.__name__ for i in issues if i.severity.name == "WARNING"})
    return ", ".join((f"{len(failures)} failures", *(f"warns: {w}" for w in warnings))), failures


def mujoco_reads(path: Path) -> Reading:
    """MuJoCo, where its bodies begin."""
    import mujoco

    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    parts = []
    for geom in range(model.ngeom):
        if not model.geom(geom).name.endswith("_look"):
            continue
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        points = model.mesh_vert[first : first + count].astype(float)
        points = points @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        name = model.body(model.geom_bodyid[geom]).name
        parts.append(part_of(name, "mesh", points, _mujoco_colour(model, geom)))
    return reading_of(parts)


def _mujoco_colour(model: Any, geom: int) -> NDArray:
    return model.geom_rgba[geom][None, :3].astype(float)


def _mean(picture: Any) -> NDArray:
    return np.asarray(picture.convert("RGB"), float).reshape(-1, 3).mean(0, keepdims=True) / 255

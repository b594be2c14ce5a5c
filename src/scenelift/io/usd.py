"""Scenes as USDZ: meshes for everything that shows USD, splats for what knows them.

Splats are `ParticleField3DGaussianSplat`, OpenUSD's own schema since 26.03; viewers that do not
know it show the meshes alone.
"""

# pyright: reportAttributeAccessIssue=false
# (pxr's modules get their members from C++ as they are imported.)

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from scenelift.errors import FormatError, SetupError
from scenelift.io.files import write_bytes
from scenelift.io.glb import ROUGHNESS, GlbNode
from scenelift.render.color import linear_from_srgb
from scenelift.types import Gaussians, Mesh

__all__ = ["write_usdz"]


def write_usdz(
    path: Path,
    nodes: Sequence[GlbNode],
    splats: Mapping[str, Gaussians],
    *,
    metres: bool = False,
) -> None:
    """Write objects with their poses, y up.

    Args:
        path: the file, replaced atomically.
        nodes: meshes, one an object; a mesh may be empty.
        splats: each object's, in its own frame, by the name of its node.
        metres: whether the scene's unit is the metre; the file says so.

    Raises:
        SetupError: usd-core is not installed.
        FormatError: OpenUSD refuses to pack the scene.
        OutputError: the file cannot be written.
    """
    try:
        from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdUtils
    except ImportError as exc:
        raise SetupError(
            "Writing .usdz needs the package usd-core: pip install 'scenelift[usd]'."
        ) from exc
    with tempfile.TemporaryDirectory(prefix="scenelift-usd-") as folder:
        layer = Path(folder) / "scene.usdc"
        stage = Usd.Stage.CreateNew(str(layer))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        if metres:
            UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)
        root = UsdGeom.Xform.Define(stage, "/scene")
        stage.SetDefaultPrim(root.GetPrim())
        for node in nodes:
            place = Sdf.Path("/scene").AppendChild(Tf.MakeValidIdentifier(f"object_{node.name}"))
            prim = UsdGeom.Xform.Define(stage, place)
            prim.GetPrim().SetDisplayName(node.name)
            # Row vectors there.
            prim.AddTransformOp().Set(Gf.Matrix4d(*node.matrix.T.ravel().tolist()))
            if len(node.mesh.faces):
                _add_mesh(stage, place, node.mesh, Path(folder))
            if node.name in splats and len(splats[node.name]):
                _add_splats(stage, place.AppendChild("splats"), splats[node.name])
        stage.GetRootLayer().Save()
        packed = Path(folder) / "scene.usdz"
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(packed)):
            raise FormatError(f"OpenUSD could not pack {path.name}.")
        write_bytes(path, packed.read_bytes())


def _add_mesh(stage: Any, place: Any, mesh: Mesh, folder: Path) -> None:
    from pxr import Sdf, UsdGeom, UsdShade, Vt

    prim = UsdGeom.Mesh.Define(stage, place.AppendChild("mesh"))
    prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(mesh.vertices))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.ravel().astype(np.int32)))
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateExtentAttr(
        Vt.Vec3fArray.FromNumpy(np.stack([mesh.vertices.min(0), mesh.vertices.max(0)]))
    )
    if mesh.normals is not None:
        prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(mesh.normals))
        prim.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    primvars = UsdGeom.PrimvarsAPI(prim)
    if mesh.colors is not None:
        colors = linear_from_srgb(mesh.colors).astype(np.float32)
        primvars.CreatePrimvar(
            "displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.vertex
        ).Set(Vt.Vec3fArray.FromNumpy(colors))

    material = UsdShade.Material.Define(stage, place.AppendChild("material"))
    shader = UsdShade.Shader.Define(stage, place.AppendPath("material/surface"))
    shader.CreateIdAttr("UsdPreviewSurface")
    shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(ROUGHNESS)
    shader.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
    color = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
    if mesh.texture is not None and mesh.uv is not None:
        # USD counts v from the bottom row, as this package does.
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex).Set(
            Vt.Vec2fArray.FromNumpy(mesh.uv)
        )
        picture = folder / f"{place.name}.png"
        PillowImage.fromarray(mesh.texture).save(picture)
        _sample(stage, place, color, "st", Sdf.AssetPath(f"./{picture.name}"))
    elif mesh.colors is not None:
        reader = UsdShade.Shader.Define(stage, place.AppendPath("material/colors"))
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
        color.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
    material.CreateSurfaceOutput().ConnectToSource(
        shader.CreateOutput("surface", Sdf.ValueTypeNames.Token)
    )
    UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material)


def _sample(stage: Any, place: Any, color: Any, primvar: str, picture: Any) -> None:
    """Let a colour come from a picture."""
    from pxr import Sdf, UsdShade

    reader = UsdShade.Shader.Define(stage, place.AppendPath("material/coordinates"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set(primvar)
    texture = UsdShade.Shader.Define(stage, place.AppendPath("material/texture"))
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(picture)
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
        reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    )
    color.ConnectToSource(texture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))


def _add_splats(stage: Any, place: Any, gaussians: Gaussians) -> None:
    from pxr import UsdVol, Vt

    prim = UsdVol.ParticleField3DGaussianSplat.Define(stage, place)
    prim.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(gaussians.means))
    prim.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(gaussians.scales))
    xyzw = np.roll(gaussians.rotations, -1, axis=1)  # as OpenUSD's arrays hold quaternions
    prim.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(xyzw)))
    prim.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(gaussians.opacities))
    prim.CreateRadianceSphericalHarmonicsDegreeAttr(0)
    prim.CreateRadianceSphericalHarmonicsCoefficientsAttr(Vt.Vec3fArray.FromNumpy(gaussians.sh0))
    reach = gaussians.means.max(0), gaussians.means.min(0)
    prim.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack(reach[::-1])))

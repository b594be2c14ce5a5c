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
from numpy.typing import NDArray
from PIL import Image as PillowImage

from scenelift.errors import FormatError, SetupError
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.render.color import linear_from_srgb
from scenelift.types import PLAIN_MATERIAL, Gaussians, Material, Mesh

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
    made = mesh.material or PLAIN_MATERIAL
    color = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
    if mesh.uv is not None and (mesh.texture is not None or mesh.material is not None):
        # USD counts v from the bottom row, as this package does.
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex).Set(
            Vt.Vec2fArray.FromNumpy(mesh.uv)
        )
    if mesh.texture is not None:
        base = mesh.texture if made.alpha is None else np.dstack([mesh.texture, made.alpha])
        sampler = _sampler(stage, place, "texture", base, folder, "sRGB")
        color.ConnectToSource(sampler.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))
        if made.alpha is not None:
            opacity = shader.CreateInput("opacity", Sdf.ValueTypeNames.Float)
            opacity.ConnectToSource(sampler.CreateOutput("a", Sdf.ValueTypeNames.Float))
        if made.alpha_mode == "mask":
            shader.CreateInput("opacityThreshold", Sdf.ValueTypeNames.Float).Set(0.5)
    elif mesh.colors is not None:
        reader = UsdShade.Shader.Define(stage, place.AppendPath("material/colors"))
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
        color.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
    _add_surface(stage, place, shader, made, folder)
    material.CreateSurfaceOutput().ConnectToSource(
        shader.CreateOutput("surface", Sdf.ValueTypeNames.Token)
    )
    UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material)


def _add_surface(stage: Any, place: Any, shader: Any, made: Material, folder: Path) -> None:
    """Metallic, roughness and the normal map."""
    from pxr import Gf, Sdf

    metallic = shader.CreateInput("metallic", Sdf.ValueTypeNames.Float)
    roughness = shader.CreateInput("roughness", Sdf.ValueTypeNames.Float)
    if made.surface is None:
        metallic.Set(made.metallic)
        roughness.Set(made.roughness)
    else:
        packed = np.zeros((*made.surface.shape[:2], 3), np.uint8)  # as in glTF
        packed[..., 2], packed[..., 1] = made.surface[..., 0], made.surface[..., 1]
        sampler = _sampler(stage, place, "surface_map", packed, folder, "raw")
        metallic.ConnectToSource(sampler.CreateOutput("b", Sdf.ValueTypeNames.Float))
        roughness.ConnectToSource(sampler.CreateOutput("g", Sdf.ValueTypeNames.Float))
    if made.normal is not None:
        sampler = _sampler(stage, place, "normal_map", made.normal, folder, "raw")
        # UsdPreviewSurface expects −1…1.
        sampler.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(2, 2, 2, 1))
        sampler.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(-1, -1, -1, 0))
        normal = shader.CreateInput("normal", Sdf.ValueTypeNames.Normal3f)
        normal.ConnectToSource(sampler.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))


def _sampler(
    stage: Any, place: Any, name: str, pixels: NDArray[np.uint8], folder: Path, space: str
) -> Any:
    """A shader that reads a picture at the mesh's texture coordinates."""
    from pxr import Sdf, UsdShade

    file = folder / (f"{place.name}.png" if name == "texture" else f"{place.name}_{name}.png")
    PillowImage.fromarray(pixels).save(file)
    reader = UsdShade.Shader.Define(stage, place.AppendPath("material/coordinates"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    texture = UsdShade.Shader.Define(stage, place.AppendPath(f"material/{name}"))
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(Sdf.AssetPath(f"./{file.name}"))
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set(space)
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
        reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    )
    return texture


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

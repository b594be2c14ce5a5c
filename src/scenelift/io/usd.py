"""Write scenes as USD (https://openusd.org): a package for phones, and files for other tools.

    scene.usdz   phones: meshes and their textures in one package, nothing else
    scene.usdc   simulators and editors: meshes, splats, rigid bodies; pictures in `scene_usd/`

Splats are `ParticleField3DGaussianSplat`, OpenUSD's own schema since 26.03; bodies are UsdPhysics.
Readers that do not know one of them show the meshes alone.
"""

# pyright: reportAttributeAccessIssue=false
# (pxr's modules get their members from C++ as they are imported.)

# OpenUSD has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from scenelift.errors import FormatError, SetupError
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.physics.bodies import Body, Shelf, World
from scenelift.srgb import linear_from_srgb
from scenelift.types import PLAIN_MATERIAL, Gaussians, Material, Mesh

__all__ = ["PICTURES", "write_usd", "write_usdz"]

PICTURES = "scene_usd"
"""Folder of the textures beside `scene.usdc`."""

METRES_PER_UNIT = 1.0
"""Of every scene, metric or not: without it readers take our units for centimetres."""

# When a package's files are said to be of, in whatever zone: the same scene gives the same bytes.
PACKED = time.mktime((1980, 1, 1, 0, 0, 0, 0, 0, -1))


def write_usdz(path: Path, nodes: Sequence[GlbNode]) -> None:
    """Write meshes with their poses as one package for phones, y up.

    Args:
        path: the file, replaced atomically.
        nodes: meshes, one an object; a mesh may be empty.

    Raises:
        SetupError: usd-core is not installed.
        FormatError: OpenUSD refuses to pack the scene.
        OutputError: the file cannot be written.
    """
    _need_usd(path)
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory(prefix="scenelift-usd-") as folder:
        layer = Path(folder) / "scene.usdc"
        stage = _new_stage(layer)
        for node in nodes:
            _add_object(stage, node, None, Path(folder), "")
        stage.GetRootLayer().Save()
        for file in Path(folder).iterdir():
            os.utime(file, (PACKED, PACKED))
        archive = Path(folder) / "scene.usdz"
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(archive)):
            raise FormatError(f"OpenUSD could not pack {path.name}.")
        write_bytes(path, archive.read_bytes())


def write_usd(
    path: Path, nodes: Sequence[GlbNode], splats: Mapping[str, Gaussians], world: World | None
) -> list[Path]:
    """Write meshes, splats and rigid bodies, y up; return the files written, the scene's last.

    Args:
        path: `scene.usdc`, replaced atomically; textures go to `scene_usd` beside it.
        nodes: meshes, one an object; a mesh may be empty.
        splats: each object's, in its own frame, by the name of its node.
        world: the objects as bodies, by the same names, and what they stand on; None for looks
            alone.

    Raises:
        SetupError: usd-core is not installed.
        OutputError: a file cannot be written.
    """
    _need_usd(path)
    with tempfile.TemporaryDirectory(prefix="scenelift-usd-") as folder:
        layer = Path(folder) / "scene.usdc"
        pictures = Path(folder) / PICTURES
        pictures.mkdir()
        stage = _new_stage(layer)
        bodies = {b.name: b for b in world.bodies} if world else {}
        if world:  # first: the background is the last node in every format
            _add_ground(stage, world)
        for node in nodes:
            place = _add_object(stage, node, splats.get(node.key), pictures, f"{PICTURES}/")
            if node.key in bodies:
                _add_body(stage, place, bodies[node.key], node)
        stage.GetRootLayer().Save()
        paths = []
        for picture in sorted(pictures.iterdir()):
            target = path.parent / PICTURES / picture.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(target, picture.read_bytes())
            paths.append(target)
        write_bytes(path, layer.read_bytes())
    return [*paths, path]


def _need_usd(path: Path) -> None:
    if find_spec("pxr") is None:
        raise SetupError(
            f"Writing {path.suffix} needs the package usd-core: pip install 'scenelift[usd]'."
        )


def _new_stage(layer: Path) -> Any:
    from pxr import Usd, UsdGeom, UsdPhysics

    stage = Usd.Stage.CreateNew(str(layer))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, METRES_PER_UNIT)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, "/scene")
    stage.SetDefaultPrim(root.GetPrim())
    return stage


def _add_object(
    stage: Any, node: GlbNode, splats: Gaussians | None, folder: Path, prefix: str
) -> Any:
    """Add the object's transform with its looks below it; return its path."""
    from pxr import Gf, Sdf, Tf, UsdGeom

    # Keys of objects begin with their number, which no identifier may.
    name = node.key if Tf.IsValidIdentifier(node.key) else f"object_{node.key}"
    place = Sdf.Path("/scene").AppendChild(Tf.MakeValidIdentifier(name))
    prim = UsdGeom.Xform.Define(stage, place)
    prim.GetPrim().SetDisplayName(node.name)
    pose = pose_from_matrix(node.matrix)
    # Three operations, as editors and physics engines like them better than a matrix.
    prim.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*pose.translation))
    prim.AddOrientOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Quatd(*pose.rotation))
    prim.AddScaleOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(pose.scale))
    if len(node.mesh.faces):
        _add_mesh(stage, place, node.key, node.mesh, folder, prefix)
    if splats is not None and len(splats):
        _add_splats(stage, place.AppendChild("splats"), splats)
    return place


def _add_body(stage: Any, place: Any, body: Body, node: GlbNode) -> None:
    """Add rigid body, mass and convex colliders of an object."""
    from pxr import UsdGeom, UsdPhysics, UsdShade, Vt

    prim = stage.GetPrimAtPath(place)
    UsdPhysics.RigidBodyAPI.Apply(prim)
    scale = pose_from_matrix(node.matrix).scale
    _add_mass(UsdPhysics.MassAPI.Apply(prim), body, scale)
    surface = UsdShade.Material.Define(stage, place.AppendChild("contact"))
    contact = UsdPhysics.MaterialAPI.Apply(surface.GetPrim())
    contact.CreateStaticFrictionAttr(body.friction)
    contact.CreateDynamicFrictionAttr(body.friction)
    contact.CreateRestitutionAttr(0.0)
    contact.CreateDensityAttr(body.density)
    for index, hull in enumerate(body.hulls):
        shape = UsdGeom.Mesh.Define(stage, place.AppendChild(f"collider_{index}"))
        points = (hull.vertices / scale).astype(np.float32)
        _set_triangles(shape, points, hull.faces)
        _set_flat_normals(shape, points, hull.faces)
        shape.CreatePurposeAttr(UsdGeom.Tokens.guide)
        UsdPhysics.CollisionAPI.Apply(shape.GetPrim())
        pieces = UsdPhysics.MeshCollisionAPI.Apply(shape.GetPrim())
        pieces.CreateApproximationAttr(UsdPhysics.Tokens.convexHull)
        UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(surface, materialPurpose="physics")
        shape.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)])))


def _add_mass(mass: Any, body: Body, scale: float) -> None:
    """Write mass, mass centre and inertia of a body; the centre is in the object's own units."""
    from pxr import Gf

    mass.CreateMassAttr(float(body.mass))
    mass.CreateCenterOfMassAttr(Gf.Vec3f(*(body.centre / scale).tolist()))
    moments, axes = np.linalg.eigh(body.inertia)
    axes[:, 2] *= np.sign(np.linalg.det(axes))  # a rotation
    mass.CreateDiagonalInertiaAttr(Gf.Vec3f(*moments.tolist()))
    turn = Gf.Matrix3d(*axes.T.ravel().tolist())  # row vectors there
    mass.CreatePrincipalAxesAttr(Gf.Quatf(turn.ExtractRotation().GetQuat()))


def _add_ground(stage: Any, world: World) -> None:
    """Add gravity, the floor as a plane, and the surfaces above it; none of them moves."""
    from pxr import Gf, UsdGeom, UsdPhysics

    gravity = UsdPhysics.Scene.Define(stage, "/scene/physics")
    up = world.world_from_scene[2, :3]
    gravity.CreateGravityDirectionAttr(Gf.Vec3f(*(-up).tolist()))
    gravity.CreateGravityMagnitudeAttr(9.81)
    ground = UsdGeom.Xform.Define(stage, "/scene/ground")
    scene_from_world = np.linalg.inv(world.world_from_scene)
    # Row vectors there.
    ground.AddTransformOp().Set(Gf.Matrix4d(*scene_from_world.T.ravel().tolist()))
    floor = UsdGeom.Plane.Define(stage, "/scene/ground/floor")
    floor.CreateAxisAttr(UsdGeom.Tokens.z)
    floor.CreatePurposeAttr(UsdGeom.Tokens.guide)
    UsdPhysics.CollisionAPI.Apply(floor.GetPrim())
    for index, shelf in enumerate(world.shelves):
        _add_shelf(stage, index, shelf)


def _add_shelf(stage: Any, index: int, shelf: Shelf) -> None:
    from pxr import Gf, UsdGeom, UsdPhysics

    box = UsdGeom.Cube.Define(stage, f"/scene/ground/surface_{index}")
    box.CreateSizeAttr(1.0)
    middle = np.add(shelf.high, shelf.low) / 2
    size = np.subtract(shelf.high, shelf.low)
    box.AddTranslateOp().Set(Gf.Vec3d(*middle.tolist(), shelf.height - shelf.thickness / 2))
    box.AddScaleOp().Set(Gf.Vec3f(*size.tolist(), shelf.thickness))
    box.CreatePurposeAttr(UsdGeom.Tokens.guide)
    UsdPhysics.CollisionAPI.Apply(box.GetPrim())


def _set_triangles(prim: Any, vertices: NDArray[np.float32], faces: NDArray[Any]) -> None:
    from pxr import UsdGeom, Vt

    prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel().astype(np.int32)))
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)


def _set_flat_normals(prim: Any, vertices: NDArray[np.float32], faces: NDArray[Any]) -> None:
    """Write one normal a face, which is how a mesh without normals looks; NVIDIA wants them."""
    from pxr import UsdGeom, Vt

    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 0, normals / np.maximum(lengths, 1e-30), [0.0, 1.0, 0.0])
    prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals.astype(np.float32)))
    prim.SetNormalsInterpolation(UsdGeom.Tokens.uniform)


def _add_mesh(stage: Any, place: Any, name: str, mesh: Mesh, folder: Path, prefix: str) -> None:
    from pxr import Sdf, Tf, UsdGeom, UsdShade, Vt

    mesh = _used(mesh)
    # Editors name meshes and materials by their prims.
    prim = UsdGeom.Mesh.Define(stage, place.AppendChild(Tf.MakeValidIdentifier(f"mesh_{name}")))
    prim.GetPrim().SetDisplayName(name)
    _set_triangles(prim, mesh.vertices, mesh.faces)
    prim.CreateExtentAttr(
        Vt.Vec3fArray.FromNumpy(np.stack([mesh.vertices.min(0), mesh.vertices.max(0)]))
    )
    if mesh.normals is not None:
        prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(mesh.normals))
        prim.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    else:
        _set_flat_normals(prim, mesh.vertices, mesh.faces)
    primvars = UsdGeom.PrimvarsAPI(prim)
    if mesh.colors is not None:
        colors = linear_from_srgb(mesh.colors).astype(np.float32)
        primvars.CreatePrimvar(
            "displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.vertex
        ).Set(Vt.Vec3fArray.FromNumpy(colors))

    place = place.AppendChild(Tf.MakeValidIdentifier(f"material_{name}"))
    material = UsdShade.Material.Define(stage, place)
    material.GetPrim().SetDisplayName(name)
    shader = UsdShade.Shader.Define(stage, place.AppendChild("surface"))
    shader.CreateIdAttr("UsdPreviewSurface")
    look = mesh.material or PLAIN_MATERIAL
    color = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
    if mesh.uv is not None and (mesh.texture is not None or mesh.material is not None):
        # USD counts v from the bottom row, as this package does.
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex).Set(
            Vt.Vec2fArray.FromNumpy(mesh.uv)
        )
    if mesh.texture is not None:
        base = mesh.texture if look.alpha is None else np.dstack([mesh.texture, look.alpha])
        sampler = _sampler(stage, place, "texture", base, folder, prefix, "sRGB")
        color.ConnectToSource(sampler.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))
        if look.alpha is not None:
            opacity = shader.CreateInput("opacity", Sdf.ValueTypeNames.Float)
            opacity.ConnectToSource(sampler.CreateOutput("a", Sdf.ValueTypeNames.Float))
        if look.alpha_mode == "mask":
            shader.CreateInput("opacityThreshold", Sdf.ValueTypeNames.Float).Set(0.5)
    elif mesh.colors is not None:
        reader = UsdShade.Shader.Define(stage, place.AppendChild("colors"))
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
        color.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
    _add_surface(stage, place, shader, look, folder, prefix)
    material.CreateSurfaceOutput().ConnectToSource(
        shader.CreateOutput("surface", Sdf.ValueTypeNames.Token)
    )
    UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material)


def _used(mesh: Mesh) -> Mesh:
    """Return the mesh without vertices that no face has, which validators refuse."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    if len(used) == len(mesh.vertices):
        return mesh
    return replace(
        mesh,
        vertices=mesh.vertices[used],
        faces=faces.reshape(mesh.faces.shape).astype(np.int32),
        normals=None if mesh.normals is None else mesh.normals[used],
        uv=None if mesh.uv is None else mesh.uv[used],
        colors=None if mesh.colors is None else mesh.colors[used],
    )


def _add_surface(
    stage: Any, place: Any, shader: Any, material: Material, folder: Path, prefix: str
) -> None:
    """Add metallic, roughness and the normal map."""
    from pxr import Gf, Sdf

    metallic = shader.CreateInput("metallic", Sdf.ValueTypeNames.Float)
    roughness = shader.CreateInput("roughness", Sdf.ValueTypeNames.Float)
    if material.surface is None:
        metallic.Set(material.metallic)
        roughness.Set(material.roughness)
    else:
        pixels = np.zeros((*material.surface.shape[:2], 3), np.uint8)  # as in glTF
        pixels[..., 2], pixels[..., 1] = material.surface[..., 0], material.surface[..., 1]
        sampler = _sampler(stage, place, "surface_map", pixels, folder, prefix, "raw")
        metallic.ConnectToSource(sampler.CreateOutput("b", Sdf.ValueTypeNames.Float))
        roughness.ConnectToSource(sampler.CreateOutput("g", Sdf.ValueTypeNames.Float))
    if material.normal is not None:
        sampler = _sampler(stage, place, "normal_map", material.normal, folder, prefix, "raw")
        # UsdPreviewSurface expects −1…1.
        sampler.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(2, 2, 2, 1))
        sampler.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(-1, -1, -1, 0))
        normal = shader.CreateInput("normal", Sdf.ValueTypeNames.Normal3f)
        normal.ConnectToSource(sampler.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))


def _sampler(
    stage: Any,
    place: Any,
    name: str,
    pixels: NDArray[np.uint8],
    folder: Path,
    prefix: str,
    space: str,
) -> Any:
    """Add a shader that reads a picture at the mesh's texture coordinates."""
    from pxr import Sdf, UsdShade

    file = folder / (f"{place.name}.png" if name == "texture" else f"{place.name}_{name}.png")
    PillowImage.fromarray(pixels).save(file)
    reader = UsdShade.Shader.Define(stage, place.AppendChild("coordinates"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    texture = UsdShade.Shader.Define(stage, place.AppendChild(name))
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(
        Sdf.AssetPath(f"./{prefix}{file.name}")
    )
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set(space)
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
        reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    )
    return texture


def _add_splats(stage: Any, place: Any, gaussians: Gaussians) -> None:
    from pxr import UsdGeom, UsdVol, Vt

    prim = UsdVol.ParticleField3DGaussianSplat.Define(stage, place)
    prim.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(gaussians.means))
    prim.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(gaussians.scales))
    xyzw = np.roll(gaussians.rotations, -1, axis=1)  # as OpenUSD's arrays hold quaternions
    prim.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(xyzw)))
    prim.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(gaussians.opacities))
    prim.CreateRadianceSphericalHarmonicsDegreeAttr(0)
    sh = prim.CreateRadianceSphericalHarmonicsCoefficientsAttr(
        Vt.Vec3fArray.FromNumpy(gaussians.sh0)
    )
    # NVIDIA's rules (VG.035) want it said that there is one colour a splat.
    UsdGeom.Primvar(sh).SetInterpolation(UsdGeom.Tokens.vertex)
    UsdGeom.Primvar(sh).SetElementSize(1)
    reach = gaussians.means.max(0), gaussians.means.min(0)
    prim.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack(reach[::-1])))

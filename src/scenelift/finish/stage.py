"""Finish a mesh: clean, decimate, repair, unwrap, bake. `docs/finish.md` explains the steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scenelift.apart import apart
from scenelift.errors import Cancelled, ReconstructionError
from scenelift.finish.bake import bake_gaussians, patches_of
from scenelift.finish.clean import clean
from scenelift.finish.decimation import decimate
from scenelift.finish.holes import Repaired, repair
from scenelift.finish.materials import MaterialSource, mapped, material_bytes
from scenelift.finish.nearest import Nearest, nearest
from scenelift.finish.normal_map import normal_map, vertex_tangents
from scenelift.finish.normals import face_normals, vertex_normals
from scenelift.finish.photo import PhotoSamples, Sight
from scenelift.finish.texels import fill_between
from scenelift.finish.topology import is_closed
from scenelift.finish.unwrap import Atlas, unwrap
from scenelift.options import FinishOptions
from scenelift.progress import Reporter, silent
from scenelift.types import (
    PLAIN_MATERIAL,
    Gaussians,
    Material,
    MaterialVolume,
    Mesh,
    ObjectView,
    Pose,
    Reconstruction,
)

__all__ = ["Finished", "finish", "finish_mesh"]

log = logging.getLogger(__name__)

T = TypeVar("T")

THINNED = 5  # times the budget: what edges collapsed at once leave for `decimate`
# Faces of the budget for each piece at least: of more pieces the largest stay, as all of them would
# collapse to nothing.
PIECE = 16
# Of the diagonal's square: a surface with less area is a line, and what it has is rounding.
LEAST_AREA = 1e-5
# Filling holes adds faces: so often they are taken away again, down to a tetrahedron.
MOST_ROUNDS, LEAST_FACES = 4, 4
GREY = 0.8  # sRGB, of a surface that nothing gives a colour


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """A finished mesh.

    Attributes:
        mesh: with texture, or with vertex colours where that was asked for.
        quality: figures for the manifest.
        notes: plain sentences for the manifest.
        seconds: of each step, by name.
    """

    mesh: Mesh
    quality: Mapping[str, float]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]


def finish(
    reconstruction: Reconstruction,
    view: ObjectView,
    options: FinishOptions,
    report: Reporter | None = None,
    device: str = "cpu",
) -> Reconstruction:
    """Finish an object's mesh; if that fails, note why, and give it a lighter mesh or none.

    A mesh with a texture and within the budget was finished by its reconstructor and is kept.
    """
    mesh, shape = reconstruction.shape.mesh, reconstruction.shape
    if mesh is None or (mesh.texture is not None and _fits(mesh, options)):
        return reconstruction
    try:
        outcome = finish_mesh(
            mesh,
            shape.gaussians,
            options,
            (view, reconstruction.pose),
            report,
            device,
            materials=shape.materials,
        )
    except Cancelled:
        raise
    except ReconstructionError as exc:  # nothing usable in it
        note = f"This object has no mesh: {exc}"
        shape, quality = replace(shape, mesh=None, materials=None), {}
    except Exception as exc:
        log.exception("finishing a mesh failed")
        light = _light(mesh, shape.gaussians, options)
        lesser_result = "no mesh" if light is None else "colours on its vertices and no texture"
        note = f"This object has {lesser_result}: finishing it failed ({_error_text(exc)})."
        shape, quality = replace(shape, mesh=light, materials=None), {}
    else:
        return replace(
            reconstruction,
            shape=replace(shape, mesh=outcome.mesh, materials=None),
            quality={**reconstruction.quality, **outcome.quality},
            notes=(*reconstruction.notes, *outcome.notes),
        )
    return replace(
        reconstruction,
        shape=shape,
        quality={**reconstruction.quality, **quality},
        notes=(*reconstruction.notes, note),
    )


def finish_mesh(
    mesh: Mesh,
    gaussians: Gaussians | None,
    options: FinishOptions,
    photo: tuple[ObjectView, Pose] | None = None,
    report: Reporter | None = None,
    device: str = "cpu",
    *,
    materials: MaterialVolume | None = None,
) -> Finished:
    """Finish one mesh in the object's frame.

    Args:
        mesh: as decoded.
        gaussians: the same object's splats, for the colours.
        options: face budget, texture.
        photo: the object in the photo, and where it stands, for the colours that the photo shows;
            None leaves it out.
        report: progress; raises Cancelled between steps.
        device: where a large mesh is thinned and splats are baked: `Runtime.device`.
        materials: around the surface; its colours are theirs, and the splats' and photo's, which
            are lit, are left out.

    Raises:
        ReconstructionError: no face is left after cleaning.
    """
    report = report or silent()
    seconds: dict[str, float] = {}

    def step(name: str, fraction: float, work: Callable[[], T]) -> T:
        report.update(fraction, message=name)
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    # An old texture says nothing about other faces; its colours are in splats and photo.
    # Nor are a decoder's vertex colours needed where there are splats.
    has_colours = materials is not None or (gaussians is not None and len(gaussians) > 0)
    colors = None if has_colours else mesh.colors
    bare = Mesh(vertices=mesh.vertices, faces=mesh.faces, colors=colors)
    if device != "cpu" and colors is None and options.faces is not None:
        few = THINNED * options.faces
        bare = step("thin", 0.0, lambda mesh=bare: _thinned(mesh, few, device))
    pieces = None if options.faces is None else max(1, options.faces // PIECE)
    cleaned = step("clean", 0.1, lambda: clean(bare, pieces))
    light = step("decimate", 0.2, lambda: apart(decimate, cleaned.mesh, options.faces))
    # Decimation may fold a face onto another or to a line.
    light = clean(light).mesh
    if not _has_area(light):
        raise ReconstructionError(
            f"none of {len(mesh.faces)} faces has finite corners and an area."
        )
    sound = step("repair", 0.5, lambda: _within(repair(light), options.faces))
    surface = sound.mesh
    normals = vertex_normals(surface.vertices, surface.faces)
    broken = cleaned.broken / max(1, len(mesh.faces))
    notes = [
        *([f"{broken:.0%} of the decoded faces were broken and are left out."] * (broken >= 0.01)),
        *([_crowded_note(cleaned.crowded, options)] * (cleaned.crowded > 0)),
        *(
            [f"It has {len(surface.faces)} faces: fewer would tear it."]
            * (not _fits(surface, options))
        ),
        *([f"The surface stays open at {sound.open_loops} loops."] * (sound.open_loops > 0)),
    ]
    quality = {
        "mesh_faces_decoded": float(len(mesh.faces)),
        "mesh_faces_broken": float(cleaned.broken),
        "mesh_floaters_removed": float(cleaned.floaters),
        "mesh_holes_closed": float(sound.closed),
        "mesh_watertight": float(is_closed(surface.faces)),
    }
    with ThreadPoolExecutor(1, thread_name_prefix="photo") as beside:
        source: _Colours | _Materials
        if materials is None:
            source = _Colours(cleaned.mesh, gaussians, surface, photo, device, beside)
        else:
            source = _Materials(MaterialSource(materials, device), cleaned.mesh)
        if options.vertex_colors:
            finished = step("bake", 0.7, lambda: source.painted(surface, normals))
        else:
            atlas = step(
                "unwrap", 0.6, lambda: unwrap(surface.vertices, surface.faces, options.texture_size)
            )
            bare = Mesh(
                vertices=surface.vertices[atlas.vertex],
                faces=atlas.faces,
                uv=atlas.uv,
                normals=normals[atlas.vertex],
            )
            bend = materials is not None if options.normal_map is None else options.normal_map
            fine, under = cleaned.mesh, None
            if bend or materials is not None:
                points = atlas.texels.interpolate(atlas.faces, bare.vertices)
                under = step("look up", 0.65, lambda: nearest(fine.vertices, fine.faces, points))
            finished = step(
                "bake", 0.7, lambda: source.textured(bare, atlas, surface, normals, under)
            )
            if bend and under is not None:
                finished = step("normal map", 0.9, lambda: _bent(finished, atlas, fine, under))
    return Finished(
        mesh=finished,
        quality=quality | source.quality,
        notes=(*notes, *source.notes),
        seconds=seconds,
    )


def _bent(mesh: Mesh, atlas: Atlas, fine: Mesh, under: Nearest) -> Mesh:
    """Give the mesh a normal map of the fine one."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    tangents = vertex_tangents(mesh.vertices, mesh.faces, mesh.uv, mesh.normals)
    mesh = replace(mesh, tangents=tangents)
    pixels = fill_between(atlas.texels, normal_map(mesh, atlas.texels, fine, under))
    return replace(mesh, material=replace(mesh.material or PLAIN_MATERIAL, normal=pixels))


class _Materials:
    """Takes all material from the volume."""

    def __init__(self, source: MaterialSource, fine: Mesh) -> None:
        self._source, self._fine = source, fine
        self.quality: dict[str, float] = {}
        self.notes: list[str] = []

    def painted(self, surface: Mesh, normals: NDArray[np.float32]) -> Mesh:
        at = nearest(self._fine.vertices, self._fine.faces, surface.vertices)
        values = material_bytes(self._source.at(at.points))
        means = values.mean(0) / 255
        return replace(
            surface,
            colors=np.ascontiguousarray(values[:, :3]),
            normals=normals,
            material=Material(metallic=float(means[3]), roughness=float(means[4])),
        )

    def textured(
        self,
        bare: Mesh,
        atlas: Atlas,
        surface: Mesh,
        normals: NDArray[np.float32],
        under: Nearest | None,
    ) -> Mesh:
        assert under is not None
        values = material_bytes(self._source.at(under.points))
        return mapped(bare, fill_between(atlas.texels, values))


class _Colours:
    """Takes colours from splats, from the photo where it shows the surface, else from vertices."""

    def __init__(
        self,
        decoded: Mesh,
        gaussians: Gaussians | None,
        surface: Mesh,
        photo: tuple[ObjectView, Pose] | None,
        device: str,
        beside: ThreadPoolExecutor,
    ) -> None:
        self._decoded = decoded
        self._device = device
        self._beside = beside  # looks at the photo while other work goes on here
        self._sight: Future[Sight] | None = None
        if photo is not None:
            view, pose = photo
            self._sight = beside.submit(Sight.of, view, pose, surface)
        self._gaussians = gaussians if gaussians is not None and len(gaussians) else None
        self.quality: dict[str, float] = {}
        self.notes: list[str] = []

    def painted(self, surface: Mesh, normals: NDArray[np.float32]) -> Mesh:
        """Give the surface vertex colours."""
        points = surface.vertices
        corners = points[surface.faces]
        edge = float(np.linalg.norm(corners - np.roll(corners, 1, 1), axis=-1).mean())
        rgb = self._at(points, normals, np.arange(len(points)), 0.5 * edge)
        return replace(surface, colors=_bytes(rgb), normals=normals)

    def textured(
        self,
        bare: Mesh,
        atlas: Atlas,
        surface: Mesh,
        normals: NDArray[np.float32],
        under: Nearest | None,
    ) -> Mesh:
        """Give the unwrapped surface a texture."""
        texels = atlas.texels
        points = texels.interpolate(atlas.faces, surface.vertices[atlas.vertex])
        normal = texels.interpolate(atlas.faces, normals[atlas.vertex])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        twice = np.linalg.norm(face_normals(surface.vertices, surface.faces), axis=1)
        area = 0.5 * float(twice.sum())
        spacing = (area / max(1, texels.count)) ** 0.5
        rgb = self._at(points, normal, patches_of(texels, atlas.chart), spacing)
        return replace(bare, texture=fill_between(texels, _bytes(rgb)))

    def _at(
        self,
        points: NDArray[np.float32],
        normals: NDArray[np.float32],
        patch: NDArray[np.int64],
        spacing: float,
    ) -> NDArray[np.float32]:
        in_photo: Future[PhotoSamples] | None = None
        if (sight := self._sight) is not None:
            in_photo = self._beside.submit(lambda: sight.result().at(points, normals))
        if self._gaussians is not None:
            baked = bake_gaussians(self._gaussians, points, normals, patch, spacing, self._device)
            rgb, unseen = baked.rgb, float(baked.unseen.mean()) if len(points) else 0.0
            if unseen > 0.01:
                self.notes.append(
                    f"Splats do not reach {unseen:.0%} of the surface: there it has the nearest "
                    "one's colour."
                )
        elif self._decoded.colors is not None:
            _, nearest = KDTree(self._decoded.vertices).query(points)
            rgb = self._decoded.colors[nearest].astype(np.float32) / 255
        else:
            rgb = np.full((len(points), 3), GREY, np.float32)
        return rgb if in_photo is None else self._with_photo(in_photo.result(), rgb)

    def _with_photo(self, in_photo: PhotoSamples, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        photo = in_photo.judged(rgb)
        if photo.refused:
            self.notes.append(f"The texture does without the photo: {photo.refused}.")
        self.quality["texture_from_photo"] = float(photo.weight.mean()) if len(rgb) else 0.0
        weight = photo.weight[:, None]
        return (weight * photo.rgb + (1 - weight) * rgb).astype(np.float32)


def _thinned(mesh: Mesh, faces: int, device: str) -> Mesh:
    """Reduce a mesh on a device; if its memory is too short, leave all of that to `decimate`."""
    import torch

    from scenelift.finish.thinning import thin

    try:
        return thin(mesh, faces, torch.device(device))
    except torch.OutOfMemoryError:
        log.info("%d faces do not fit into %s: the CPU takes them away", len(mesh.faces), device)
    return mesh


def _crowded_note(pieces: int, options: FinishOptions) -> str:
    return f"{pieces} pieces are left out: {options.faces} faces have no room for them (--faces)."


def _has_area(mesh: Mesh) -> bool:
    if not len(mesh.faces):
        return False
    square = float((np.ptp(mesh.vertices.astype(np.float64), axis=0) ** 2).sum())
    area = 0.5 * np.linalg.norm(face_normals(mesh.vertices, mesh.faces), axis=1).sum()
    return bool(area > LEAST_AREA * square)


def _within(sound: Repaired, faces: int | None) -> Repaired:
    """Reduce and repair a mesh again if its filled holes take it beyond the budget of faces."""
    closed = sound.closed
    for _ in range(MOST_ROUNDS):
        count = len(sound.mesh.faces)
        if faces is None or count <= faces:
            break
        fewer = clean(decimate(sound.mesh, max(LEAST_FACES, 2 * faces - count))).mesh
        if not _has_area(fewer):
            break
        sound = repair(fewer)
        closed += sound.closed
    return replace(sound, closed=closed)


def _fits(mesh: Mesh, options: FinishOptions) -> bool:
    return options.faces is None or len(mesh.faces) <= options.faces


def _light(mesh: Mesh, gaussians: Gaussians | None, options: FinishOptions) -> Mesh | None:
    """Make a decimated mesh with vertex colours, for when finishing failed; None if that fails."""
    try:
        light = clean(decimate(clean(mesh).mesh, options.faces)).mesh
        if not len(light.faces):
            return None
        if gaussians is not None and len(gaussians):
            _, nearest = KDTree(gaussians.means).query(light.vertices)
            return replace(light, colors=_bytes(gaussians.rgb[nearest]))
    except Exception:  # whatever made the recipe fail may be here again
        log.exception("making a mesh light failed")
        return None
    return light


def _error_text(exc: Exception) -> str:
    first = (str(exc).splitlines() or [""])[0]
    return f"{type(exc).__name__}: {first}"


def _bytes(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)

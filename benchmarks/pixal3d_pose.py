"""Pixal3D's pose beside the fitted one on rendered rooms: python -m benchmarks.pixal3d_pose

Pixal3D's networks cannot be judged here, what becomes of their answer can: the true shape of every
object stands in for it, turned into the view of the object's crop, in a cube that fills the crop at
the object's own distance, as the published networks were trained to make it. The rest is the
project's code, from the mask to the placed object. TRELLIS.2's objects come out upright and turned
anyhow instead: the same shapes, found by the search of `open` and `pbr`, are the other rows.

What a row is given:

    true points           the true points and camera
    wrong points          as a depth network errs (`benchmarks.layout`)
    wrong camera          these, and a focal length that is 5 % off either way
    rough shapes          these two, and shapes whose proportions are 15 % off, uneven

The networks see the crop alone, so a wrong camera does not change the shape that they make: what
it changes is how that shape is put into the photo. An object that something hides is planted whole.
`docs/quality.md` explains the figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.layout import (
    CORRECT,
    Figures,
    coloured,
    depth_like,
    measure,
    print_tables,
    rough,
    scene_parser,
)
from benchmarks.quality.report import Row, Table, mean
from benchmarks.quality.shapes import bounds
from benchmarks.synthetic import SyntheticObject, SyntheticScene
from scenelift.compose.fit import fit_pose
from scenelift.compose.layout import lay_out
from scenelift.compose.search import rotation_of_vector
from scenelift.geometry.sampling import sample_surface
from scenelift.geometry.transforms import pose_from_matrix, pose_matrix, transform_points
from scenelift.models.pixal3d.lifting import camera_distance
from scenelift.models.pixal3d.model import View
from scenelift.models.trellis2.model import LiftedSurface
from scenelift.options import LayoutOptions
from scenelift.progress import Reporter, silent
from scenelift.reconstruct.pixal3d import CropView, Pixal3DReconstructor, cut_out
from scenelift.reconstruct.placing import place_in_scene
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.types import Mesh, ObjectView, PointMap, Pose, SceneObject, Shape

RESOLUTION = 64  # of the planted volume of colours, along a side of the cube
COLOUR_POINTS = 100_000
FOCAL_ERROR = 1.05
CONDITIONS = ("true points", "wrong points", "wrong camera", "rough shapes")


class PlantedModel:
    """In place of `models.pixal3d.Pixal3D`: "makes" the surface that it was given."""

    device = torch.device("cpu")

    def __init__(self, surface: LiftedSurface) -> None:
        self.surface = surface

    def begin_view(self, view: View, *, seeds: list[int], report: Reporter) -> list[Any]:
        return [None for _ in seeds]

    def complete(self, first: Any, *, report: Reporter) -> LiftedSurface:
        return self.surface

    def release(self) -> None:
        pass


def cube_from_object(o: SyntheticObject, crop: CropView) -> NDArray[np.float64]:
    """Where the object stands in the cube of its crop's true view."""
    view_from_object = pose_matrix(o.pose)
    view_from_object[:3] = crop.rotation.T @ view_from_object[:3]
    middle = transform_points(np.mean(bounds(o.surface.vertices), axis=0), view_from_object)
    side = -middle[2] / camera_distance(crop.fov)
    cube_from_view = np.eye(4) / side
    cube_from_view[:3, 3] = [0, 0, -middle[2] / side]
    cube_from_view[3, 3] = 1
    return cube_from_view @ view_from_object


def surface_of(mesh: Mesh, cube: NDArray[np.float64], colors: NDArray) -> LiftedSurface:
    """The surface as the decoders give it, with one colour a face.

    Args:
        cube: cube_from_object.
        colors: [F, 3], 0…1.
    """
    vertices = transform_points(mesh.vertices, cube).astype(np.float32)
    on = sample_surface(vertices, mesh.faces, COLOUR_POINTS, np.random.default_rng(0))
    assert on is not None
    index = np.floor((on.at(vertices, mesh.faces) + 0.5) * RESOLUTION).astype(np.int32)
    cells, first = np.unique(index.clip(0, RESOLUTION - 1), axis=0, return_index=True)
    rest = np.tile([0.0, 0.9, 1.0], (len(cells), 1))  # metallic, roughness, alpha
    attributes = np.concatenate([colors[on.face[first]], rest], axis=1)
    return LiftedSurface(
        vertices=torch.from_numpy(vertices),
        faces=torch.from_numpy(mesh.faces.astype(np.int64)),
        cells=torch.from_numpy(cells),
        attributes=torch.from_numpy(attributes.astype(np.float32)),
        resolution=RESOLUTION,
        tokens=len(cells),
        notes=(),
    )


@dataclass(frozen=True, eq=False)
class Placed:
    """An object where a path put it.

    Attributes:
        shape: in the path's own frame of the object.
        pose: scene_from_object, of that frame.
        own: that frame from the true object's.
    """

    shape: Shape
    pose: Pose
    own: NDArray[np.float64]

    @property
    def true_frame(self) -> Pose:
        """Its pose as that of the true object."""
        return pose_from_matrix(pose_matrix(self.pose) @ self.own)


def own_frame(shape: Shape, cube: NDArray[np.float64]) -> NDArray[np.float64]:
    assert shape.materials is not None
    shrink = shape.materials.side  # what reaches out of the cube makes the object smaller
    return np.diag([shrink, shrink, shrink, 1.0]) @ cube


def place_by_view(
    o: SyntheticObject, mesh: Mesh, colors: NDArray, scene: SyntheticScene, points: PointMap
) -> Placed:
    """Reconstruct as `--reconstructor pixal3d` does, the true shape in the networks' place."""
    _, true_crop = cut_out(ObjectView(image=scene.image, instance=o.instance, points=scene.points))
    cube = cube_from_object(o, true_crop)
    model = PlantedModel(surface_of(mesh, cube, colors))
    reconstructor = Pixal3DReconstructor(cast(Any, model), version="planted")
    view = ObjectView(image=scene.image, instance=o.instance, points=points)
    made = reconstructor.reconstruct(view, seed=0, report=silent())
    assert made.pose is not None
    return Placed(made.shape, made.pose, own_frame(made.shape, cube))


def place_by_search(
    o: SyntheticObject,
    mesh: Mesh,
    colors: NDArray,
    scene: SyntheticScene,
    points: PointMap,
    *,
    rng: np.random.Generator,
) -> Placed:
    """Place as `open` and `pbr` do: the shape upright, turned about the vertical."""
    cube = np.eye(4)
    cube[:3, :3] = rotation_of_vector(np.array([0, rng.uniform(0, 2 * np.pi), 0]))
    shape, _ = shape_of_surface(surface_of(mesh, cube, colors), np.eye(3), seed=0)
    made = place_in_scene(
        shape,
        ObjectView(image=scene.image, instance=o.instance, points=points),
        place=fit_pose,
        title="planted",
        seed=0,
        voxels=0,
        notes=(),
        report=silent(),
    )
    assert made.pose is not None
    return Placed(shape, made.pose, own_frame(shape, cube))


def laid_out(placed: Sequence[Placed], scene: SyntheticScene, points: PointMap) -> list[Placed]:
    objects = [
        SceneObject(index=k, instance=o.instance, shape=p.shape, pose=p.pose)
        for k, (o, p) in enumerate(zip(scene.objects, placed, strict=True))
    ]
    layout = lay_out(objects, scene.image, points, LayoutOptions())
    return [replace(p, pose=q.pose) for p, q in zip(placed, layout.placements, strict=True)]


def points_under(condition: str, scene: SyntheticScene, rng: np.random.Generator) -> PointMap:
    """What the stage is told, by the condition."""
    if condition == "true points":
        return scene.points
    wrong = depth_like(scene, rng)
    if condition == "wrong points":
        return wrong
    factor = FOCAL_ERROR ** float(rng.choice([-1, 1]))
    camera = replace(wrong.camera, fx=wrong.camera.fx * factor, fy=wrong.camera.fy * factor)
    return replace(wrong, points=camera.unproject(-wrong.points[..., 2]), camera=camera)


@dataclass(eq=False)
class _Column:
    figures: list[Figures] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure_condition(
    scenes: Sequence[SyntheticScene],
    condition: str,
    *,
    paths: Sequence[str] = ("view", "search"),
) -> Table:
    """Each path, before and after the layout stage."""
    columns = {f"{name}{after}": _Column() for name in paths for after in ("", ", laid out")}
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng([22, 0, number])
        points = points_under(condition, scene, rng)
        meshes = [o.mesh for o in scene.objects]
        if condition == "rough shapes":
            meshes = [cast(Mesh, rough(Shape(mesh=m), rng).mesh) for m in meshes]
        colors = [cast(Mesh, coloured(o).mesh).colors for o in scene.objects]
        faces = [c[::3] / 255.0 for c in colors if c is not None]
        ways: dict[str, Callable[..., Placed]] = {
            "view": place_by_view,
            "search": partial(place_by_search, rng=rng),
        }
        for name in paths:
            place = ways[name]
            began = time.process_time()
            placed = [
                place(o, m, c, scene, points)
                for o, m, c in zip(scene.objects, meshes, faces, strict=True)
            ]
            half = time.process_time()
            refined = laid_out(placed, scene, points)
            ends = {name: (placed, half), f"{name}, laid out": (refined, time.process_time())}
            for column, (objects, end) in ends.items():
                columns[column].seconds.append((end - began) / len(objects))
                columns[column].figures += measure(
                    scene, [Shape(mesh=m) for m in meshes], [p.true_frame for p in objects], points
                )
    rows = [_row(name, c) for name, c in columns.items()]
    return Table(title=f"Pixal3D's pose, {condition}; CPU seconds each", of="objects", rows=rows)


def _row(name: str, column: _Column) -> Row:
    f = column.figures
    turns = [x.rotation for x in f if x.rotation is not None]
    return Row(
        name=name,
        count=len(f),
        failed=0,
        figures={
            "3D IoU": mean([x.iou for x in f]),
            "ADD-S": mean([x.add_s for x in f]),
            "ADD-S@.1": mean([float(x.add_s < 0.1) for x in f]),
            "facing": len(turns),
            f"within {CORRECT:.0f}°": mean([float(a < CORRECT) for a in turns]),
            "rotation °, median": float(np.median(turns)) if turns else float("nan"),
            "contact cm": 100 * mean([float("nan") if x.contact is None else x.contact for x in f]),
        },
        seconds=mean(column.seconds),
    )


def main() -> int:
    print_tables(scene_parser(__doc__, "--conditions", CONDITIONS).parse_args(), measure_condition)
    return 0


if __name__ == "__main__":
    sys.exit(main())

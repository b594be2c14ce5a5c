"""How well poses are refined, repaired and found: python -m benchmarks.layout

Synthetic rooms with true shapes, as `benchmarks.quality` shows them. Poses are wrong as the
published generator's are: by 3 to 17° and 7 to 23 % in scale and place. Point maps are wrong as
those of depth networks are: a smooth bias, objects too flat or too deep, noise, edges that bleed.
`docs/quality.md` explains the figures. Tune on `--split train`; report `--split test`, whose
models differ.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.spatial import KDTree

from benchmarks.quality import metrics
from benchmarks.quality.report import Row, Table, mean, table_text, tables_json
from benchmarks.quality.shapes import bounds, sample
from benchmarks.synthetic import SyntheticObject, SyntheticScene, load_or_make
from scenelift.compose.fit import fit_pose
from scenelift.compose.layout import lay_out
from scenelift.compose.search import rotation_grid, rotation_of_vector
from scenelift.geometry.transforms import pose_from_matrix, pose_matrix, transform_points
from scenelift.options import LayoutOptions
from scenelift.training.scenes.meshes import load_entry
from scenelift.training.scenes.volumes import outside_filled
from scenelift.types import Mesh, ObjectView, PointMap, Pose, SceneObject, Shape

ROTATION, SIZE = (3.0, 17.0), (0.07, 0.23)
"""Errors of first poses: degrees, and shares of the object's size (scale and place alike)."""
WORSE = 0.01
"""An object is worse than before if its ADD-S grew by more than that share of its diameter."""
SYMMETRIC = 0.02
"""A shape that some turn of 20° or more brings so near itself (ADD-S) faces no way."""
CORRECT = 15.0
"""Degrees within which a fitted pose faces the right way."""
POINTS, GRID, VOXEL_SAMPLES = 4000, 64, 200_000


# What the stage is given


def coloured(o: SyntheticObject) -> Shape:
    """The true shape, with the colour of each face at its corners."""
    surface = load_entry(o.entry)
    assert surface is not None
    colors = surface.face_color.copy()
    for k, texture in enumerate(surface.textures):
        here = surface.face_texture == k
        uv = surface.uv[surface.faces[here]].mean(1)
        h, w = texture.shape[:2]
        row = ((1 - uv[:, 1]) % 1 * h).astype(int).clip(0, h - 1)
        column = (uv[:, 0] % 1 * w).astype(int).clip(0, w - 1)
        colors[here] = texture[row, column] / 255.0
    return Shape(
        mesh=Mesh(
            vertices=surface.vertices[surface.faces].reshape(-1, 3),
            faces=np.arange(surface.faces.size, dtype=np.int32).reshape(-1, 3),
            colors=np.repeat(np.rint(colors * 255).astype(np.uint8), 3, axis=0),
        )
    )


def rough(shape: Shape, rng: np.random.Generator) -> Shape:
    """The shape as a poor reconstructor makes it: proportions off by 15 %, surface uneven, grey."""
    mesh = shape.mesh
    assert mesh is not None
    factors = np.exp(rng.normal(0, 0.15, 3))
    waves = rng.normal(0, 4, (4, 3))
    phase, amount = rng.uniform(0, 2 * np.pi, 4), rng.normal(0, 0.012, (4, 3))
    vertices = mesh.vertices * factors
    vertices = vertices + np.sin(mesh.vertices @ waves.T + phase) @ amount
    return Shape(mesh=Mesh(vertices=vertices.astype(np.float32), faces=mesh.faces))


def depth_like(scene: SyntheticScene, rng: np.random.Generator) -> PointMap:
    """The true points with a depth network's errors: 3 % in the mean, edges apart."""
    depth = scene.depth.astype(np.float64)
    h, w = depth.shape
    field = np.asarray(zoom(rng.normal(0, 1, (4, 5)), (h / 4, w / 5), order=3), float)[:h, :w]
    wrong = depth * np.exp(0.025 * field)
    for o in scene.objects:  # relief: too flat or too deep
        middle = np.nanmedian(wrong[o.mask])
        wrong[o.mask] = middle + (wrong[o.mask] - middle) * np.exp(rng.normal(0, 0.12))
    # Edges bleed: each pixel takes the depth of one at most a pixel and a half away.
    dy, dx = np.rint(rng.normal(0, 0.8, (2, h, w))).astype(int)
    rows = (np.arange(h)[:, None] + dy).clip(0, h - 1)
    columns = (np.arange(w) + dx).clip(0, w - 1)
    wrong = wrong[rows, columns] * np.exp(0.005 * rng.normal(0, 1, (h, w)))
    return PointMap(
        points=scene.camera.unproject(wrong),
        camera=scene.camera,
        scale="measured",
        source="noisy truth",
    )


def carried(o: SyntheticObject, scene: SyntheticScene, points: PointMap) -> Pose:
    """The true pose as far along its rays as the point map has the object.

    Generators place objects relative to the point map (the median of an object's points is the
    origin that SAM 3D Objects predicts in): where the map is wrong as a whole, so is their pose.
    """
    ratio = points.points[o.mask][:, 2] / scene.points.points[o.mask][:, 2]
    factor = float(np.nanmedian(ratio))
    x, y, z = (factor * t for t in o.pose.translation)
    return replace(o.pose, translation=(x, y, z), scale=factor * o.pose.scale)


def perturbed(pose: Pose, rng: np.random.Generator) -> Pose:
    """A pose as far off as the published generator's."""
    axis, shift = rng.normal(size=(2, 3))
    turn = rotation_of_vector(axis / np.linalg.norm(axis) * np.radians(rng.uniform(*ROTATION)))
    grow = np.exp(rng.choice([-1, 1]) * np.log1p(rng.uniform(*SIZE)))
    matrix = pose_matrix(pose)
    matrix[:3, :3] = turn @ matrix[:3, :3] * grow
    matrix[:3, 3] += shift / np.linalg.norm(shift) * rng.uniform(*SIZE) * pose.scale
    return pose_from_matrix(matrix)


# What is measured


@dataclass(frozen=True, eq=False)
class Truth:
    """A true shape in the room, for comparison.

    Attributes:
        points: [N, 3] on its surface, in its own frame.
        filled: voxels of its box that it fills; `low` is their first corner, `voxel` their side.
        diameter: of its box.
        symmetric: it faces no way.
    """

    points: NDArray[np.float64]
    filled: NDArray[np.bool_]
    low: NDArray[np.float64]
    voxel: float
    diameter: float
    symmetric: bool

    def centres(self) -> NDArray[np.float64]:  # [M, 3]
        """Some middles of filled voxels, evenly."""
        index = np.argwhere(self.filled)
        return self.low + (index[:: max(1, len(index) // 4000)] + 0.5) * self.voxel

    def holds(self, points: NDArray) -> NDArray[np.bool_]:  # [N, 3] -> [N]
        index = np.floor((points - self.low) / self.voxel).astype(int)
        inside = np.all((index >= 0) & (index < GRID), axis=1)
        return inside & self.filled[tuple(np.where(inside[:, None], index, 0).T)]


@lru_cache(maxsize=512)
def truth_of(o: SyntheticObject) -> Truth:
    points = sample(o.mesh, VOXEL_SAMPLES)
    low, high = bounds(points)
    voxel = float((high - low).max()) / GRID
    index = np.floor((points - low) / voxel).astype(int).clip(0, GRID - 1)
    grid = np.zeros((GRID,) * 3, bool)
    grid[tuple(index.T)] = True
    return Truth(
        points=points[:POINTS],
        filled=outside_filled(grid),
        low=low,
        voxel=voxel,
        diameter=float(np.linalg.norm(high - low)),
        symmetric=_symmetric(points[:1500]),
    )


def _symmetric(points: NDArray) -> bool:
    """Whether a turn about the vertical, or onto its head, changes little."""
    low, high = bounds(points)
    centred = points - (low + high) / 2
    size = float(np.linalg.norm(high - low))
    yaw = np.radians(np.arange(0, 360, 10))[:, None] * [0.0, 1.0, 0.0]
    turns = rotation_of_vector(yaw)
    heads = np.stack([np.eye(3), np.diag([1.0, -1, -1]), np.diag([-1.0, -1, 1])])
    tree = KDTree(centred)
    for k, turn in enumerate((heads[:, None] @ turns).reshape(-1, 3, 3)):
        if k in (0, 1, 35):  # within 20° of where it was
            continue
        few = centred[:400] @ turn.T
        if tree.query(few)[0].mean() < 0.04 * size:
            there = metrics.add_s(centred @ turn.T, centred, size)
            if there < SYMMETRIC:
                return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One object's place. `None` where there was nothing to measure.

    `add_s_points` is against the true shape where the point map has it, which is as far as an
    object can be judged by what the layout saw.
    """

    iou: float
    add_s: float
    add_s_points: float
    rotation: float | None
    penetration: float
    contact: float | None


def observed_levels(
    scene: SyntheticScene, points: PointMap
) -> list[tuple[NDArray[np.float64], float]]:
    """Normal and height, camera frame, of the ground as a point map shows it near each object.

    Fitted to the pixels that truly show floor or table top: contact can be no better than where
    the ground was seen, and an error of the point map is not one of the layout.
    """
    world = transform_points(scene.points.points, scene.world_from_camera)
    taken = np.any([o.mask for o in scene.objects], axis=0)
    level = 0.74 if scene.name.startswith("table top") else 0.0
    ground = (np.abs(world[..., 1] - level) < 0.01) & ~taken & np.isfinite(points.points[..., 2])
    seen, true = points.points[ground][::7].astype(np.float64), world[ground][::7]
    levels = []
    for o in scene.objects:
        place = transform_points(o.pose.translation, scene.world_from_camera)
        apart = np.linalg.norm((true - place)[:, [0, 2]], axis=1)
        weight = np.exp(-0.5 * (apart / max(1.0, 2 * o.pose.scale)) ** 2)[:, None] + 1e-6
        middle = (seen * weight).sum(0) / weight.sum()
        up = np.linalg.svd((seen - middle) * weight, full_matrices=False)[2][2]
        up *= np.sign(up[1])
        levels.append((up, float(middle @ up)))
    return levels


def measure(
    scene: SyntheticScene,
    shapes: Sequence[Shape],
    poses: Sequence[Pose],
    points: PointMap | None = None,
) -> list[Figures]:
    """Every object of a scene against its truth, in the room's axes, metres.

    Args:
        points: what the layout saw, for the place of the ground; the true ones by default.
    """
    levels = observed_levels(scene, points or scene.points)
    world = scene.world_from_camera
    placed = [world @ pose_matrix(p) for p in poses]
    true = [world @ pose_matrix(o.pose) for o in scene.objects]
    truths = [truth_of(o) for o in scene.objects]
    surfaces = [sample(s.mesh, POINTS) if s.mesh is not None else np.zeros((0, 3)) for s in shapes]
    surfaces = [transform_points(s, m) for s, m in zip(surfaces, placed, strict=True)]
    true_surfaces = [transform_points(t.points, m) for t, m in zip(truths, true, strict=True)]
    seen = [world @ pose_matrix(carried(o, scene, points or scene.points)) for o in scene.objects]
    seen_surfaces = [transform_points(t.points, m) for t, m in zip(truths, seen, strict=True)]
    camera_from_world = np.linalg.inv(world)
    bases = [
        float((transform_points(s, camera_from_world) @ up).min()) - level
        for s, (up, level) in zip(surfaces, levels, strict=True)
    ]
    grounds = [np.array([*up, -level]) @ camera_from_world for up, level in levels]
    contacts = _contacts(true_surfaces, surfaces, bases)
    figures = []
    for k, (o, t) in enumerate(zip(scene.objects, truths, strict=True)):
        turn = placed[k][:3, :3] / poses[k].scale @ (true[k][:3, :3] / o.pose.scale).T
        figures.append(
            Figures(
                iou=metrics.box_iou(bounds(surfaces[k]), bounds(true_surfaces[k])),
                add_s=metrics.add_s(surfaces[k], true_surfaces[k], t.diameter * o.pose.scale, 1500),
                add_s_points=metrics.add_s(
                    surfaces[k], seen_surfaces[k], t.diameter * o.pose.scale, 1500
                ),
                rotation=None if t.symmetric else metrics.rotation_angle(turn),
                penetration=_penetration(k, truths, placed, grounds[k]),
                contact=contacts[k],
            )
        )
    return figures


def _penetration(
    k: int, truths: Sequence[Truth], placed: Sequence[NDArray], ground: NDArray
) -> float:
    """Share of an object's volume that lies inside other objects or below the ground.

    Args:
        ground: [4], gives heights of homogeneous world points above the observed ground.
    """
    mine = transform_points(truths[k].centres(), placed[k])
    half = 0.5 * truths[k].voxel * np.cbrt(np.linalg.det(placed[k][:3, :3]))
    inside = mine @ ground[:3] + ground[3] < -half
    for j, other in enumerate(truths):
        if j != k:
            # A voxel that a surface crosses reaches up to its own side beyond it, where whatever
            # stands there would count: what counts is inside a voxel deeper as well.
            other_from_room = np.linalg.inv(placed[j])
            up = other_from_room[:3, 1] / np.linalg.norm(other_from_room[:3, 1])
            there = transform_points(mine, other_from_room)
            inside |= other.holds(there) & other.holds(there + up * other.voxel)
    return float(inside.mean())


def _contacts(
    true: Sequence[NDArray], placed: Sequence[NDArray], bases: Sequence[float]
) -> list[float | None]:
    """Metres between each object's base and what it truly stands on, wherever that was placed.

    Args:
        true, placed: surfaces in the room's axes.
        bases: heights of the placed objects' lowest points above the observed ground.
    """
    gaps: list[float | None] = []
    for k, mine in enumerate(true):
        base = mine[:, 1].min()
        gap = abs(bases[k]) if min(abs(base), abs(base - 0.74)) < 0.02 else None
        for j, other in enumerate(true):
            if j == k or base < 0.05:
                continue
            top, top_now = _top_below(mine, other), _top_below(placed[k], placed[j])
            if top is not None and abs(top - base) < 0.03:
                gap = None if top_now is None else abs(placed[k][:, 1].min() - top_now)
        gaps.append(gap)
    return gaps


def _top_below(upper: NDArray, lower: NDArray) -> float | None:
    """Height of the lower surface under the upper's foot, nearest to the foot."""
    low, high = bounds(upper)
    foot = upper[upper[:, 1] < low[1] + 0.15 * (high[1] - low[1])]
    (x0, _, z0), (x1, _, z1) = bounds(foot)
    here = lower[(lower[:, 0] > x0) & (lower[:, 0] < x1) & (lower[:, 2] > z0) & (lower[:, 2] < z1)][
        :, 1
    ]
    return float(here[np.abs(here - low[1]).argmin()]) if here.size else None


# Tables


def cases(scenes: Sequence[SyntheticScene], draws: int) -> Iterator[tuple[SyntheticScene, list]]:
    for number, scene in enumerate(scenes):
        for draw in range(draws):
            yield scene, [number, draw]


def first_objects(
    scene: SyntheticScene, shapes: Sequence[Shape], points: PointMap, rng: np.random.Generator
) -> list[SceneObject]:
    """The scene's objects with these shapes, in the wrong poses that a generator gives."""
    return [
        SceneObject(
            index=k,
            instance=o.instance,
            shape=shape,
            pose=perturbed(carried(o, scene, points), rng),
        )
        for k, (o, shape) in enumerate(zip(scene.objects, shapes, strict=True))
    ]


def measure_layout(scenes: Sequence[SyntheticScene], draws: int, *, roughly: bool) -> Table:
    """Before, after refinement, after repair of what refinement found."""
    steps = {
        "as it came": LayoutOptions(refine=False, repair=False),
        "refined": LayoutOptions(repair=False),
        "refined and repaired": LayoutOptions(refine=False),
    }
    found: dict[str, list[Figures]] = {name: [] for name in ("true poses", *steps)}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for scene, key in cases(scenes, draws):
        rng = np.random.default_rng([7, *key])
        points = depth_like(scene, rng)
        shapes = [coloured(o) for o in scene.objects]
        if roughly:
            shapes = [rough(s, rng) for s in shapes]
        found["true poses"] += measure(scene, shapes, [o.pose for o in scene.objects])
        objects = first_objects(scene, shapes, points, rng)
        for name, options in steps.items():
            began = time.process_time()
            laid = lay_out(objects, scene.image, points, options)
            seconds[name].append((time.process_time() - began) / len(objects))
            objects = [
                replace(o, pose=p.pose) for o, p in zip(objects, laid.placements, strict=True)
            ]
            found[name] += measure(scene, shapes, [o.pose for o in objects], points)
    before = found["as it came"]
    rows = [_row(name, figures, before, seconds[name]) for name, figures in found.items()]
    kind = "roughly right shapes" if roughly else "true shapes"
    return Table(title=f"Layout, {kind}; CPU seconds each", of="objects", rows=rows)


def measure_metres(scenes: Sequence[SyntheticScene], draws: int) -> Table:
    """Sizes in metres where a metric network is off by a factor: what layout adds to that error.

    `points`: how far off the map is at the objects, median ratio of depths of each photo; `scene`:
    geometric mean ratio of the objects' placed to true scales; `added`: what is between the two.
    """
    rows = []
    for bias in (0.85, 1.0, 1.15):
        map_errors, scene_errors, seconds = [], [], []
        for scene, key in cases(scenes, draws):
            rng = np.random.default_rng([9, *key])
            near = depth_like(scene, rng)
            points = replace(near, points=near.points * np.float32(bias), scale="metric")
            masks = np.logical_or.reduce([o.mask for o in scene.objects])
            ratio = points.points[masks][:, 2] / scene.points.points[masks][:, 2]
            shapes = [coloured(o) for o in scene.objects]
            objects = first_objects(scene, shapes, points, rng)
            began = time.process_time()
            laid = lay_out(objects, scene.image, points, LayoutOptions())
            seconds.append((time.process_time() - began) / len(objects))
            factors = [
                np.mean(p.pose.scale) / np.mean(o.pose.scale)
                for p, o in zip(laid.placements, scene.objects, strict=True)
            ]
            map_errors.append(float(np.log(np.nanmedian(ratio))))
            scene_errors.append(float(np.log(factors).mean()))
        added = np.abs(np.subtract(scene_errors, map_errors))
        rows.append(
            Row(
                name=f"map off by {bias:g}",
                count=len(map_errors),
                failed=0,
                figures={
                    "points": float(np.exp(np.mean(map_errors))),
                    "scene": float(np.exp(np.mean(scene_errors))),
                    "added %, mean": 100 * float(added.mean()),
                    "added %, worst": 100 * float(added.max()),
                },
                seconds=mean(seconds),
            )
        )
    return Table(title="Metres, true shapes; CPU seconds each", of="photos", rows=rows)


def _row(name: str, f: list[Figures], before: list[Figures], seconds: list[float]) -> Row:
    def of(values: Sequence[float | None]) -> float:
        return mean([float("nan") if v is None else v for v in values])

    worse = [a.add_s > b.add_s + WORSE for a, b in zip(f, before, strict=True)]
    misled = [a.add_s_points <= b.add_s_points + WORSE for a, b in zip(f, before, strict=True)]
    low, high = wilson(sum(worse), len(worse))
    return Row(
        name=name,
        count=len(f),
        failed=0,
        figures={
            "3D IoU": of([x.iou for x in f]),
            "ADD-S": of([x.add_s for x in f]),
            "ADD-S@.1": of([float(x.add_s < 0.1) for x in f]),
            "rotation °": of([x.rotation for x in f]),
            "inside others %": 100 * of([x.penetration for x in f]),
            "contact cm": 100 * of([x.contact for x in f]),
            "worse %": 100 * of([float(w) for w in worse]),
            "from %": 100 * low,
            "to %": 100 * high,
            "of them by the points %": 100
            * of([float(w and m) for w, m in zip(worse, misled, strict=True)]),
        },
        seconds=mean(seconds),
    )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Between which shares the true one lies, 95 % sure (Wilson 1927)."""
    if not of:
        return float("nan"), float("nan")
    z2 = 1.96**2
    middle = (hits + z2 / 2) / (of + z2)
    half = 1.96 * (hits * (of - hits) / of + z2 / 4) ** 0.5 / (of + z2)
    return middle - half, middle + half


def measure_fitting(scenes: Sequence[SyntheticScene], draws: int, *, upright: bool) -> Table:
    """Poses found from nothing: the shape turned anyhow, or about the vertical alone."""
    grid = rotation_grid(10_000)
    facing: dict[str, list[float]] = {"unoccluded": [], "partly hidden": []}
    figures: dict[str, list[Figures]] = {name: [] for name in facing}
    seconds: dict[str, list[float]] = {name: [] for name in facing}
    waits: dict[str, list[float]] = {name: [] for name in facing}
    for scene, key in cases(scenes, draws):
        rng = np.random.default_rng([8, *key])
        points = depth_like(scene, rng)
        for o in scene.objects:
            shape = coloured(o)
            assert shape.mesh is not None
            yaw = rotation_of_vector(np.array([0, rng.uniform(0, 2 * np.pi), 0]))
            turn = yaw if upright else grid[rng.integers(len(grid))]
            mesh = replace(shape.mesh, vertices=(shape.mesh.vertices @ turn.T).astype(np.float32))
            began, at = time.process_time(), time.perf_counter()
            found = fit_pose(
                Shape(mesh=mesh),
                ObjectView(image=scene.image, instance=o.instance, points=points),
                up=(0.0, 1.0, 0.0) if upright else None,
            )
            spent, waited = time.process_time() - began, time.perf_counter() - at
            matrix = pose_matrix(found.pose)
            matrix[:3, :3] = matrix[:3, :3] @ turn
            alone = replace(scene, objects=(o,))
            (f,) = measure(alone, [shape], [pose_from_matrix(matrix)])
            name = "unoccluded" if o.visible > 0.95 else "partly hidden"
            figures[name].append(f)
            seconds[name].append(spent)
            waits[name].append(waited)
            if f.rotation is not None:
                facing[name].append(f.rotation)
    rows = [
        Row(
            name=name,
            count=len(f),
            failed=0,
            figures={
                "3D IoU": mean([x.iou for x in f]),
                "ADD-S@.1": mean([float(x.add_s < 0.1) for x in f]),
                "facing": len(facing[name]),
                f"within {CORRECT:.0f}°": mean([float(a < CORRECT) for a in facing[name]]),
                "rotation °": float(np.median(facing[name])) if facing[name] else float("nan"),
                "wall s": mean(waits[name]),
            },
            seconds=mean(seconds[name]),
        )
        for name, f in figures.items()
    ]
    kind = "turned about the vertical, `up` known" if upright else "turned anyhow"
    return Table(title=f"Poses from nothing, {kind}; CPU seconds each", of="objects", rows=rows)


def scene_parser(
    description: str | None, flag: str, parts: Sequence[str]
) -> argparse.ArgumentParser:
    """Take the options of a benchmark on rendered rooms, and which of its parts are run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--scenes", type=int, help="only so many of them")

    def some(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in parts:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(parts)}")
        return names

    parser.add_argument(
        flag, dest="parts", type=some, default=parts, help=f"some of {','.join(parts)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def print_tables(
    options: argparse.Namespace, measure_part: Callable[[Sequence[SyntheticScene], str], Table]
) -> None:
    """Measure each part, print its table, and write all of them where `--json` says."""
    scenes = load_or_make(options.size, split=options.split, count=options.scenes)
    tables = []
    for part in options.parts:
        tables.append(measure_part(scenes, part))
        sys.stdout.write(table_text(tables[-1]) + "\n\n")
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(tables_json(tables), indent=2))


def main() -> int:
    parts = ("true", "rough", "anyhow", "upright", "metres")
    parser = scene_parser(__doc__, "--parts", parts)
    parser.add_argument("--draws", type=int, default=2, help="wrong poses and points a scene")
    options = parser.parse_args()

    def measure_part(scenes: Sequence[SyntheticScene], part: str) -> Table:
        if part == "metres":
            return measure_metres(scenes, options.draws)
        if part in ("anyhow", "upright"):
            return measure_fitting(scenes, 1, upright=part == "upright")
        return measure_layout(scenes, options.draws, roughly=part == "rough")

    print_tables(options, measure_part)
    return 0


if __name__ == "__main__":
    sys.exit(main())

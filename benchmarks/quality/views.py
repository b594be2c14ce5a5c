"""Objects seen from beside and behind, against the true ones drawn by the same renderer.

    python -m benchmarks.quality.views [--scenes 8] [--points true] [--pictures out/views]

Every object is made from its true mask, then its box along the room's axes is laid onto the true
one (same middle, same longest side), so that shape and colour are judged and not the place. Both
are drawn in the same even light from the photo's direction, turned about the vertical.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.spatial import KDTree

from benchmarks.quality import metrics
from benchmarks.quality.reconstructing import reconstruct_object
from benchmarks.synthetic import SyntheticObject, SyntheticScene, load_or_make
from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.options import BackendOptions
from scenelift.pointmap import POINT_MAPPERS
from scenelift.progress import silent
from scenelift.reconstruct import RECONSTRUCTORS
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.raycast import Light, Sky, Tracer, View
from scenelift.types import Camera, Mesh

__all__ = ["Seen", "compare_views", "surface_of", "thin_points"]

TURNS = (0, 50, -50, 90, -90, 180)
"""Degrees about the vertical from where the photo was taken."""
SIDE, FIELD, FILLED = 160, 30.0, 0.62
"""Pixels and degrees of the square pictures, and the share of them that the object spans."""
THIN = 0.05
"""Of the longest side: where a true object is thinner, it is a thin part."""
NEAR = 0.03
"""Of the longest side: a point is kept if the estimate's surface is as near."""
SAMPLES = 6000
GREY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """One picture of an object.

    Attributes:
        color: float64 [H, W, 3], sRGB in 0…1.
        inside: bool [H, W], its silhouette.
    """

    color: NDArray[np.float64]
    inside: NDArray[np.bool_]


def surface_of(mesh: Mesh, matrix: NDArray[np.float64]) -> Surface:
    """A mesh in place, as the scenes' renderer wants it; grey where it has no colours."""
    if mesh.texture is not None and mesh.uv is not None:
        colour, of_face, textures = None, 0, (mesh.texture,)
    else:
        colour, of_face, textures = mesh.colors, -1, ()
    per_vertex = np.full((len(mesh.vertices), 3), GREY) if colour is None else colour / 255
    here = Mesh(
        vertices=transform_points(mesh.vertices, matrix).astype(np.float32), faces=mesh.faces
    )
    a, b, c = (here.vertices[here.faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(here.vertices)
    for k in range(3):
        np.add.at(normals, here.faces[:, k], across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    uv = np.zeros((len(here.vertices), 2)) if mesh.uv is None else mesh.uv
    return Surface(
        vertices=here.vertices,
        faces=here.faces,
        normals=normals,
        uv=uv.astype(np.float32),
        face_color=per_vertex[here.faces].mean(1).astype(np.float32),
        face_texture=np.full(len(here.faces), of_face, np.int32),
        textures=textures,
    )


def compare_views(
    estimate: Surface, truth: Surface, eye: NDArray[np.float64]
) -> tuple[dict[int, tuple[float, float, float]], dict[int, tuple[Seen, Seen]]]:
    """Compare pictures of two surfaces in the room's axes, y up.

    The photo's light is in the estimate's colours: they are multiplied by one factor a channel,
    such that both have the same mean colour as the photo sees them.

    Args:
        eye: where the photo was taken.

    Returns:
        For each of `TURNS` IoU of the silhouettes, PSNR and SSIM within their union; and the
        pictures of both.
    """
    estimate = _laid_onto(estimate, truth)
    low, high = truth.vertices.min(0), truth.vertices.max(0)
    middle = (low + high).astype(np.float64) / 2
    radius = float(np.linalg.norm(high - low)) / 2
    distance = radius / (FILLED * math.tan(math.radians(FIELD / 2)))
    away = eye - middle
    away /= np.linalg.norm(away)
    drawn = {}
    for turn in TURNS:
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        back = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ away
        view = _view(middle + distance * back, back)
        drawn[turn] = tuple(_drawn(surface, view) for surface in (estimate, truth))
    own, true = (
        (x.color[x.inside].mean(0) if x.inside.any() else np.full(3, GREY)) for x in drawn[0]
    )
    factor = (true / np.maximum(own, 0.02)).clip(0.2, 5)
    figures, pictures = {}, {}
    for turn, (one, other) in drawn.items():
        tinted = Seen(color=(one.color * factor).clip(0, 1), inside=one.inside)
        union = one.inside | other.inside
        a, b = (np.where(x.inside[..., None], x.color, GREY) for x in (tinted, other))
        iou = metrics.mask_iou(one.inside, other.inside)
        figures[turn] = (iou, metrics.psnr(a, b, union), metrics.ssim(a, b, union))
        pictures[turn] = (tinted, other)
    return figures, pictures


def _laid_onto(estimate: Surface, truth: Surface) -> Surface:
    used = estimate.vertices[np.unique(estimate.faces)].astype(np.float64)
    low, high = used.min(0), used.max(0)
    wanted = np.ptp(truth.vertices, axis=0).max() / (high - low).max()
    matrix = np.diag([wanted] * 3 + [1.0])
    matrix[:3, 3] = (truth.vertices.min(0) + truth.vertices.max(0)) / 2 - wanted * (low + high) / 2
    return estimate.moved(matrix)


def _view(eye: NDArray[np.float64], back: NDArray[np.float64]) -> View:
    right = np.cross([0.0, 1, 0], back)
    right = right / max(float(np.linalg.norm(right)), 1e-9)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], 1)
    pose[:3, 3] = eye
    return View(camera=Camera.from_fov(SIDE, SIDE, fov_deg=FIELD), world_from_camera=pose)


def _drawn(surface: Surface, view: View) -> Seen:
    even = Light(
        center=np.array([0, 100.0, 0]), edge_a=np.array([1.0, 0, 0]), edge_b=np.array([0, 0, 1.0]),
        color=np.zeros(3), reference=math.inf, ambient=np.ones(3), reach=1e-6,
    )  # fmt: skip
    sky = Sky(horizon=np.full(3, GREY), zenith=np.full(3, GREY))
    linear, numbers, _ = Tracer([surface], [1]).shot(view, even, sky, np.random.default_rng(0))
    x = linear.clip(0, 1)
    srgb = np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)
    return Seen(color=srgb, inside=numbers == 1)


def thin_points(surface: Surface, rng: np.random.Generator) -> NDArray[np.float64]:  # [N, 3]
    """Points on those parts of a surface that are thinner than `THIN` of its longest side."""
    size = float(np.ptp(surface.vertices, axis=0).max())
    points, normals = _samples(surface, SAMPLES, rng)
    # The other side, seen from just inside: normals may point either way.
    reach = np.full(len(points), np.inf)
    tracer = Tracer([surface], [1])
    for side in (-1, 1):
        inwards = side * normals
        distance = tracer.distances(points + inwards * 1e-4 * size, inwards)
        reach = np.fmin(reach, distance)
    return points[reach < THIN * size]


def _samples(
    surface: Surface, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread evenly over a surface, and the normals of their faces."""
    a, b, c = (surface.vertices[surface.faces[:, k]].astype(np.float64) for k in range(3))
    across = np.cross(b - a, c - a)
    areas = np.cumsum(np.linalg.norm(across, axis=1))
    face = np.searchsorted(areas, rng.random(count) * areas[-1]).clip(0, len(areas) - 1)
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    normals = across[face] / np.maximum(np.linalg.norm(across[face], axis=1, keepdims=True), 1e-18)
    return a[face] + u * (b - a)[face] + v * (c - a)[face], normals


def thin_recall(estimate: Surface, truth: Surface) -> float | None:
    """Share of the truth's thin parts near which the estimate has a surface; None without any."""
    points = thin_points(truth, np.random.default_rng(0))
    if len(points) < SAMPLES // 50:
        return None
    own, _ = _samples(_laid_onto(estimate, truth), 4 * SAMPLES, np.random.default_rng(1))
    distance, _ = KDTree(own).query(points)
    return float((distance < NEAR * np.ptp(truth.vertices, axis=0).max()).mean())


def _true_surface(scene: SyntheticScene, thing: SyntheticObject) -> Surface:
    return thing.surface.moved(scene.world_from_camera @ pose_matrix(thing.pose))


def _sheet(pictures: Sequence[tuple[Seen, Seen]]) -> Pillow.Image:
    rows = [np.concatenate([pair[k].color for pair in pictures], 1) for k in (0, 1)]
    return Pillow.fromarray((np.concatenate(rows) * 255).round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Objects from beside and behind.")
    parser.add_argument("--scenes", type=int, default=8, help="of the small set's 12 photos")
    parser.add_argument("--points", choices=("true", "estimated"), default="true")
    parser.add_argument("--reconstructor", default="embedded")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every object")
    options = parser.parse_args()
    reconstructor = RECONSTRUCTORS.load(options.reconstructor, BackendOptions())
    mapper = POINT_MAPPERS.load("embedded", BackendOptions())
    processor = time.process_time()
    every: dict[int, list[tuple[float, float, float]]] = {abs(turn): [] for turn in TURNS}
    thin: list[float] = []
    for scene in load_or_make("small")[: options.scenes]:
        instances = [o.instance for o in scene.objects]
        estimated = options.points == "estimated"
        points = mapper.estimate(scene.image, instances, silent()) if estimated else scene.points
        for index, thing in enumerate(scene.objects):
            output = reconstruct_object(reconstructor, scene, instances, index, points, seed=0)
            if output.shape.mesh is None:
                raise SystemExit(f"{options.reconstructor} made no mesh of {thing.label}")
            place = scene.world_from_camera @ pose_matrix(output.pose)
            estimate, truth = (
                surface_of(output.shape.mesh, place),
                _true_surface(scene, thing),
            )
            figures, pictures = compare_views(estimate, truth, scene.world_from_camera[:3, 3])
            recall = thin_recall(estimate, truth)
            thin += [] if recall is None else [recall]
            for turn, values in figures.items():
                every[abs(turn)].append(values)
            beside = " ".join(f"{t}: {v[0]:.2f} {v[1]:.1f} {v[2]:.2f}" for t, v in figures.items())
            print(f"{scene.name} {thing.label:15} {beside}", flush=True)
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                name = f"{scene.name}-{index}-{thing.label}.png".replace(" ", "-")
                _sheet(list(pictures.values())).save(options.pictures / name)
    print(f"{'view':>6}  silhouette IoU  PSNR   SSIM   of {len(every[0])} objects")
    for turn, values in every.items():
        iou, psnr, ssim = np.mean(values, 0)
        print(f"{turn:5}°  {iou:14.3f}  {psnr:5.2f}  {ssim:.3f}")
    print(f"thin parts kept: {np.mean(thin):.3f} of {len(thin)} objects that have some")
    print(f"{time.process_time() - processor:.0f} s of processor time")


if __name__ == "__main__":
    main()

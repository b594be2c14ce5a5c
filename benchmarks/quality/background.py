"""Rooms seen from beside: the background against the true picture of what is no object.

    python -m benchmarks.quality.background [--rooms 6] [--pictures out/rooms]

Every room is drawn again from 10, 20 and 30 degrees to the side and from 15 degrees above, about
the middle of its objects, where no wall and no ceiling is in the way. Compared are the pixels that
show no object there: all of them, and those that the photo did not show (behind an object or
something else, or beyond its edge). Beside the background stand the photo on a plane at its median
depth, its points as a surface without anything filled, and nothing at all (white, as without a
background).
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.quality import metrics
from benchmarks.synthetic import Room, SyntheticScene, make_room
from scenelift.background.stage import lift_background
from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.options import BackendOptions
from scenelift.pointmap import POINT_MAPPERS
from scenelift.progress import silent
from scenelift.render.meshes import render_mesh
from scenelift.training.scenes.raycast import View
from scenelift.types import Background, Mesh, PointMap

VIEWS = (("10° beside", 10, 0), ("20° beside", 20, 0), ("30° beside", 30, 0), ("15° above", 0, 15))
WIDTH, HEIGHT = 320, 240
SEEN = 0.03  # of the depth: a point so near to what the photo shows at its place was seen
STRIDE = 2  # pixels between the points of the surface without filling
TORN = 1.06  # ratio of neighbours' depths across which that has no surface
CLEAR = 0.3  # metres from a wall that a camera keeps
STANDING = 0.05  # of its height: an object whose lowest point is so near to a level stands on it


def moved_camera(
    scene: SyntheticScene, side: float, above: float
) -> NDArray[np.float64]:  # camera_from_moved [4, 4]
    """Where the camera is when it goes round the objects' middle by angles in degrees."""
    points = scene.points.points
    seen = np.concatenate([points[o.mask] for o in scene.objects])
    middle = np.nanmedian(seen, 0).astype(np.float64)
    up = scene.world_from_camera[:3, :3].T @ [0.0, 1, 0]
    turn = _about(up, math.radians(side)) @ _about(np.array([1.0, 0, 0]), -math.radians(above))
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = middle - turn @ middle
    return matrix


def _about(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(angle * axis).as_matrix()


def on_a_plane(scene: SyntheticScene, points: PointMap) -> Mesh:
    """The photo as it is, upright at its median depth."""
    camera, depth = points.camera, float(np.nanmedian(-points.points[..., 2]))
    x = np.array([0, camera.width, camera.width, 0.0])
    y = np.array([camera.height, camera.height, 0, 0.0])
    corners = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones(4)], 1)
    return Mesh(
        vertices=(corners * depth).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        texture=scene.image.pixels,
    )


def without_filling(scene: SyntheticScene, points: PointMap) -> Mesh:
    """The points that show no object, joined where the depth does not jump."""
    camera, taken = points.camera, np.zeros(points.points.shape[:2], bool)
    for o in scene.objects:
        taken |= o.mask
    rows, columns = (np.arange(STRIDE // 2, n, STRIDE) for n in taken.shape)
    grid = points.points[np.ix_(rows, columns)]
    depth = np.where(taken[np.ix_(rows, columns)], np.nan, -grid[..., 2])
    corners = np.stack([depth[:-1, :-1], depth[:-1, 1:], depth[1:, :-1], depth[1:, 1:]])
    whole = np.isfinite(corners).all(0) & (corners.max(0) < TORN * corners.min(0))
    i, j = np.nonzero(whole)
    a = i * len(columns) + j
    b, c, d = a + 1, a + len(columns), a + len(columns) + 1
    v, u = np.meshgrid(rows, columns, indexing="ij")
    place = np.stack([(u + 0.5) / camera.width, 1 - (v + 0.5) / camera.height], -1)
    return Mesh(
        vertices=np.nan_to_num(grid).reshape(-1, 3),
        faces=np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32),
        uv=place.reshape(-1, 2).astype(np.float32),
        texture=scene.image.pixels,
    )


def not_seen(
    scene: SyntheticScene, depth: NDArray[np.float32], camera_from_moved: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which pixels [H, W] of another view, of that depth, the photo did not show."""
    camera = scene.camera
    place = transform_points(camera.unproject(depth).astype(np.float64), camera_from_moved)
    with np.errstate(invalid="ignore", divide="ignore"):
        at = camera.project(place)
    inside = (place[..., 2] < 0) & (at >= 0).all(-1)
    inside &= (at[..., 0] < camera.width) & (at[..., 1] < camera.height)
    u, v = (np.nan_to_num(np.where(inside, at[..., k], 0)).astype(int) for k in (0, 1))
    shown = scene.depth[v, u]
    with np.errstate(invalid="ignore"):
        return ~(inside & (-place[..., 2] < (1 + SEEN) * shown))


def ground_error(
    scene: SyntheticScene, background: Background, scale: float
) -> tuple[float, list[float], list[bool]]:
    """Degrees that the way up is off; how far levels are from where objects stand; who stands.

    Args:
        scale: metres in a unit of the background.

    Returns:
        Degrees; for each object metres over its distance; whether it is in contact.
    """
    up = np.array(background.up)
    true_up = scene.world_from_camera[:3, :3].T @ [0.0, 1, 0]
    angle = math.degrees(math.acos(np.clip(up @ true_up, -1, 1)))
    off, stands = [], []
    for o in scene.objects:
        corners = transform_points(o.surface.vertices, pose_matrix(o.pose))
        if not background.levels:
            stands.append(False)
            continue
        height = np.ptp(corners @ true_up)
        foot = corners[np.argmin(corners @ true_up)]
        gap = min(abs(level * scale - foot @ up) for level in background.levels)
        off.append(gap / float(np.linalg.norm(foot)))
        stands.append(bool(gap < STANDING * height))
    return angle, off, stands


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rooms", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of every room")
    options = parser.parse_args()
    mapper = POINT_MAPPERS.load("embedded", BackendOptions())
    processor = time.process_time()
    figures: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    grounds: dict[str, list[tuple[float, list[float], list[bool]]]] = defaultdict(list)
    spent: list[float] = []
    for index in range(options.rooms):
        scene, room = make_room(options.seed, index, width=WIDTH, height=HEIGHT)
        instances = [o.instance for o in scene.objects]
        truth = {}
        for name, side, above in VIEWS:
            seen = _true(scene, room, side, above) or _true(scene, room, -side, above)
            if seen is not None:
                truth[name] = seen
        if not truth:
            continue
        estimated = mapper.estimate(scene.image, instances, silent())
        sheet = [[picture for picture, _, _, _ in truth.values()]]
        for kind, points in (("true", scene.points), ("estimated", estimated)):
            with np.errstate(invalid="ignore"):
                ratio = scene.depth / -points.points[..., 2]
            scale = float(np.nanmedian(ratio))
            began = time.process_time()
            background = lift_background(scene.image, points, instances)
            spent.append(time.process_time() - began)
            grounds[kind].append(ground_error(scene, background, scale))
            ways = {
                "background": background.mesh,
                "photo on a plane": on_a_plane(scene, points),
                "no filling": without_filling(scene, points),
                "nothing": None,
            }
            for way, mesh in ways.items():
                row = []
                for name, (picture, empty, hidden, pose) in truth.items():
                    drawn = np.ones((HEIGHT, WIDTH, 3))
                    if mesh is not None:
                        moved = pose.copy()
                        moved[:3, 3] /= scale
                        drawn = render_mesh(mesh, points.camera, moved).color.astype(np.float64)
                    figures[kind, way, name].append(
                        (
                            metrics.psnr(drawn, picture, empty),
                            metrics.ssim(drawn, picture, empty),
                            float(np.abs(drawn - picture)[empty & hidden].mean()) * 255,
                        )
                    )
                    row.append(drawn)
                sheet.append(row)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            joined = np.concatenate([np.concatenate(row, 1) for row in sheet])
            path = options.pictures / f"{scene.name.replace(' ', '-')}.jpg"
            Pillow.fromarray((joined * 255).round().astype(np.uint8)).save(path, quality=80)
        print(f"{scene.name}: {len(instances)} objects", flush=True)
    _print(figures, grounds, spent)
    print(f"{time.process_time() - processor:.0f} s of processor time")


def _true(
    scene: SyntheticScene, room: Room, side: float, above: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]] | None:
    """Picture in 0…1, where it shows no object, where the photo did not show it, and the pose.

    None where the room's walls or its ceiling are in the way.
    """
    pose = moved_camera(scene, side, above)
    way = scene.world_from_camera[:3, :3] @ pose[:3, 3]
    length = float(np.linalg.norm(way))
    free = room.tracer.distances(scene.world_from_camera[None, :3, 3], way[None] / length)
    if free[0] < length + CLEAR:
        return None
    view = View(camera=scene.camera, world_from_camera=scene.world_from_camera @ pose)
    numbers, depth = room.tracer.truth(view)
    return room.picture(view) / 255, numbers == 0, not_seen(scene, depth, pose), pose


def _print(
    figures: dict[tuple[str, str, str], list[tuple[float, ...]]],
    grounds: dict[str, list[tuple[float, list[float], list[bool]]]],
    spent: list[float],
) -> None:
    names = [name for name, _, _ in VIEWS]
    counts = [len(figures["true", "nothing", name]) for name in names]
    print("views: " + ", ".join(f"{n} {name}" for n, name in zip(counts, names, strict=True)))
    print(f"{'PSNR dB / SSIM / error of unseen pixels, of 255':48} " + "  ".join(names))
    for kind in ("true", "estimated"):
        for way in dict.fromkeys(w for k, w, _ in figures if k == kind):
            cells = [np.nanmean(figures[kind, way, name] or [[np.nan] * 3], 0) for name in names]
            text = "  ".join(f"{p:.1f} / {s:.3f} / {e:.0f}" for p, s, e in cells)
            print(f"{kind + ' points':17} {way:18} {text}")
    for kind, rooms in grounds.items():
        angles = [angle for angle, _, _ in rooms]
        off = [value for _, values, _ in rooms for value in values]
        stands = [value for _, _, values in rooms for value in values]
        print(
            f"ground, {kind} points: {np.median(angles):.1f}° off (worst {max(angles):.1f}°), "
            f"level off by {100 * np.median(off):.1f} % of the distance, "
            f"{100 * np.mean(stands):.0f} % of {len(stands)} objects in contact"
        )
    print(f"background: {np.median(spent):.2f} s of processor time a room")


if __name__ == "__main__":
    main()

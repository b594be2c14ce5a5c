"""A room with known truth: a floor, a wall, and a red box that hides a part of both."""

from __future__ import annotations

import numpy as np

from scenelift.types import Camera, Image, Instance, PointMap

FLOOR, WALL = -1.0, -4.0  # y of the floor, z of the wall
WIDTH, HEIGHT = 240, 180
RED = (200, 40, 40)  # as the fake segmenter knows it


def room(
    *,
    box: bool = True,
    floor: bool = True,
    sky: bool = False,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> tuple[Image, PointMap, Instance, np.ndarray]:
    """Photo, its true points, the box, and the true depths [H, W] without the box."""
    width, height = size
    camera = Camera.from_fov(width, height, fov_deg=70)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack(
        [(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], -1
    )
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[..., 1] < 0, FLOOR / rays[..., 1], np.inf)
    if not floor:
        to_floor = np.full_like(to_floor, np.inf)
    depth = np.minimum(to_floor, -WALL)
    on_floor = to_floor < -WALL
    place = rays * depth[..., None]
    check = (np.floor(place[..., 0] * 4) + np.floor(place[..., 2] * 4)) % 2
    stripes = np.floor(place[..., 0] * 6) % 2
    pixels = np.where(
        on_floor[..., None], (150 + 60 * check)[..., None], (80 + 60 * stripes)[..., None]
    )
    pixels = np.repeat(pixels, 3, -1)[..., :3].astype(np.uint8)
    mask = np.zeros((height, width), bool)
    seen = depth.copy()
    if box:
        mask[height * 7 // 18 : height * 13 // 18, width * 19 // 48 : width * 7 // 12] = True
        seen[mask] = 2.0
        pixels[mask] = RED
    if sky:
        top = np.zeros_like(mask)
        top[: height // 3] = True
        seen[top & ~mask] = np.nan
    points = (rays * seen[..., None]).astype(np.float32)
    instance = Instance(
        mask=mask,
        label="box",
        score=1.0,
        box=Instance.box_of(mask) if box else (0.0, 0.0, 1.0, 1.0),
    )
    return Image(pixels=pixels), PointMap(points=points, camera=camera), instance, depth

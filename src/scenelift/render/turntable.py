"""A loop around the scene: the camera swings before the photo's side, goes round, or flies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.options import CameraPath
from scenelift.progress import Reporter
from scenelift.render.choice import SplatRenderer, splat_renderer
from scenelift.render.detail import simplify
from scenelift.types import Camera, Gaussians

__all__ = ["Loop", "turntable_cameras"]

FOV_DEG = 40.0  # of the longer side: a portrait lens, which bends nothing
MARGIN = 0.06  # of the half picture, left free on every side
MAX_ELEVATION_DEG = 75.0  # nearer to the zenith "up" loses its meaning
FLIGHT_RISE_DEG = 22.0  # over the height that the photo was taken from, half-way round
FLIGHT_CLOSER = 0.25  # how much nearer a flight comes, twice on its way round
ENOUGH_TO_FRAME = 500_000  # points, to tell the few that fly far off
ENOUGH_POINTS = 20_000
PHOTO_SWING_DEG = 9.0  # with the background: farther round one looks behind the photo
FAINT = 0.1  # splats of less opacity are not framed
OUTLIERS = 0.002  # share of splats at each end of each axis that may fly off

View = tuple[Camera, NDArray[np.float64]]
"""A camera and its pose, `scene_from_camera` [4, 4]."""


def turntable_cameras(
    points: NDArray,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    *,
    frames: int = 36,
    swing_deg: float = 40.0,
    path: CameraPath = "swing",
    size: int = 512,
) -> list[View]:
    """Place cameras about the vertical through the scene's centre, looking at it.

    The first frame looks from the photo's side and has all in sight; the last leads on to it.
    A "swing" goes to one side, to the other and back, slowing down at the turns. A "circle" goes
    round once. A "flight" goes round too, rising and sinking, and comes close twice: only then may
    something leave the picture.

    Args:
        points: [N, 3] what must be in sight, in the scene frame (y up), N ≥ 1.
        camera: the photo's camera: gives the proportions of the picture.
        scene_from_camera: its pose, None for the identity: gives the side to look from.
        frames: number of cameras, ≥ 1.
        swing_deg: how far a swing goes to either side.
        path: how the camera moves.
        size: longer side of the picture in pixels.

    Raises:
        ValueError: there is no point to look at.
    """
    points = np.asarray(points)
    if not len(points):
        raise ValueError("a turntable needs at least one point to look at")
    shrink = size / max(camera.width, camera.height)
    width, height = (max(1, round(s * shrink)) for s in (camera.width, camera.height))
    framed = Camera.from_fov(width, height, fov_deg=FOV_DEG)

    low, high = _bounds(points)
    centre = (low + high) / 2
    photo = np.eye(4) if scene_from_camera is None else np.asarray(scene_from_camera, np.float64)
    toward_photo = photo[:3, 3] - centre
    if np.linalg.norm(toward_photo) < 1e-9:
        toward_photo = photo[:3, 2]  # the camera stands in the centre: look where it looks
    start = math.atan2(toward_photo[0], toward_photo[2])
    elevation = math.atan2(toward_photo[1], math.hypot(toward_photo[0], toward_photo[2]))
    limit = math.radians(MAX_ELEVATION_DEG)
    elevation = min(max(elevation, -limit), limit)

    around = [2 * math.pi * k / frames for k in range(frames)]
    rises, nearness = [0.0] * frames, [1.0] * frames
    if path == "swing":
        # Rounded, so that the way back passes through exactly the views of the way there.
        around = [round(math.radians(swing_deg) * math.sin(angle), 9) for angle in around]
    elif path == "flight":
        rises = [math.radians(FLIGHT_RISE_DEG) * (1 - math.cos(a)) / 2 for a in around]
        nearness = [1 - FLIGHT_CLOSER * (1 - math.cos(2 * a)) / 2 for a in around]
    rotations = [
        _looking_inwards(start + turn, min(elevation + rise, limit))
        for turn, rise in zip(around, rises, strict=True)
    ]

    sample = points[:: math.ceil(len(points) / ENOUGH_POINTS)] - centre
    slope_x = (1 - MARGIN) * width / (2 * framed.fx)
    slope_y = (1 - MARGIN) * height / (2 * framed.fy)
    distance = 0.0
    for rotation in rotations:
        x, y, z = (sample @ rotation).T  # in the axes of this camera, z towards it
        needed = np.maximum(np.abs(x) / slope_x, np.abs(y) / slope_y) + z
        distance = max(distance, float(needed.max()))
    distance = max(distance, 1e-3)

    views = []
    for rotation, share in zip(rotations, nearness, strict=True):
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = centre + share * distance * rotation[:, 2]
        views.append((framed, pose))
    return views


def photo_cameras(
    points: NDArray,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    *,
    frames: int = 36,
    size: int = 512,
) -> list[View]:
    """Swing the photo's camera a little about the scene's centre; the first is the photo's own.

    Args:
        points: [N, 3], what is swung about.
        camera, scene_from_camera: the photo's.
        frames: number of cameras, ≥ 1.
        size: longer side of the picture in pixels.
    """
    factor = size / max(camera.width, camera.height)
    small = camera.resized(
        max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    )
    pose = np.eye(4) if scene_from_camera is None else scene_from_camera
    sample = points[:: math.ceil(len(points) / ENOUGH_TO_FRAME)]
    low, high = np.quantile(np.asarray(sample, np.float64), (0.1, 0.9), axis=0)
    pivot = (low + high) / 2
    views = []
    for k in range(frames):
        # Rounded, so that the way back passes through exactly the views of the way there.
        angle = round(math.radians(PHOTO_SWING_DEG) * math.sin(2 * math.pi * k / frames), 9)
        turn = _looking_inwards(angle, 0)
        moved = np.eye(4)
        moved[:3, :3] = turn
        moved[:3, 3] = pivot - turn @ pivot
        views.append((small, moved @ pose))
    return views


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """A loop around splats that is ready to be drawn.

    Attributes:
        views: its cameras.
        draw: draws the splats that are seen from these.
        background: sRGB in 0…1.
        near: splats are left out that are not farther than this.
    """

    views: Sequence[View]
    draw: SplatRenderer
    background: tuple[float, float, float]
    near: float

    @classmethod
    def of(
        cls,
        gaussians: Gaussians,
        camera: Camera,
        scene_from_camera: NDArray[np.float64] | None = None,
        *,
        frames: int = 36,
        swing_deg: float = 40.0,
        path: CameraPath = "swing",
        size: int = 512,
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
        surroundings: Gaussians | None = None,
        device: str = "cpu",
    ) -> Loop:
        """Place the cameras and choose what they see; arguments as `turntable_cameras`.

        Faint splats and the few that fly far off may leave the picture. With surroundings a swing
        is framed as the photo was, and begins with the photo's own view; other paths go round as
        ever.

        Args:
            surroundings: splats of the scene's background, which are drawn but not framed.
            device: what draws: `Runtime.device`.

        Raises:
            ValueError: there is no splat.
        """
        points = _what_matters(gaussians)
        low, high = _bounds(points)
        if surroundings is not None:
            red, green, blue = (
                surroundings.rgb.mean(0).tolist() if len(surroundings) else background
            )
            background = (red, green, blue)  # where the photo ended
        if surroundings is not None and path == "swing":
            views = photo_cameras(points, camera, scene_from_camera, frames=frames, size=size)
        else:
            views = turntable_cameras(
                points,
                camera,
                scene_from_camera,
                frames=frames,
                swing_deg=swing_deg,
                path=path,
                size=size,
            )
        around = None if surroundings is None else simplify(surroundings, views)
        return cls(
            views=views,
            draw=splat_renderer(simplify(gaussians, views), device, surroundings=around),
            background=background,
            near=1e-3 * float((high - low).max()),  # far in front of what is framed
        )

    def pictures(self, report: Reporter) -> list[NDArray[np.uint8]]:
        """Draw the pictures [H, W, 3].

        Raises:
            Cancelled: the user stopped the run.
        """
        pictures: dict[bytes, NDArray[np.uint8]] = {}  # a swing sees almost every view twice
        loop = []
        for view, pose in report.track(self.views, len(self.views), "preview"):
            key = pose.tobytes()
            if key not in pictures:
                picture = self.draw(view, pose, self.background, near=self.near)
                pictures[key] = picture.pixels()
            loop.append(pictures[key])
        return loop


def _looking_inwards(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Compute the rotation [3, 3] of a camera that looks at the centre from there, y up."""
    ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
    backward = np.array([sa * ce, se, ca * ce])
    right = np.array([ca, 0.0, -sa])
    return np.stack([right, np.cross(backward, right), backward], -1)


def _what_matters(gaussians: Gaussians) -> NDArray[np.float32]:
    """Choose the means [M, 3] of the splats to frame; of very many, every so many."""
    if not len(gaussians):
        raise ValueError("a loop needs at least one splat to look at")
    some = slice(None, None, math.ceil(len(gaussians) / ENOUGH_TO_FRAME) or None)
    means = gaussians.means[some]
    points = np.compress(gaussians.opacities[some] >= FAINT, means, axis=0)
    if not len(points):
        return means
    near_others = np.ones(len(points), np.bool_)
    # Axis by axis: NumPy takes ten times as long for three numbers in a row.
    for k in range(3):
        along = np.ascontiguousarray(points[:, k])
        low, high = np.quantile(along, (OUTLIERS, 1 - OUTLIERS))
        room = 0.05 * (high - low)
        near_others &= (along >= low - room) & (along <= high + room)
    return np.compress(near_others, points, axis=0) if near_others.any() else points


def _bounds(points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find lowest and highest coordinates of points [N, 3], axis by axis as above."""
    axes = [np.ascontiguousarray(points[:, k]) for k in range(3)]
    low, high = ([f(axis) for axis in axes] for f in (np.min, np.max))
    return np.array(low, np.float64), np.array(high, np.float64)

"""Small backends that obey the protocols, for our tests and those of our users.

    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())

They need no weights and finish in milliseconds. What they return is geometrically consistent: a
ball placed where its disc was seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import NDArray

from scenelift.errors import ObjectFailed
from scenelift.geometry.regions import regions
from scenelift.progress import Reporter
from scenelift.segment.clicks import Clicks
from scenelift.types import (
    Camera,
    Gaussians,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Prompt,
    Reconstruction,
    Segmentation,
    Shape,
)

__all__ = [
    "BallReconstructor",
    "ColorClicker",
    "ColorSegmenter",
    "PlanePointMapper",
    "ball_reconstructor",
    "ball_shape",
    "disc_photo",
]

COLORS = {
    "red": (200, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 70, 200),
}


def disc_photo(
    discs: Sequence[tuple[str, float, float, float]] = (
        ("red", 50, 60, 24),
        ("blue", 112, 66, 18),
    ),
    size: tuple[int, int] = (160, 120),
) -> Image:
    """Make a grey photo with discs, each a (colour, centre x, centre y, radius) in pixels."""
    width, height = size
    pixels = np.full((height, width, 3), 190, np.uint8)
    u, v = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    for color, cx, cy, radius in discs:
        pixels[(u - cx) ** 2 + (v - cy) ** 2 <= radius**2] = COLORS[color]
    return Image(pixels=pixels)


class ColorSegmenter:
    """Finds the pixels of a colour: the phrases are "red", "green" and "blue"."""

    name = "fake-color"
    version = "1"

    @property
    def clicker(self) -> ColorClicker:
        return ColorClicker()

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        instances: list[Instance] = []
        for phrase in report.track(prompt.phrases, len(prompt.phrases)):
            match = (image.pixels == COLORS.get(phrase, (1, 2, 3))).all(-1)
            labels, count = regions(match)
            for k in range(1, count + 1):
                mask = np.asarray(labels == k)
                instances.append(
                    Instance(mask=mask, label=phrase, score=0.9, box=Instance.box_of(mask))
                )
        instances.sort(key=lambda i: -int(i.mask.sum()))
        return Segmentation(instances=tuple(instances), suggestions=tuple(COLORS))


class ColorClicker:
    """Cuts out what has the colour of the points and is connected to them."""

    name = "fake-color"

    def look(self, image: Image) -> NDArray[np.uint8]:
        return image.pixels

    def cut(self, pixels: NDArray[np.uint8], clicks: Clicks) -> NDArray[np.float32]:
        """Return a mask [H, W] of zeros and ones."""
        height, width = pixels.shape[:2]
        mask = np.zeros((height, width), np.bool_) if clicks.mask is None else clicks.mask.copy()
        if clicks.box is not None:
            x0, y0, x1, y1 = (max(0, round(v)) for v in clicks.box)
            mask[y0:y1, x0:x1] = True
        for p in clicks.points:
            column, row = min(int(p.point[0]), width - 1), min(int(p.point[1]), height - 1)
            labels, _ = regions((pixels == pixels[row, column]).all(-1))
            mask[labels == labels[row, column]] = p.positive
        return mask.astype(np.float32)

    def release(self) -> None:
        """Do nothing: it is on no device."""


class PlanePointMapper:
    """Places everything two units in front of the camera."""

    name = "fake-plane"
    version = "1"

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        report.update(0)
        camera = Camera.from_fov(image.width, image.height, fov_deg=55)
        depth = np.full((image.height, image.width), 2.0)
        return PointMap(points=camera.unproject(depth), camera=camera, source=self.name)


class BallReconstructor:
    """Turns every object into a ball of its mean colour and size.

    Args:
        fail_on: raise for objects with this label, to see that the others go on.
    """

    name = "fake-ball"
    version = "1"

    def __init__(self, fail_on: str | None = None) -> None:
        self._fail_on = fail_on

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        report.update(0)
        if view.instance.label == self._fail_on:
            raise ObjectFailed(-1, view.instance.label, "it was told to fail")
        surface = view.points.points[view.mask]
        diameter = float(np.ptp(surface[:, 0]))
        color = view.image.pixels[view.mask].mean(0)
        x, y, z = np.median(surface, 0).tolist()
        pose = Pose(translation=(x, y, z), scale=max(diameter, 1e-3))
        return Reconstruction(shape=ball_shape(color, seed), pose=pose)


def ball_reconstructor(device: str, fail_on: str | None = None) -> BallReconstructor:
    """Build the reconstructor for a process of a `Crew`; it computes on any device alike."""
    return BallReconstructor(fail_on)


def ball_shape(color: NDArray, seed: int = 0, splats: int = 2000) -> Shape:
    """Make a ball of diameter 1 about the origin of the object frame, colour in 0…255."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(splats, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Inset by one standard deviation, so that the splats end where the mesh does.
    spread = 0.03
    rgb = np.broadcast_to(np.asarray(color, np.float32) / 255, (splats, 3))
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    return Shape(
        gaussians=Gaussians(
            means=((0.5 - spread) * directions).astype(np.float32),
            scales=np.full((splats, 3), spread, np.float32),
            rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (splats, 1)),
            opacities=np.full(splats, 0.95, np.float32),
            sh0=Gaussians.sh0_of(rgb),
        ),
        mesh=Mesh(
            vertices=np.asarray(ball.vertices, np.float32),
            faces=np.asarray(ball.faces, np.int32),
            colors=np.tile(np.asarray(color).round().astype(np.uint8), (len(ball.vertices), 1)),
            normals=np.asarray(ball.vertex_normals, np.float32),
        ),
    )

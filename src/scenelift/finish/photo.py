"""Take colours from the photo for the part of a surface that it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.ndimage import maximum_filter, minimum_filter

from scenelift.geometry.regions import distance_inside
from scenelift.geometry.transforms import matrix_from_quaternion, pose_matrix, transform_points
from scenelift.jit import compiled, kernel_array, spread
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Instance, Mesh, ObjectView, Pose

__all__ = ["Photo", "PhotoSamples", "Sight"]

LONGEST = 1024  # pixels of the object's crop: the finest texture has as many over the object
# The silhouette must cover so much of the mask, and agree with it so well: what hides the object
# makes the mask smaller, a wrong pose leaves parts of it uncovered.
LEAST_COVER = 0.9
LEAST_IOU = 0.6
# Median difference to the splats' colours beyond which the two do not show the same spot.
MOST_OFF = 0.12
# Cosine between normal and ray where the photo starts to count, and where it counts in full.
GRAZING, FACING = 0.2, 0.55
FADE = 0.04  # of the object's size in the photo, from outlines and depth edges inwards
STEP = 0.02  # of the object's size: a surface that much nearer hides a point


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Photo:
    """What the photo says about points of a surface.

    Attributes:
        rgb: float32 [T, 3], sRGB in 0…1; the expected colour where it does not see the point.
        weight: float32 [T] in 0…1, how much it counts; zero where it does not see the point.
        refused: why it was left out altogether, or "".
    """

    rgb: NDArray[np.float32]
    weight: NDArray[np.float32]
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """A surface as the photo sees it.

    Attributes:
        look: the object's part of the photo; None where it is refused.
        refused: why.
    """

    look: _Look | None = None
    refused: str = ""

    @classmethod
    def of(cls, view: ObjectView, pose: Pose, mesh: Mesh) -> Sight:
        """Draw the surface, and compare it with the mask.

        Args:
            view: of the object in the photo.
            pose: where the object stands.
            mesh: the surface, in the object's frame; it hides points from the camera.
        """
        crop, pixels, mask = _crop(view)
        mesh_in_scene = Mesh(
            vertices=transform_points(mesh.vertices, pose_matrix(pose)).astype(np.float32),
            faces=mesh.faces,
        )
        drawing = render_mesh(mesh_in_scene, crop, shading="none", near=1e-3 * pose.scale)
        on_mesh = drawing.alpha > 0
        cover = float((on_mesh & mask).sum() / max(1, mask.sum()))
        iou = float((on_mesh & mask).sum() / max(1, (on_mesh | mask).sum()))
        if cover < LEAST_COVER or iou < LEAST_IOU:
            return cls(
                refused=f"the silhouette covers {cover:.0%} of the mask, intersection over union "
                f"{iou:.2f}"
            )
        look = _Look(
            crop=crop,
            pose=pose,
            channels=np.ascontiguousarray(np.moveaxis(pixels, -1, 0), np.float64),
            depth=np.where(on_mesh, drawing.depth, 0).astype(np.float64),
            margin=_margin(mask, on_mesh, drawing.depth, STEP * pose.scale).astype(np.float64),
        )
        return cls(look=look)

    def at(self, points: NDArray[np.float32], normals: NDArray[np.float32]) -> PhotoSamples:
        """Look up points [T, 3] of the surface."""
        weight, rgb = np.zeros(len(points)), np.zeros((len(points), 3))
        if self.look is not None:
            self.look.at(points, normals, weight, rgb)
        return PhotoSamples(rgb=rgb, weight=weight, refused=self.refused)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoSamples:
    """What the photo shows at points, whether or not it fits what is known of them.

    Attributes:
        rgb: float64 [T, 3], where it sees the point. weight: float64 [T], zero where it does not.
        refused: as of `Photo`.
    """

    rgb: NDArray[np.float64]
    weight: NDArray[np.float64]
    refused: str

    def judged(self, expected: NDArray[np.float32]) -> Photo:
        """Compare it with the colours [T, 3] that the splats give the points."""
        refused = self.refused
        strong = self.weight > 0.5
        if strong.any():
            off = float(np.median(np.abs(self.rgb[strong] - expected[strong]).max(1)))
            if off > MOST_OFF:
                refused = f"colours differ by {off:.2f} from the splats'"
        if refused:
            nothing = np.zeros(len(expected), np.float32)
            return Photo(rgb=expected, weight=nothing, refused=refused)
        rgb = np.where(self.weight[:, None] > 0, np.clip(self.rgb, 0, 1), np.clip(expected, 0, 1))
        return Photo(rgb=rgb.astype(np.float32), weight=self.weight.astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """The object's part of the photo.

    Attributes:
        crop: its camera. pose: of the object.
        channels: [3, H, W], sRGB in 0…1.
        depth: [H, W], of the surface; 0 where there is none.
        margin: [H, W], how much a pixel counts, from its edges inwards.
    """

    crop: Camera
    pose: Pose
    channels: NDArray[np.float64]
    depth: NDArray[np.float64]
    margin: NDArray[np.float64]

    def at(
        self,
        points: NDArray[np.float32],
        normals: NDArray[np.float32],
        weight: NDArray[np.float64],
        rgb: NDArray[np.float64],
    ) -> None:
        """Look up points [T, 3], and write weight [T] and colour [T, 3] of those that it sees."""
        crop, pose = self.crop, self.pose
        spread(
            _look_up,
            len(points),
            kernel_array(points, np.float32),
            kernel_array(normals, np.float32),
            pose_matrix(pose),
            matrix_from_quaternion(pose.rotation),
            np.array([crop.fx, crop.fy, crop.cx, crop.cy]),
            STEP * pose.scale,
            kernel_array(self.channels, np.float64),
            kernel_array(self.depth, np.float64),
            kernel_array(self.margin, np.float64),
            weight,
            rgb,
        )


@compiled
def _look_up(
    first, end, points, normals, pose, turn, intrinsics, step, channels, depth, margin, weight, rgb
):
    fx, fy, cx, cy = intrinsics
    height, width = depth.shape
    for i in range(first, end):
        px, py, pz = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        x = pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3]
        y = pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3]
        z = pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3]
        if not z < 0:
            continue
        u, v = cx + fx * x / -z, cy + fy * y / z
        if not (0 < u < width and 0 < v < height):
            continue
        nx, ny, nz = float(normals[i, 0]), float(normals[i, 1]), float(normals[i, 2])
        cosine = -(
            (turn[0, 0] * nx + turn[0, 1] * ny + turn[0, 2] * nz) * x
            + (turn[1, 0] * nx + turn[1, 1] * ny + turn[1, 2] * nz) * y
            + (turn[2, 0] * nx + turn[2, 1] * ny + turn[2, 2] * nz) * z
        ) / math.sqrt(x * x + y * y + z * z)
        # Most points lie on another side, or look away: only the others are looked up.
        facing = _smooth((cosine - GRAZING) / (FACING - GRAZING))
        if not (facing > 0 and -z <= depth[int(v), int(u)] + step):
            continue
        # Between the middles of four pixels; beyond the outermost ones as at them.
        row, column = min(max(v - 0.5, 0.0), height - 1.0), min(max(u - 0.5, 0.0), width - 1.0)
        top, left = min(int(row), max(0, height - 2)), min(int(column), max(0, width - 2))
        down, across = row - top, column - left
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        shares = (
            (1 - down) * (1 - across),
            (1 - down) * across,
            down * (1 - across),
            down * across,
        )
        weight[i] = facing * _smooth(
            shares[0] * margin[top, left]
            + shares[1] * margin[top, right]
            + shares[2] * margin[bottom, left]
            + shares[3] * margin[bottom, right]
        )
        for c in range(3):
            rgb[i, c] = (
                shares[0] * channels[c, top, left]
                + shares[1] * channels[c, top, right]
                + shares[2] * channels[c, bottom, left]
                + shares[3] * channels[c, bottom, right]
            )


@compiled
def _smooth(x):
    t = min(max(x, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _crop(view: ObjectView) -> tuple[Camera, NDArray[np.float32], NDArray[np.bool_]]:
    """Cut out the object's part of the photo with a margin, at most LONGEST pixels on a side."""
    image, camera = view.image, view.camera
    x0, y0, x1, y1 = Instance.box_of(view.mask)
    pad = 0.1 * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - pad)), max(0, int(y0 - pad))
    right, bottom = min(image.width, int(x1 + pad) + 1), min(image.height, int(y1 + pad) + 1)
    width, height = right - left, bottom - top
    crop = Camera(
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx - left,
        cy=camera.cy - top,
        width=width,
        height=height,
    )
    pixels, mask = image.pixels[top:bottom, left:right], view.mask[top:bottom, left:right]
    shrink = LONGEST / max(width, height)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        box = PillowImage.Resampling.BOX
        pixels = np.asarray(PillowImage.fromarray(pixels).resize(size, box))
        grey = PillowImage.fromarray(mask.astype(np.uint8) * 255)
        mask = np.asarray(grey.resize(size, box)) >= 128
        crop = crop.resized(*size)
    return crop, (pixels / 255).astype(np.float32), mask


def _margin(
    mask: NDArray[np.bool_], on_mesh: NDArray[np.bool_], depth: NDArray[np.float32], step: float
) -> NDArray[np.float32]:
    """Weight pixels by their distance from the visible surface's edge: 0 there, 1 from FADE on."""
    solid = np.where(on_mesh, depth, np.inf)
    with np.errstate(invalid="ignore"):
        edge = maximum_filter(solid, 3) - minimum_filter(solid, 3) > step
    good = mask & on_mesh & ~edge
    fade = max(2.0, FADE * float(np.sqrt(mask.sum())))
    return (distance_inside(good) / fade).astype(np.float32)

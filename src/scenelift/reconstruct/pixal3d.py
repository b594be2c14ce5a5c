"""Pixal3D as a reconstructor: its objects are posed as the photo's camera sees them.

One number of its pose is not known, how far away it is: its visible points say that. So there is no
search, and nothing that could come out back to front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import ReconstructionError
from scenelift.geometry.transforms import compose_transform, quaternion_from_matrix
from scenelift.models.pixal3d.checkpoints import NAF_FILE, load_models
from scenelift.models.pixal3d.model import Pixal3D, View
from scenelift.models.pixal3d.preprocess import BOX_FACTOR
from scenelift.models.slat.first_stage import FirstStageResult
from scenelift.models.trellis.preprocess import crop_box, crop_on_black, shrunk
from scenelift.models.trellis2.checkpoints import Trellis2Folder
from scenelift.progress import Reporter
from scenelift.reconstruct.detail import closest_matte, most_pixels
from scenelift.reconstruct.occlusion import hidden_share
from scenelift.reconstruct.placing import matte_of, occlusion_notes
from scenelift.reconstruct.slat import (
    NO_SURFACE,
    UNDISTILLED,
    Setup,
    SlatReconstructor,
    freed_when_it_fails,
)
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.reconstruct.trellis2 import (
    MOST_PIXELS,
    published_types,
    structure_decoder_folder,
)
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Mesh, ObjectView, Pose, Reconstruction
from scenelift.weights.content import fingerprint
from scenelift.weights.locate import require

__all__ = ["CropView", "Pixal3DReconstructor", "crop_view", "cut_out", "pose_in_view"]

# The longer side at which the object is drawn to compare depths: a few thousand points suffice.
PICTURE_WIDTH = 256
FEWEST = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropView:
    """The camera that looks at the middle of an object's crop.

    Attributes:
        centre: u, v of the crop's middle in pixels of the photo.
        side: of the crop in such pixels.
        fov: across the crop, in radians.
        rotation: float64 [3, 3], camera_from_view: the photo's camera, turned to the crop.
    """

    centre: tuple[float, float]
    side: float
    fov: float
    rotation: NDArray[np.float64]


def crop_view(box: tuple[float, float, float, float], camera: Camera) -> CropView:
    """Compute the view of a square crop x0, y0, x1, y1 of a photo."""
    u, v = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = box[2] - box[0]
    focal = (camera.fx * camera.fy) ** 0.5
    ray = np.array([(u - camera.cx) / camera.fx, (camera.cy - v) / camera.fy, -1.0])
    back = -ray / np.linalg.norm(ray)  # the view's z axis, toward the camera
    # The smallest turn from the camera's own axis: about what is square to both.
    axis = np.cross([0.0, 0.0, 1.0], back)
    sine, cosine = float(np.linalg.norm(axis)), float(back[2])
    turn = np.eye(3)
    if sine > 1e-12:
        x, y, z = axis / sine
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = np.eye(3) + sine * cross + (1 - cosine) * cross @ cross
    return CropView(centre=(u, v), side=side, fov=2 * math.atan(side / (2 * focal)), rotation=turn)


def cut_out(view: ObjectView) -> tuple[NDArray[np.uint8], CropView]:
    """Cut an object out alone, on black, and compute the view that its picture is seen in."""
    matte = closest_matte(view.image, matte_of(view.instance))
    pixels, alpha = shrunk(most_pixels(view.image), matte, most=MOST_PIXELS)
    picture = crop_on_black(pixels, alpha, size=None, factor=BOX_FACTOR)
    scale = view.camera.width / alpha.shape[1]
    x0, y0, x1, y1 = (scale * c for c in crop_box(alpha, factor=BOX_FACTOR))
    return picture, crop_view((x0, y0, x1, y1), view.camera)


def pose_in_view(mesh: Mesh, crop: CropView, view: ObjectView) -> tuple[Pose, dict[str, float]]:
    """Compute the pose of a mesh from its view; its visible points say how far away it is.

    A point of the mesh at height z over the cube's middle is at scale · (d − z), where d is how far
    the view's camera stands from a cube of side 1: every visible point says what the scale is, and
    the median of them is taken.

    Args:
        mesh: in the crop's frame.
        crop: the camera that looks at the crop.
        view: of the object in the photo.

    Returns:
        scene_from_object, and figures for the manifest.

    Raises:
        ReconstructionError: no visible point of the object has a depth.
    """
    distance = 0.5 / math.tan(crop.fov / 2)
    points = view.points.points
    rows, columns = np.nonzero(view.mask & np.isfinite(points[..., 2]))
    visible = points[rows, columns].astype(np.float64) @ crop.rotation  # in the crop's frame
    # Where the crop's picture, drawn PICTURE_WIDTH pixels wide, has them.
    focal = 0.5 * PICTURE_WIDTH / math.tan(crop.fov / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = PICTURE_WIDTH / 2 + focal * visible[:, 0] / -visible[:, 2]
        y = PICTURE_WIDTH / 2 - focal * visible[:, 1] / -visible[:, 2]
    inside = (visible[:, 2] < 0) & (x >= 0) & (x < PICTURE_WIDTH) & (y >= 0) & (y < PICTURE_WIDTH)
    drawing = render_mesh(
        mesh,
        Camera(
            fx=focal,
            fy=focal,
            cx=PICTURE_WIDTH / 2,
            cy=PICTURE_WIDTH / 2,
            width=PICTURE_WIDTH,
            height=PICTURE_WIDTH,
        ),
        compose_transform(1.0, [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, distance]),
        shading="none",
    )
    depth = drawing.depth[y[inside].astype(int), x[inside].astype(int)]
    both = np.isfinite(depth)
    overlap = float(both.sum()) / max(1, len(rows))
    if both.sum() >= FEWEST:
        ratios = -visible[inside][both, 2] / depth[both]
    elif len(rows) >= FEWEST:
        # The shape is not where the mask is: then its middle is as far as what the mask shows.
        ratios = -visible[:, 2] / distance
    else:
        raise ReconstructionError(
            f"The point map has no depth on {view.instance.label!r}, so its distance is unknown. "
            f"Take another point map."
        )
    scale = float(np.median(ratios))
    if not scale > 0:
        raise ReconstructionError(f"The points of {view.instance.label!r} lie behind the camera.")
    at = crop.rotation @ np.array([0.0, 0.0, -scale * distance])
    w, x_, y_, z_ = (float(c) for c in quaternion_from_matrix(crop.rotation))
    pose = Pose(
        rotation=(w, x_, y_, z_),
        translation=(float(at[0]), float(at[1]), float(at[2])),
        scale=scale,
    )
    spread = float(np.median(np.abs(ratios / scale - 1)))
    return pose, {"view_overlap": overlap, "view_depth_spread": spread}


class Pixal3DReconstructor(SlatReconstructor[Pixal3D]):
    """Reconstructs with Pixal3D, as the photo's camera sees the object."""

    name = "pixal3d"
    title = "Pixal3D"
    first_share = 0.2
    fixed_options = UNDISTILLED

    @classmethod
    def _load(cls, setup: Setup) -> Self:
        setup = published_types(setup)
        kind = setup.options.voxel_kind
        files = Trellis2Folder(
            require("pixal3d", setup.options.weights),
            require("dinov3-large", setup.options.weights),
            others=structure_decoder_folder(setup.options),
        )
        naf = require("naf", setup.options.weights) / NAF_FILE
        model = setup.build(Pixal3D, load_models(files, naf, kind))
        weights = f"pixal3d {fingerprint([*files.weight_files(kind), naf])}"
        return cls(model, version=setup.version(weights, model.sampling, kind))

    def _inputs(self, view: ObjectView) -> tuple[NDArray[np.uint8], CropView]:
        return cut_out(view)

    def _first_stages(
        self,
        inputs: tuple[NDArray[np.uint8], CropView],
        *,
        seeds: Sequence[int],
        report: Reporter,
    ) -> list[FirstStageResult]:
        picture, crop = inputs
        view = View(picture=picture, fov=crop.fov)
        return self.model.begin_view(view, seeds=list(seeds), report=report)

    def _complete(
        self,
        first: FirstStageResult,
        inputs: tuple[NDArray[np.uint8], CropView],
        view: ObjectView,
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        with freed_when_it_fails(self.model):
            surface = self.model.complete(first, report=report.part(0.0, 0.98))
            # The object's frame is the crop's, which is as ours: x right, y up, z to the viewer.
            shape, shrink = shape_of_surface(surface, np.eye(3), seed=seed)
        if shape.mesh is None:
            raise ReconstructionError(NO_SURFACE)
        report.update(0.98, message="placing")
        own_size = Mesh(vertices=shape.mesh.vertices / np.float32(shrink), faces=shape.mesh.faces)
        pose, quality = pose_in_view(own_size, inputs[1], view)
        hidden = hidden_share(view.mask, view.points.points)
        return Reconstruction(
            shape=shape,
            pose=Pose(
                rotation=pose.rotation, translation=pose.translation, scale=pose.scale / shrink
            ),
            quality={"voxels": float(surface.tokens), "hidden_outline": hidden, **quality},
            notes=(*surface.notes, *occlusion_notes(hidden, self.title)),
        )

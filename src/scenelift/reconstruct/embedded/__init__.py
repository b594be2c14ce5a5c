"""The embedded reconstructor: a small trained head completes what a photo shows of an object.

It fills the space along the photo's viewing rays; the closed solid around that is painted with the
photo. Without DINOv2's weights, a solid is inflated from the outline: a mask says where an object
ends on either side, a class says how deep such things are.
"""

from __future__ import annotations

import numpy as np

from scenelift.errors import WeightsError
from scenelift.geometry.transforms import quaternion_from_matrix
from scenelift.models.embedded import Head, version
from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.reconstruct.embedded.check import silhouette_iou
from scenelift.reconstruct.embedded.colour import colours_of
from scenelift.reconstruct.embedded.frame import in_object_frame, standing
from scenelift.reconstruct.embedded.inflate import inflate
from scenelift.reconstruct.embedded.objectron import BoxFinder
from scenelift.reconstruct.embedded.outline import trace_outline
from scenelift.reconstruct.embedded.proportions import Proportions, proportions_of
from scenelift.reconstruct.embedded.relief import hidden_by, relief_of, visible_depth
from scenelift.reconstruct.embedded.solid import Solid, surface_of
from scenelift.reconstruct.embedded.splats import splats_of
from scenelift.reconstruct.embedded.texture import skin_of
from scenelift.reconstruct.embedded.volume import filled_space
from scenelift.runtime import Runtime
from scenelift.types import Image, ObjectView, PointMap, Reconstruction
from scenelift.weights import embedded

__all__ = ["EmbeddedReconstructor"]

NOTE = "A preview: what the photo does not show is completed from what such things look like."
NOTE_INFLATED = "A preview: the depth and the back are guesses made from the outline."
# Inscribed radius over the box's longer side: what is thinner everywhere slips through the rays of
# the shape head, and is inflated.
THINNEST = 0.033
# Depth over the outline's smaller side: beyond these a box is more likely wrong than right.
DEPTHS = (0.3, 1.6)
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])  # quaternion: the object's up is the camera's


class EmbeddedReconstructor:
    """Makes solids of masks with a small trained head; see the module.

    Args:
        boxes: finds oriented boxes.
        head: the shape head, or None to inflate outlines.
    """

    name = "embedded"

    def __init__(self, boxes: BoxFinder, head: Head | None = None) -> None:
        self._boxes, self._head = boxes, head
        made_by = "inflation" if head is None else version("shape")
        self.version = f"10 {made_by} {boxes.version}"

    @property
    def is_trained(self) -> bool:
        """Whether a trained head makes the shapes: without its weights outlines are inflated."""
        return self._head is not None

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> EmbeddedReconstructor:
        """Load the models; head and oriented boxes are used where their weights are installed.

        Raises:
            WeightsError: a file that is there is damaged.
        """
        boxes = BoxFinder.load(options.weights, options.threads)
        try:
            embedded.path("dinov2", options.weights)
        except WeightsError:
            return cls(boxes)
        return cls(boxes, Head.load("shape", options.weights, options.threads))

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo; its objects share nothing."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        """Reconstruct one object; see `Reconstructor.reconstruct`.

        Raises:
            InputError: the mask is too small.
        """
        image, instance, points = view.image, view.instance, view.points
        outline = trace_outline(view.mask, hidden_by(view))
        report.update(0.1, message="outline")

        names = (instance.class_name, instance.label)
        proportions = proportions_of(*names)
        box = self._boxes.find(image.pixels, instance.box, points.camera, names)
        if box is not None and not proportions.round:
            proportions = Proportions(float(np.clip(box.depth, *DEPTHS)))
        distance = visible_depth(instance.mask, points)
        # Our own point maps know where an object is better than how its surface runs: with their
        # relief, volume IoU was .24 on held-out objects, without it .40.
        estimated = not points.shows_relief
        thick = float(outline.distance.max()) > THINNEST * max(
            instance.box[2] - instance.box[0], instance.box[3] - instance.box[1]
        )
        if self._head is not None and thick:
            occupancy = filled_space(
                self._head, view, outline, distance, trust_relief=not estimated
            )
            solid = Solid.of_occupancy(outline, occupancy, points.camera, distance)
            up, note = occupancy.up, NOTE
        else:
            relief = None if estimated else relief_of(outline, points, distance)
            phi = inflate(outline, proportions)
            solid = Solid.of(outline, phi, relief, points.camera, distance)
            up, note = None, NOTE_INFLATED
        report.update(0.4, message="solid")

        surface = surface_of(solid)
        report.update(0.7, message="surface")

        guessed = None if solid.occupancy is None else solid.occupancy.back
        window = None if solid.occupancy is None else solid.occupancy.window
        colours = colours_of(view, guessed, window)
        splats = splats_of(solid, surface, colours, seed=seed)
        skin = skin_of(solid, surface, colours)
        upright = UPRIGHT if up is None else quaternion_from_matrix(standing(up))
        if box is not None:
            upright = quaternion_from_matrix(box.rotation)
        w, x, y, z = upright.tolist()
        shape, pose = in_object_frame(surface, skin, splats, (w, x, y, z))
        report.update(0.9, message="check")
        quality = {"silhouette_iou": silhouette_iou(splats, instance.mask, points.camera)}
        if box is not None:
            quality |= {"oriented_box_score": box.score, "oriented_box_miss": box.miss}
        report.update(1.0)
        return Reconstruction(shape=shape, pose=pose, quality=quality, notes=(note,), in_place=True)

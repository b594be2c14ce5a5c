"""Finds the pose of an object whose model gives none: it is upright, turned at random.

Where it stands is fitted to what the photo shows of it (`compose.fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.fit import FittedPose
from scenelift.geometry.ground import find_ground
from scenelift.models.trellis.preprocess import OPAQUE
from scenelift.progress import Reporter
from scenelift.reconstruct.occlusion import hidden_share
from scenelift.reconstruct.slat import NO_SURFACE
from scenelift.types import Instance, ObjectView, Reconstruction, Shape

__all__ = ["matte_of", "occlusion_notes", "place_in_scene"]

# Share of the outline beyond which an object is not whole, and of confidence below which a pose is
# not to be relied on.
MOST_HIDDEN = 0.08
UNSURE = 0.2


def place_in_scene(
    shape: Shape,
    view: ObjectView,
    *,
    place: Callable[..., FittedPose],
    title: str,
    seed: int,
    voxels: int,
    notes: Sequence[str],
    report: Reporter,
) -> Reconstruction:
    """Place the shape where the photo shows it.

    Args:
        shape: in the object frame.
        view: of the object in the photo.
        place: `compose.fit.fit_pose`.
        title: what people call the model.
        seed: of the search.
        voxels: that carried latents, for the manifest.
        notes: what there was to say so far.
        report: progress.
    """
    report.update(0.0, message="placing")
    ground = find_ground(view.points, [view.instance])
    fit = place(
        shape,
        view,
        # Objects come out upright; without a floor in sight, so does the camera.
        up=(0.0, 1.0, 0.0) if ground is None else ground.up,
        seed=seed,
        report=report,
    )
    hidden = hidden_share(view.mask, view.points.points)
    all_notes = [*notes, *fit.notes]
    if shape.mesh is None:
        all_notes.append(NO_SURFACE)
    all_notes += occlusion_notes(hidden, title)
    if fit.confidence < UNSURE:
        all_notes.append("Its pose is uncertain: the photo does not show clearly how it is turned.")
    return Reconstruction(
        shape=shape,
        pose=fit.pose,
        quality={"voxels": float(voxels), "hidden_outline": hidden, **fit.quality},
        notes=tuple(all_notes),
    )


def occlusion_notes(hidden: float, title: str) -> list[str]:
    """Write notes on an object of whose outline that share cannot be seen."""
    if hidden <= MOST_HIDDEN:
        return []
    return [
        f"{hidden:.0%} of this object's outline is hidden or cut off: {title} sees only what is "
        f"visible, so a part may be missing."
    ]


def matte_of(instance: Instance) -> NDArray[np.uint8]:  # [H, W]
    """Return the soft matte where there is one in which something is opaque, else the mask."""
    if instance.alpha is None:
        return np.where(instance.mask, 255, 0).astype(np.uint8)
    soft = np.round(np.clip(instance.alpha, 0, 1) * 255).astype(np.uint8)
    return soft if (soft > OPAQUE).any() else matte_of(replace(instance, alpha=None))

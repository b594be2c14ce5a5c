"""Score how well a placed object explains the photo, for the manifest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenelift.compose.placed_object import TIGHT, PlacedObject
from scenelift.compose.refine import refine
from scenelift.compose.search import quarter_turns
from scenelift.errors import ReconstructionError
from scenelift.types import Instance, ObjectView, PointMap, Reconstruction, SceneObject

__all__ = ["best_of", "depth_confidence", "score"]


def score(o: PlacedObject) -> dict[str, float]:
    """Compute the scores of an object at its place.

    Returns:
        mask_iou: of its silhouette and its mask, without what is hidden.
        depth_residual: 0…1, share of the depth relief that it does not explain; absent where no
            point was seen.
        depth_offset: how far the points lie behind it, over its distance; likewise.
        colour_error: 0…1, 1 − correlation with the photo's colours; absent without colours.
        flip_margin: what the best quarter or half turn costs more; below 0 it may face wrongly,
            near 0 it faces no way.
        fit: 0…1, all of it in one figure.
    """
    comparison = o.compare(np.concatenate([o.pose[None], quarter_turns(o.pose, o.centre)]), TIGHT)
    costs = comparison.cost(TIGHT)
    figures = {"mask_iou": comparison.iou[0]}
    if o.evidence.has_depth:
        figures |= {"depth_residual": comparison.depth[0], "depth_offset": comparison.offset[0]}
    if o.surfels.colors is not None:
        figures["colour_error"] = comparison.colour[0]
    figures["flip_margin"] = costs[1:].min() - costs[0]
    figures["fit"] = np.clip(1 - costs[0], 0, 1)
    return {name: round(float(value), 4) for name, value in figures.items()}


def depth_confidence(instance: Instance, points: PointMap) -> dict[str, float]:
    """Average the point map's confidence over an object's mask.

    Returns:
        depth_confidence: the mean; absent where no point is there, or the map has no confidence.
    """
    if points.confidence is None:
        return {}
    confidences = points.confidence[instance.mask & np.isfinite(points.points[..., 2])]
    return {"depth_confidence": round(float(confidences.mean()), 4)} if confidences.size else {}


def best_of(candidates: Sequence[Reconstruction], view: ObjectView, *, seed: int = 0) -> int:
    """Return the number of the reconstruction that explains the photo best, once refined.

    One that cannot be placed loses against all that can.
    """

    def cost(candidate: Reconstruction) -> float:
        o = SceneObject(index=0, instance=view.instance, shape=candidate.shape, pose=candidate.pose)
        try:
            placed_object = PlacedObject.of(o, view.image, view.points)
        except ReconstructionError:
            return float("inf")
        refine(placed_object, np.random.default_rng(seed))
        return float(placed_object.compare(placed_object.pose[None], TIGHT).cost(TIGHT)[0])

    return int(np.argmin([cost(candidate) for candidate in candidates]))

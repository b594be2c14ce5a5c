"""Refine a first pose, so that it agrees with mask, points and colours.

The pose is changed by sampled render-and-compare (`search.evolve`) from several starts: as it came,
and turned by quarters about the shape's axes, since a front taken for a back is a common mistake.
It is replaced only by one that explains more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.compare import compare
from scenelift.compose.placed_object import FIRST_OFF, TIGHT, PlacedObject
from scenelift.compose.search import improve, quarter_turns

__all__ = ["MIN_PIXELS", "refine"]

MIN_PIXELS = 40  # of the mask: fewer say less than the first pose
LEAST_GAIN = 0.01
MOST_IOU_LOSS = 0.02  # of the silhouette's IoU, which no gain in depth or colour makes good
LEAST_TURN_GAIN = 0.2  # what a quarter turn must gain over the pose that was not turned

LOOSE = replace(TIGHT, depth_scale=2 * TIGHT.depth_scale)  # for poses that are far off

# How wrong a first pose is, one standard deviation: the published generator errs by 3 to 17° and
# by 7 to 23 % of the size.
TURN = 0.12
PULL = 0.004  # cost of an error of one standard deviation: it decides where nothing else does

COARSE_EFFORT, FINE_EFFORT = (20, 24), (16, 20)


def refine(o: PlacedObject, rng: np.random.Generator) -> bool:
    """Refine the pose of an object; return True if it changed."""
    if int(o.evidence.mask.sum()) < MIN_PIXELS:
        o.notes.append("Too little of it is seen to refine its pose.")
        return False
    before = o.compare(o.pose[None], TIGHT)

    starts = np.concatenate([o.pose[None], quarter_turns(o.pose, o.centre)])
    costs = o.compare(starts, LOOSE).cost(LOOSE)
    few = o.surfels.few(2500)
    # The first pose always, and the two turned ones that may be better.
    others = 1 + np.argsort(costs[1:], kind="stable")[:2]
    starts = starts[[0, *others]]
    centre, distance = o.centre, o.distance

    errors = np.array([TURN] * 3 + [FIRST_OFF] * 3 + [FIRST_OFF * o.size / distance])

    def loose(poses: NDArray[np.float64]) -> NDArray[np.float64]:
        return compare(few, o.evidence, poses, LOOSE).cost(LOOSE)

    def tight(poses: NDArray[np.float64]) -> NDArray[np.float64]:
        return o.compare(poses, TIGHT).cost(TIGHT)

    poses, _ = improve(loose, starts, centre, errors, COARSE_EFFORT, rng, pull=PULL)
    poses, costs = improve(tight, poses, centre, errors / 3, FINE_EFFORT, rng, pull=PULL)
    best = int(np.argmin(costs + np.array([0.0, LEAST_TURN_GAIN, LEAST_TURN_GAIN])[: len(costs)]))
    after = o.compare(poses[best : best + 1], TIGHT)
    if after.cost(TIGHT)[0] > before.cost(TIGHT)[0] - LEAST_GAIN:
        return False
    if after.iou[0] < before.iou[0] - MOST_IOU_LOSS:
        return False
    share = o.reach
    if not o.evidence.has_depth:
        share = 0.0
        o.notes.append("No point was seen on it: its distance is that of its first pose.")
    if best:
        o.notes.append("It was turned about: it explains the photo better that way.")
    o.pose = poses[best]
    o.pose = o.pose * (o.distance / distance) ** (share - 1)  # the silhouette stays
    return True

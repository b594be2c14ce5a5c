"""How deep things are, by class: what an outline cannot tell.

`depth` is the extent along the viewing direction over the smaller side of the outline, a rough
mean over the views that people photograph. `round` marks what a potter's wheel or a lathe could
have made: its outline is turned about the vertical instead of being inflated.
The names are COCO's classes and a few everyday words for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenelift.wording import find_by_name, names_table

__all__ = ["DEFAULT", "Proportions", "proportions_of"]


@dataclass(frozen=True, slots=True)
class Proportions:
    """Typical proportions of a class.

    Attributes:
        depth: depth over the smaller side of the outline.
        round: a solid of revolution about the vertical.
    """

    depth: float
    round: bool = False


DEFAULT = Proportions(0.8)
SURFACE_OF_REVOLUTION = Proportions(1.0, round=True)

_DEPTHS: dict[float, str] = {
    0.08: "tv monitor screen laptop-screen cell-phone phone picture painting poster kite frisbee",
    0.15: "book keyboard scissors knife fork spoon surfboard skateboard snowboard clock mirror",
    0.25: "remote stop-sign parking-meter tennis-racket skis pizza window door fence tie",
    0.35: "bicycle bike traffic-light baseball-bat umbrella-folded refrigerator-door guitar",
    0.45: "motorcycle motorbike scooter giraffe zebra horse cow plate",
    0.6: "person man woman child boy girl people suitcase backpack handbag bag microwave oven "
    "toaster camera laptop sandwich toothbrush",
    0.75: "dog sheep bird elephant hair-drier shoe sneaker toilet sink refrigerator train",
    0.85: "cat bear teddy-bear chair stool potted-plant plant tree hydrant fire-hydrant cake",
    1.0: "couch sofa bench table dining-table desk bed armchair truck bus van airplane boat lamp "
    "umbrella hot-dog banana carrot broccoli mouse",
    1.1: "car taxi",
}
_ROUND = "cup mug bottle bowl vase wine-glass glass ball sports-ball apple orange donut jar pot can"

TABLE = {name: Proportions(depth) for name, depth in names_table(_DEPTHS).items()} | names_table(
    {SURFACE_OF_REVOLUTION: _ROUND}
)


def proportions_of(*names: str | None) -> Proportions:
    """Look up the proportions of the first known name, else `DEFAULT`; see `find_by_name`."""
    return find_by_name(TABLE, *names) or DEFAULT

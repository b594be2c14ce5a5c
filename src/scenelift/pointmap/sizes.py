"""Typical heights of everyday things, which turn an outline's height into a distance.

Heights are as the thing is usually seen, upright and whole. `floor` marks what usually stands on
the ground; the others lie on tables or hang on walls, so the row of their lowest pixel says
nothing about the ground plane unless nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenelift.wording import find_by_name, names_table

__all__ = ["UNKNOWN", "TypicalSize", "typical_size"]


@dataclass(frozen=True, slots=True)
class TypicalSize:
    """The typical size of a class.

    Attributes:
        height: in metres.
        floor: usually stands on the ground.
        in_table: False for the guess about a class the table does not have.
    """

    height: float
    floor: bool = False
    in_table: bool = True


UNKNOWN = TypicalSize(0.5, in_table=False)

_FLOOR: dict[float, str] = {
    0.3: "cat shoe sneaker skateboard",
    0.5: "dog suitcase backpack stool",
    0.75: "table dining-table desk bench sheep fire-hydrant hydrant toilet child",
    0.85: "couch sofa armchair bed oven",
    0.9: "chair",
    1.0: "bicycle bike potted-plant plant parking-meter lamp",
    1.1: "motorcycle motorbike scooter",
    1.5: "car taxi horse cow zebra bear",
    1.7: "person man woman people boy girl refrigerator fridge",
    2.0: "door stop-sign",
    2.4: "van elephant",
    3.0: "bus truck boat giraffe train",
    4.0: "tree",
}
_ELSEWHERE: dict[float, str] = {
    0.03: "spoon fork knife keyboard cell-phone phone",
    0.06: "mouse donut plate sandwich hot-dog pizza",
    0.08: "apple orange carrot broccoli cake camera",
    0.1: "cup mug bowl banana scissors remote",
    0.2: "bottle wine-glass glass toothbrush bird ball sports-ball jar pot toaster hair-drier",
    0.24: "laptop book",
    0.3: "vase clock handbag bag teddy-bear microwave traffic-light sink frisbee",
    0.5: "tv monitor screen picture painting umbrella",
    0.7: "baseball-bat tennis-racket guitar window",
    1.5: "surfboard snowboard skis kite",
    4.0: "airplane",
}

TABLE = {name: TypicalSize(height, floor=True) for name, height in names_table(_FLOOR).items()} | {
    name: TypicalSize(height) for name, height in names_table(_ELSEWHERE).items()
}


def typical_size(*names: str | None) -> TypicalSize:
    """Return the size of the first name in the table, else `UNKNOWN`; see `find_by_name`."""
    return find_by_name(TABLE, *names) or UNKNOWN

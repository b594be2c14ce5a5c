"""Things of some thirty kinds from a few random numbers each, in several colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.families import carried, devices, furnishings, handled, outdoors
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.solids import canonical

__all__ = ["FAMILIES", "PREFIX", "Family", "made_up"]

PREFIX = "family#"
"""What the ids of these models begin with."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Things of one kind.

    Attributes:
        label: common noun, the catalogue's where it has the same thing.
        metres: longest side, from … to.
        make: makes one, y up, of any size.
    """

    label: str
    metres: tuple[float, float]
    make: Callable[[np.random.Generator], Surface]


FAMILIES = tuple(
    Family(label=label, metres=metres, make=make)
    for label, metres, make in (
        ("handbag", (0.2, 0.5), carried.handbag),
        ("backpack", (0.35, 0.6), carried.backpack),
        ("suitcase", (0.5, 0.9), carried.suitcase),
        ("shoe", (0.2, 0.35), carried.shoe),
        ("bookcase", (0.6, 2.0), furnishings.bookcase),
        ("chair", (0.8, 1.1), furnishings.seat),
        ("couch", (1.4, 2.4), furnishings.sofa),
        ("lamp", (0.3, 1.7), furnishings.lamp),
        ("potted plant", (0.25, 1.4), furnishings.potted_plant),
        ("bottle", (0.12, 0.35), handled.bottle),
        ("plate", (0.15, 0.3), handled.plate),
        ("frying pan", (0.3, 0.6), handled.pan),
        ("teapot", (0.15, 0.3), handled.teapot),
        ("hammer", (0.2, 0.4), handled.hammer),
        ("screwdriver", (0.15, 0.3), handled.screwdriver),
        ("wrench", (0.15, 0.35), handled.wrench),
        ("banana", (0.14, 0.22), handled.banana),
        ("strawberry", (0.03, 0.05), handled.strawberry),
        ("umbrella", (0.8, 1.1), handled.umbrella),
        ("remote", (0.12, 0.24), devices.remote),
        ("phone", (0.13, 0.17), devices.phone),
        ("keyboard", (0.28, 0.46), devices.keyboard),
        ("computer mouse", (0.09, 0.12), devices.mouse),
        ("monitor", (0.4, 1.3), devices.monitor),
        ("laptop", (0.28, 0.4), devices.laptop),
        ("book", (0.15, 0.3), devices.book),
        ("clock", (0.1, 0.4), devices.clock),
        ("car", (3.5, 4.8), outdoors.car),
        ("truck", (4.5, 9.0), outdoors.truck),
        ("bus", (7.0, 12.0), outdoors.bus),
        ("bicycle", (1.5, 1.9), outdoors.bicycle),
        ("skateboard", (0.6, 1.0), outdoors.skateboard),
        ("sports ball", (0.06, 0.25), outdoors.sports_ball),
        ("racket", (0.25, 0.7), outdoors.racket),
        ("flag", (0.3, 2.5), outdoors.flag),
        *(
            (label, (0.14, 0.24), partial(handled.cutlery, kind))
            for kind, label in enumerate(handled.CUTLERY)
        ),
        *(
            (label, (0.06, 0.11), partial(handled.fruit, kind))
            for kind, label in enumerate(handled.FRUIT)
        ),
    )
)


def made_up(each: int) -> Iterator[Model]:
    """Make the first `each` of every family's endless row, to train on."""
    for number in range(each):
        for family in FAMILIES:
            # The label seeds it, so that a new family leaves the others as they are.
            rng = np.random.default_rng((12, number, *family.label.encode()))
            surface, sides = canonical(family.make(rng))
            width, height, depth = (float(s) for s in sides * rng.uniform(*family.metres))
            entry = Entry(
                id=f"{PREFIX}{family.label}/{number}",
                name=family.label.capitalize(),
                author="scenelift",
                licence="Apache-2.0",
                size=(width, height, depth),
                rotation=None,
                top=None,
                archive=Path(),
                path="",
            )
            yield Model(entry=entry, label=family.label, split="train", surface=surface)

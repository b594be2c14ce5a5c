"""What the catalogue's models are, in words that people (and detectors) use.

Labels in `COCO` are of the 80 classes of COCO, which the embedded detectors know; the others are
there to see what a segmenter does with objects it has no word for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import lru_cache
from typing import Literal

import numpy as np

from scenelift.training.scenes.catalogue import Entry, catalogue
from scenelift.training.scenes.meshes import Surface, load_entry

__all__ = ["COCO", "Split", "draw_model", "entries_of", "held_out", "label_of"]

NAMES: dict[str, tuple[str, ...]] = {
    "chair": (
        "Chair",
        "Armchair",
        "Oak chair",
        "Osaka chair",
        "Folding chair",
        "Chair with cushion",
        "Plastic chair",
        "Modern armchair",
        "Cafe chair",
        "Winchester armchair",
        "Rattan armchair",
    ),
    "couch": (
        "Sofa",
        "Couch",
        "Clear sofa",
        "Burlap sofa",
        "Sofa 2 seats",
        "Sofa 3 seats",
        "Winchester sofa",
        "Futon couch",
        "Rattan sofa",
    ),
    "bed": ("Bed", "Iron bed", "Captain's bed", "Child bed"),
    "dining table": ("Table", "Round table", "Wooden table", "Oak table", "Wooden alder table"),
    "potted plant": (
        "Plant",
        "Decorative plant",
        "Indoor plant",
        "Bonsai tree",
        "Flowers",
        "Cactus",
        "Orchids",
        "Tulips",
        "Little plant",
        "Succulent plant",
        "Yucca",
        "Spathiphyllum",
    ),
    "tv": ("TV", "TV 16:9"),
    "toilet": ("Toilets unit",),
    "sink": ("Washbasin",),
    "refrigerator": ("Fridge", "Large fridge", "Refrigerator"),
    "oven": ("Oven", "Double oven", "Small oven", "Large stove"),
    "microwave": ("Microwave",),
    "toaster": ("Toaster",),
    "laptop": ("Laptop", "Apple iBook"),
    "person": ("Male", "Female", "Boy", "Girl"),
    "car": (
        "Ford Focus",
        "Peugeot 308 CC",
        "Renault Scenic",
        "SUV",
        "Seat Leon",
        "Smart car",
        "VW new beetle",
        "Chevrolet",
        "Concept Sedan 01",
        "Concept Sedan 02",
        "Concept Sedan 02 Sport",
    ),
    "truck": ("Van",),
    "bicycle": ("Bicycle", "Bike"),
    "motorcycle": ("Yamaha YZR R6", "Scooter", "Motorbike"),
    "bench": ("Bench", "Painted bench", "Concrete bench"),
    "dog": ("Dog", "Bulldog"),
    "cat": ("Cat", "Siamese cat"),
    "horse": ("Horse",),
    "fire hydrant": ("Fire hydrant",),
    "skateboard": ("Skateboard",),
    "teddy bear": ("Teddy bear",),
    "suitcase": ("Briefcase", "Suitcase"),
    "backpack": ("Backpack",),
    "handbag": ("Handbag",),
    "vase": ("Vase",),
    "cup": ("Coffee mug", "Coffee cup", "Cup", "Plastic cup"),
    "bowl": ("Bowl", "Bowl with fruits", "Bowl with salad"),
    "bottle": ("Wine bottle", "Beer bottle", "Milk", "Medicine bottle"),
    "cake": ("Birthday cake",),
    "hot dog": ("Hot dog",),
    "sports ball": ("Basketball", "Soccer ball"),
    # Beyond COCO.
    "bookcase": ("Bookcase", "Full bookcase", "Shelves"),
    "wardrobe": ("Wardrobe",),
    "bedside table": ("Bedside table",),
    "coffee table": ("Coffee table",),
    "desk": ("Desk", "Wooden desk", "Desk table"),
    "lamp": ("Lamp", "Desk lamp", "Little lamp", "Japanese lantern"),
    "stool": ("Stool", "Piano bench"),
    "piano": ("Upright piano", "Grand piano"),
    "guitar": ("Electric guitar",),
    "bathtub": ("Bath", "Island bath"),
    "cabinet": ("Lower cabinet", "Drawers cabinet", "Dresser with drawers", "Filing cabinet"),
    "washing machine": ("Clothes washing machine", "Washing machine", "Dryer machine"),
    "bin": ("Bullet trash can", "Dustbin", "Park trashcan"),
    "barrel": ("Barrel",),
    "crate": ("Crate", "Cardboard box"),
    "teapot": ("Teapot",),
    "coffee maker": ("Coffee maker", "Coffee machine", "Blender", "Mixer"),
    "camera": ("Reflex camera",),
    "speaker": ("Speaker",),
    "radio": ("Radio", "Mini stereo"),
    "sneakers": ("Sneakers",),
    "helmet": ("Helmet",),
    "bush": ("Bush", "Hedge"),
    "rock": ("Rock",),
}

_BEYOND_COCO = tuple(NAMES).index("bookcase")
COCO = frozenset(tuple(NAMES)[:_BEYOND_COCO])

UNSUITABLE = frozenset(
    {
        "Blend Swap CC-0#foldingChair",  # a stand, not a chair
        "Blend Swap CC-0#lamp2",  # hangs from the ceiling
        "Blend Swap CC-0#motorbike",  # a spring rocker
        "Scopia#scooter",  # a kick scooter
        "Scopia#ext_table",  # 40 cm high
        "Scopia#living_room_table",  # a coffee table
        "Scopia#coffee_table",  # glass
        "Scopia#bathroom1",  # these three hang on a wall
        "Scopia#bathroom3",
        "Scopia#bathroom4",
    }
)
"""Models that are not what their name says, or do not stand on the floor."""

Split = Literal["test", "train"]


@lru_cache(maxsize=1)
def _by_label() -> dict[str, tuple[Entry, ...]]:
    label_of = {name: label for label, names in NAMES.items() for name in names}
    by_label: dict[str, list[Entry]] = defaultdict(list)
    for entry in catalogue():
        label = label_of.get(entry.name)
        if label is not None and entry.id not in UNSUITABLE:
            by_label[label].append(entry)
    by_hash = {
        label: sorted(by_label[label], key=lambda e: hashlib.sha256(e.id.encode()).digest())
        for label in NAMES
    }
    return {label: tuple(entries) for label, entries in by_hash.items()}


def label_of(entry: Entry) -> str:
    """Return the word for a model, "" where there is none in `NAMES`."""
    if entry.id in UNSUITABLE:
        return ""
    return next((label for label, names in NAMES.items() if entry.name in names), "")


def entries_of(label: str, split: Split) -> tuple[Entry, ...]:
    """List a label's models: a third of them (at least one) for tests, the others for training.

    Which is which depends on the models' ids alone, so a model never changes sides by chance.
    """
    entries = _by_label()[label]
    return entries[::3] if split == "test" else tuple(e for e in entries if e not in entries[::3])


def held_out() -> frozenset[str]:
    """List the ids of the benchmark's models: nothing may be trained on these."""
    return frozenset(entry.id for label in NAMES for entry in entries_of(label, "test"))


def draw_model(label: str, split: Split, rng: np.random.Generator) -> tuple[Entry, Surface] | None:
    """Draw a model of that label and split at random, read from the catalogue."""
    entries = entries_of(label, split)
    if not entries:
        return None
    entry = entries[rng.integers(len(entries))]
    surface = load_entry(entry)
    return None if surface is None else (entry, surface)

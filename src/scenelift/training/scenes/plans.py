"""The kinds of scenes: six rooms, a table top, a street."""

from __future__ import annotations

from scenelift.training.scenes.layout import Plan, Slot

__all__ = ["PLANS"]

_DECORATION = Slot(labels=("potted plant",), spot="floor", chance=0.6)
_PET = Slot(labels=("dog", "cat"), chance=0.25, turn=120)
_PERSON = Slot(labels=("person",), chance=0.35, turn=80)

PLANS = (
    Plan(
        name="living room",
        width=(3.6, 4.6),
        depth=(2.6, 3.6),
        slots=(
            Slot(labels=("couch",), spot="wall"),
            Slot(labels=("coffee table",), chance=0.5, turn=10),
            Slot(labels=("chair",), turn=80),
            Slot(labels=("chair",), turn=80, chance=0.5),
            Slot(labels=("bookcase", "piano", "wardrobe"), spot="wall", chance=0.4),
            _DECORATION,
            Slot(labels=("chair", "guitar", "backpack", "teddy bear"), chance=0.4),
            _PET,
        ),
    ),
    Plan(
        name="dining room",
        width=(3.4, 4.4),
        depth=(2.8, 3.6),
        slots=(
            Slot(labels=("dining table",), turn=12),
            Slot(labels=("chair",), spot="at"),
            Slot(labels=("chair",), spot="at", chance=0.8),
            Slot(labels=("chair",), spot="at", chance=0.4),
            Slot(labels=("vase", "bowl", "potted plant"), spot="top", chance=0.6),
            Slot(labels=("cabinet",), spot="wall", chance=0.4),
            _PERSON,
        ),
    ),
    Plan(
        name="office",
        width=(3.0, 4.0),
        depth=(2.4, 3.2),
        slots=(
            Slot(labels=("desk",), spot="wall"),
            Slot(labels=("laptop", "tv"), spot="top", chance=0.9),
            Slot(labels=("chair",), turn=160),
            Slot(labels=("bookcase",), spot="wall", chance=0.5),
            Slot(labels=("bin", "suitcase", "backpack"), chance=0.6),
            _DECORATION,
            _PERSON,
        ),
    ),
    Plan(
        name="bedroom",
        width=(3.4, 4.4),
        depth=(2.8, 3.6),
        slots=(
            Slot(labels=("bed",), spot="wall"),
            Slot(labels=("bedside table",), spot="wall", chance=0.8),
            Slot(labels=("lamp",), spot="top", chance=0.8),
            Slot(labels=("wardrobe",), spot="wall", chance=0.4),
            Slot(labels=("chair",), chance=0.6),
            Slot(labels=("teddy bear", "backpack", "handbag"), chance=0.5),
            _DECORATION,
        ),
    ),
    Plan(
        name="kitchen",
        width=(2.8, 3.8),
        depth=(2.0, 3.0),
        slots=(
            Slot(labels=("refrigerator",), spot="wall"),
            Slot(labels=("oven",), spot="wall", chance=0.7),
            Slot(labels=("cabinet", "washing machine"), spot="wall"),
            Slot(labels=("microwave", "toaster", "coffee maker"), spot="top"),
            Slot(labels=("stool", "chair"), chance=0.7),
            Slot(labels=("bin", "crate"), chance=0.4),
            _PERSON,
        ),
    ),
    Plan(
        name="bathroom",
        width=(2.4, 3.2),
        depth=(1.8, 2.4),
        slots=(
            Slot(labels=("toilet",), spot="wall"),
            Slot(labels=("sink",), spot="wall"),
            Slot(labels=("bathtub", "washing machine"), spot="wall", chance=0.7),
            Slot(labels=("bin", "stool", "potted plant"), chance=0.9),
        ),
    ),
    Plan(
        name="table top",
        width=(0.9, 1.3),
        depth=(0.5, 0.75),
        ground=0.74,
        backdrop="table",
        slots=(
            Slot(labels=("laptop", "microwave", "toaster", "coffee maker", "radio"), chance=0.8),
            Slot(labels=("potted plant", "vase", "teddy bear", "lamp", "teapot"), turn=90),
            Slot(labels=("cup", "bowl", "bottle"), turn=160),
            Slot(labels=("bottle", "cup", "camera", "handbag"), turn=90),
            Slot(labels=("bowl", "hot dog", "sneakers", "speaker", "sports ball"), chance=0.6),
            Slot(labels=("cup", "bottle"), chance=0.4, turn=160),
        ),
    ),
    Plan(
        name="street",
        width=(7.0, 9.0),
        depth=(5.0, 7.0),
        backdrop="street",
        slots=(
            Slot(labels=("car",), turn=110),
            Slot(labels=("motorcycle", "bicycle"), chance=0.7, turn=110),
            Slot(labels=("person",), turn=80),
            Slot(labels=("person", "dog", "horse"), chance=0.6, turn=110),
            Slot(labels=("bench",), chance=0.5, turn=30),
            Slot(labels=("fire hydrant", "bin", "barrel", "rock", "bush"), chance=0.5),
        ),
    ),
)

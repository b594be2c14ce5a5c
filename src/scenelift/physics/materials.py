"""Guess from their names how heavy and how slippery things are.

Densities are those of the whole body, hollows included, since masses are taken from the volume of
a closed shape: a cup weighs some 0.3 kg at half a litre of shape. They are rough by nature (a
factor of two either way); files say which was used, and callers can give their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["DEFAULT_DENSITY", "FRICTION", "density_of"]

DEFAULT_DENSITY = 400.0
"""kg/m³ of what no word below names: between furniture of wood and things of plastic."""

FRICTION = 0.6
"""Coulomb's coefficient between things and ground: wood on wood is .3 to .6, rubber is 1."""

_DENSITIES: dict[float, str] = {
    7000: "hammer wrench screwdriver pliers scissors knife fork spoon key",
    2400: "brick stone statue sculpture tile",
    1000: "apple orange banana pear lemon tomato potato carrot cucumber fruit vegetable food "
    "sandwich pizza cake donut bread egg person man woman child dog cat horse cow sheep bird "
    "elephant bear zebra giraffe bottle jar can",
    700: "book magazine box crate board shelf bookcase wardrobe cabinet door",
    600: "cup mug bowl plate vase pot teapot glass pan kettle toilet sink bathtub",
    500: "laptop phone remote mouse keyboard monitor tv television camera clock radio microwave "
    "oven toaster refrigerator computer",
    300: "table desk bench chair stool bed car truck bus bicycle motorcycle train",
    150: "sofa couch armchair pillow cushion mattress backpack bag suitcase handbag shoe plant "
    "basket umbrella lamp",
    60: "ball balloon toy teddy hat kite",
}
_BY_WORD = {word: density for density, words in _DENSITIES.items() for word in words.split()}


def density_of(label: str, own: Mapping[str, float] | None = None) -> float:
    """Return a thing's density in kg/m³, by the last word of its label that is known.

    Args:
        label: as of an object, such as "coffee cup".
        own: label or word -> kg/m³, before the built-in ones.
    """
    own = {name.lower(): value for name, value in (own or {}).items()}
    text = label.lower().strip()
    if text in own:
        return own[text]
    words = re.findall(r"[^\W\d_]+", text)
    for table in (own, _BY_WORD):
        for word in reversed(words):
            for form in (word, word.removesuffix("es"), word.removesuffix("s")):
                if form in table:
                    return table[form]
    return DEFAULT_DENSITY

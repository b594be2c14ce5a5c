"""Things are found by what people call them."""

from __future__ import annotations

import pytest

from scenelift.wording import find_by_name, names_table

TABLE = names_table({1: "mug cell-phone", 2: "glass"})


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("mug",), 1),
        (("Red coffee mugs",), 1),
        (("wine_glasses",), 2),
        (("cell-phone",), 1),
        ((None, "glass"), 2),
        (("mug tree", None), None),
        ((), None),
    ],
)
def test_a_phrase_is_found_whole_or_by_its_last_words_in_singular_or_plural(names, value):
    assert find_by_name(TABLE, *names) == value

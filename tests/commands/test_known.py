"""Known heights and densities are read with their units."""

from __future__ import annotations

import pytest

from scenelift.errors import InputError
from scenelift.options import read_densities, read_known


@pytest.mark.parametrize(
    ("text", "label", "metres"),
    [
        ("door=2.0m", "door", 2.0),
        ("coffee cup = 95 mm", "coffee cup", 0.095),
        ("door=6.5ft", "door", 1.9812),
        ("a=b=80cm", "a=b", 0.8),
        ("door=2,1m", "door", 2.1),
    ],
)
def test_a_height_has_a_label_and_a_unit(text, label, metres):
    (known,) = read_known([text])
    assert known.label == label
    assert known.metres == pytest.approx(metres)


@pytest.mark.parametrize(
    "text", ["door", "door=", "=2m", "door=2", "door=2 furlongs", "door=0m", "door=-2m"]
)
def test_what_is_no_height_is_refused(text):
    with pytest.raises(InputError, match=r"known height|more than 0"):
        read_known([text])


@pytest.mark.parametrize(
    ("text", "label", "density"),
    [
        ("cup=900", "cup", 900),
        ("coffee cup = 900 kg/m3", "coffee cup", 900),
        ("steel=7,85 g/cm³", "steel", 7850),
    ],
)
def test_a_density_has_a_label(text, label, density):
    (read,) = read_densities([text])
    assert read.label == label
    assert read.kg_per_m3 == pytest.approx(density)


@pytest.mark.parametrize("text", ["cup", "=900", "cup=", "cup=0", "cup=-1", "cup=1lb", "cup=9e9"])
def test_what_is_no_density_is_refused(text):
    with pytest.raises(InputError, match=r"not give a density|more than 0"):
        read_densities([text])

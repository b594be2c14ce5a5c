"""`fast` stands for options that exist, and whatever is given besides counts."""

import pytest

from scenelift.options import ReconstructionOptions
from scenelift.options.groups import FAST_STEPS


def test_without_it_nothing_is_changed():
    options = ReconstructionOptions(latent_steps=7)
    assert options.expanded(distilled=True) is options


@pytest.mark.parametrize(
    ("distilled", "structure_steps"), [(True, None), (False, FAST_STEPS)], ids=["sam3d", "trellis"]
)
def test_it_takes_the_distilled_way_where_there_is_one(distilled, structure_steps):
    options = ReconstructionOptions(fast=True).expanded(distilled=distilled)
    assert options == ReconstructionOptions(
        distilled=distilled, structure_steps=structure_steps, latent_steps=FAST_STEPS
    )


@pytest.mark.parametrize("distilled", [True, False])
def test_numbers_of_steps_that_are_given_count(distilled):
    given = ReconstructionOptions(fast=True, structure_steps=20, latent_steps=21)
    options = given.expanded(distilled=distilled)
    assert options == ReconstructionOptions(structure_steps=20, latent_steps=21)
    both = ReconstructionOptions(fast=True, steps=9).expanded(distilled=distilled)
    assert both == ReconstructionOptions(steps=9)

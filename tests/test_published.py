"""`--published`: SAM 3D as its published pipeline runs it, unless something else is said."""

import pytest

from scenelift.options import BackendOptions, LayoutOptions, Options
from scenelift.options.every import PUBLISHED_VALUES, option_named
from scenelift.pipeline import Pipeline
from scenelift.pointmap.moge import MoGePointMapper
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)

AS_THEY_CAME = LayoutOptions(refine=False, repair=False)


def values(options):
    found = {name: option_named(name) for name in PUBLISHED_VALUES}
    return {name: getattr(getattr(options, f.group), f.field) for name, f in found.items()}


def test_it_sets_all_that_it_stands_for_and_nothing_without_it():
    assert values(Options.from_plain({"published": True})) == PUBLISHED_VALUES
    defaults = values(Options.from_plain({}))
    assert all(defaults[name] != value for name, value in PUBLISHED_VALUES.items())


@pytest.mark.parametrize(
    ("name", "plain", "value"), [("faces", 5000, 5000), ("exif_focal", "everything", "everything")]
)
def test_what_is_said_stays(name, plain, value):
    options = Options.from_plain({"published": True, name: plain})
    assert values(options) == {**PUBLISHED_VALUES, name: value}


class Seeds(BallReconstructor):
    """Remembers the seeds that it was called with."""

    def __init__(self):
        super().__init__()
        self.seeds = []

    def reconstruct(self, *args, seed, **kwargs):
        self.seeds.append(seed)
        return super().reconstruct(*args, seed=seed, **kwargs)


@pytest.mark.parametrize(("same", "expected"), [(False, [7, 8]), (True, [7, 7])])
def test_objects_have_seeds_of_their_own_or_one(same, expected):
    reconstructor = Seeds()
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), reconstructor)
    pipeline.run(disc_photo(), "red; blue", seed=7, same_seed=same, layout=AS_THEY_CAME)
    assert sorted(reconstructor.seeds) == expected


@pytest.mark.parametrize("use", ["camera", "everything", "nothing"])
def test_the_point_mapper_is_told_what_exif_serves(tiny_checkpoints, use):
    options = BackendOptions(weights=tiny_checkpoints, device="cpu", exif_focal=use)
    mapper = MoGePointMapper.from_options(options)
    assert mapper.exif_focal == use
    assert use in mapper.version

"""Of an object's tries the best is kept; a failed one loses alone; who can do all at once does."""

from __future__ import annotations

from functools import partial

import pytest

from scenelift.errors import Cancelled, ReconstructionError, WeightsError
from scenelift.options import LayoutOptions
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.stages import StageStore
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from scenelift.tries import reconstruct_best
from scenelift.types import ObjectView, Prompt, Reconstruction

AS_THEY_CAME = LayoutOptions(refine=False, repair=False)


class Failing(BallReconstructor):
    """Raises an error for the seeds at some places in the order of the tries."""

    def __init__(self, error: Exception, *at: int) -> None:
        super().__init__()
        self._error, self._at = error, at
        self.seeds: list[int] = []

    def reconstruct(self, *args, seed, **options):
        self.seeds.append(seed)
        if len(self.seeds) - 1 in self._at:
            raise self._error
        return super().reconstruct(*args, seed=seed, **options)


def best(reconstructor, tries=3, seed=7, report=None) -> Reconstruction:
    image = disc_photo()
    instances = ColorSegmenter().segment(image, Prompt(phrases=("red",)), silent()).instances
    points = PlanePointMapper().estimate(image, instances, silent())
    return reconstruct_best(
        reconstructor,
        ObjectView(image=image, instance=instances[0], points=points),
        seed=seed,
        count=tries,
        report=report or silent(),
    )


@pytest.mark.parametrize("error", [ReconstructionError("no shape"), ZeroDivisionError("no shape")])
def test_a_try_that_fails_does_not_lose_the_others(error):
    reconstructor = Failing(error, 0, 2)
    found = best(reconstructor)
    assert len(reconstructor.seeds) == 3
    assert f"The best of 3 tries (seed {reconstructor.seeds[1]})." in found.notes
    assert "2 of 3 tries failed, the first because: no shape" in found.notes


def test_where_every_try_fails_the_object_fails_as_the_first_did():
    pipeline = Pipeline(
        ColorSegmenter(), PlanePointMapper(), Failing(ReconstructionError("no shape"), 0, 1, 2)
    )
    scene = pipeline.run(disc_photo(), "red; blue", best_of=3, layout=AS_THEY_CAME)
    (failed,) = scene.provenance.failed
    assert (failed.error, failed.reason) == ("no-shape", "no shape")
    assert [o.instance.label for o in scene.objects] == ["blue"]


def test_what_concerns_the_whole_run_is_no_failed_try():
    reconstructor = Failing(WeightsError("they are gone"), 0)
    with pytest.raises(WeightsError):
        best(reconstructor)
    assert len(reconstructor.seeds) == 1


class Batching(BallReconstructor):
    """Offers all seeds at once."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []

    def start_samples(self, view, *, seeds, report):
        self.batches.append(list(seeds))
        return [partial(self.reconstruct, view, seed=seed, report=report) for seed in seeds]


def test_a_reconstructor_that_batches_is_asked_once_for_all_seeds_and_chooses_the_same():
    reconstructor, plain = Batching(), Failing(ReconstructionError("never"))
    together, alone = best(reconstructor), best(plain)
    assert reconstructor.batches == [plain.seeds]
    assert together.notes == alone.notes


def test_one_try_is_no_batch():
    reconstructor = Batching()
    assert best(reconstructor, tries=1).notes == ()
    assert reconstructor.batches == []


def test_progress_of_the_tries_never_goes_back():
    events = []
    best(BallReconstructor(), report=Reporter(events.append))
    fractions = [e.fraction for e in events if e.kind == "stage_progress"]
    assert len(fractions) == 3
    assert fractions == sorted(set(fractions))


def test_a_run_is_stopped_between_two_tries():
    token = CancelToken()
    reconstructor = Failing(ReconstructionError("never"))
    with pytest.raises(Cancelled):
        best(reconstructor, report=Reporter(lambda event: token.cancel(), token=token))
    assert len(reconstructor.seeds) == 2  # the second one's first step


def test_the_kept_try_is_stored_and_found_again(tmp_path):
    store = StageStore(tmp_path / "stages")
    first, again = Failing(ReconstructionError("x"), 1), Failing(ReconstructionError("x"), 1)
    made, resumed = (
        Pipeline(ColorSegmenter(), PlanePointMapper(), one).run(
            disc_photo(), "red", best_of=3, layout=AS_THEY_CAME, store=store
        )
        for one in (first, again)
    )
    assert len(first.seeds) == 3
    assert again.seeds == []
    assert resumed.objects[0].notes == made.objects[0].notes
    assert any("1 of 3 tries failed" in note for note in made.objects[0].notes)

"""Several processes lift one scene's objects, with the results of one process."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

from scenelift.crew import Crew
from scenelift.errors import Cancelled, OutputError, SetupError
from scenelift.lifting import Lifting, PhotoObjects
from scenelift.options import FinishOptions
from scenelift.progress import CancelToken, Event, Reporter, silent
from scenelift.stages import StageStore, Steps
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    ball_reconstructor,
    disc_photo,
)
from scenelift.types import FailedObject, Image, PointMap, Prompt, Reconstruction

DISCS = [("red", 40, 40, 20), ("blue", 110, 40, 20), ("green", 75, 85, 20)]


@pytest.fixture(scope="module")
def crew():
    made = Crew(partial(ball_reconstructor, fail_on="blue"), ["cpu", "cpu"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def photo() -> PhotoObjects:
    image, report = disc_photo(DISCS), silent()
    prompt = Prompt(phrases=("red", "blue", "green"))
    instances = ColorSegmenter().segment(image, prompt, report).instances
    return PhotoObjects(
        image=image,
        instances=instances,
        points=PlanePointMapper().estimate(image, instances, report),
        seed=5,
        best_of=1,
        finish=FinishOptions(faces=200, texture_size=64),
        key="0",
    )


def outcomes_alone(photo: PhotoObjects) -> list[Reconstruction | FailedObject]:
    lifting = Lifting(
        photo=photo,
        reconstructor=BallReconstructor("blue"),
        stages=Steps(silent()),
        device="cpu",
    )
    return lifting.run(range(len(photo.instances)))


def assert_same(actual: Reconstruction | FailedObject, expected: Reconstruction | FailedObject):
    assert type(actual) is type(expected)
    if isinstance(actual, FailedObject) or isinstance(expected, FailedObject):
        assert isinstance(actual, FailedObject)
        assert isinstance(expected, FailedObject)
        assert (actual.index, actual.reason) == (expected.index, expected.reason)
        return
    assert actual.pose == expected.pose
    ours, theirs = actual.shape, expected.shape
    assert ours.gaussians is not None
    assert theirs.gaussians is not None
    assert ours.mesh is not None
    assert theirs.mesh is not None
    np.testing.assert_array_equal(ours.gaussians.means, theirs.gaussians.means)
    np.testing.assert_array_equal(ours.mesh.vertices, theirs.mesh.vertices)
    np.testing.assert_array_equal(ours.mesh.texture, theirs.mesh.texture)


class Noting(BallReconstructor):
    """Notes what it is told about photos."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def begin(self, image: Image, points: PointMap) -> None:
        self.told.append("begin")

    def end(self) -> None:
        self.told.append("end")


@pytest.mark.parametrize("stopped", [False, True])
def test_a_reconstructor_hears_where_a_photo_begins_and_ends(photo, stopped):
    reconstructor, token = Noting(), CancelToken()
    stages = Steps(Reporter(lambda event: token.cancel() if stopped else None, token=token))
    lifting = Lifting(photo=photo, reconstructor=reconstructor, stages=stages, device="cpu")
    with pytest.raises(Cancelled) if stopped else nullcontext():
        lifting.run(range(1))
    assert reconstructor.told == ["begin", "end"]


def test_a_disk_that_fills_while_objects_are_stored_ends_the_run(photo, tmp_path, monkeypatch):
    store, kept = StageStore(tmp_path / "kept"), StageStore.save

    def save(self: StageStore, stage: str, key: str, value: object) -> None:
        if stage == "finish-000":
            raise OutputError("The disk is full.")
        kept(self, stage, key, value)

    monkeypatch.setattr(StageStore, "save", save)
    stages = Steps(silent(), store)
    lifting = Lifting(photo=photo, reconstructor=Noting(), stages=stages, device="cpu")
    with pytest.raises(OutputError, match="full"):
        lifting.run(range(2))
    assert store.has("reconstruct-000")


def test_objects_are_those_of_one_process_failures_included(crew, photo, tmp_path):
    events: list[Event] = []
    stages = Steps(silent(), StageStore(tmp_path / "kept"))
    made = crew.lift(photo, stages, Reporter(events.append))
    assert len(made) == 3
    for ours, theirs in zip(made, outcomes_alone(photo), strict=True):
        assert_same(ours, theirs)
    timed = [(t.stage, t.object_index) for t in stages.timings]
    assert timed == [("reconstruct", 0), ("reconstruct", 2), ("finish", 0), ("finish", 2)]
    assert {e.object_index for e in events if e.kind == "stage_finished"} == {0, 2}
    assert [e.object_index for e in events if e.kind == "object_failed"] == [1]

    again = Steps(silent(), StageStore(tmp_path / "kept"))
    crew.lift(photo, again, silent())
    assert all(timing.resumed for timing in again.timings)


def test_a_stopped_run_leaves_the_processes_idle_for_the_next(crew, photo):
    token = CancelToken()

    def stop(event: Event) -> None:
        token.cancel()

    with pytest.raises(Cancelled):
        crew.lift(photo, Steps(silent()), Reporter(stop, token=token))
    assert len(crew.lift(photo, Steps(silent()), silent())) == 3


def test_processes_that_died_between_photos_are_started_again(crew, photo):
    for process in crew._processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert len(crew.lift(photo, Steps(silent()), silent())) == 3


def test_a_process_that_dies_at_work_is_named(crew, photo):
    def kill(event: Event) -> None:
        for process in crew._processes:
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(SetupError, match="has ended with code -9"):
        crew.lift(photo, Steps(silent()), Reporter(kill))
    assert not crew._processes


def test_what_keeps_a_reconstructor_from_loading_is_told(photo):
    crew = Crew(partial(BallReconstructor, no_such_argument=1), ["cpu"])  # pyright: ignore[reportCallIssue]
    try:
        with pytest.raises(SetupError, match="no_such_argument"):
            crew.lift(photo, Steps(silent()), silent())
    finally:
        crew.close()

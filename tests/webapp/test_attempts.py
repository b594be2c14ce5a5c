"""One attempt at a job: estimates, choices, and a disk that is full."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.web import TroubledSegmenter, fake_pipeline

from scenelift.errors import InputError, OutputError
from scenelift.options import ExportOptions, Options
from scenelift.progress import CancelToken, silent
from scenelift.testing.fakes import disc_photo
from scenelift.types import Prompt
from scenelift.webapp import lifting
from scenelift.webapp.estimate import FIRST_GUESS, Estimate
from scenelift.webapp.finding import choose
from scenelift.webapp.folders import JobFolder
from scenelift.webapp.jobs import NewJob, Queue, new_job_id
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.models import JobPrompt, JobRequest, Selection

STEPS = st.tuples(
    st.sampled_from(sorted(FIRST_GUESS)), st.integers(0, 3), st.floats(0, 1, allow_nan=False)
)


@given(steps=st.lists(STEPS), objects=st.integers(1, 5))
def test_a_fraction_never_goes_back_nor_beyond_one(steps, objects):
    estimate, shown = Estimate({}), [0.0]
    for number, (stage, index, fraction) in enumerate(steps):
        if number == 2:
            estimate.set_objects(objects)
        estimate.at(stage, index if stage == "reconstruct" else None, fraction)
        shown.append(estimate.fraction())
    assert shown == sorted(shown)
    assert shown[-1] <= 1


def test_the_time_left_is_what_the_stages_took_before():
    seconds = {"segment": 4.0, "pointmap": 1.0, "reconstruct": 5.0, "finish": 0.5}
    estimate = Estimate(seconds | {"compose": 3.0, "background": 2.5, "preview": 2.0, "write": 1.0})
    estimate.set_objects(3)
    after = 3 * 0.5 + 3 + 2.5 + 2 + 1
    assert estimate.remaining(0) == pytest.approx(4 + 1 + 3 * 5 + after)
    estimate.at("segment", None, 1.0)
    estimate.at("reconstruct", 0, 0.5)
    assert estimate.remaining(100) == pytest.approx(1 + 2.5 + 2 * 5 + after)


def test_nobody_guesses_the_time_left_at_the_start_of_the_first_job():
    assert Estimate({}).remaining(1.0) is None


class FullDisk(Queue):
    """A queue whose file cannot grow for a while."""

    refusals = 0

    def finish(self, *args, **kwargs):
        if self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError("database or disk is full")
        super().finish(*args, **kwargs)

    def record(self, *args, **kwargs):
        if self.refusals:
            raise sqlite3.OperationalError("database or disk is full")
        super().record(*args, **kwargs)


def attempt(queue, tmp_path, photo, load=lambda quality: fake_pipeline()):
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    folder.photo.write_bytes(photo.read_bytes())
    request = JobRequest(prompt=JobPrompt(phrases=("red",)), quality="fake")
    queue.add(NewJob(id=new_job_id(), owner="ann", request=request, width=160, height=120))
    job = queue.claim(0, lease=60)
    Attempt(
        queue,
        job,
        folder,
        load,
        token=CancelToken(),
        most_objects=20,
        defaults=Options(export=ExportOptions(preview_frames=2, preview_size=32)),
        stopping=lambda: False,
    ).run()
    return queue.get(job.id)


def test_the_end_of_a_job_is_written_once_the_disk_has_room_again(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(lifting, "RETRY_SECONDS", 0.0)
    queue = FullDisk(tmp_path / "q")
    queue.refusals = 3
    row = attempt(queue, tmp_path, photo)
    queue.close()
    assert queue.refusals == 0
    assert row.state == "done"


def test_a_full_disk_fails_the_job_and_says_so(tmp_path, photo):
    def full(quality):
        raise OutputError("Cannot write scene.ply: no space left on device. Free some space.")

    queue = Queue(tmp_path / "q")
    row = attempt(queue, tmp_path, photo, full)
    queue.close()
    assert row.state == "failed"
    assert row.error["title"] == "bad output"
    assert "space" in row.error["detail"]
    assert not (tmp_path / "job" / "scene").exists()


@pytest.fixture
def found():
    return TroubledSegmenter().segment(disc_photo(), Prompt(phrases=("red", "blue")), silent())


def chosen(found, most=20, **selection):
    return choose(
        found,
        Selection.model_validate(selection),
        TroubledSegmenter(),
        disc_photo(),
        silent(),
        most=most,
    )


def test_what_was_kept_comes_first_and_what_was_left_out_is_listed(found):
    box = {"box": (10, 10, 30, 40), "label": "corner"}
    result = chosen(found, keep=(1,), add=(box,))
    assert [i.label for i in result.instances] == ["blue", "corner"]
    assert [(d.label, d.reason) for d in result.dropped] == [("red", "left out by you")]


def test_one_object_kept_twice_is_one_object(found):
    assert len(chosen(found, keep=(0, 0, 0)).instances) == 1


def test_no_choice_makes_more_objects_than_a_job_may_have(found):
    result = chosen(found, most=1, keep=(0, 1))
    assert [i.label for i in result.instances] == ["red"]
    assert "beyond the 1" in result.dropped[-1].reason


@pytest.mark.parametrize(
    "selection",
    [{"keep": (9,)}, {"keep": ()}, {"add": ({"box": (900, 900, 950, 950)},)}],
)
def test_a_choice_of_what_is_not_there_is_refused(found, selection):
    with pytest.raises(InputError):
        chosen(found, **selection)

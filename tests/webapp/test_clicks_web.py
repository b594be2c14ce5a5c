"""Clicks are answered whatever the worker does, and what was drawn is lifted."""

from __future__ import annotations

import io
import json
import queue
import threading
import time

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError
from tests.drivers.web import fake_pipeline

from scenelift.testing.fakes import ColorClicker, ColorSegmenter, disc_photo
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.answering import Answerer
from scenelift.webapp.jobs import NewJob, new_job_id
from scenelift.webapp.mask_runs import MAX_RUNS, Runs, mask_of_runs, runs_of_mask
from scenelift.webapp.models import JobRequest
from scenelift.webapp.turns import Turns, YieldingToken
from scenelift.webapp.worker import Worker

RED, BLUE = [50, 60], [112, 66]


def click(server, job, **asked):
    return server.http.post(f"/api/jobs/{job}/click", json=asked)


def mask_of(answer):
    runs = Runs.model_validate(answer.json()["mask"])
    return mask_of_runs(runs, runs.width, runs.height) >= 0.5


@pytest.fixture(scope="module")
def reviewed(server):
    """A job of nothing that was asked for: everything is pointed at."""
    job = server.wait(server.submit(review="true"))
    assert (job["state"], job["objects"]) == ("review", [])
    return job["id"]


def test_a_click_gives_the_mask_of_what_was_clicked(server, reviewed):
    answer = click(server, reviewed, points=[{"point": RED}])
    red = (disc_photo().pixels == np.array((200, 40, 40))).all(-1)
    np.testing.assert_array_equal(mask_of(answer), red)
    facts = answer.json()
    assert (facts["by"], facts["busy"]) == ("fake-color", False)
    assert facts["box"] == [26, 36, 74, 84]
    # Corrected: to start from, what is there already.
    taken = click(
        server, reviewed, points=[{"point": RED, "positive": False}], mask=facts["mask"]
    ).json()
    assert taken["box"] is None


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"points": [{"point": [500, 5]}]},
        {"points": [{"point": [5, 5], "positive": False}]},
        {"points": [{"point": ["NaN", 5]}]},
        {"box": [9, 9, 9, 20]},
        {"mask": {"width": 4, "height": 4, "runs": [3, 3]}},
        {"mask": {"width": 20, "height": 20, "runs": [0, 400]}, "points": [{"point": [5, 5]}]},
        {"mask": {"width": 10**6, "height": 10**6, "runs": [10**12]}},
        {"mask": {"width": 4, "height": 4, "runs": [20, -4]}},
    ],
)
def test_clicks_that_make_no_sense_are_refused(server, reviewed, asked):
    answer = click(server, reviewed, **asked)
    assert answer.status_code == 422, answer.text


def test_only_a_job_in_review_takes_clicks(server):
    done = server.wait(server.submit("red"))["id"]
    assert click(server, done, points=[{"point": RED}]).status_code == 409
    assert click(server, "0" * 32, points=[{"point": RED}]).status_code == 404


def test_what_was_clicked_is_lifted_under_its_name_and_found_objects_are_renamed(server):
    job = server.wait(server.submit("blue", review="true"))["id"]
    mask = click(server, job, points=[{"point": RED}]).json()["mask"]
    chosen = {"keep": [0], "names": {"0": "moon"}, "masks": [{"label": "sun", "mask": mask}]}
    answer = server.http.post(f"/api/jobs/{job}/continue", json=chosen)
    assert answer.status_code == 200, answer.text
    done = server.wait(job)
    assert [(o["label"], o["score"]) for o in done["objects"]] == [("moon", 0.9), ("sun", 1.0)]
    sun = server.http.get(done["objects"][1]["mask_url"]).content
    assert np.asarray(PIL.Image.open(io.BytesIO(sun)))[60, 50] == 255
    assert not [note for note in done["notes"] if "matches" in note]


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"keep": [999]},
        {"keep": [0], "names": {"99": "moon"}},
        {"add": [{"box": [700, 90, 730, 320], "label": "x"}]},
        {"masks": [{"label": "a", "mask": {"width": 30, "height": 30, "runs": [0, 900]}}]},
        {"masks": [{"label": "a", "mask": {"width": 160, "height": 120, "runs": [19200]}}]},
        {"keep": [0], "masks": [{"mask": {"width": 16, "height": 12, "runs": [9, 3, 180]}}]},
    ],
)
def test_a_choice_that_cannot_be_is_refused_and_the_review_goes_on(server, reviewed, choice):
    answer = server.http.post(f"/api/jobs/{reviewed}/continue", json=choice)
    assert answer.status_code == 422, answer.text
    assert server.job(reviewed)["state"] == "review"


def test_points_of_a_job_are_objects(server):
    points = json.dumps([{"point": RED, "label": "sun"}, {"point": BLUE, "label": "sun"}])
    job = server.wait(server.submit(points=points))
    assert [o["label"] for o in job["objects"]] == ["sun"]
    assert job["prompt"]["points"][0]["point"] == RED
    looked_at = server.wait(server.submit(points=points, review="true"))
    url = f"/api/jobs/{looked_at['id']}/continue"
    assert server.http.post(url, json={"keep": [0]}).status_code == 200
    done = server.wait(looked_at["id"])
    assert [(o["label"], o["state"]) for o in done["objects"]] == [("sun", "done")]
    refused = server.http.post(
        "/api/jobs", files={"image": ("p.png", b"")}, data={"points": '[{"point": [1]}]'}
    )
    assert refused.status_code == 422
    assert "'points'" in refused.text


def test_clicks_are_answered_whatever_the_worker_does(own_server):
    own_server.start().until_ready()
    job = own_server.wait(own_server.submit(review="true"))["id"]
    with own_server.held():  # between the steps of a job,
        slow = own_server.submit("slow", "red")
        own_server.until(lambda: own_server.job(slow)["stage"] == "reconstruct")
        answer = click(own_server, job, points=[{"point": RED}]).json()
        assert (answer["by"], answer["busy"]) == ("fake-color", False)
        assert own_server.job(slow)["state"] == "running"
        own_server.http.post(f"/api/jobs/{slow}/cancel")
    own_server.wait(slow)
    stuck = own_server.submit("hang")  # in place of the models where a job makes no way,
    own_server.until(lambda: own_server.job(stuck)["stage"] == "segment")
    answer = click(own_server, job, points=[{"point": RED}]).json()
    assert (answer["by"], answer["busy"]) == ("fake-spare", True)
    pid = own_server.worker_pid()  # and with a word where it has died.
    own_server.kill_worker()
    answer = click(own_server, job, points=[{"point": RED}])
    assert answer.status_code == 503 or answer.json()["box"]
    own_server.until(lambda: own_server.worker_pid() != pid)
    own_server.until(lambda: click(own_server, job, points=[{"point": RED}]).status_code == 200)


@pytest.fixture
def watched():
    """A pipeline, and the photos that its clicker has looked at."""
    looked = []

    class Clicker(ColorClicker):
        def look(self, image):
            looked.append(image.pixels.shape)
            return super().look(image)

    class Segmenter(ColorSegmenter):
        clicker = Clicker()

    return fake_pipeline().with_backends(segmenter=Segmenter()), looked


def test_a_photo_in_review_is_looked_at_before_the_first_click(tmp_path, watched):
    pipeline, looked = watched
    PIL.Image.fromarray(disc_photo().pixels).save(tmp_path / "photo.png")
    turns, replies = Turns(), queue.SimpleQueue()
    answerer = Answerer(
        lambda job: tmp_path / job,
        lambda quality: pipeline,
        turns,
        replies.put,
        fallback=lambda: None,
    )

    def wait_for_click(job):
        request = {"id": 1, "job": job, "quality": "fake", "click": {"points": [{"point": RED}]}}
        answerer.take(json.dumps(request).encode())
        return json.loads(replies.get(timeout=60))

    # Not while a job computes, and not of a job that is gone:
    with turns.working():
        answerer.look_ahead("photo.png", "fake")
        answerer.look_ahead("gone.png", "fake")
        assert "problem" in wait_for_click("gone.png")
    assert looked == []
    answerer.look_ahead("photo.png", "fake")
    assert "problem" in wait_for_click("gone.png")
    assert looked == [(120, 160, 3)]
    assert wait_for_click("photo.png")["answer"]["box"] == [26, 36, 74, 84]
    assert len(looked) == 1


def test_a_worker_says_which_jobs_came_into_review(desk, monkeypatch):
    said = []
    worker = Worker(desk.data, desk.queue, lambda quality: fake_pipeline(), slot=desk.SLOT)
    monkeypatch.setattr(worker, "_attend", lambda work, claim, token: work())
    worker.on_review = lambda job, quality: said.append((job, quality))
    for review in (True, False):
        request = {"prompt": {"phrases": ["red"]}, "quality": "fake", "review": review}
        job = NewJob(
            id=new_job_id(),
            owner=LOCAL_OWNER,
            request=JobRequest.model_validate(request),
            width=160,
            height=120,
        )
        desk.data.job(job.id).path.mkdir(parents=True)
        PIL.Image.fromarray(disc_photo().pixels).save(desk.data.job(job.id).photo, "PNG")
        desk.queue.add(job)
        claimed = desk.queue.claim(desk.SLOT, lease=60)
        worker._run(claimed)
        assert said == [(said[0][0], "fake")]
    assert desk.queue.get(said[0][0]).state == "review"


def test_runs_are_the_mask_again():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 5), (40, 60)):
        mask = rng.random(shape) < 0.5
        runs = runs_of_mask(mask)
        Runs.model_validate(runs.model_dump())
        np.testing.assert_array_equal(mask_of_runs(runs, shape[1], shape[0]) >= 0.5, mask)
    with pytest.raises(ValidationError, match=str(MAX_RUNS)):
        Runs(width=2048, height=2048, runs=(1,) * (MAX_RUNS + 1))


def test_turns_let_one_compute_at_a_time():
    turns, order = Turns(), []
    token = YieldingToken(turns)
    asked = threading.Event()

    def job():
        with turns.working():
            order.append("job")
            asked.wait(10)
            while not turns._waiting:
                time.sleep(0.001)
            assert not token.cancelled  # looks up between two steps
            order.append("job again")

    thread = threading.Thread(target=job)
    thread.start()
    while not order:
        time.sleep(0.001)
    with turns.answering(0.01) as free:
        assert not free
    asked.set()
    with turns.answering(10) as free:
        assert free
        order.append("click")
    thread.join()
    assert order == ["job", "click", "job again"]

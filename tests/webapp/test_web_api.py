"""The calls of docs/web.md, against a running server."""

from __future__ import annotations

import hashlib
import io
import json
import threading

import numpy as np
import PIL.Image
import pytest

from scenelift import __version__
from scenelift.formats import extra_file
from scenelift.options import FinishOptions
from scenelift.output.manifest import Manifest
from scenelift.testing.fakes import disc_photo


def image_file():
    buffer = io.BytesIO()
    PIL.Image.fromarray(disc_photo().pixels).save(buffer, "PNG")
    return {"image": ("photo.png", buffer.getvalue())}


def test_a_job_ends_with_every_file_its_manifest_names(server):
    job = server.wait(server.submit("red", "blue", seed="3"))
    assert job["state"] == "done", job
    assert job["fraction"] == 1
    assert job["seed"] == 3
    assert [(o["index"], o["label"], o["state"]) for o in job["objects"]] == [
        (0, "red", "done"),
        (1, "blue", "done"),
    ]
    assert job["image"]["width"] == 160
    assert job["image"]["height"] == 120
    manifest = Manifest.model_validate(server.http.get(job["manifest_url"]).json())
    assert {f["name"] for f in job["files"]} == {f.path for f in manifest.files}
    for file in job["files"]:
        content = server.http.get(file["url"]).content
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["bytes"]
    for url in (job["overlay_url"], job["thumbnail_url"], job["image"]["url"]):
        assert server.http.get(url).headers["content-type"].startswith("image/")
    mask = PIL.Image.open(io.BytesIO(server.http.get(job["objects"][0]["mask_url"]).content))
    assert np.asarray(mask)[60, 50] == 255


def test_a_box_outside_the_photo_is_refused_when_it_is_sent(server):
    boxes = json.dumps([{"box": [170, 10, 200, 40], "label": "lid"}])
    answer = server.http.post("/api/jobs", files=image_file(), data={"boxes": boxes})
    assert answer.status_code == 422
    assert "170,10,200,40 lies outside the photo, which is 160 × 120" in answer.text


def test_phrases_boxes_and_points_are_read_in_every_form(server):
    def asked(**fields):
        form = {name: v if isinstance(v, str) else json.dumps(v) for name, v in fields.items()}
        answer = server.http.post("/api/jobs", files=image_file(), data={**form, "review": "true"})
        assert answer.status_code == 202, answer.text
        return answer.json()["prompt"]

    assert asked(text_prompt='1. red and blue 2. "salt, pepper"')["phrases"] == [
        "red and blue",
        "salt, pepper",
    ]
    plain = {"box": [0.25, 0.25, 0.5, 0.75], "label": "", "positive": True}
    corners = [[0.25, 0.25], [0.5, 0.25], [0.5, 0.75], [0.25, 0.75]]
    thousandths = {"box_2d": [250, 250, 750, 500]}
    forms = ("0.25,.25,.5,0.75", [[0.25, 0.25, 0.5, 0.75]], [plain], corners, thousandths)
    for boxes in (*forms, "25%,25%,50%,75%"):
        prompt = asked(boxes=boxes, points={"x": 0.5, "y": 0.5})
        assert prompt["boxes"] == [plain]
        assert prompt["points"] == [{"point": [0.5, 0.5], "label": "", "positive": True}]
    assert asked(boxes=None, text_prompt="red")["boxes"] == []
    (beside,) = asked(text_prompt="red", points=[{"point": [20, 20], "label": 0}])["points"]
    assert beside == {"point": [20, 20], "label": "", "positive": False}
    for field, value in (
        ("boxes", [0.5, 0.5, 1.5, 1.2]),
        ("boxes", {"bbox": [1, 2, 30, 40]}),
        ("points", {"point": [20, 20], "label": 2}),
        ("boxes", [{"box": [1, 2, 30, 40], "lable": "x"}]),
        ("points", [[0.5, 0.4], [80, 60]]),
    ):
        answer = server.http.post(
            "/api/jobs",
            files=image_file(),
            data={field: json.dumps(value), "text_prompt": "red"},
        )
        assert answer.status_code == 422, answer.text


def test_a_box_in_parts_of_the_photo_is_cut_out_there(server):
    job = server.wait(server.submit("", boxes="disc=0.2,0.3,0.45,0.7"))
    (made,) = job["objects"]
    assert made["label"] == "disc"
    x0, y0, x1, y1 = made["box"]
    assert 32 <= x0 < x1 <= 72
    assert 36 <= y0 < y1 <= 84
    assert any("parts of the photo" in note for note in job["notes"])


def test_meshes_are_made_as_the_form_asks(server):
    asked = {"faces": "60", "vertex_colors": "true"}
    job = server.wait(server.submit("red", **asked))
    (made,) = server.http.get(job["manifest_url"]).json()["objects"]
    assert made["faces"] <= 60
    answer = server.http.post(
        "/api/jobs", files=image_file(), data={"text_prompt": "red", "faces": "3"}
    )
    assert answer.status_code == 422
    assert "faces" in answer.text


def test_files_answer_ranges_etags_and_downloads(server):
    job = server.wait(server.submit("red"))
    file = next(f for f in job["files"] if f["name"] == "scene.ply")
    part = server.http.get(file["url"], headers={"Range": "bytes=0-2"})
    assert (part.status_code, part.content) == (206, b"ply")
    tag = part.headers["etag"]
    assert server.http.get(file["url"], headers={"If-None-Match": tag}).status_code == 304
    saved = server.http.get(file["url"], params={"download": 1})
    assert saved.headers["content-disposition"] == 'attachment; filename="scene.ply"'


def test_every_format_is_listed_and_sent_as_what_it_is(server):
    formats = "usdz,usd,mjcf,urdf,3mf,stl,splats.glb,spz,sog"
    job = server.wait(server.submit("red", formats=formats))
    listed = {f["name"]: f for f in job["files"]}
    assert {extra_file(kind) for kind in formats.split(",")} <= listed.keys()
    sent = {
        name: server.http.get(file["url"]).headers["content-type"].partition(";")[0]
        for name, file in listed.items()
    }
    assert sent == {name: file["media_type"] for name, file in listed.items()}
    assert sent["scene.usdz"] == "model/vnd.usdz+zip"
    assert sent["scene.glb"] == sent["scene.splats.glb"] == "model/gltf-binary"
    # What a browser would run is never sent as such.
    assert not {"text/html", "application/xml", "text/xml", "image/svg+xml"} & set(sent.values())

    def asked(accept):
        return server.http.get(f"/api/jobs/{job['id']}/scene", headers={"Accept": accept})

    for accept, name in {
        "*/*": "scene.glb",
        "model/*;q=0.5, text/plain": "scene.glb",
        "model/stl;q=0.2, model/vnd.usdz+zip": "scene.usdz",
        "image/webp, model/3mf": "scene.3mf",
    }.items():
        assert asked(accept).headers["etag"].strip('"') == listed[name]["sha256"], accept
    refused = asked("image/png, model/stl;q=0")
    assert refused.status_code == 406
    assert "model/3mf" in refused.json()["detail"]


def test_masks_can_be_seen_and_chosen_from_before_the_rest(server):
    job_id = server.submit("red", "blue", review="true")
    job = server.wait(job_id)
    assert job["state"] == "review"
    assert [o["label"] for o in job["objects"]] == ["red", "blue"]
    assert server.http.get(job["objects"][1]["mask_url"]).status_code == 200
    choice = {"keep": [1], "add": [{"box": [10, 10, 30, 40], "label": "corner"}]}
    answer = server.http.post(f"/api/jobs/{job_id}/continue", json=choice)
    assert answer.json()["state"] == "queued"
    job = server.wait(job_id, "done", "failed")
    assert [(o["index"], o["label"], o["state"]) for o in job["objects"]] == [
        (0, "blue", "done"),
        (1, "corner", "done"),
        (None, "red", "dropped"),
    ]
    again = server.http.post(f"/api/jobs/{job_id}/continue", json=choice)
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"keep": [7]}, "no object 7"), ({"keep": []}, "Nothing is left")],
)
def test_a_choice_of_nothing_is_refused_with_the_reason(server, choice, message):
    job_id = server.submit("red", review="true")
    server.wait(job_id)
    answer = server.http.post(f"/api/jobs/{job_id}/continue", json=choice)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
    assert server.job(job_id)["state"] == "review"


def test_a_phrase_that_matches_nothing_fails_with_suggestions(server):
    job = server.wait(server.submit("lamp"))
    assert job["state"] == "failed"
    assert job["error"]["title"] == "nothing found"
    assert job["error"]["suggestions"] == ["red", "green", "blue"]
    assert "--" not in job["error"]["detail"]


@pytest.mark.parametrize(("phrase", "title"), [("memory", "out of memory"), ("bug", "unexpected")])
def test_an_unexpected_failure_ends_the_job_and_not_the_worker(server, phrase, title):
    pid = server.worker_pid()
    job = server.wait(server.submit(phrase))
    assert job["error"]["title"] == title
    assert server.wait(server.submit("red"))["state"] == "done"
    assert server.worker_pid() == pid


def test_a_second_run_of_the_same_photo_needs_no_upload(server):
    first = server.wait(server.submit("red"))
    answer = server.http.post(
        f"/api/jobs/{first['id']}/rerun", json={"seed": 9, "text_prompt": ["blue"]}
    )
    assert answer.status_code == 202
    server.http.delete(f"/api/jobs/{first['id']}")
    second = server.wait(answer.json()["id"])
    assert (second["state"], second["seed"]) == ("done", 9)
    assert second["prompt"]["phrases"] == ["blue"]


def test_a_second_run_can_draw_boxes_where_no_phrase_matched(server):
    first = server.wait(server.submit("violet"))
    assert first["error"]["title"] == "nothing found"
    assert "--box" not in first["error"]["detail"]  # advice for a page, not for a terminal
    changes = {"text_prompt": [], "boxes": [{"box": [10, 10, 40, 40], "label": "lid"}]}
    answer = server.http.post(f"/api/jobs/{first['id']}/rerun", json=changes)
    second = server.wait(answer.json()["id"])
    assert second["state"] == "done"
    assert [o["label"] for o in second["objects"]] == ["lid"]


def test_a_second_run_has_the_boxes_that_were_drawn_in_the_review(server):
    first = server.wait(server.submit("red", review="true"), "review")
    lid = {"box": [10, 10, 40, 40], "label": "lid"}
    answer = server.http.post(f"/api/jobs/{first['id']}/continue", json={"keep": [0], "add": [lid]})
    assert answer.status_code == 200
    server.wait(first["id"], "done")
    answer = server.http.post(f"/api/jobs/{first['id']}/rerun", json={"seed": 9})
    second = server.wait(answer.json()["id"], "review")
    assert sorted(o["label"] for o in second["objects"]) == ["lid", "red"]


def test_what_drawn_boxes_hold_is_seen_before_it_is_paid_for(server):
    first = server.wait(server.submit("red", review="true"), "review")
    assert first["finding"]
    assert first["fraction"] == 1
    lid = {"box": [10, 10, 40, 40], "label": "lid"}
    answer = server.http.post(f"/api/jobs/{first['id']}/look", json={"add": [lid]})
    assert answer.status_code == 200
    job = server.wait(first["id"], "review")
    masks = {o["label"]: o["mask_url"] for o in job["objects"]}
    assert set(masks) == {"red", "lid"}
    mask = PIL.Image.open(io.BytesIO(server.http.get(masks["lid"]).content))
    assert np.asarray(mask)[25, 25] == 255
    outside = {"add": [{"box": [900, 10, 940, 40]}]}
    assert server.http.post(f"/api/jobs/{first['id']}/look", json=outside).status_code == 422
    keep = [o["index"] for o in job["objects"]]
    server.http.post(f"/api/jobs/{first['id']}/continue", json={"keep": keep})
    done = server.wait(first["id"], "done")
    assert not done["finding"]
    assert sorted(o["label"] for o in done["objects"]) == ["lid", "red"]
    assert server.http.post(f"/api/jobs/{first['id']}/look", json={"add": [lid]}).status_code == 409


def test_phrases_without_a_match_are_named_while_the_masks_are_looked_at(server):
    job = server.wait(server.submit("red; violet", review="true"), "review")
    assert job["notes"] == ["Nothing in the photo matches 'violet'."]


def test_a_deleted_job_leaves_no_file(server):
    job = server.wait(server.submit("red"))
    folder = server.data.job(job["id"]).path
    assert folder.is_dir()
    assert server.http.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert not folder.exists()
    for url in (f"/api/jobs/{job['id']}", job["files"][0]["url"]):
        assert server.http.get(url).status_code == 404


def test_the_list_is_paged_newest_first(server):
    ids = [server.submit("lamp") for _ in range(3)]
    for job_id in ids:
        server.wait(job_id)
    first = server.http.get("/api/jobs", params={"limit": 2}).json()["jobs"]
    rest = server.http.get("/api/jobs", params={"limit": 1, "before": first[-1]["id"]}).json()
    assert [j["id"] for j in first + rest["jobs"]] == ids[::-1]


def test_the_call_that_waits_answers_as_it_always_did(server):
    answer = server.http.post(
        "/api/generate_3d",
        files=image_file(),
        data={"text_prompt": "red", "seed": "1", "max_objects": "1"},
    )
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {
        *("success", "job_id", "message", "num_objects", "glb_url", "ply_url", "obj_url"),
        *("mask_url", "preview_url", "objects", "elapsed_time"),
    }
    assert (body["success"], body["num_objects"]) == (True, 1)
    for name in ("glb_url", "ply_url", "obj_url", "mask_url", "preview_url"):
        assert body[name].startswith(f"/objects/{body['job_id']}/")
        assert server.http.get(body[name]).status_code == 200
    assert server.http.get(f"/objects/{body['job_id']}/photo").status_code == 404


def test_the_call_that_waits_says_why_there_is_nothing(server):
    answer = server.http.post("/api/generate_3d", files=image_file(), data={"text_prompt": "lamp"})
    assert answer.status_code == 422
    assert answer.json()["success"] is False
    assert "lamp" in answer.json()["message"]


def read_events(server, count, after=None, header=None):
    """So many `job` events as (id, data)."""
    found = []
    params = {} if after is None else {"last_event_id": after}
    headers = {} if header is None else {"Last-Event-ID": str(header)}
    with server.http.stream("GET", "/api/events", params=params, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        number, kind = 0, ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            elif name == "event":
                kind = value
            elif name == "data" and kind == "job":
                found.append((number, json.loads(value)))
                if len(found) == count:
                    return found
    return found


def test_a_reconnecting_watcher_gets_every_later_event_once_and_in_order(server):
    start = server.http.get("/api/jobs").json()["last_event_id"]
    job_id = server.submit("red", "slow")
    server.wait(job_id)
    total = len(server.events(start))
    whole = read_events(server, total, after=start)
    assert [e["kind"] for _, e in whole][:2] == ["queued", "started"]
    assert whole[-1][1]["kind"] == "done"
    fractions = [e["fraction"] for _, e in whole]
    assert fractions == sorted(fractions)
    assert any(e["stage"] == "reconstruct" and e["object_index"] == 0 for _, e in whole)
    cut = total // 2
    # The header, which the browser keeps up to date, wins over the address.
    rest = read_events(server, total - cut, after=start, header=whole[cut - 1][0])
    assert rest == whole[cut:]


def test_a_watcher_sees_what_happens_while_it_watches(server):
    start = server.http.get("/api/jobs").json()["last_event_id"]
    live = []
    watching = threading.Thread(target=lambda: live.extend(read_events(server, 3, after=start)))
    watching.start()
    server.wait(server.submit("red"))
    watching.join()
    assert [e["kind"] for _, e in live] == ["queued", "started", "stage_started"]


def test_health_config_ready_and_metrics(server):
    assert server.http.get("/health").json() == {"status": "ok", "version": __version__}
    server.until(lambda: server.http.get("/ready").status_code == 200)
    config = server.http.get("/api/config").json()
    assert (config["qualities"], config["default_quality"]) == (["fake"], "fake")
    assert config["auth"] is False
    assert config["options"]["faces"]["default"] == FinishOptions().faces
    assert config["options"]["texture_size"]["maximum"] == 8192
    assert config["server"]["quality"] == "fake"
    for example in config["examples"]:
        PIL.Image.open(io.BytesIO(server.http.get(example["url"]).content)).verify()
    server.http.get("/api/jobs/" + "0" * 32)
    text = server.http.get("/metrics").text
    assert 'scenelift_jobs{state="done"}' in text
    assert 'route="/api/jobs/{job_id}"' in text
    assert "0" * 32 not in text


def test_a_quality_that_is_not_there_is_refused_before_the_job_is_accepted(server):
    answer = server.http.post(
        "/api/jobs", files=image_file(), data={"text_prompt": "red", "quality": "full"}
    )
    assert answer.status_code == 503
    assert answer.json()["choices"] == ["fake"]

"""Edits of a scene on the server: two tabs, whoever is killed, and what makes no sense."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from scenelift.edit import Edits, ObjectEdit
from scenelift.errors import EditsError
from scenelift.io.files import sha256_of
from scenelift.io.glb import read_glb
from scenelift.output.manifest import MANIFEST_NAME, read_manifest
from scenelift.output.original import check_original, original_of
from scenelift.progress import CancelToken
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.errors import Outdated
from scenelift.webapp.exports import exports_of
from scenelift.webapp.views import job_view

MOVED = {"rotation": [1, 0, 0, 0], "translation": [3, 2, -5], "scale": 0.5}


def test_a_scene_is_edited_and_two_tabs_do_not_overwrite_each_other(server, tmp_path):
    job_id, other_id = server.submit("red", "blue"), server.submit("red")
    first, other = server.wait(job_id), server.wait(other_id)
    assert first["edit"] == other["edit"] | {"revision": 0, "state": "written"}
    url = f"/api/jobs/{job_id}/edits"

    def put(edits, after, to=url):
        headers = {} if after is None else {"If-Match": after}
        content = edits if isinstance(edits, str) else json.dumps(edits)
        return server.http.put(to, content=content, headers=headers)

    answer = server.http.get(url)
    assert answer.headers["etag"] == '"0"'
    edits = answer.json()["edits"]
    moved = edits | {"objects": [{"object": 0, "name": "ball", "transform": MOVED}]}
    assert put(moved, None).status_code == 428
    taken = put(moved, '"0"')
    assert (taken.status_code, taken.headers["etag"]) == (200, '"1"')
    late = put(edits, '"0"')
    assert (late.status_code, late.json()["title"]) == (412, "outdated")
    server.until(lambda: server.job(job_id)["edit"]["written"] == 1)

    done = server.job(job_id)
    assert (done["state"], done["edit"]["state"]) == ("done", "written")
    assert [o["label"] for o in done["objects"]] == ["ball", "blue"]
    glb = tmp_path / "scene.glb"
    glb.write_bytes(server.http.get(f"/api/jobs/{job_id}/files/scene.glb").content)
    ball = read_glb(glb)[0]
    assert (ball.name, ball.matrix[:3, 3].tolist()) == ("00_ball", [3, 2, -5])
    original = server.http.get(answer.json()["original_url"]).json()
    assert [o["name"] for o in original["objects"]] == ["00_red", "01_blue"]
    splats = server.http.get(f"/api/jobs/{job_id}/original/objects/00_red/splats.ply")
    assert splats.headers["etag"].strip('"') in {f["sha256"] for f in first["files"]}
    kinds = [e["kind"] for e in server.events() if e["job"] == job_id]
    assert kinds[-1] == "edited"

    hostile = {
        422: [
            json.dumps(moved).replace("-5", "NaN"),
            moved | {"objects": [{"object": n} for n in range(2000)]},
            moved | {"version": 2},
            moved | {"objects": [{"object": 12, "deleted": True}]},
        ],
        409: [server.http.get(f"/api/jobs/{other_id}/edits").json()["edits"]],
        413: ["[" + "0," * 5_000_000 + "0]"],
    }
    for status, bodies in hostile.items():
        for body in bodies:
            refused = put(body, '"1"')
            assert (refused.status_code, refused.json()["status"]) == (status, status)
            assert "photo" not in refused.json()["detail"]
    assert put(moved, '"1"', f"/api/jobs/{'0' * 32}/edits").status_code == 404
    assert put(moved, "W/mine").status_code == 422

    assert put(edits, '"1"').status_code == 200
    server.until(lambda: server.job(job_id)["edit"]["written"] == 2)
    assert server.job(job_id)["files"] == first["files"]


def test_a_job_stays_done_whoever_dies_and_the_next_worker_finishes(desk):
    desk.put(desk.edits(ObjectEdit(object=0, deleted=True)), after=0)
    desk.attempt()  # claimed, and killed there, with its server
    desk.queue.recover(desk.SLOT, "it was killed", outage=True)
    shown = job_view(desk.job, {})
    assert (shown.state, shown.edit.state, len(shown.files)) == ("done", "waiting", len(desk.files))
    desk.attempt().run()
    assert (desk.job.state, desk.job.written, len(desk.job.objects)) == ("done", 1, 1)
    assert {f["path"] for f in desk.job.files} >= {"edits.json", "objects/01_blue/mesh.glb"}


def test_a_cancelled_writing_leaves_the_old_files_until_edits_are_put_again(desk):
    wanted = desk.edits(scale=2.0)
    desk.put(wanted)
    desk.queue.cancel(desk.id, LOCAL_OWNER)  # waiting
    assert desk.queue.claim(desk.SLOT, lease=60) is None
    desk.put(wanted)
    token = CancelToken()
    attempt = desk.attempt(token)
    desk.queue.cancel(desk.id, LOCAL_OWNER)
    assert desk.queue.wants_cancel(attempt._job.claim)
    token.cancel()
    attempt.run()
    shown = job_view(desk.job, {})
    assert (shown.state, shown.edit.state, shown.edit.revision) == ("done", "cancelled", 2)
    assert read_manifest(desk.folder.scene).edited is None
    desk.put(wanted)
    desk.attempt().run()
    assert job_view(desk.job, {}).edit.state == "written"
    assert read_manifest(desk.folder.scene).edited.scale == 2.0


def test_edits_put_while_others_are_written_are_written_next(desk):
    desk.put(desk.edits(scale=2.0), after=0)
    attempt = desk.attempt()
    desk.queue.take_edits(attempt._job.claim)
    with pytest.raises(Outdated, match="revision 0"):
        desk.put(desk.edits(scale=4.0), after=0)
    desk.put(desk.edits(scale=3.0), after=1)
    desk.queue.finish(attempt._job.claim, "done")
    assert (desk.job.written, desk.job.revision, desk.job.shown_state) == (1, 2, "done")
    desk.attempt().run()
    assert (desk.job.written, read_manifest(desk.folder.scene).edited.scale) == (2, 3.0)


def test_a_failed_writing_says_why_and_leaves_the_old_files(desk, monkeypatch):
    desk.put(desk.edits(scale=2.0))
    monkeypatch.setattr(
        "scenelift.webapp.editing.edit_folder",
        lambda *_, **__: (_ for _ in ()).throw(EditsError("Not so.")),
    )
    desk.attempt().run()
    shown = job_view(desk.job, {})
    assert (shown.state, shown.error, shown.files != []) == ("done", None, True)
    assert (shown.edit.state, shown.edit.error["detail"]) == ("failed", "Not so.")
    assert read_manifest(desk.folder.scene).edited is None


def test_a_lost_queue_loses_no_edits_not_even_half_written_ones(desk):
    wanted = desk.edits(ObjectEdit(object=1, name="globe"))
    desk.put(wanted)
    desk.attempt().run()
    desk.forget()
    assert (desk.job.state, desk.job.task, desk.job.revision) == ("done", "lift", 1)
    desk.put(desk.edits(scale=2.0), after=1)
    # As a server leaves it that is killed while files change places.
    (desk.folder.scene / "scene.json").unlink()
    desk.forget()
    assert (desk.job.shown_state, desk.job.task) == ("done", "edit")
    desk.attempt().run()
    assert (desk.job.written, desk.job.revision) == (2, 2)
    assert read_manifest(desk.folder.scene).units == "metres"
    shutil.rmtree(desk.folder.scene / "objects")
    desk.put(Edits(scene=wanted.scene))
    desk.attempt().run()
    assert sorted(f["path"] for f in desk.job.files) == sorted(f["path"] for f in desk.files)


def test_a_killed_worker_leaves_the_old_scene_or_the_new_one(desk):
    """SIGKILL at every few changes of the file system, from the first to the last."""
    line = [sys.executable, "-m", "tests.drivers.killed_worker", str(desk.data.path), desk.id]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, **pipes) as worker:

        def killed_at(change):
            print(change, file=worker.stdin, flush=True)
            return worker.stdout.readline().strip()

        desk.put(desk.edits(scale=1.0))
        killed_at(0)  # the first edit keeps the original, too
        desk.put(desk.edits(scale=2.0))
        changes = int(killed_at(0))
        seen, scale = set(), 2.0
        for last in (*range(1, changes, changes // 3), changes - 1, changes):
            before, scale = scale, scale + 1
            desk.put(desk.edits(scale=scale))
            assert killed_at(last) == "killed"
            scene = desk.folder.scene
            if (scene / MANIFEST_NAME).exists():
                manifest = check_original(scene)  # every file is as it says
                assert manifest.edited.scale in (before, scale)
                seen.add("old" if manifest.edited.scale == before else "new")
            else:
                check_original(original_of(scene))
                seen.add("between")
            desk.queue.recover(desk.SLOT, "it was killed")
            assert desk.job.shown_state == "done"
            if desk.job.task == "edit":  # else it died when all was said
                desk.attempt().run()
            assert check_original(scene).edited.scale == scale
        assert seen == {"old", "between", "new"}

        desk.queue.ask_exports(desk.id, LOCAL_OWNER, ["scene.stl", "scene.splat"])
        for last in range(2, 99, 3):
            if killed_at(last) != "killed":
                break
            desk.queue.recover(desk.SLOT, "it was killed", outage=True)
            for path, file in exports_of(desk.folder).files.items():
                assert sha256_of(desk.folder.exports / path) == file.sha256
        assert set(exports_of(desk.folder).files) == {"scene.stl", "scene.splat"}
        worker.stdin.close()

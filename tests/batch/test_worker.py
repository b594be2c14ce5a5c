"""Workers: what becomes of an item, and that one item's trouble is not another's."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
from tests.drivers.small import SMALL
from tests.drivers.web import fake_pipeline
from typer.testing import CliRunner

from scenelift.batch.attempt import Crashed
from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.items import BatchItem
from scenelift.batch.ledger import Ledger
from scenelift.batch.manifest import read_items
from scenelift.batch.on_local import LocalWorkers
from scenelift.batch.progress import BatchProgress
from scenelift.batch.run import begin_batch, conclude, retry_failed, retry_missing, run_batch, watch
from scenelift.batch.settings import BatchSettings, read_settings
from scenelift.batch.worker import Worker
from scenelift.cli import app
from scenelift.errors import InputError, OutputError, SetupError
from scenelift.options import Options, SearchOptions
from scenelift.output.manifest import read_manifest
from scenelift.progress import CancelToken
from scenelift.testing.fakes import disc_photo
from scenelift.types import Prompt

OPTIONS = Options(**SMALL)
SETTINGS = BatchSettings(
    pipeline="tests.drivers.web:fake_pipeline", options=OPTIONS, lease_seconds=5
)


@pytest.fixture
def disc(tmp_path):
    path = tmp_path / "disc.png"
    PIL.Image.fromarray(disc_photo().pixels).save(path)
    return path


@pytest.fixture
def begin(tmp_path, disc):
    """Begins a batch of items with these prompts."""

    def start(*prompts, settings=SETTINGS):
        items = [
            BatchItem.of(disc, Prompt(phrases=tuple(p.split(";"))), 0, id=f"i{k}")
            for k, p in enumerate(prompts)
        ]
        folder, plan = begin_batch(items, tmp_path / "out", settings)
        return folder, plan, items

    return start


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def progress_of(folder, items):
    progress = BatchProgress(folder, items)
    progress.refresh()
    return progress


def test_a_worker_does_every_item_and_leaves_whole_scenes(begin):
    folder, _, items = begin("red", "blue", "white", "red;green")
    Worker(folder, SETTINGS).run(items, start=0.5)
    progress = progress_of(folder, items)
    assert dict(+progress.counts) == {"done": 3, "nothing": 1}
    assert progress.partial == 0
    for name in ("i0", "i1", "i3"):
        manifest = read_manifest(folder.scene(name))
        assert all((folder.scene(name) / f.path).is_file() for f in manifest.files)
        assert not (folder.scene(name) / ".scenelift").exists()
        with PIL.Image.open(folder.thumbnail(name)) as thumbnail:
            assert thumbnail.size == (400, 150)
    assert not folder.scene("i2").exists()
    assert not any((folder.state / "work").iterdir())


def test_results_that_are_gone_or_damaged_are_made_again(begin):
    folder, _, items = begin("red", "blue", "red;blue", "blue;red", "white")
    Worker(folder, SETTINGS).run(items, start=0.5)
    shutil.rmtree(folder.scene("i0"))
    (folder.scene("i1") / "scene.json").write_text("[")
    (folder.scene("i2") / "scene.glb").unlink()
    progress = progress_of(folder, items)
    assert retry_missing(progress) == 2
    assert dict(+progress.counts) == {"waiting": 2, "done": 2, "nothing": 1}
    Worker(folder, SETTINGS).run(items, start=0.5)
    progress = progress_of(folder, items)
    assert dict(+progress.counts) == {"done": 4, "nothing": 1}
    assert retry_missing(progress) == 0


def test_a_row_with_faces_of_its_own_has_them(disc, tmp_path):
    red = Prompt(phrases=("red",))
    items = [
        BatchItem.of(disc, red, 0, id="plain"),
        BatchItem.of(disc, red, 0, id="few", options={"faces": 100, "vertex_colors": True}),
    ]
    folder, _ = begin_batch(items, tmp_path / "out", SETTINGS)
    Worker(folder, SETTINGS).run(items, start=0.5)
    plain, few = (read_manifest(folder.scene(i.id)).objects[0] for i in items)
    assert few.faces <= 100 < plain.faces


def test_a_photo_that_cannot_be_read_fails_with_its_reason_and_the_others_go_on(begin, tmp_path):
    folder, _, items = begin("red", "blue")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    items.insert(0, BatchItem.of(bad, Prompt(phrases=("red",)), 0, id="bad"))
    Worker(folder, SETTINGS).run(items)
    progress = progress_of(folder, items)
    assert progress.counts["done"] == 2
    assert progress.entries["bad"].error == "bad-image"
    assert "bad.png" in progress.entries["bad"].reason


@pytest.mark.parametrize(("phrase", "error"), [("bug", "unexpected"), ("memory", "out-of-memory")])
def test_after_what_it_cannot_explain_a_worker_ends_and_the_item_waits(begin, phrase, error):
    folder, _, items = begin(phrase)
    with pytest.raises(Crashed):
        Worker(folder, SETTINGS).run(items)
    entry = progress_of(folder, items).entries["i0"]
    assert (entry.state, entry.losses, entry.error) == ("waiting", 1, error)


def test_a_full_disk_stops_the_worker_and_gives_the_item_back(begin):
    folder, _, items = begin("red")
    folder.thumbnail("i0").parent.parent.mkdir(exist_ok=True)
    folder.thumbnail("i0").parent.touch()  # a file where a folder must go
    with pytest.raises((OutputError, Crashed)):
        Worker(folder, SETTINGS).run(items)
    assert progress_of(folder, items).entries["i0"].state == "waiting"


def test_a_stopped_worker_gives_back_and_the_next_one_resumes(begin):
    folder, _, items = begin("red;slow")
    worker = Worker(folder, SETTINGS)
    watcher = threading.Timer(0.3, worker.stop)
    watcher.start()
    worker.run(items)
    watcher.join()
    entry = progress_of(folder, items).entries["i0"]
    assert (entry.state, entry.losses, entry.reason) == ("waiting", 0, "stopped")
    assert (folder.work("i0", 1) / ".scenelift").is_dir(), "finished stages are kept"
    Worker(folder, SETTINGS).run(items)
    resumed = [t.stage for t in read_manifest(folder.scene("i0")).timings if t.resumed]
    assert "segment" in resumed


def test_what_was_published_by_a_worker_that_then_died_is_not_made_again(begin):
    folder, _, items = begin("red")
    Worker(folder, SETTINGS).run(items)
    written = (folder.scene("i0") / "scene.ply").stat().st_mtime_ns
    # As if it had been killed between the last rename and the last entry.
    folder.entry("i0", 2).unlink()
    for journal in folder.journals.iterdir():
        journal.unlink()
    claim = json.loads(folder.entry("i0", 1).read_bytes())
    claim["worker"]["started"] -= 1
    folder.entry("i0", 1).write_text(json.dumps(claim) + "\n")
    Worker(folder, SETTINGS).run(items)
    assert (folder.scene("i0") / "scene.ply").stat().st_mtime_ns == written
    assert progress_of(folder, items).counts["done"] == 1


def test_what_a_worker_was_about_to_replace_when_it_died_does_not_stay(begin, monkeypatch):
    folder, _, (item,) = begin("red")
    worker = Worker(folder, SETTINGS)
    worker.run([item])
    again = BatchItem.of(item.photo, Prompt(phrases=("blue",)), 0, id=item.id)

    def die(path, *args, **options):
        if path.name.endswith(".old") and path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        Worker(folder, SETTINGS).run([again])
    monkeypatch.undo()
    assert list((folder.state / "work").glob("*.old"))
    claim = Ledger(folder, WorkerIdentity.here()).last(item.id)
    monkeypatch.setattr(Ledger, "alive", lambda self, claim: False)
    Worker(folder, SETTINGS).run([again])
    assert claim.state == "claimed"
    assert not list((folder.state / "work").iterdir())
    assert [o.label for o in read_manifest(folder.scene(item.id)).objects] == ["blue"]


def test_no_clock_stays_of_a_worker_however_it_ends(begin):
    folder, _, (item,) = begin("red")
    Worker(folder, SETTINGS).run([item])
    assert not list(folder.state.glob(".clock*"))
    left = folder.state / ".clock-of-an-older-version"
    left.touch()
    os.utime(left, (0, 0))
    begin("red")
    assert not left.exists()


def test_a_batch_does_not_replace_its_photos_and_manifest(begin, disc, tmp_path):
    folder, _, (item,) = begin("red")
    Worker(folder, SETTINGS).run([item])
    photo = folder.scene(item.id) / "input.png"
    theirs = BatchItem.of(photo, Prompt(phrases=("red",)), 0, id=item.id)
    with pytest.raises(InputError, match="would be replaced"):
        begin_batch([theirs], folder.root, SETTINGS)
    manifest = folder.root / "items.csv"
    manifest.write_text(f"photo,prompt\n{disc},red\n")
    for name in ("items.csv", "index.html", "index-2.html", "batch.json"):
        with pytest.raises(InputError, match="would be replaced"):
            folder.check_inputs([folder.root / name])
    folder.check_inputs([disc, folder.root / "photos.csv", folder.root / "photos" / "input.png"])
    result = CliRunner().invoke(app, ["batch", str(manifest), "--out", str(folder.root)])
    assert result.exit_code == 2
    assert manifest.read_text().startswith("photo,prompt\n")


def test_pictures_of_results_are_not_taken_for_photos(begin, disc, tmp_path):
    folder, _, (item,) = begin("red")
    Worker(folder, SETTINGS).run([item])
    shutil.copytree(folder.scene(item.id), tmp_path / "single")
    items = read_items(tmp_path, Options(search=SearchOptions(prompt=("red",))))
    assert [i.photo for i in items] == [disc]


def test_two_workers_share_the_items(begin):
    folder, _, items = begin(*["red"] * 12)
    workers = [Worker(folder, SETTINGS, load=fake_pipeline) for _ in range(2)]
    threads = [
        threading.Thread(target=worker.run, args=(items,), kwargs={"start": k / 2})
        for k, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress_of(folder, items).counts["done"] == 12
    assert not any(folder.entry(item.id, 3).exists() for item in items), "none was done twice"


def test_local_workers_are_replaced_and_poison_fails_alone(begin):
    folder, plan, items = begin("red", "crash", "blue", "red")
    progress = BatchProgress(folder, items)
    report = watch(progress, LocalWorkers(folder, plan, workers=2))
    report = conclude(folder, items, report)
    assert (report.counts["done"], report.counts["failed"], report.exit_code) == (3, 1, 5)
    assert progress.entries["i1"].error == "worker-lost"

    rows = read_csv(folder.root / "items.csv")
    assert [r["state"] for r in rows] == ["done", "failed", "done", "done"]
    page = (folder.root / "index.html").read_text()
    assert page.count("<article>") == 3
    assert "worker-lost" in page

    assert retry_failed(progress) == 1
    assert progress.counts["waiting"] == 1


def test_one_call_runs_a_batch_from_python(disc, tmp_path):
    items = read_items(disc.parent, Options(search=SearchOptions(prompt=("red",))))
    report = run_batch(items, tmp_path / "out", SETTINGS)
    assert (report.counts["done"], report.exit_code) == (1, 0)
    assert (tmp_path / "out" / "index.html").exists()
    scene = tmp_path / "out" / "scenes" / items[0].id
    shutil.rmtree(scene)
    assert run_batch(items, tmp_path / "out", SETTINGS).counts["done"] == 1
    assert (scene / "scene.json").exists(), "the same command makes what is missing"


def test_a_set_up_that_cannot_work_stops_everything_and_says_why(begin):
    settings = BatchSettings(pipeline="nowhere:at_all", options=OPTIONS)
    folder, plan, items = begin("red", settings=settings)
    with pytest.raises(SetupError, match="nowhere"):
        watch(BatchProgress(folder, items), LocalWorkers(folder, plan))
    assert progress_of(folder, items).remaining == 1


def test_a_stop_leaves_the_rest_for_the_next_run(begin):
    folder, plan, items = begin(*["red;slow"] * 6)
    token, progress = CancelToken(), BatchProgress(folder, items)
    report = watch(
        progress, LocalWorkers(folder, plan), token=token, on_entry=lambda entry: token.cancel()
    )
    assert report.interrupted
    assert report.exit_code == 130
    assert not any(e.state == "claimed" for e in progress.entries.values())


def test_workers_end_with_the_command_that_started_them(begin):
    folder, plan, items = begin(*["red;slow"] * 50)
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from scenelift.batch.folder import BatchFolder\n"
        "from scenelift.batch.items import read_plan\n"
        "from scenelift.batch.on_local import LocalWorkers\n"
        "from scenelift.batch.progress import BatchProgress\n"
        "folder = BatchFolder(Path(sys.argv[1]))\n"
        "progress = BatchProgress(folder, list(read_plan(folder.plan(sys.argv[2]))))\n"
        "workers = LocalWorkers(folder, sys.argv[2])\n"
        "workers.tick(progress)\nprint(workers.pids[0], flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.root), plan], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    progress = BatchProgress(folder, items)
    until(lambda: progress.refresh() or progress.counts["done"])
    parent.kill()
    parent.communicate()
    until(lambda: not Path(f"/proc/{worker}").exists())
    progress.refresh()
    assert progress.remaining > 0
    assert progress.counts["claimed"] == 0, "what it did was given back"


def test_a_folder_is_not_continued_with_settings_that_change_results(begin):
    begin("red")
    with pytest.raises(InputError, match=r"\(preview_size: 32 → 64\)"):
        begin(
            "red",
            settings=BatchSettings(
                pipeline=SETTINGS.pipeline,
                options=replace(OPTIONS, export=replace(SMALL["export"], preview_size=64)),
            ),
        )


def test_settings_come_back_as_they_were(begin):
    folder, plan, _ = begin("red")
    assert read_settings(folder) == (SETTINGS, plan)
    assert (
        read_settings(BatchFolder(folder.root))[0].values_of_results()
        == SETTINGS.values_of_results()
    )


def test_the_pages_of_the_summary_are_as_many_as_are_needed(begin, monkeypatch):
    from scenelift.batch import summary

    monkeypatch.setattr(summary, "CARDS_PER_PAGE", 2)
    folder, _, items = begin(*["red"] * 5)
    Worker(folder, SETTINGS, load=fake_pipeline).run(items)
    conclude(folder, items, progress_of(folder, items).report())
    pages = sorted(p.name for p in folder.root.glob("index*.html"))
    assert pages == ["index-2.html", "index-3.html", "index.html"]
    conclude(folder, items[:1], progress_of(folder, items[:1]).report())
    assert [p.name for p in folder.root.glob("index*.html")] == ["index.html"]


def test_prompts_and_reasons_cannot_inject_into_the_page(begin):
    folder, _, items = begin("<script>alert(1)</script>")
    Worker(folder, SETTINGS, load=fake_pipeline).run(items)
    conclude(folder, items, progress_of(folder, items).report())
    assert "<script>" not in (folder.root / "index.html").read_text()


def test_objects_are_told_with_and_without_pyarrow(begin, monkeypatch):
    from scenelift.batch import tables

    folder, _, items = begin("red;blue", "red;green")
    Worker(folder, SETTINGS, load=fake_pipeline).run(items)
    parquet = pytest.importorskip("pyarrow.parquet")
    assert conclude(folder, items, progress_of(folder, items).report()).notes == ()
    rows = parquet.read_table(folder.root / "objects.parquet").to_pylist()
    assert [r["label"] for r in rows] == ["red", "blue", "red"]

    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    notes = conclude(folder, items, progress_of(folder, items).report()).notes
    assert "scenelift[cluster]" in notes[0]
    again = read_csv(folder.root / "objects.csv")
    assert [r["label"] for r in again] == ["red", "blue", "red"]
    assert [float(r["scale"]) for r in again] == [r["scale"] for r in rows]


def test_ctrl_c_gives_back_what_is_being_done_and_exits_with_130(tmp_path, begin):
    folder, _, items = begin(*["red;slow"] * 40)
    command = [sys.executable, "-m", "scenelift", "batch", f"--join={folder.root}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    progress = BatchProgress(folder, items)
    until(lambda: progress.refresh() or progress.counts["done"])
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    progress.refresh()
    assert progress.remaining > 0
    assert progress.counts["claimed"] == 0
    assert not any(entry.losses for entry in progress.entries.values())
    assert (folder.root / "index.html").exists()


def test_the_command_line_runs_reruns_and_joins(disc, tmp_path):
    command = [sys.executable, "-m", "scenelift", "batch"]
    begin = [*command, str(tmp_path), "--prompt=red", f"--out={tmp_path / 'out'}", "--json"]
    begin += ["--pipeline=tests.drivers.web:fake_pipeline"]
    begin += ["--preview-frames=1", "--preview-size=16"]
    first = subprocess.run(begin, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["counts"]["done"] == 1
    join = [*command, f"--join={tmp_path / 'out'}", "--status", "--json"]
    joined = subprocess.run(join, capture_output=True, text=True)
    assert json.loads(joined.stdout)["counts"]["done"] == 1

"""A real SLURM for the tests in this folder, which `make test-slurm` runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import PIL.Image
import pytest
from tests.drivers.slurm import LocalSlurm

from scenelift.batch.folder import BatchFolder
from scenelift.batch.items import read_plan
from scenelift.batch.journal import JournalReader
from scenelift.batch.ledger import Ledger
from scenelift.batch.settings import read_settings
from scenelift.testing.fakes import disc_photo

# Half a second an item, and pictures of next to nothing.
FAKE = (
    "--pipeline=tests.drivers.web:fake_pipeline",
    "--preview-frames=1",
    "--preview-size=16",
    "--lease=8",
)
PHOTOS = 40
POISON, DAMAGED, EMPTY = "p05", "p11", "p17"


@pytest.fixture(scope="session")
def slurm():
    if not os.environ.get("SCENELIFT_SLURM"):
        pytest.skip("`make test-slurm` runs these against a real SLURM")
    with LocalSlurm() as cluster:
        yield cluster


@pytest.fixture
def photos(tmp_path):
    """A manifest of 40 photos: one kills its worker, one is damaged, one has nothing in it."""
    disc = tmp_path / "disc.png"
    PIL.Image.fromarray(disc_photo().pixels).save(disc)
    rows = ["photo,prompt,id"]
    for k in range(PHOTOS):
        name = f"p{k:02}"
        content = disc.read_bytes()
        (tmp_path / f"{name}.png").write_bytes(content[:200] if name == DAMAGED else content)
        prompt = {POISON: "crash", EMPTY: "green-ish"}.get(name, "red;slow")
        rows.append(f"{name}.png,{prompt},{name}")
    disc.unlink()
    manifest = tmp_path / "photos.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


class LiveBatch:
    """A `scenelift batch` command in the background, and a look at what it does."""

    def __init__(self, slurm, manifest, *options):
        self._slurm, self.folder = slurm, BatchFolder(manifest.parent / "out")
        self._command = [sys.executable, "-m", "scenelift", "batch", str(manifest)]
        self._command += ["--out", str(self.folder.root), *FAKE, *options]
        self._process = None
        self._journals = None

    def start(self):
        environment = self._slurm.environment | {"DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}
        self._process = subprocess.Popen(
            self._command, env=environment, stderr=subprocess.PIPE, text=True
        )
        return self

    def entries(self):
        if not self.folder.journals.is_dir():
            return {}
        self._journals = self._journals or JournalReader(self.folder.journals)
        self._journals.refresh()
        return self._journals.entries

    def counts(self):
        return Counter(entry.state for entry in self.entries().values())

    def until_settled(self, number, seconds=90):
        self._slurm.until(
            lambda: self._running() and sum(map(self.counts().get, FINAL, [0] * 3)) >= number,
            seconds,
        )

    def kill_a_worker(self):
        """Kill the process that works on some item, as the kernel does when memory runs out."""
        claims = []
        self._slurm.until(
            lambda: (
                claims.extend(e for e in self.entries().values() if e.state == "claimed") or claims
            ),
            30,
        )
        for claim in claims:
            try:
                os.kill(claim.worker["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return
        raise AssertionError("no worker was alive to be killed")

    def wait(self, seconds=150):
        assert self._process is not None
        _, said = self._process.communicate(timeout=seconds)
        return self._process.returncode, said

    def interrupt(self):
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def ledger(self):
        """Every entry of every item, read from the entries themselves."""
        _, plan = read_settings(self.folder)
        found = {}
        for item in read_plan(self.folder.plan(plan)):
            number, found[item.id] = 1, []
            while (path := self.folder.entry(item.id, number)).exists():
                found[item.id].append(Ledger.read(path, item.id, number))
                number += 1
        return found

    def _running(self):
        assert self._process is not None
        assert self._process.poll() is None, self._process.communicate()[1]
        return True


FINAL = ("done", "nothing", "failed")


@pytest.fixture
def begin(slurm):
    """Starts batches, and ends those that a failed test leaves behind."""
    begun = []

    def start(manifest, *options):
        begun.append(LiveBatch(slurm, manifest, *options).start())
        return begun[-1]

    yield start
    for batch in begun:
        batch.close()


@pytest.fixture
def check_all_settled():
    """Every item of `photos` is done exactly once, or failed with its reason."""

    def check(batch):
        ledger = batch.ledger()
        assert len(ledger) == PHOTOS
        for name, entries in ledger.items():
            finals = [e for e in entries if e.state in FINAL]
            assert len(finals) == 1, f"{name}: {[e.state for e in entries]}"
            last = entries[-1]
            assert last is finals[0] or last.state in FINAL
            want = {POISON: "failed", DAMAGED: "failed", EMPTY: "nothing"}.get(name, "done")
            assert last.state == want, f"{name}: {last.reason}"
            assert (batch.folder.scene(name) / "scene.json").exists() == (want == "done")
        assert ledger[POISON][-1].error == "worker-lost"
        assert ledger[POISON][-1].losses == 3
        assert ledger[DAMAGED][-1].error == "bad-image"
        assert not any((batch.folder.state / "work").iterdir())
        page = (batch.folder.root / "index.html").read_text()
        assert "worker-lost" in page
        assert page.count("<article>") == PHOTOS - 3

    return check

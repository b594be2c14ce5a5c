"""A batch as an array job of a real SLURM, through everything that happens to jobs."""

from __future__ import annotations

import json
import subprocess
import sys

POISON = "p05"


def test_an_array_survives_a_kill_a_cancelled_task_and_a_lost_node(
    slurm, photos, begin, check_all_settled
):
    batch = begin(photos, "--on=slurm", "--workers=3", "--mem=500M", "--cpus-per-task=1")
    batch.until_settled(3)
    batch.kill_a_worker()

    batch.until_settled(8)
    task, _ = next(iter(slurm.tasks("RUNNING").items()))
    slurm.command("scancel", task)

    batch.until_settled(14)
    _, node = next(iter(slurm.tasks("RUNNING").items()))
    slurm.set_node(node, "DRAIN")  # no new jobs go there
    slurm.set_node(node, "DOWN")  # and those on it are lost, and queued again
    try:
        code, said = batch.wait()
    finally:
        slurm.set_node(node, "RESUME")
    assert code == 5, said
    check_all_settled(batch)

    before = batch.ledger()
    again = begin(photos, "--on=slurm", "--workers=3")
    code, said = again.wait(30)
    assert code == 5, said
    assert again.ledger() == before, "a rerun of a finished batch does nothing"


def test_what_a_time_limit_cuts_off_is_given_back_and_a_rerun_does_only_what_is_missing(
    slurm, photos, begin, check_all_settled
):
    begun = begin(photos, "--status")
    assert begun.wait(60)[0] == 0

    # Two tasks of one minute: SLURM warns them in the middle of their work.
    command = [sys.executable, "-m", "scenelift", "slurm", "batch", str(begun.folder.root)]
    command += ["--workers=2", "--time=1", "--mem=500M"]
    slow = subprocess.run(command, env=slurm.environment, capture_output=True, text=True)
    assert "Submitted job" in slow.stdout, slow.stderr
    slurm.until(lambda: not slurm.tasks("PENDING", "RUNNING", "COMPLETING"), 100)
    before = begun.ledger()
    ended = {name: e for name, e in before.items() if e and e[-1].state in ("done", "nothing")}
    cut_off = [n for n, e in before.items() if e and e[-1].state == "claimed" and n != POISON]
    assert not cut_off, "what was being done was not given back"

    code, said = begin(photos, "--on=local", "--workers=2").wait()
    assert code == 5, said
    check_all_settled(begun)
    after = begun.ledger()
    assert all(after[name] == entries for name, entries in ended.items())


def test_a_stopped_batch_cancels_its_jobs_and_loses_nothing(slurm, photos, begin):
    batch = begin(photos, "--on=slurm", "--workers=2", "--mem=500M")
    batch.until_settled(2)
    batch.interrupt()
    code, said = batch.wait(60)
    assert code == 130, said
    assert not slurm.tasks("PENDING", "RUNNING")
    ledger = {name: e for name, e in batch.ledger().items() if e and name != POISON}
    assert not any(e[-1].state == "claimed" for e in ledger.values())
    assert not any(e[-1].losses for e in ledger.values()), "a stop is no failed attempt"

    command = [sys.executable, "-m", "scenelift", "batch", "--json", "--status"]
    command += ["--join", str(batch.folder.root)]
    status = subprocess.run(command, capture_output=True, text=True)
    assert json.loads(status.stdout)["left"] > 0

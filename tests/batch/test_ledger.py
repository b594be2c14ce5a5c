"""The ledger: of all who try one gets an item, and nobody records a result for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.batch.entry import FINAL, Entry, is_settled
from scenelift.batch.folder import BatchFolder, link_exclusively, shard
from scenelift.batch.identity import ServerClock, WorkerIdentity, process_is_gone
from scenelift.batch.items import BatchItem
from scenelift.batch.journal import JournalReader, JournalWriter
from scenelift.batch.ledger import ClaimLost, Ledger
from scenelift.errors import OutputError
from scenelift.types import Prompt


def an_item(name="a", seed=0):
    return BatchItem.of(Path(f"/photos/{name}.jpg"), Prompt(phrases=("cup",)), seed, id=name)


@pytest.fixture
def folder(tmp_path):
    batch = BatchFolder(tmp_path / "out")
    batch.prepare()
    return batch


@pytest.fixture
def ledger(folder):
    """Makes ledgers of as many workers as a test wants."""

    def make(**options):
        return Ledger(folder, WorkerIdentity.here(), **options)

    return make


def dead_identity():
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    here = WorkerIdentity.here().to_json()
    return WorkerIdentity(**here | {"pid": process.pid, "name": f"dead-{process.pid}"})


def age(folder, claim, seconds):
    """Make a claim look as if it had not been renewed for so long."""
    then = time.time() - seconds
    os.utime(folder.entry(claim.id, claim.number), (then, then))


def elsewhere(claim):
    """The same claim, as if made on another machine."""
    return claim.worker | {"machine": "another"}


def test_an_item_goes_from_claim_to_result(folder, ledger):
    worker, item = ledger(), an_item()
    claim = worker.claim(item)
    assert worker.is_mine(claim)
    done = worker.finish(claim, "done", facts={"objects": []})
    assert worker.last("a") == done
    assert is_settled(done, item)
    assert not is_settled(done, an_item(seed=1))


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be synced there")
def test_a_result_counts_only_once_it_survives_a_loss_of_power(folder, ledger, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    worker = ledger()
    claim = worker.claim(an_item())
    assert not synced  # a claim that is lost is made again
    path = folder.entry("a", worker.finish(claim, "done", facts={}).number)
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_claimed_item_is_not_given_twice(ledger):
    first, second = ledger(), ledger()
    claim = first.claim(an_item())
    assert second.claim(an_item()) == claim
    assert not second.is_mine(claim)


def test_of_many_who_try_at_once_exactly_one_gets_each_item(folder):
    items = [an_item(f"i{k}") for k in range(20)]
    won = [[] for _ in range(8)]
    start = threading.Barrier(len(won))

    def work(mine):
        ledger = Ledger(folder, WorkerIdentity.here())
        start.wait()
        for item in items:
            entry = ledger.claim(item)
            if ledger.is_mine(entry):
                mine.append(entry.id)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for mine in won for name in mine) == sorted(i.id for i in items)


def test_the_item_of_a_process_that_died_here_is_taken_at_once(folder, ledger):
    dead = Ledger(folder, dead_identity())
    lost = dead.claim(an_item())
    worker = ledger()
    claim = worker.claim(an_item())
    assert worker.is_mine(claim)
    assert (claim.number, claim.losses) == (lost.number + 1, 1)


def test_a_worker_elsewhere_is_dead_once_it_was_silent_for_its_lease(folder, ledger):
    other = Ledger(folder, WorkerIdentity(**elsewhere(ledger().claim(an_item("x")))), lease=100)
    claim = other.claim(an_item())
    age(folder, claim, 90)
    worker = ledger(lease=5)
    assert not worker.is_mine(worker.claim(an_item())), "the claim's own lease counts"
    age(folder, claim, 110)
    assert worker.is_mine(worker.claim(an_item()))


def test_renewing_keeps_a_claim(folder, ledger):
    worker = ledger(lease=100)
    claim = worker.claim(an_item())
    age(folder, claim, 500)
    worker.renew(claim)
    assert worker.alive(claim)


def test_who_lost_an_item_can_neither_renew_nor_record(folder, ledger):
    slow, quick = ledger(), ledger()
    claim = slow.claim(an_item())
    # As when `slow` stood still on another machine.
    path = folder.entry("a", 1)
    path.write_bytes(path.read_bytes().replace(claim.worker["machine"].encode(), b"another"))
    age(folder, claim, 10_000)
    taken = quick.claim(an_item())
    assert quick.is_mine(taken)
    for attempt in (
        lambda: slow.renew(claim),
        lambda: slow.finish(claim, "done"),
        lambda: slow.finish(claim, "waiting"),
        lambda: slow.lose(claim, reason="r", error="e"),
    ):
        with pytest.raises(ClaimLost):
            attempt()
    assert quick.finish(taken, "done").number == 3


def test_an_item_whose_workers_die_fails_after_all_attempts_and_says_where(folder, ledger):
    for attempt in range(3):
        claim = Ledger(folder, dead_identity(), attempts=3).claim(an_item())
        assert (claim.state, claim.losses) == ("claimed", attempt)
    entry = ledger(attempts=3).claim(an_item())
    assert (entry.state, entry.error, entry.losses) == ("failed", "worker-lost", 3)
    assert claim.worker["host"] in entry.reason


def test_what_is_given_back_does_not_count(ledger):
    worker = ledger(attempts=1)
    for _ in range(5):
        claim = worker.claim(an_item())
        assert worker.is_mine(claim)
        assert claim.losses == 0
        worker.finish(claim, "waiting", reason="stopped")


def test_what_goes_wrong_here_counts_and_keeps_its_reason(ledger):
    worker = ledger(attempts=2)
    first = worker.lose(worker.claim(an_item()), reason="no memory", error="out-of-memory")
    assert (first.state, first.losses) == ("waiting", 1)
    last = worker.lose(worker.claim(an_item()), reason="no memory", error="out-of-memory")
    assert (last.state, last.reason, last.error) == ("failed", "no memory", "out-of-memory")


def test_a_failed_item_can_be_tried_again_with_all_attempts_by_one_of_two(ledger):
    worker, other = ledger(attempts=1), ledger()
    failed = worker.lose(worker.claim(an_item()), reason="r", error="e")
    assert worker.retry(failed)
    assert not other.retry(failed)
    claim = worker.claim(an_item())
    assert worker.is_mine(claim)
    assert claim.losses == 0


def test_a_row_that_changed_is_done_again(ledger):
    worker = ledger()
    worker.finish(worker.claim(an_item(seed=0)), "done")
    changed = worker.claim(an_item(seed=1))
    assert worker.is_mine(changed)
    assert changed.digest == an_item(seed=1).digest


def test_a_claim_whose_content_was_lost_counts_as_one(folder, ledger):
    path = folder.entry("a", 1)
    path.parent.mkdir(parents=True)
    path.touch()
    worker = ledger(lease=50)
    assert worker.claim(an_item()).state == "claimed"
    assert not worker.is_mine(worker.claim(an_item()))
    age(folder, worker.claim(an_item()), 60)
    assert worker.is_mine(worker.claim(an_item()))


def test_a_name_is_linked_by_one_and_whole(tmp_path):
    assert link_exclusively(tmp_path / "x", b"first", "w", durable=False)
    assert not link_exclusively(tmp_path / "x", b"second", "v", durable=True)
    assert (tmp_path / "x").read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_written_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="hard links"):
        link_exclusively(tmp_path / "file" / "x", b"", "w", durable=False)


def test_the_same_number_of_another_process_is_no_sign_of_life():
    here = WorkerIdentity.here().to_json()
    assert not process_is_gone(here)
    assert process_is_gone(here | {"started": here["started"] - 1})
    assert not process_is_gone(here | {"started": 0, "machine": "another"})
    assert not process_is_gone({})


def test_the_clock_is_the_file_servers(tmp_path):
    clock = ServerClock(tmp_path, "me")
    (tmp_path / "probe").touch()
    # A file stamped now, read with the same clock: a second covers a loaded machine.
    assert abs(clock.now() - (tmp_path / "probe").stat().st_mtime) < 1
    assert not list(tmp_path.glob(".clock*"))


def test_journals_tell_the_newest_entry_of_each_item(folder, ledger):
    first, second = ledger(), ledger()
    claim = first.claim(an_item("a"))
    second.claim(an_item("b"))
    reader = JournalReader(folder.journals, keep_facts=True)
    reader.refresh()
    assert {k: e.state for k, e in reader.entries.items()} == {"a": "claimed", "b": "claimed"}
    told = []
    first.finish(claim, "done", facts={"objects": [1]})
    reader.refresh(told.append)
    assert [e.state for e in told] == ["done"]
    assert reader.entries["a"].facts == {"objects": [1]}


def test_half_a_line_of_a_killed_writer_is_left_alone(tmp_path):
    entry = Entry(id="a", number=1, state="claimed", digest="d")
    JournalWriter(tmp_path / "w.jsonl").write(entry)
    with (tmp_path / "w.jsonl").open("ab") as file:
        file.write(entry.to_json()[:20])
    reader = JournalReader(tmp_path)
    reader.refresh()
    assert reader.entries == {"a": entry}


def test_a_result_that_no_journal_has_is_found_and_told(folder, ledger):
    worker = ledger()
    worker.finish(worker.claim(an_item()), "done")
    for journal in folder.journals.iterdir():
        journal.unlink()
    assert is_settled(ledger().claim(an_item()), an_item())
    reader = JournalReader(folder.journals)
    reader.refresh()
    assert is_settled(reader.entries["a"], an_item())


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["claim", "done", "give back", "lose", "die", "sleep"])
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=40)
@given(actions=ACTIONS)
def test_whatever_workers_do_an_item_ends_at_most_once_and_entries_have_no_gap(
    tmp_path_factory, actions
):
    """Three workers claim, finish, give back, die and oversleep in any order."""
    folder = BatchFolder(tmp_path_factory.mktemp("out"))
    folder.prepare()
    item = an_item()
    identities = [
        WorkerIdentity(**WorkerIdentity.here().to_json() | {"machine": f"m{k}", "name": f"w{k}"})
        for k in range(3)
    ]
    workers = [Ledger(folder, identity, attempts=3) for identity in identities]
    claims: dict[int, Entry] = {}
    for k, action in actions:
        if action == "claim" and k not in claims:
            entry = workers[k].claim(item)
            if workers[k].is_mine(entry):
                claims[k] = entry
        elif k in claims and action == "die":
            age(folder, claims.pop(k), 1000)
        elif k in claims and action == "sleep":
            age(folder, claims[k], 1000)
        elif k in claims:
            try:
                match action:
                    case "done":
                        workers[k].finish(claims.pop(k), "done")
                    case "give back":
                        workers[k].finish(claims.pop(k), "waiting")
                    case "lose":
                        workers[k].lose(claims.pop(k), reason="r", error="e")
            except ClaimLost:
                claims.pop(k, None)
    files = sorted(
        (folder.state / "ledger" / shard("a")).glob("a.*"), key=lambda p: int(p.suffix[1:])
    )
    assert [p.suffix for p in files] == [f".{n}" for n in range(1, len(files) + 1)]
    states = [json.loads(p.read_bytes())["state"] for p in files]
    assert all(state not in FINAL for state in states[:-1])

"""The ledger: which item is in which state, on a disk that many machines share.

Each item has numbered entries; the last one is its state. Entry n+1 is made by `link_exclusively`,
so of all who have seen entry n exactly one can append. That is all the locking there is: a claim
is an entry on a waiting item, a result is an entry on one's own claim, and a worker whose item was
taken over can append nothing. `docs/batch.md` tells the whole story.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenelift.batch.entry import FINAL, Entry, State, is_settled
from scenelift.batch.folder import BatchFolder, link_exclusively
from scenelift.batch.identity import ServerClock, WorkerIdentity, process_is_gone
from scenelift.batch.items import BatchItem
from scenelift.batch.journal import JournalWriter

__all__ = ["ClaimLost", "Ledger"]


class ClaimLost(Exception):
    """Another worker has taken over the item; this one's result is no longer wanted."""


class Ledger:
    """One process's access to the ledger. Not for several threads at once.

    Args:
        folder: of the batch.
        worker: who writes.
        lease: seconds after which a claim of ours that was not renewed may be taken over.
        attempts: after so many without a result an item fails.
    """

    def __init__(
        self,
        folder: BatchFolder,
        worker: WorkerIdentity,
        *,
        lease: float = 120.0,
        attempts: int = 3,
    ) -> None:
        self._folder, self.worker = folder, worker
        self.lease, self._attempts = lease, attempts
        self._clock = ServerClock(folder.state, worker.name)
        self._journal = JournalWriter(folder.journals / f"{worker.name}.jsonl")

    def last(self, id: str, at_least: int = 0) -> Entry | None:
        """Return the newest entry of an item, or None.

        Args:
            at_least: number of an entry that exists; older ones are not looked at.
        """
        entry, number = None, max(at_least, 1)
        while (next_entry := self._read(id, number)) is not None:
            entry, number = next_entry, number + 1
        return entry

    def claim(self, item: BatchItem, at_least: int = 0) -> Entry:
        """Claim an item; return our claim or, if it cannot be had, the entry that says why.

        An item whose last worker died gets `failed` once all its attempts are used up.

        Args:
            at_least: number of an entry that exists.

        Raises:
            OutputError: the disk cannot be written.
        """
        while True:
            last = self.last(item.id, at_least)
            if is_settled(last, item) or (last and last.state == "claimed" and self.alive(last)):
                assert last is not None
                self._journal.write(last)  # its writer may have died before it could
                return last
            entry = self._successor(item, last)
            if self._append(entry):
                return entry
            at_least = entry.number

    def is_mine(self, entry: Entry) -> bool:
        """Return whether `claim` gave us the item."""
        return entry.state == "claimed" and entry.worker.get("name") == self.worker.name

    def alive(self, claim: Entry) -> bool:
        """Return whether a claim's worker may still be at work."""
        if process_is_gone(claim.worker):
            return False
        try:
            # Opened, because NFS then asks the server and does not answer from memory.
            with self._folder.entry(claim.id, claim.number).open("rb") as file:
                last_beat = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return False
        return self._clock.now() - last_beat < claim.lease

    def renew(self, claim: Entry) -> None:
        """Renew the lease of a claim.

        Raises:
            ClaimLost: somebody took over.
        """
        if self._folder.entry(claim.id, claim.number + 1).exists():
            raise ClaimLost(claim.id)
        os.utime(self._folder.entry(claim.id, claim.number))

    def finish(self, claim: Entry, state: State, **values: Any) -> Entry:
        """Record the end of one of our claims; the entry survives a loss of power.

        Args:
            values: reason, error and facts of the entry.

        Raises:
            ClaimLost: somebody took over: nothing is recorded.
        """
        entry = self._next(claim, state=state, losses=claim.losses, **values)
        if not self._append(entry):
            raise ClaimLost(claim.id)
        return entry

    def lose(self, claim: Entry, *, reason: str, error: str) -> Entry:
        """Record that our attempt ended without a result: the item waits, or has failed.

        Raises:
            ClaimLost: somebody took over.
        """
        losses = claim.losses + 1
        state: State = "failed" if losses >= self._attempts else "waiting"
        entry = self._next(claim, state=state, losses=losses, reason=reason, error=error)
        if not self._append(entry):
            raise ClaimLost(claim.id)
        return entry

    def retry(self, last: Entry) -> bool:
        """Let a settled item wait again, with all its attempts; False if another was faster."""
        return self._append(self._next(last, state="waiting", losses=0, reason="tried again"))

    def _successor(self, item: BatchItem, last: Entry | None) -> Entry:
        """Make the entry that claims an item for us, or that marks it as failed."""
        claim = Entry(id=item.id, number=1, state="claimed", digest=item.digest, lease=self.lease)
        if last is None or last.state in FINAL:  # new, or another row than the result's
            return self._next(replace(claim, number=last.number if last else 0), state="claimed")
        worker_died = last.state == "claimed"
        losses = last.losses + worker_died
        claim = replace(claim, number=last.number)
        if losses < self._attempts:
            return self._next(claim, state="claimed", losses=losses)
        where = last.worker.get("host", "?")
        job = f", job {last.worker['job']}" if last.worker.get("job") else ""
        return self._next(
            claim,
            state="failed",
            losses=losses,
            error="worker-lost",
            reason=f"Its worker died in each of {losses} attempts, the last one on {where}{job}. "
            "It may need more memory than a worker has.",
        )

    def _next(self, entry: Entry, *, state: State, **values: Any) -> Entry:
        cleared: dict[str, Any] = {"losses": 0, "reason": "", "error": "", "facts": {}}
        ours = {"worker": self.worker.to_json(), "lease": self.lease, "time": round(time.time(), 3)}
        return replace(entry, number=entry.number + 1, state=state, **cleared | ours | values)

    def _append(self, entry: Entry) -> bool:
        appended = link_exclusively(
            self._folder.entry(entry.id, entry.number),
            entry.to_json(),
            self.worker.name,
            durable=entry.state in FINAL,
        )
        if appended:
            self._journal.write(entry)
        return appended

    @staticmethod
    def read(path: Path, id: str, number: int, lease: float = 0.0) -> Entry | None:
        """Read the entry in a file, or return None if there is no such file.

        Args:
            lease: of a claim whose content was lost.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Entry.from_json(content)
        except ValueError:
            # Only claims are not synced: the machine lost power, and what the claim said with it.
            return Entry(id=id, number=number, state="claimed", digest="", lease=lease)

    def _read(self, id: str, number: int) -> Entry | None:
        return self.read(self._folder.entry(id, number), id, number, self.lease)

"""Measure a batch's progress from the journals, whoever works on it."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scenelift.batch.entry import FINAL, Entry, State, is_settled
from scenelift.batch.folder import BatchFolder
from scenelift.batch.items import BatchItem
from scenelift.batch.journal import JournalReader

__all__ = ["BatchProgress", "BatchReport"]

# The rate is that of the last minutes: models are loaded, and the start is forgotten.
RATE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """The state of a batch at the end of a run.

    Attributes:
        counts: items by state; "waiting" and "claimed" are left over.
        partial: items that are done but lack some of their objects.
        interrupted: whether the user stopped the run.
        seconds: that the run took.
        notes: what the user should be told.
    """

    counts: dict[State, int]
    partial: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def remaining(self) -> int:
        return self.counts["waiting"] + self.counts["claimed"]

    @property
    def exit_code(self) -> int:
        """Exit code, as `docs/batch.md` defines it."""
        if self.interrupted:
            return 130
        if self.counts["failed"] or self.partial or self.remaining:
            return 5
        return 3 if self.counts["nothing"] and not self.counts["done"] else 0


@dataclass(slots=True)
class BatchProgress:
    """The state of every item of a plan.

    Attributes:
        folder: of the batch.
        items: of the plan.
        counts: items by state.
        partial: items that are done but lack some of their objects.
        entries: newest entry of each item that has one.
    """

    folder: BatchFolder
    items: Sequence[BatchItem]
    counts: Counter[State] = field(default_factory=Counter[State])
    partial: int = 0
    _journals: JournalReader = field(init=False)
    _by_id: dict[str, BatchItem] = field(init=False)
    _states: dict[str, State] = field(default_factory=dict[str, State])
    _partial: set[str] = field(default_factory=set[str])
    _finished: deque[float] = field(default_factory=deque[float])

    def __post_init__(self) -> None:
        self._journals = JournalReader(self.folder.journals)
        self._by_id = {i.id: i for i in self.items}
        self.counts["waiting"] = len(self.items)

    @property
    def entries(self) -> dict[str, Entry]:
        return self._journals.entries

    @property
    def remaining(self) -> int:
        """Number of items without a result."""
        return self.counts["waiting"] + self.counts["claimed"]

    def refresh(self, on_entry: Callable[[Entry], None] | None = None) -> None:
        """Read what has happened since the last call.

        Args:
            on_entry: is called with every new entry of an item of the plan.
        """
        now = time.monotonic()

        def take(entry: Entry) -> None:
            item = self._by_id.get(entry.id)
            if item is None:
                return
            state = entry.state
            if state in FINAL and not is_settled(entry, item):
                state = "waiting"  # the result of another row of that name
            self.counts[self._states.get(entry.id, "waiting")] -= 1
            self.counts[state] += 1
            self._states[entry.id] = state
            (self._partial.add if entry.facts.get("failed") else self._partial.discard)(entry.id)
            if state in FINAL:
                self._finished.append(now)
            if on_entry and (state == entry.state):
                on_entry(entry)

        self._journals.refresh(take)
        self.partial = len(self._partial)

    def refresh_first(self) -> None:
        """Read what earlier runs did, which does not count for this run's speed."""
        self.refresh()
        self._finished.clear()

    def open_items(self) -> list[BatchItem]:
        """Yield the items that wait, in the plan's order."""
        return [i for i in self.items if self._states.get(i.id, "waiting") not in FINAL]

    @property
    def per_minute(self) -> float:
        """Items finished per minute lately; 0 while that is unknown."""
        now = time.monotonic()
        while self._finished and now - self._finished[0] > RATE_SECONDS:
            self._finished.popleft()
        if len(self._finished) < 2:
            return 0.0
        return 60 * (len(self._finished) - 1) / max(now - self._finished[0], 1e-3)

    def report(
        self, *, interrupted: bool = False, seconds: float = 0.0, notes: Sequence[str] = ()
    ) -> BatchReport:
        states: tuple[State, ...] = ("waiting", "claimed", "done", "nothing", "failed")
        return BatchReport(
            counts={state: self.counts[state] for state in states},
            partial=self.partial,
            interrupted=interrupted,
            seconds=seconds,
            notes=tuple(notes),
        )

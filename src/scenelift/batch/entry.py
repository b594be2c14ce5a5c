"""An entry of the ledger: what happened to an item, as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from scenelift.batch.items import BatchItem

__all__ = ["FINAL", "Entry", "State", "is_settled"]

State = Literal["waiting", "claimed", "done", "nothing", "failed"]
FINAL: frozenset[State] = frozenset({"done", "nothing", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What happened to an item.

    Attributes:
        id: the item.
        number: from 1; the last one counts.
        state: since this entry.
        digest: of the item's row then.
        losses: how many attempts ended without a result since the item was new or retried.
        lease: seconds after which a claim that was not renewed is lost.
        worker: who wrote it, as of `WorkerIdentity`.
        reason: why it failed or waits, for people.
        error: stable name of the kind of failure.
        time: when, in seconds since the epoch on the writer's clock; for people.
        facts: of a result: objects, seconds and so on.
    """

    id: str
    number: int
    state: State
    digest: str
    losses: int = 0
    lease: float = 0.0
    worker: dict[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    error: str = ""
    time: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> bytes:
        return (
            json.dumps(asdict(self), ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        )

    @classmethod
    def from_json(cls, line: bytes) -> Entry:
        """Read an entry from its line of JSON.

        Raises:
            ValueError: the line is not an entry.
        """
        try:
            entry = cls(**json.loads(line))
        except (TypeError, RecursionError) as exc:
            raise ValueError(f"not a ledger entry: {line[:80]!r}") from exc
        plain = isinstance(entry.id, str) and isinstance(entry.number, int)
        if not plain or not isinstance(entry.worker, dict) or not isinstance(entry.facts, dict):
            raise ValueError(f"not a ledger entry: {line[:80]!r}")
        if entry.state not in get_args(State):
            raise ValueError(f"unknown state {entry.state!r}")
        return entry


def is_settled(entry: Entry | None, item: BatchItem) -> bool:
    """Return whether this row of the batch has a result, so that nothing is left to do."""
    return entry is not None and entry.state in FINAL and entry.digest == item.digest

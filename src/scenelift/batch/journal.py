"""Journals: what each process appended to the ledger, for quick reading.

A journal has one writer, so plain appending is safe on any file system. A process that is killed
may leave half a line at its end, which readers leave alone: the entry itself is the truth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scenelift.batch.entry import Entry

__all__ = ["JournalReader", "JournalWriter"]

# A reader spends at most this share of its time on reading, however many journals there are.
READING_SHARE = 0.05


class JournalWriter:
    """Appends entries to one file, which is made with the first one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, entry: Entry) -> None:
        # Opened anew each time: on NFS, others see what was written once it is closed.
        with self._path.open("ab", buffering=0) as file:
            file.write(entry.to_json())


class JournalReader:
    """Reads the newest entry of every item from all journals.

    Args:
        folder: of the journals.
        keep_facts: keep what results say too; a million of them fill a gigabyte.

    Attributes:
        entries: id -> newest entry.
    """

    def __init__(self, folder: Path, *, keep_facts: bool = False) -> None:
        self._folder, self._keep_facts = folder, keep_facts
        self._offsets: dict[str, int] = {}
        self._next_reading = 0.0
        self.entries: dict[str, Entry] = {}

    def refresh(self, on_entry: Callable[[Entry], None] | None = None) -> None:
        """Read what was appended since the last call.

        Args:
            on_entry: is called with every entry that is newer than what was known.
        """
        start = time.monotonic()
        with os.scandir(self._folder) as files:
            names = sorted(file.name for file in files if file.name.endswith(".jsonl"))
        for name in names:
            self._refresh(name, on_entry)
        now = time.monotonic()
        self._next_reading = now + (now - start) / READING_SHARE

    def refresh_sparingly(self) -> None:
        """Call `refresh`, unless reading has taken too much time lately."""
        if time.monotonic() >= self._next_reading:
            self.refresh()

    def _refresh(self, name: str, on_entry: Callable[[Entry], None] | None) -> None:
        with (self._folder / name).open("rb") as file:
            file.seek(self._offsets.get(name, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offsets[name] = self._offsets.get(name, 0) + len(line)
                try:
                    entry = Entry.from_json(line)
                except ValueError:
                    continue  # garbage after a crash of the file server
                newest = self.entries.get(entry.id)
                if newest is None or newest.number < entry.number:
                    if on_entry:
                        on_entry(entry)
                    self.entries[entry.id] = entry if self._keep_facts else replace(entry, facts={})

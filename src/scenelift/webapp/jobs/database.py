"""The queue's SQLite file: its tables, connections and transactions."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from scenelift.webapp.errors import Conflict
from scenelift.webapp.models import State

__all__ = ["QueueFile"]

SCHEMA_VERSION = 1
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  owner      TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN {get_args(State)}),
  request    TEXT NOT NULL,
  selection  TEXT,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  created    REAL NOT NULL,
  started    REAL,
  finished   REAL,
  attempt    INTEGER NOT NULL DEFAULT 0,
  worker     TEXT,
  lease      REAL,
  claimed    REAL,
  cancel     REAL,
  deleting   INTEGER NOT NULL DEFAULT 0,
  stage      TEXT NOT NULL DEFAULT '',
  fraction   REAL NOT NULL DEFAULT 0,
  eta        REAL,
  objects    TEXT NOT NULL DEFAULT '[]',
  notes      TEXT NOT NULL DEFAULT '[]',
  error      TEXT,
  files      TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, number);
CREATE TABLE IF NOT EXISTS events (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  owner  TEXT NOT NULL,
  job    TEXT NOT NULL,
  time   REAL NOT NULL,
  data   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_owner ON events (owner, seq);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job);
CREATE TABLE IF NOT EXISTS workers (
  slot   INTEGER PRIMARY KEY,
  pid    INTEGER NOT NULL,
  seen   REAL NOT NULL,
  ready  INTEGER NOT NULL,
  memory INTEGER
);
CREATE TABLE IF NOT EXISTS timings (
  quality TEXT NOT NULL,
  stage   TEXT NOT NULL,
  typical REAL NOT NULL,
  total   REAL NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (quality, stage)
);
PRAGMA user_version = {SCHEMA_VERSION};
"""
BUSY_SECONDS = 30


class QueueFile:
    """Access to the queue's file, from any thread.

    Args:
        path: of the SQLite file; created where there is none. Not on a network file system.

    Raises:
        Conflict: the file is another version's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        with self.connection() as c:
            c.execute("PRAGMA journal_mode = WAL")
            version = c.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise Conflict(
                    f"{path} was written by another version (its format is {version}, this one "
                    f"reads {SCHEMA_VERSION}). Choose another data folder."
                )
            c.executescript(SCHEMA)

    def is_intact(self) -> bool:
        """SQLite's own check of the file."""
        with self.connection() as c:
            return c.execute("PRAGMA integrity_check").fetchone()[0] == "ok"

    def close(self) -> None:
        """Close every idle connection."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            # A job that was accepted survives a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
        try:
            yield connection
        except sqlite3.Error:
            connection.close()
            raise
        except BaseException:
            self._idle.put(connection)
            raise
        else:
            self._idle.put(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's changes or none."""
        with self.connection() as c:
            c.execute("BEGIN IMMEDIATE")
            try:
                yield c
                c.execute("COMMIT")
            except BaseException:
                if c.in_transaction:
                    c.execute("ROLLBACK")
                raise

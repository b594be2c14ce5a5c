"""The queue's SQLite file: its tables, connections and transactions."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from scenelift.webapp.errors import QueueTooNew
from scenelift.webapp.models import State

__all__ = ["QueueFile"]

# To be raised with every change of tables, and of what JSON in them holds; see MIGRATIONS.
SCHEMA_VERSION = 5
# The oldest version whose code can work on a file of this one: raise it when a change is more than
# a column with a default or a field that older code may show as unreadable.
OLDEST_READER = 2
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
  outages    INTEGER NOT NULL DEFAULT 0,
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
  files      TEXT NOT NULL DEFAULT '[]',
  task       TEXT NOT NULL DEFAULT 'lift',
  revision   INTEGER NOT NULL DEFAULT 0,
  taken      INTEGER NOT NULL DEFAULT 0,
  written    INTEGER NOT NULL DEFAULT 0,
  edit_error TEXT,
  export_error TEXT
);
CREATE TABLE IF NOT EXISTS edits (job TEXT PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS exports (
  number INTEGER PRIMARY KEY,
  job    TEXT NOT NULL,
  name   TEXT NOT NULL,
  UNIQUE (job, name)
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
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
STAMP = f"""
INSERT OR REPLACE INTO facts VALUES ('oldest_reader', {OLDEST_READER});
PRAGMA user_version = {SCHEMA_VERSION};
"""
# Of the table of jobs.
COLUMNS = frozenset(
    {
        *("number", "id", "owner", "state", "request", "selection", "width", "height", "created"),
        *("started", "finished", "attempt", "outages", "worker", "lease", "claimed", "cancel"),
        *("deleting", "stage", "fraction", "eta", "objects", "notes", "error", "files"),
        *("task", "revision", "taken", "written", "edit_error", "export_error"),
    }
)
# Version -> what makes the next one of it. New tables come with SCHEMA.
MIGRATIONS = {
    1: "ALTER TABLE jobs ADD COLUMN outages INTEGER NOT NULL DEFAULT 0",
    2: "",  # requests have all options side by side; those of before are read too
    3: "ALTER TABLE jobs ADD COLUMN task TEXT NOT NULL DEFAULT 'lift';"
    "ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN written INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN edit_error TEXT",
    4: "ALTER TABLE jobs ADD COLUMN export_error TEXT",
}
BUSY_SECONDS = 10


class QueueFile:
    """Access to the queue's file, from any thread.

    Args:
        path: of the SQLite file; created where there is none, and brought up to date where it is
            older. Not on a network file system.

    Raises:
        QueueTooNew: a later version wrote the file, which this one cannot work on.
        sqlite3.DatabaseError: it is damaged, or no file of this kind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        try:
            with self.connection() as c:
                c.execute("PRAGMA journal_mode = WAL")
                self._bring_up_to_date(c)
        except BaseException:
            self.close()
            raise

    def _bring_up_to_date(self, c: sqlite3.Connection) -> None:
        if _version(c) == SCHEMA_VERSION:
            return
        # In one transaction: a process that is killed leaves the old file or the new one.
        c.execute("BEGIN IMMEDIATE")
        version = _version(c)
        if version > SCHEMA_VERSION:
            c.execute("ROLLBACK")
            self._check_readable(c, version)
            return
        steps = [MIGRATIONS[v] for v in range(version, SCHEMA_VERSION)] if version else []
        for statement in ";".join([*steps, SCHEMA, STAMP]).split(";"):
            c.execute(statement)
        c.execute("COMMIT")

    def _check_readable(self, c: sqlite3.Connection, version: int) -> None:
        has_facts = c.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone()
        row = (
            has_facts
            and c.execute("SELECT value FROM facts WHERE name = 'oldest_reader'").fetchone()
        )
        if not row or row["value"] > SCHEMA_VERSION:
            raise QueueTooNew(
                f"{self._path} was written by another version of scenelift, a later one (its "
                f"format is {version}, this one knows {SCHEMA_VERSION}). Start that version again, "
                "or choose another --data."
            )

    def is_intact(self) -> bool:
        """Run SQLite's own check of the file, and check that it has every column that is used."""
        with self.connection() as c:
            if c.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                return False
            columns = {row["name"] for row in c.execute("PRAGMA table_info(jobs)")}
        return columns >= COLUMNS

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
        """Make all of the block's changes, or none."""
        with self.connection() as c:
            c.execute("BEGIN IMMEDIATE")
            try:
                yield c
                c.execute("COMMIT")
            except BaseException:
                if c.in_transaction:
                    c.execute("ROLLBACK")
                raise


def _version(c: sqlite3.Connection) -> int:
    return c.execute("PRAGMA user_version").fetchone()[0]

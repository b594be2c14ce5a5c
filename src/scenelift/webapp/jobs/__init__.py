"""The queue: one SQLite file that the server and its workers share.

Whoever is killed, and whenever, the file tells the truth:

- A job is claimed in one transaction, which counts the attempt: a job that kills its worker ends
  after a few attempts.
- A claim is a fence: every write of a worker names its claim, and does nothing once the job has
  been taken away from it.
- A worker holds a lock file while it lives. Who gets the lock knows that every job running in
  that slot is an orphan. The lease is for a worker that lives and does nothing.
- An event is written in the transaction of the change it tells of, and the numbers of events
  grow in the order of the transactions: a watcher that continues after a number misses nothing.
"""

from __future__ import annotations

from scenelift.webapp.jobs.owner_side import OwnerSide
from scenelift.webapp.jobs.rows import (
    Claim,
    EventRow,
    JobRow,
    Limits,
    NewJob,
    Progress,
    Task,
    new_job_id,
    unreadable,
)
from scenelift.webapp.jobs.server_side import ServerSide
from scenelift.webapp.jobs.worker_side import LeaseLost, WorkerSide

__all__ = [
    "Claim",
    "EventRow",
    "JobRow",
    "LeaseLost",
    "Limits",
    "NewJob",
    "Progress",
    "Queue",
    "Task",
    "new_job_id",
    "unreadable",
]


class Queue(OwnerSide, WorkerSide, ServerSide):
    """Joins all sides of the queue over one file; see `WorkerSide` for the arguments."""

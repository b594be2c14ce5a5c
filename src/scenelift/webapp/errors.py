"""Errors of the web interface itself, beside those of the package. All become problems."""

from __future__ import annotations

from typing import Any

from scenelift.errors import SceneliftError

__all__ = [
    "Conflict",
    "Forbidden",
    "NotAcceptable",
    "NotAllowedYet",
    "NotFound",
    "NotReady",
    "Outdated",
    "PreconditionMissing",
    "QueueBusy",
    "QueueTooNew",
    "StorageFull",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "UnreadableJob",
    "UnsupportedUpload",
    "WorkerFailed",
]


class NotFound(SceneliftError):
    """There is no such job, file or example, or it belongs to somebody else."""

    http_status = 404
    slug = "not-found"


class NotAcceptable(SceneliftError):
    """The scene was not written in a type that the client takes."""

    http_status = 406
    slug = "not-acceptable"


class Conflict(SceneliftError):
    """The job is not in a state that allows this."""

    http_status = 409
    slug = "conflict"


class Outdated(SceneliftError):
    """A change was made from an earlier state than the newest one."""

    http_status = 412
    slug = "outdated"


class PreconditionMissing(SceneliftError):
    """A change does not say which state it was made from."""

    http_status = 428
    slug = "precondition-missing"


class Unauthorized(SceneliftError):
    """The token is missing or wrong."""

    http_status = 401
    slug = "unauthorized"


class Forbidden(SceneliftError):
    """The request comes from a page or for a host that is not ours."""

    http_status = 403
    slug = "forbidden"


class TooLarge(SceneliftError):
    """The body exceeds what this server takes."""

    http_status = 413
    slug = "too-large"


class UnsupportedUpload(SceneliftError):
    """The body is not of the type that this call takes."""

    http_status = 415
    slug = "unsupported-upload"


class NotAllowedYet(SceneliftError):
    """A limit of time or number; trying again later helps.

    Attributes:
        retry_after: in seconds.
    """

    http_status = 429
    slug = "limit-reached"

    def __init__(self, message: str, retry_after: float = 10) -> None:
        self.retry_after = max(1, round(retry_after))
        super().__init__(message)

    def problem(self) -> dict[str, Any]:
        return super().problem() | {"retry_after": self.retry_after}


class TooManyRequests(NotAllowedYet):
    """Requests come faster than this server answers them."""

    slug = "too-many-requests"


class NotReady(NotAllowedYet):
    """The server is up and cannot take work at the moment."""

    http_status = 503
    slug = "not-ready"


class QueueBusy(NotAllowedYet):
    """Another process has held the queue's file for too long."""

    http_status = 503
    slug = "queue-busy"


class QueueTooNew(Conflict):
    """The queue's file was written by a later version, which this one cannot work on."""

    exit_code = 2
    slug = "queue-too-new"


class StorageFull(SceneliftError):
    """The disk has no room for another job."""

    http_status = 507
    slug = "storage-full"


class WorkerFailed(SceneliftError):
    """The worker was lost too often while it ran this job."""

    slug = "worker-failed"


class UnreadableJob(SceneliftError):
    """The queue holds a job that this version cannot read."""

    slug = "unreadable"

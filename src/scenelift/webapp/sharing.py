"""Read-only links to scenes: unguessable, revocable, expiring; only if the server allows them.

A link holds 256 random bits, of which the server keeps a digest alone: `shares/DIGEST.json` below
its data folder names the job, `share.json` in the job's folder the digest and when it ends. A link
lives while both agree, so it dies with its job, and with the next link that is made.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from scenelift.io.files import write_json
from scenelift.webapp.errors import NotFound
from scenelift.webapp.folders import DataFolder

__all__ = ["Share", "end_share", "make_share", "share_of", "shared_job"]

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A link that was made.

    Attributes:
        digest: of its secret.
        expires: in seconds since 1970.
    """

    digest: str
    expires: float


def make_share(data: DataFolder, job_id: str, seconds: float) -> tuple[str, Share]:
    """Make a link's secret for a job; an earlier link ends.

    Raises:
        OutputError: it cannot be stored.
    """
    end_share(data, job_id)
    secret = secrets.token_urlsafe(32)
    share = Share(digest=_digest(secret), expires=time.time() + seconds)
    data.shares.mkdir(exist_ok=True)
    write_json(_share_file(data, share.digest), {"job": job_id})
    write_json(data.job(job_id).share, asdict(share))
    return secret, share


def end_share(data: DataFolder, job_id: str) -> None:
    """End the link of a job, if it has one."""
    share = share_of(data, job_id)
    data.job(job_id).share.unlink(missing_ok=True)
    if share is not None:
        _share_file(data, share.digest).unlink(missing_ok=True)


def share_of(data: DataFolder, job_id: str) -> Share | None:
    """Return the link of a job that has not ended."""
    try:
        share = Share(**json.loads(data.job(job_id).share.read_bytes()))
        return share if time.time() < share.expires else None
    except (OSError, ValueError, TypeError):
        return None


def shared_job(data: DataFolder, secret: str) -> str:
    """Return the job that a link shows.

    Raises:
        NotFound: the link was never made, was revoked, or has ended.
    """
    if SECRET.fullmatch(secret):
        digest = _digest(secret)
        try:
            job_id = str(json.loads(_share_file(data, digest).read_bytes())["job"])
        except (OSError, ValueError, TypeError, KeyError):
            job_id = ""
        share = share_of(data, job_id) if re.fullmatch("[0-9a-f]{32}", job_id) else None
        if share is not None and secrets.compare_digest(share.digest, digest):
            return job_id
    raise NotFound("This link was revoked or has expired. Ask the sender for a new one.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _share_file(data: DataFolder, digest: str) -> Path:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("no digest")
    return data.shares / f"{digest}.json"

"""Fetches files from the Hugging Face hub and other hosts: pinned, resumed, checked.

The library behind it (`huggingface-hub`, part of the extra `full`) knows the hub's addresses,
redirects and sign-in; the partial file is ours, because the library begins a file anew in every
process, and the largest one here has 6.7 GB. A token is found by the library (`HF_TOKEN`,
`hf auth login`) and never seen by this code.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenelift.errors import SetupError, WeightsError, first_line

__all__ = [
    "HubFile",
    "HubRepository",
    "Repository",
    "WebFolder",
    "explain_errors",
    "fetch",
    "missing_bytes",
    "sha256_in_steps",
]

HASH_STEP = 16 * 2**20  # bytes between two looks at whether the user has stopped
INSTALL = "pip install 'scenelift[full]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository.

    Attributes:
        name: what it is called here, inside its model's folder.
        path: what it is called in the repository.
        size: bytes; None where it is not known beforehand.
        sha256: of its content, or the first digits of it, or "" where it is not known.
        needed: the model cannot run without it.
    """

    name: str
    path: str
    size: int | None = None
    sha256: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepository:
    """A repository on the hub, at one revision.

    Attributes:
        hub_id: owner/name on huggingface.co.
        revision: the commit that sizes and hashes belong to; "" where the user names it.
        gated: its publisher asks for a signed-in user who has accepted the licence.
    """

    hub_id: str
    revision: str
    gated: bool = False

    @property
    def name(self) -> str:
        return self.hub_id

    @property
    def url(self) -> str:
        """The page where a user reads about it."""
        return f"https://huggingface.co/{self.hub_id}"

    def address(self, path: str) -> str:
        """URL of a file."""
        from huggingface_hub import hf_hub_url

        # The library reads HF_ENDPOINT when it is imported, which may have been long ago.
        endpoint = os.environ.get("HF_ENDPOINT")
        return hf_hub_url(self.hub_id, path, revision=self.revision, endpoint=endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFolder:
    """Files on a publisher's own server. The user's token for the hub is not sent there.

    Attributes:
        base: address that a file's path is appended to.
        url: the page where a user reads about it.
    """

    base: str
    url: str

    @property
    def name(self) -> str:
        return self.base.partition("://")[2].rstrip("/")

    @property
    def revision(self) -> str:
        return "web"  # the content's hash is all that names a version

    @property
    def gated(self) -> bool:
        return False

    def address(self, path: str) -> str:
        """URL of a file."""
        return self.base + path


Repository = HubRepository | WebFolder


def missing_bytes(file: HubFile, repository: Repository, folder: Path) -> int:
    """Count the bytes of a file that are not downloaded yet, as far as its size is known."""
    if (folder / file.name).is_file():
        return 0
    partial = _partial(file, repository, folder)
    here = partial.stat().st_size if partial.is_file() else 0
    return max((file.size or 0) - here, 0)


def fetch(
    file: HubFile,
    repository: Repository,
    folder: Path,
    on_bytes: Callable[[int], None],
    check: Callable[[], None],
) -> str:
    """Fetch one file, resuming an earlier attempt.

    Args:
        file: which one.
        repository: where it is.
        folder: where it goes; made where it does not exist.
        on_bytes: called with the size of each piece that has arrived (negative when the server
            begins anew); may raise Cancelled.
        check: called between steps of hashing; may raise Cancelled.

    Returns:
        SHA-256 of the content; "" where the repository has no such file and it is not needed.

    Raises:
        SetupError: huggingface-hub is not installed.
        WeightsError: no network, no access, no space, or the file is not the one we know.
        Cancelled: from the callbacks. What has arrived is kept for the next attempt.
    """
    try:
        from huggingface_hub import get_hf_file_metadata
        from huggingface_hub.errors import RemoteEntryNotFoundError
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers
    except ImportError as exc:
        raise SetupError(
            f"Fetching {repository.name} needs the package huggingface-hub: {INSTALL}"
        ) from exc

    check()
    url = repository.address(file.path)
    token = None if isinstance(repository, HubRepository) else False
    partial = _partial(file, repository, folder)
    with explain_errors(repository, file.path, folder):
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            metadata = get_hf_file_metadata(url, token=token)
            if isinstance(repository, WebFolder) and metadata.location != url:
                # The library follows redirects of the hub; a release's file lies on another host.
                metadata = get_hf_file_metadata(metadata.location, token=False)
            size = metadata.size
        except RemoteEntryNotFoundError:
            if file.needed:
                raise
            return ""
        if file.size is not None and size != file.size:
            raise WeightsError(
                f"{file.path} of {repository.name} has {size} bytes on the hub instead of "
                f"{file.size}: it is not the file that this version of scenelift knows."
            )
        with partial.open("ab") as out:
            http_get(
                url,
                out,
                resume_size=out.tell(),
                headers=build_hf_headers(token=token) | {"Accept-Encoding": "identity"},
                expected_size=size,
                displayed_filename=file.name,
                tqdm_class=_counter(on_bytes),
            )
        digest = sha256_in_steps(partial, check)
    if not digest.startswith(file.sha256):
        partial.unlink()
        raise WeightsError(
            f"{file.path} of {repository.name} arrived with SHA-256 {digest} instead of "
            f"{file.sha256}…, and was deleted. Run the same command again; if it happens again, "
            f"something between here and {repository.url} changes files."
        )
    partial.replace(folder / file.name)
    return digest


def sha256_in_steps(path: Path, check: Callable[[], None]) -> str:
    """Compute a file's SHA-256 as lower-case hex, calling `check` every few megabytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while step := file.read(HASH_STEP):
            digest.update(step)
            check()
    return digest.hexdigest()


def _partial(file: HubFile, repository: Repository, folder: Path) -> Path:
    """Return the path of a partial download; named by version, so that two are never mixed."""
    return folder / f"{file.name}.{repository.revision[:12]}.part"


def _counter(on_bytes: Callable[[int], None]) -> type[Any]:
    """Build a progress bar for the hub's library that draws nothing and reports to us."""
    from tqdm import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            on_bytes(int(n or 0))

    return Counter


@contextmanager
def explain_errors(repository: Repository, what: str, folder: Path | None = None) -> Iterator[None]:
    """Context: turn errors of the library and the disk into advice for the user.

    Args:
        repository: that is asked.
        what: is asked for.
        folder: where it goes, if anywhere.

    Raises:
        WeightsError: in place of theirs.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage] httpx's or httpx2's, as it uses
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RevisionNotFoundError as exc:
        raise WeightsError(
            f"{repository.url} has no revision {repository.revision!r}, or no longer. A newer "
            "version of scenelift may know another."
        ) from exc
    except RemoteEntryNotFoundError as exc:
        raise WeightsError(
            f"{repository.url} no longer has {what} at revision {repository.revision}. "
            "A newer version of scenelift may know where it went."
        ) from exc
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        # The hub answers 401 for a repository that it does not want to say anything about.
        if status in (401, 403, 404):
            raise WeightsError(_refused(repository, status)) from exc
        raise WeightsError(
            f"The hub answered {status} for {repository.name}, {what}. Try again later: what has "
            "arrived is kept."
        ) from exc
    except (HTTPError, OfflineModeIsEnabled, ConnectionError) as exc:
        raise WeightsError(
            f"{repository.url} cannot be reached from here ({first_line(exc, 120)}). What has "
            "arrived is kept, and running the same command again goes on."
        ) from exc
    except OSError as exc:
        if folder is None:
            raise WeightsError(f"{repository.url}, {what}: {first_line(exc, 120)}.") from exc
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "The disk is full: free some space and run again, what has arrived is kept."
        elif exc.errno is None:  # the library's own: a length that does not fit
            advice = "Run the same command again: it goes on where this one stopped."
        else:
            advice = "Choose another folder with --weights or the variable SCENELIFT_HOME."
        name = what.rpartition("/")[2]
        raise WeightsError(f"Cannot store {name} in {folder}: {exc}. {advice}") from exc


def _refused(repository: Repository, status: int) -> str:
    signed_in = _signed_in()
    if not repository.gated:
        return f"The hub refused {repository.name} ({status}). See {repository.url}."
    steps = [
        f"ask for access at {repository.url} (its publisher wants you to accept its licence)",
        "wait until it is granted",
    ]
    if not signed_in:
        steps.append("sign in with `hf auth login`, or set the variable HF_TOKEN")
    signed = "a token was sent" if signed_in else "this machine is not signed in"
    return (
        f"The hub refused {repository.name} ({status}; {signed}), which is gated. "
        f"What to do: {'; '.join(steps)}; then run the same command again."
    )


def _signed_in() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None

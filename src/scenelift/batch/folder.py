"""The folder of a batch: the paths in it, and how results move there.

OUT/scenes/ID/                  results, as `scenelift run` writes them
OUT/batch.json                  settings of the latest run, and its plan
OUT/.batch/plans/DIGEST.jsonl   items; never changed
OUT/.batch/ledger/3f/ID.N       entries; never changed
OUT/.batch/journals/WORKER.jsonl
OUT/.batch/work/ID.N/           what claim N is writing
OUT/.batch/thumbs/3f/ID.jpg     pictures for the summary
OUT/.batch/logs/
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scenelift.batch.identity import CLOCK_PREFIX
from scenelift.errors import InputError, OutputError
from scenelift.io.files import TEMPORARY_PREFIX, prepare_output_folder, write_bytes

__all__ = ["BatchFolder", "link_exclusively", "shard"]

# Locks and leftovers that a run keeps in its folder; a claim is the lock here.
RUN_FOLDER = ".scenelift"
CLOCK_LEFT_SECONDS = 3600.0
# What a batch writes right into its folder.
_RESULT = re.compile(r"batch\.json|(items|objects)\.(csv|parquet)|(summary|index).*\.html")


def shard(id: str) -> str:
    """Return the name of an item's shard, one of 256 folders, so that none grows too large."""
    return hashlib.sha256(id.encode()).hexdigest()[:2]


@dataclass(frozen=True, slots=True)
class BatchFolder:
    """Paths below a batch's output folder, and the few moves between them."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / ".batch"

    @property
    def settings(self) -> Path:
        return self.root / "batch.json"

    @property
    def journals(self) -> Path:
        return self.state / "journals"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def entry(self, id: str, number: int) -> Path:
        return self.state / "ledger" / shard(id) / f"{id}.{number}"

    def scene(self, id: str) -> Path:
        return self.root / "scenes" / id

    def scenes(self) -> set[str]:
        """List the items that have a scene."""
        try:
            return {scene.name for scene in (self.root / "scenes").iterdir()}
        except FileNotFoundError:
            return set()

    def has_manifest(self, id: str) -> bool:
        """Return whether an item's `scene.json` is there and is JSON; other files may be pruned."""
        try:
            return isinstance(json.loads((self.scene(id) / "scene.json").read_bytes()), dict)
        except (OSError, ValueError, RecursionError):
            return False

    def work(self, id: str, number: int) -> Path:
        return self.state / "work" / f"{id}.{number}"

    def thumbnail(self, id: str) -> Path:
        return self.state / "thumbs" / shard(id) / f"{id}.jpg"

    def prepare(self) -> None:
        """Make the folders and prove that they can be written.

        Raises:
            OutputError: they cannot.
        """
        # Not the whole tree: cleaning up below would look at every file of every scene.
        prepare_output_folder(self.state / "probe")
        for clock in self.state.glob(f"{CLOCK_PREFIX}*"):
            with suppress(FileNotFoundError):  # of a worker that was killed while it looked
                if time.time() - clock.stat().st_mtime > CLOCK_LEFT_SECONDS:
                    clock.unlink()
        for folder in (self.journals, self.logs, self.state / "work", self.root / "scenes"):
            folder.mkdir(parents=True, exist_ok=True)

    def keep_plan(self, plan: bytes) -> str:
        """Store a plan under its digest and return its name."""
        name = hashlib.sha256(plan).hexdigest()[:16]
        path = self.plan(name)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, plan)
        return name

    def plan(self, name: str) -> Path:
        return self.state / "plans" / f"{name}.jsonl"

    def open_work(self, id: str, number: int, *, after_crash: bool) -> Path:
        """Make the working folder of a new claim, with what earlier attempts at the item left.

        Args:
            after_crash: the claim follows one whose worker died, maybe after it had published.
        """
        work = self.work(id, number)
        earlier = [self.work(id, n) for n in range(number - 1, 0, -1)]
        self._discard_replaced(id, number)
        for source in [*earlier, *([self.scene(id)] if after_crash else [])]:
            with suppress(FileNotFoundError):
                source.rename(work)
                # A lock of the process that died, on file systems without real ones.
                (work / RUN_FOLDER / "lock").unlink(missing_ok=True)
                break
        work.mkdir(exist_ok=True)
        return work

    def publish(self, id: str, number: int) -> None:
        """Make the claim's folder the item's scene, in place of an older one."""
        work, scene = self.work(id, number), self.scene(id)
        shutil.rmtree(work / RUN_FOLDER, ignore_errors=True)
        old = _replaced(work)
        with suppress(FileNotFoundError):
            scene.rename(old)
        work.rename(scene)
        shutil.rmtree(old, ignore_errors=True)

    def discard_work(self, id: str, number: int) -> None:
        shutil.rmtree(self.work(id, number), ignore_errors=True)
        self._discard_replaced(id, number + 1)

    def check_inputs(self, inputs: Iterable[Path]) -> None:
        """Refuse a batch that would replace what it is made from.

        Args:
            inputs: absolute paths of photos and manifest.

        Raises:
            InputError: one of them lies in this folder where results go.
        """
        inside = self.root.resolve()
        real: dict[str, Path] = {}
        for source in inputs:
            place = os.path.dirname(source)  # noqa: PTH120  of a hundred thousand photos
            if place not in real:
                real[place] = Path(place).resolve()
            if not real[place].is_relative_to(inside):
                continue
            parts = (real[place] / source.name).relative_to(inside).parts
            if parts[0] in (".batch", "scenes") or (
                len(parts) == 1 and _RESULT.fullmatch(parts[0])
            ):
                raise InputError(
                    f"{source} would be replaced: {self.root} holds the results of the batch, and "
                    "has files of that name. Choose another --out."
                )

    def _discard_replaced(self, id: str, number: int) -> None:
        """Remove scenes that earlier claims were about to replace when their workers died."""
        for n in range(1, number):
            shutil.rmtree(_replaced(self.work(id, n)), ignore_errors=True)


def _replaced(work: Path) -> Path:
    return work.with_name(f"{work.name}.old")


def _sync_folder(folder: Path) -> None:
    """Make the folder's new names survive a loss of power, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def link_exclusively(path: Path, content: bytes, writer: str, *, durable: bool) -> bool:
    """Make a file with this content, whole or not at all; False where the name is taken.

    Of several processes that try, on however many machines, exactly one succeeds.

    Args:
        writer: a name that no other process uses.
        durable: wait until the content survives a loss of power.

    Raises:
        OutputError: the file system is full, read-only, or has no hard links.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{writer}-{threading.get_ident()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        try:
            os.link(temporary, path)
            if durable:
                _sync_folder(path.parent)
        except FileExistsError:
            # An NFS server whose answer was lost is asked again, and then finds our own link.
            return temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise OutputError(
            f"Cannot write {path}: {exc.strerror or exc}. A batch needs a writable file system "
            "with hard links, as local disks, NFS, Lustre and GPFS have; choose another --out."
        ) from exc
    return True

"""Write files of an output folder in threads, while other work goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from scenelift.errors import FormatError, SetupError
from scenelift.io.digests import digests_of_writes
from scenelift.io.files import sha256_of
from scenelift.output.manifest import FileModel
from scenelift.progress import Reporter
from scenelift.threads import core_count

__all__ = ["Writers"]

MOST = 8  # files at a time: what they are made of is in memory meanwhile
AHEAD = 2  # more, which are asked for last and are waited for


class Writers:
    """Threads that write files below a folder, as a context; an error in it stops them.

    What they wrote is listed in the order in which it was asked for, whoever was first.

    Args:
        folder: exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(min(MOST, core_count()), thread_name_prefix="write")
        self._ahead = ThreadPoolExecutor(AHEAD, thread_name_prefix="write")
        self._pending: list[tuple[str, Future[list[FileModel]], bool]] = []

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in (self._pool, self._ahead):
            pool.shutdown(cancel_futures=True)

    def put(
        self,
        name: str,
        write: Callable[[Path], Iterable[Path] | None],
        *,
        optional: bool = False,
        at_once: bool = False,
    ) -> str:
        """Start writing a file.

        Args:
            name: of the file, below the folder.
            write: writes it; where that takes further files, it returns all of them.
            optional: whether the scene can do without it, if what writes it says that something is
                missing here (`SetupError`) or that there is nothing to write (`FormatError`).
            at_once: do not wait for those that were asked for before.

        Returns:
            The name.
        """
        pool = self._ahead if at_once else self._pool
        self._pending.append((name, pool.submit(self._write, name, write), optional))
        return name

    def finish(self, report: Reporter) -> tuple[list[FileModel], dict[str, str]]:
        """Wait until all files are written.

        Args:
            report: told of every file; raises Cancelled between them.

        Returns:
            What was written, and why of optional files some were not.

        Raises:
            OutputError: a file cannot be written.
        """
        files: dict[str, FileModel] = {}  # several formats may share a file
        skipped: dict[str, str] = {}
        for number, (name, future, optional) in enumerate(self._pending):
            report.update(number, len(self._pending), name)
            try:
                files |= {file.path: file for file in future.result()}
            except (SetupError, FormatError) as exc:
                if not optional:
                    raise
                skipped[name] = str(exc)
        return list(files.values()), skipped

    def _write(self, name: str, write: Callable[[Path], Iterable[Path] | None]) -> list[FileModel]:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with digests_of_writes() as digests:
            paths = write(path) or [path]
        return [
            FileModel(
                path=each.relative_to(self._folder).as_posix(),
                bytes=each.stat().st_size,
                sha256=digests.get(each) or sha256_of(each),
            )
            for each in paths
        ]

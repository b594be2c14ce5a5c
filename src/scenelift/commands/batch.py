"""`scenelift batch`: many photos, on this machine or on a cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenelift.commands import inputs
from scenelift.commands import slurm as sl
from scenelift.commands.batch_display import show_progress, summarise
from scenelift.commands.parameters import takes_options
from scenelift.commands.shell import print_json, problems
from scenelift.options import Options

if TYPE_CHECKING:
    from scenelift.batch.folder import BatchFolder
    from scenelift.batch.run import Executor
    from scenelift.batch.settings import BatchSettings
    from scenelift.batch.slurm import SlurmOptions
    from scenelift.progress import CancelToken

__all__ = ["batch"]

EXECUTORS = ("local", "dask", "slurm")


@takes_options("batch")
def batch(
    options: dict[str, Any],
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="MANIFEST|FOLDER", help="CSV, JSONL, or a folder of photos."),
    ] = None,
    out: inputs.OutOption = Path("out"),
    encoding: Annotated[
        str,
        typer.Option("--encoding", help="Of a manifest that is not UTF-8: gb18030, cp932, cp1250…"),
    ] = "",
    join: Annotated[
        Path | None,
        typer.Option("--join", help="Work along on the batch in this folder, as it was begun."),
    ] = None,
    on: Annotated[str, typer.Option("--on", help="local, dask or slurm.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Workers (one for each --device, or 1)."),
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Check, count and sum up; run nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before.")
    ] = False,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Tries before an item that kills fails.")
    ] = 3,
    lease: Annotated[
        float, typer.Option("--lease", min=1, help="Seconds a worker may be silent.")
    ] = 120.0,
    item_seconds: Annotated[
        float, typer.Option("--item-seconds", min=1, help="Longest time for one try.")
    ] = 3600.0,
    own_pipeline: Annotated[
        str,
        typer.Option("--pipeline", help="module:function that builds a pipeline of your own."),
    ] = "",
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="One worker each: auto, cpu, cuda:0. Repeatable."),
    ] = None,
    scheduler: Annotated[str, typer.Option("--scheduler", help="Of Dask: tcp://host:8786.")] = "",
    dask_slurm: Annotated[
        bool, typer.Option("--slurm", help="Of Dask: workers are SLURM jobs, as many as needed.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Of SLURM: wait, or submit and return.")
    ] = True,
    partition: sl.PartitionOption = "",
    gres: sl.GresOption = "",
    mem: sl.MemOption = "",
    cpus_per_task: sl.CpusOption = None,
    time_limit: sl.TimeOption = "",
    account: sl.AccountOption = "",
    qos: sl.QosOption = "",
    constraint: sl.ConstraintOption = "",
    container: sl.ContainerOption = "",
    json: inputs.JsonOption = False,
) -> None:
    """Lift objects out of many photos; a stopped batch resumes where it was.

    Every row is checked before the first model is loaded. Results are in OUT/scenes, a page about
    them in OUT/index.html, figures in OUT/items.csv and OUT/objects.parquet.

    Example: scenelift batch photos.csv --prompt chair --out out --workers 2
    """
    with problems(json), _stoppable() as token:
        from scenelift.batch.folder import BatchFolder
        from scenelift.batch.items import read_plan
        from scenelift.batch.manifest import read_items
        from scenelift.batch.progress import BatchProgress
        from scenelift.batch.run import begin_batch, conclude, retry_missing, watch
        from scenelift.batch.run import retry_failed as let_wait_again
        from scenelift.batch.settings import BatchSettings, read_settings
        from scenelift.batch.slurm import SlurmOptions
        from scenelift.errors import InputError

        if on not in EXECUTORS:
            raise InputError(f"--on {on!r} is not one of {', '.join(EXECUTORS)}.")
        if (manifest is None) == (join is None):
            raise InputError(
                "Give a manifest (CSV, JSONL or a folder of photos), or --join and the folder of "
                "a batch that was begun; not both."
            )
        slurm_options = SlurmOptions(
            partition=partition,
            gres=gres,
            mem=mem,
            cpus_per_task=cpus_per_task,
            time=time_limit,
            account=account,
            qos=qos,
            constraint=constraint,
            container=container,
        )
        if join is not None:
            folder = BatchFolder(join.absolute())
            settings, plan = read_settings(folder)
            items = list(read_plan(folder.plan(plan)))
        else:
            assert manifest is not None
            weights = options["weights"]
            run_options = Options.from_plain(
                options
                | {
                    "device": device[0] if device else None,
                    "weights": weights.absolute() if weights else None,
                }
            )
            inputs.check_backends(run_options)
            settings = BatchSettings(
                options=run_options,
                pipeline=own_pipeline,
                attempts=attempts,
                lease_seconds=lease,
                item_seconds=item_seconds,
            )
            BatchFolder(out.absolute()).check_inputs([manifest.absolute()])
            notes: list[str] = []
            items = read_items(manifest, run_options, notes=notes, encoding=encoding)
            for note in notes:
                typer.echo(note, err=True)
            _check_quality(settings, on)
            folder, plan = begin_batch(items, out, settings)
        progress = BatchProgress(folder, items)
        if retry_failed:
            retried = let_wait_again(progress)
            if not json:
                typer.echo(f"{retried} failed items wait again.", err=True)
        progress.refresh_first()
        missing = 0 if status else retry_missing(progress)
        if missing and not json:
            typer.echo(
                f"{missing} scenes are gone or damaged in {folder.root / 'scenes'}: made again.",
                err=True,
            )
        if status or not progress.remaining:
            report = conclude(folder, items, progress.report())
        else:
            executor = _executor(
                on,
                folder,
                plan,
                settings,
                workers=workers or len(device or []) or 1,
                devices=device or [],
                scheduler=scheduler,
                dask_slurm=dask_slurm,
                slurm_options=slurm_options,
            )
            if on == "slurm" and not wait:
                executor.tick(progress)
                typer.echo(f"Submitted {executor.name}. See how far it is:")
                typer.echo(f"scenelift batch --join {folder.root} --status")
                return
            with show_progress(progress, executor, quiet=json) as (on_entry, on_tick):
                report = watch(progress, executor, on_entry=on_entry, on_tick=on_tick, token=token)
            report = conclude(folder, items, report)
    if json:
        print_json(asdict(report) | {"left": report.remaining, "out": str(folder.root)})
    else:
        summarise(report, folder)
    # Counting is no run: what failed before is no failure of it.
    if report.exit_code and not status:
        raise typer.Exit(report.exit_code)


def _check_quality(settings: BatchSettings, on: str) -> None:
    """Refuse a misspelt quality; whether it can run is checked on the workers' machines."""
    from scenelift.errors import BackendUnavailable
    from scenelift.qualities import QUALITIES, choose_backends

    if settings.pipeline:
        return
    backends = settings.options.backends
    if backends.quality not in ("auto", *QUALITIES):
        raise BackendUnavailable(
            "quality",
            backends.quality,
            reason="there is no quality of that name",
            choices=("auto", *QUALITIES),
        )
    if on == "local":
        choose_backends(options=settings.options.models, **asdict(backends))


def _executor(
    on: str,
    folder: BatchFolder,
    plan: str,
    settings: BatchSettings,
    *,
    workers: int,
    devices: list[str],
    scheduler: str,
    dask_slurm: bool,
    slurm_options: SlurmOptions,
) -> Executor:
    if on == "slurm":
        from scenelift.batch.on_slurm import SlurmArray

        return SlurmArray(folder, slurm_options, workers=workers)
    if on == "dask":
        from scenelift.batch.on_dask import DaskWorkers

        return DaskWorkers(
            folder,
            settings,
            scheduler=scheduler,
            slurm=slurm_options if dask_slurm else None,
            workers=workers,
        )
    from scenelift.batch.on_local import LocalWorkers
    from scenelift.batch.on_slurm import task_share

    start, span = task_share()
    return LocalWorkers(folder, plan, workers=workers, devices=devices, start=start, span=span)


@contextmanager
def _stoppable() -> Iterator[CancelToken]:
    """Make Ctrl-C and SIGTERM ask workers to give items back, and a second Ctrl-C end them."""
    from scenelift.progress import CancelToken

    token = CancelToken()

    def stop(signum: int, frame: object) -> None:
        if token.cancelled and signum == signal.SIGINT:
            raise KeyboardInterrupt
        token.cancel()
        typer.echo("Stopping; press Ctrl-C again to stop at once.", err=True)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`scenelift slurm`: write and submit job scripts from flags, so that nobody edits one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from scenelift.batch.slurm import SlurmOptions
from scenelift.commands.shell import problems

__all__ = [
    "AccountOption",
    "ConstraintOption",
    "ContainerOption",
    "CpusOption",
    "GresOption",
    "MemOption",
    "PartitionOption",
    "QosOption",
    "TimeOption",
    "app",
]

app = typer.Typer(no_args_is_help=True, help="Run the web app or a batch as SLURM jobs.")

PartitionOption = Annotated[str, typer.Option("--partition", help="Of SLURM: queue to wait in.")]
GresOption = Annotated[str, typer.Option("--gres", help="Of SLURM: gpu:1, gpu:h100:1.")]
MemOption = Annotated[str, typer.Option("--mem", help="Of SLURM: memory, such as 64G.")]
CpusOption = Annotated[
    int | None, typer.Option("--cpus-per-task", min=1, help="Of SLURM: cores a worker.")
]
TimeOption = Annotated[str, typer.Option("--time", help="Of SLURM: limit, such as 08:00:00.")]
AccountOption = Annotated[str, typer.Option("--account", help="Of SLURM: account to charge.")]
QosOption = Annotated[str, typer.Option("--qos", help="Of SLURM: quality of service.")]
ConstraintOption = Annotated[str, typer.Option("--constraint", help="Of SLURM: node features.")]
ContainerOption = Annotated[
    str, typer.Option("--container", help="Apptainer image to run in, in place of this Python.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the job script and submit nothing.")
]
BindOption = Annotated[
    list[Path] | None,
    typer.Option("--bind", help="Folder to make visible inside the container. Repeatable."),
]

POLL_SECONDS = 0.5


@app.command()
def web(
    partition: PartitionOption = "",
    gres: GresOption = "",
    mem: MemOption = "",
    cpus_per_task: CpusOption = None,
    time_limit: TimeOption = "",
    account: AccountOption = "",
    qos: QosOption = "",
    constraint: ConstraintOption = "",
    container: ContainerOption = "",
    bind: BindOption = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of queue and jobs, on a disk of the node."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder with weights, in place of the cache.")
    ] = None,
    quality: Annotated[
        str, typer.Option("--quality", help="Quality of jobs that do not name one (auto).")
    ] = "",
    local_port: Annotated[
        int, typer.Option("--local-port", min=1, max=65535, help="Port on your own machine.")
    ] = 8000,
    login: Annotated[
        str, typer.Option("--login", help="Machine that ssh reaches from outside (this one).")
    ] = "",
    state: Annotated[
        Path | None,
        typer.Option("--state", help="Where token and ssh line go; shared with the nodes."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the job and show its ssh line.")
    ] = True,
    dry_run: DryRunOption = False,
) -> None:
    """Run the web app as a job, and say how to reach it through ssh.

    Example: scenelift slurm web --partition gpu --gres gpu:1 --mem 64G --time 08:00:00
    """
    with problems(as_json=False):
        from scenelift.batch import slurm
        from scenelift.batch.on_slurm import container_command

        options = SlurmOptions(
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
        serve = ["--weights", str(weights.absolute())] if weights else []
        serve += ["--quality", quality] if quality else []
        folders = [p.absolute() for p in (*(bind or []), weights, data) if p]
        place = (state or Path.home() / ".local" / "state" / "scenelift").absolute()
        variables: dict[str, str | list[str]] = {
            "PYTHON": container_command(options, binds=[*folders, place]),
            "STATE": str(place),
            "LOCAL_PORT": str(local_port),
            "SERVE": serve,
        }
        variables |= {"DATA": str(data.absolute())} if data else {}
        variables |= {"LOGIN": login} if login else {}
        text = slurm.render(slurm.script("webapp"), options.directives(), variables)
        if dry_run:
            typer.echo(text, nl=False)
            return
        job = slurm.submit(text)
        tunnel = place / f"web-{job}" / "tunnel"
        typer.echo(f"Submitted job {job}; end it with: scancel {job}")
        if wait and not _appears(tunnel, lambda: slurm.running_jobs(job) > 0):
            typer.echo(f"Job {job} ended before it served; see its log scenelift-web-{job}.log")
            raise typer.Exit(4)
        if wait:
            typer.echo(f"On your own machine:   {tunnel.read_text().strip()}")
            typer.echo(f"then open              http://localhost:{local_port}")
            typer.echo(f"and give it the token in {tunnel.with_name('token')}")
        else:
            typer.echo(f"The ssh line that reaches it will be in {tunnel}")


@app.command()
def batch(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a batch.")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Tasks of the array.")] = 1,
    partition: PartitionOption = "",
    gres: GresOption = "",
    mem: MemOption = "",
    cpus_per_task: CpusOption = None,
    time_limit: TimeOption = "",
    account: AccountOption = "",
    qos: QosOption = "",
    constraint: ConstraintOption = "",
    container: ContainerOption = "",
    dry_run: DryRunOption = False,
) -> None:
    """Submit an array job that joins a batch that was begun, and return at once.

    `scenelift batch MANIFEST --out OUT --status` begins one without running anything.

    Example: scenelift slurm batch out --workers 8 --partition gpu --gres gpu:1 --time 08:00:00
    """
    with problems(as_json=False):
        from scenelift.batch import slurm
        from scenelift.batch.folder import BatchFolder
        from scenelift.batch.on_slurm import array_script
        from scenelift.batch.settings import read_settings

        folder = BatchFolder(out.absolute())
        read_settings(folder)
        options = SlurmOptions(
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
        text = array_script(folder, options, workers=workers)
        if dry_run:
            typer.echo(text, nl=False)
            return
        typer.echo(f"Submitted job {slurm.submit(text)}; see how far it is: ", nl=False)
        typer.echo(f"scenelift batch --join {out} --status")


def _appears(path: Path, alive: Callable[[], bool]) -> bool:
    """Wait for a file; return False if no job is left that could write it."""
    while not path.exists():
        if not alive():
            return path.exists()
        time.sleep(POLL_SECONDS)
    return True

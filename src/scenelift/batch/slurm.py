"""Talk to SLURM by its commands: fill in job scripts, submit, query and cancel jobs.

Scripts are the files in `scripts/`, which run as they are; flags add `#SBATCH` lines and variables.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

from scenelift.errors import BackendUnavailable, InputError, SetupError

__all__ = [
    "SlurmOptions",
    "cancel",
    "check_path",
    "render",
    "running_jobs",
    "script",
    "seconds_of",
    "submit",
]

# What sbatch takes for these options; a line break would smuggle in another directive.
VALUE = re.compile(r"[A-Za-z0-9_.,:/@%+=&|*!\[\]()-]+")
PLAIN_PATH = re.compile(r"[\w./+=@-]+", re.ASCII)
DIRECTIVE = re.compile(r"#SBATCH\s+--([a-z-]+)")
COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """What a job asks SLURM for; the names are those of sbatch.

    Attributes:
        partition: queue to wait in.
        gres: generic resources: "gpu:1", "gpu:h100:1".
        mem: memory of a node: "64G".
        cpus_per_task: cores.
        time: limit: "08:00:00", or minutes.
        account: to charge.
        qos: quality of service.
        constraint: features of nodes.
        container: Apptainer image to run in; "" for this installation.
    """

    partition: str = ""
    gres: str = ""
    mem: str = ""
    cpus_per_task: int | None = None
    time: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    container: str = ""

    def directives(self) -> dict[str, str]:
        """Return the sbatch options that are set.

        Raises:
            InputError: a value cannot be one.
        """
        values: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            name = field.name.replace("_", "-")
            if not value or name == "container":
                continue
            if not VALUE.fullmatch(str(value)):
                raise InputError(f"--{name} {str(value)!r} is not a value that sbatch accepts.")
            values[name] = str(value)
        return values


def script(name: str) -> str:
    """Read a job script that comes with scenelift: "build", "webapp" or "batch"."""
    path = files("scenelift.batch").joinpath("scripts", f"{name}.sbatch")
    return path.read_text(encoding="utf-8")


def render(
    text: str, directives: Mapping[str, str], variables: Mapping[str, str | Sequence[str]]
) -> str:
    """Fill these options and variables into a job script.

    Args:
        text: the script as it comes; its own lines for the same options go.
        directives: option of sbatch -> value.
        variables: of the shell -> value, or values of an array; set before the script's commands.

    Raises:
        InputError: a value cannot be written so that SLURM and the shell read it as it is.
    """
    unchanged = [
        line
        for line in text.splitlines()
        if not ((match := DIRECTIVE.match(line)) and match[1] in directives)
    ]
    first = next(k for k, line in enumerate(unchanged) if not line.startswith("#"))
    head = [unchanged[0], *(f"#SBATCH --{n}={_directive(n, v)}" for n, v in directives.items())]
    values = [f"{name}={_quoted(value)}" for name, value in variables.items()]
    return "\n".join([*head, *unchanged[1:first], "", *values, *unchanged[first:]]) + "\n"


def submit(text: str, arguments: Sequence[str] = ()) -> str:
    """Submit a script to SLURM, and return the job's number.

    Raises:
        SetupError: there is no SLURM here, or it refuses the job.
    """
    answer = _run(["sbatch", "--parsable", "/dev/stdin", *arguments], text=text)
    return answer.strip().split(";")[0]


def running_jobs(job: str) -> int:
    """Count the jobs of that number (tasks of an array) that wait or run.

    Raises:
        SetupError: SLURM does not answer.
    """
    try:
        answer = _run(["squeue", "--noheader", "--array", f"--jobs={job}", "--format=%T"])
    except SetupError as exc:
        if "Invalid job id" in str(exc):
            return 0  # it ended a while ago
        raise
    return len(answer.split())


def cancel(job: str) -> None:
    """Cancel a job and all its tasks: they get SIGTERM, and some seconds to end."""
    _run(["scancel", job])


def _run(command: list[str], text: str | None = None) -> str:
    if shutil.which(command[0]) is None:
        raise BackendUnavailable(
            "executor",
            "slurm",
            reason=f"there is no {command[0]} on this machine; use one that has SLURM",
            choices=("local", "dask", "slurm"),
        )
    try:
        process = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as exc:
        raise SetupError(f"{command[0]} did not answer within {COMMAND_SECONDS} s.") from exc
    if process.returncode:
        raise SetupError(
            f"{shlex.join(command)} failed: {(process.stderr or process.stdout).strip()}"
        )
    return process.stdout


def check_path(path: Path, what: str) -> None:
    """Refuse a path that sbatch, a shell or a container would take apart on its way to a node.

    Raises:
        InputError: it has blanks, or signs that mean something there.
    """
    if not PLAIN_PATH.fullmatch(str(path)):
        raise InputError(
            f"The path of {what}, {str(path)!r}, cannot be handed to jobs: it may have letters, "
            "digits and . _ - + = @ only. Choose another one, or a link without them."
        )


def _directive(name: str, value: str) -> str:
    """Quote a value where SLURM needs it: an option ends at a blank, a line at a #."""
    if VALUE.fullmatch(value):
        return value
    if not value.isprintable() or '"' in value or "\\" in value:
        raise InputError(f"--{name} {value!r} cannot be written into a job script.")
    return f'"{value}"'


def _quoted(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return shlex.quote(value)
    return f"({shlex.join(value)})"


def seconds_of(limit: str) -> int:
    """Convert SLURM's time limits (minutes, mm:ss, hh:mm:ss, d-hh, d-hh:mm:ss) to seconds.

    Raises:
        InputError: the text is not a time limit.
    """
    days, dash, rest = limit.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        if dash:
            hours, minutes, seconds = [*parts, 0, 0][:3]
        elif len(parts) == 1:
            hours, minutes, seconds = 0, parts[0], 0
        else:
            hours, minutes, seconds = [0, *parts] if len(parts) == 2 else parts
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    except ValueError as exc:
        raise InputError(
            f"--time {limit!r} is not a time limit. Give minutes, or 08:00:00."
        ) from exc

"""A worker's attempts at one job, each in a process that is killed at a chosen moment.

    python -m tests.drivers.killed_worker DATA JOB

Reads numbers, a line each. For each, a process of its own claims the job and works on it; at its
n-th change of a name in the file system (a link, a rename, a removal) it kills itself with SIGKILL.
The answer is a line: how many such changes there were, if it came to its end, else "killed".
Modules are imported once, which takes longer than everything else.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.drivers.desk import Desk

EVENTS = frozenset({"os.rename", "os.link", "os.remove"})


def attempt(data: Path, job: str, last: int) -> int:
    """Work on the job; the number of changes, unless the `last` of them comes first."""
    desk = Desk.of(data, job)
    changes = 0

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event in EVENTS and str(data / "jobs") in str(arguments[0]):
            changes += 1
            if changes == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(on_event)
    desk.attempt().run()
    return changes


def main() -> None:
    data, job = Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        answer, told = os.pipe()
        child = os.fork()
        if child == 0:
            changes = attempt(data, job, int(line))
            os.write(told, str(changes).encode())
            os._exit(0)
        os.close(told)
        os.waitpid(child, 0)
        with os.fdopen(answer) as file:
            sys.stdout.write(f"{file.read() or 'killed'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

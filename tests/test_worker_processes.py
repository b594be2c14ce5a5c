"""Worker processes end as they should."""

import subprocess
import sys

WORKER = """
from scenelift.worker_processes import on_stop_request
on_stop_request(lambda: None, with_parent=True)
"""


def test_a_worker_that_is_done_ends_well_while_its_parent_is_there():
    """Python aborts at the end where a thread waits in its buffered standard input."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert worker.stdin is not None
    assert worker.stderr is not None
    try:
        assert (worker.wait(60), worker.stderr.read()) == (0, b"")
    finally:
        worker.kill()
        worker.stdin.close()
        worker.stderr.close()

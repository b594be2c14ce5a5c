"""The web app as a job of a real SLURM."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

LINE = re.compile(r"ssh -N -L (\d+):([\w.-]+):(\d+) (\S+)@login\.example")


@pytest.fixture
def web(slurm, tmp_path):
    """A job, as its command announced it."""
    command = [sys.executable, "-m", "scenelift", "slurm", "web", "--time=2", "--mem=2G"]
    command += ["--login=login.example", f"--state={tmp_path / 'state'}", "--quality=embedded"]
    environment = slurm.environment | {"SCENELIFT_PRELOAD": "0", "USER": "ada"}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    yield done.stdout, re.search(r"job (\d+)", done.stdout)[1]
    slurm.until(lambda: not slurm.tasks("RUNNING", "PENDING"), 20)


def test_the_job_answers_behind_its_ssh_line_and_ends_cleanly_at_its_limit(slurm, web, tmp_path):
    said, job = web
    local_port, node, port, user = LINE.search(said).groups()
    assert (local_port, user) == ("8000", "ada")
    assert node in slurm.tasks("RUNNING").values()

    state = tmp_path / "state" / f"web-{job}"
    assert LINE.search((state / "tunnel").read_text())
    token = (state / "token").read_text()
    assert stat.S_IMODE((state / "token").stat().st_mode) == 0o600
    assert len(token) >= 32
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert token.encode() not in process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue

    # What ssh would forward to; both nodes of the test are this machine.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/health").status_code == 200
        assert client.get("/api/jobs").status_code == 401
        allowed = client.get("/api/jobs", headers={"Authorization": f"Bearer {token}"})
        assert allowed.status_code == 200

    # SLURM's warning comes a minute ahead of the limit of two.
    slurm.until(lambda: slurm.state(job) not in ("RUNNING", "COMPLETING"), 110)
    assert slurm.state(job) == "COMPLETED"
    assert not (state / "token").exists()
    assert not (state / "tunnel").exists()
    log = (tmp_path / f"scenelift-web-{job}.log").read_text()
    assert "Ended." in log
    assert token not in log

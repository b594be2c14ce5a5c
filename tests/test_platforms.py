"""The command line starts where modules of other systems are missing, and says what is untested."""

import subprocess
import sys

import pytest

from scenelift.platforms import untested

# What Windows lacks, and what macOS does: importing it, or calling it, unguarded would fail there.
ELSEWHERE = """
import os, sys
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "nice", "sysconf", "geteuid", "fork"):
    if hasattr(os, name):
        delattr(os, name)
"""


def elsewhere(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"{ELSEWHERE}\nfrom scenelift.cli import app\napp({list(arguments)!r})"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("run", "--help"), ("models", "list", "light"), ("doctor", "--json")],
    ids=" ".join,
)
def test_the_command_line_starts(arguments):
    result = elsewhere(*arguments)
    assert result.returncode in (0, 4), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout


def test_serve_says_what_it_needs():
    result = elsewhere("serve")
    assert result.returncode == 4
    assert "Traceback" not in result.stderr
    assert "cannot run on this system" in result.stderr


def test_what_is_untested_is_said():
    assert untested("linux") == ""
    assert "not tested" in untested("darwin")
    assert "`serve`, `batch` and `train` have never been started" in untested("win32")
    assert untested("freebsd14")

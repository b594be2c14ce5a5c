"""The command line starts where modules of other systems are missing, and says what is untested."""

import ast
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scenelift
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


HEAPS = """
import ctypes, sys, threading
from scenelift.options import BackendOptions
from scenelift.runtime import Runtime
Runtime.of(BackendOptions(device="cpu"))
library, together = ctypes.CDLL(None), threading.Barrier(8)
library.fopen.restype = library.malloc.restype = ctypes.c_void_p
def allocate():
    library.malloc(64)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc's malloc alone")
@pytest.mark.parametrize(("environment", "most"), [({}, 2), ({"MALLOC_ARENA_MAX": "5"}, 5)])
def test_threads_share_heaps_unless_the_user_says_how_many(tmp_path, environment, most):
    listed = tmp_path / "heaps.xml"
    base = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", HEAPS, listed]
    subprocess.run(command, check=True, env={**base, **environment})
    assert listed.read_text().count("<heap nr=") == most


def test_what_a_system_may_lack_is_imported_where_its_absence_is_expected():
    """`serve` alone refuses systems without POSIX; a scene is written everywhere."""
    lacking = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"}
    package = Path(scenelift.__file__).parent
    for file in package.rglob("*.py"):
        if "webapp" in file.parts:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        guarded = {
            node for try_ in ast.walk(tree) if isinstance(try_, ast.Try) for node in try_.body
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and node not in guarded:
                names = lacking & {alias.name for alias in node.names}
                assert not names, f"{file.relative_to(package)} imports {names} unguarded"

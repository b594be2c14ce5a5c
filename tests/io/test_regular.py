"""What is no regular file is refused before it is opened: a pipe without a writer never answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scenelift.batch.manifest import read_items
from scenelift.edit.belonging import read_edits
from scenelift.errors import EditsError, ImageError, InputError
from scenelift.io.arrays import read_arrays
from scenelift.io.glb import read_glb, read_glb_splats
from scenelift.io.image import read_image
from scenelift.io.ply import read_ply
from scenelift.io.regular import check_regular
from scenelift.io.splat_reader import read_splats
from scenelift.output.manifest import read_manifest
from scenelift.pointmap.depth_files import read_depth_file
from scenelift.segment.given import Canvas, read_given

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def _masks(path: Path) -> None:
    read_given([path], Canvas.of_size((20, 20)))


def _with_classes(path: Path) -> None:
    labels = path.parent / "photo.txt"
    labels.write_text("0 0.5 0.5 0.5 0.5\n")
    path.rename(path.with_name("classes.txt"))
    _masks(labels)


READERS = [
    (".jpg", read_image, ImageError),
    (".png", _masks, InputError),
    (".npy", _masks, InputError),
    (".json", _masks, InputError),
    (".xml", _masks, InputError),
    (".txt", _masks, InputError),
    (".txt", _with_classes, InputError),
    (".npy", lambda path: read_arrays(path, lambda names: names), InputError),
    (".npz", read_depth_file, InputError),
    (".exr", read_depth_file, InputError),
    (".tif", read_depth_file, InputError),
    (".csv", read_items, InputError),
    (".jsonl", read_items, InputError),
    (".ply", read_ply, InputError),
    (".glb", read_glb, InputError),
    (".glb", read_glb_splats, InputError),
    (".splat", read_splats, InputError),
    (".json", lambda path: read_manifest(_folder_of(path)), InputError),
    (".json", read_edits, EditsError),
]


def _folder_of(path: Path) -> Path:
    path.rename(path.with_name("scene.json"))
    return path.parent


@pytest.mark.parametrize(("suffix", "read", "error"), READERS)
def test_no_reader_opens_a_device(tmp_path, suffix, read, error):
    path = tmp_path / f"given{suffix}"
    path.symlink_to("/dev/null")  # a reader that opens it gets nothing, and says something else
    with pytest.raises(error, match="is not a regular file but a device"):
        read(path)


def test_pipes_and_sockets_are_named_and_files_pass(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe is not a regular file but a pipe\. Save its"):
        check_regular(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(InputError, match="a socket"):
            check_regular(tmp_path / "socket")
    np.save(tmp_path / "file.npy", np.zeros(3))
    check_regular(tmp_path / "file.npy")
    check_regular(tmp_path)
    check_regular(tmp_path / "missing")


def test_the_first_sigterm_ends_a_command_that_waits_for_a_file(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import typer\n"
        "from scenelift.commands.shell import listen, problems\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def go(path: Path):\n"
        "    with problems(False), listen(reads_first=True):\n"
        "        print('ready', flush=True)\n"
        "        path.read_bytes()\n"
        "app()\n"
    )
    os.mkfifo(tmp_path / "pipe")
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "pipe"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 130, errors
    assert "stopped before it began" in errors

"""A file is there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scenelift.errors import OutputError
from scenelift.io.files import (
    TEMPORARY_PREFIX,
    atomic_write,
    explain_failure,
    prepare_output_folder,
    sha256_of,
    write_bytes,
    write_json,
)


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_killed_writer_leaves_no_half_file_and_its_leftover_is_swept(tmp_path):
    path = tmp_path / "a.bin"
    code = (
        "import sys, time; from pathlib import Path; from scenelift.io.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as f:\n"
        "    f.write(b'half'); f.flush(); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not path.exists()
    assert [n for n in os.listdir(tmp_path) if n.startswith(TEMPORARY_PREFIX)]
    prepare_output_folder(tmp_path)
    assert os.listdir(tmp_path) == []


def test_files_get_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_json_is_readable_and_refuses_what_json_cannot_say(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, 2], "a": "ü"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"b": [1, 2], "a": "ü"}
    assert "ü" in text
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_an_output_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("a letter")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match="--out"):
            prepare_output_folder(folder)
    assert (tmp_path / "out").read_text() == "a letter"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_told_as_such():
    """/dev/full answers every write with ENOSPC."""
    device = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space") as caught:
        os.write(device, b"x")
    os.close(device)
    assert "disk is full" in str(explain_failure(Path("scene.ply"), caught.value))


def test_sha256_is_that_of_the_bytes(tmp_path):
    write_bytes(tmp_path / "a", b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_a_disk_that_fills_up_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "scene.ply"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["scene.ply"]


def test_a_folder_that_may_not_be_written_is_told_before_any_work(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="--out"):
        prepare_output_folder(tmp_path / "out")

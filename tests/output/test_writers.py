"""Files are written side by side, and listed as if one after the other."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from scenelift.errors import Cancelled, FormatError, OutputError
from scenelift.io import flushing
from scenelift.io.files import atomic_write, sha256_of, write_bytes
from scenelift.output import writers as writers_module
from scenelift.output.writers import Writers
from scenelift.progress import CancelToken, Reporter, silent


def some_bytes(path: Path) -> None:
    path.write_bytes(b"x")


def test_files_are_listed_in_the_order_asked_for_with_size_and_digest(tmp_path):
    later = threading.Event()

    def first(path):
        path.write_bytes(b"one")
        later.wait(0.2)

    with Writers(tmp_path) as writers:
        assert writers.put("a/first", first) == "a/first"
        writers.put("second", lambda p: (p.write_bytes(b"two"), later.set())[:0])
        files, skipped = writers.finish(silent())
    assert [f.path for f in files] == ["a/first", "second"]
    assert files[0].bytes == 3
    assert files[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert skipped == {}


def test_digests_are_taken_while_files_are_written(tmp_path, monkeypatch):
    large, small = bytearray(b"b" * (3 << 20)), bytearray(b"x" * 5)
    read_only = [memoryview(bytes([k]) * (2 << 20)) for k in range(7)]
    blocks = [b"a" * 10, large, *read_only, b"d" * 5, small, *read_only, small, b""]

    def in_order(path):
        with atomic_write(path) as file:
            for block in blocks:
                file.write(block)
                if isinstance(block, bytearray):
                    block[:] = b"?" * len(block)  # the caller's again

    def back_and_forth(path):
        write_bytes(path, b"what it replaces")
        with atomic_write(path) as file:
            file.write(b"later")
            file.seek(0)
            file.write(b"first")

    read = []
    monkeypatch.setattr(writers_module, "sha256_of", lambda p: read.append(p.name) or sha256_of(p))
    with Writers(tmp_path) as writers:
        writers.put("in order", in_order)
        writers.put("back and forth", back_and_forth)
        files, _ = writers.finish(silent())
    assert read == ["back and forth"]
    for file in files:
        assert file.sha256 == sha256_of(tmp_path / file.path)
    assert (tmp_path / "in order").stat().st_size == 25 + (31 << 20)


def test_large_files_go_to_the_disk_while_they_are_written(tmp_path, monkeypatch):
    flushed = threading.Event()
    sync = os.fdatasync

    def flush(descriptor):
        sync(descriptor)
        flushed.set()

    def write(path):
        with atomic_write(path) as file:
            file.write(b"a" * 200)
            assert flushed.wait(10)
            file.write(b"b" * 10)

    monkeypatch.setattr(flushing, "AFTER", 100)
    monkeypatch.setattr(os, "fdatasync", flush)
    with Writers(tmp_path) as writers:
        writers.put("large", write)
        files, _ = writers.finish(silent())
    assert files[0].sha256 == sha256_of(tmp_path / "large")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fdatasync", full)
    with Writers(tmp_path) as writers, pytest.raises(OutputError, match="disk is full"):
        writers.put("larger", lambda path: write_bytes(path, b"a" * 200))
        writers.finish(silent())
    assert not (tmp_path / "larger").exists()


def test_what_is_waited_for_does_not_queue(tmp_path):
    done = threading.Event()
    with Writers(tmp_path) as writers:
        for k in range(2 * writers_module.MOST):
            writers.put(f"{k}", lambda p: (done.wait(10), p.write_bytes(b"x"))[:0])
        writers.put("preview", lambda p: (p.write_bytes(b"x"), done.set())[:0], at_once=True)
        assert done.wait(5)
        files, _ = writers.finish(silent())
    assert files[-1].path == "preview"


def test_a_writer_of_several_files_lists_them_all(tmp_path):
    def write(path):
        beside = path.with_name("beside")
        for each in (beside, path):
            each.write_bytes(b"x")
        return [beside, path]

    with Writers(tmp_path) as writers:
        writers.put("main", write)
        files, _ = writers.finish(silent())
    assert [f.path for f in files] == ["beside", "main"]


def test_a_file_that_can_be_done_without_is_skipped_and_others_are_not(tmp_path):
    def impossible(path):
        raise FormatError("there is no mesh")

    with Writers(tmp_path) as writers:
        writers.put("scene.stl", impossible, optional=True)
        writers.put("scene.ply", some_bytes)
        files, skipped = writers.finish(silent())
    assert [f.path for f in files] == ["scene.ply"]
    assert skipped == {"scene.stl": "there is no mesh"}
    with Writers(tmp_path) as writers, pytest.raises(FormatError):
        writers.put("scene.stl", impossible)
        writers.finish(silent())


def test_an_error_stops_what_has_not_begun(tmp_path):
    def full(path):
        raise OutputError("the disk is full")

    began = []
    with pytest.raises(OutputError), Writers(tmp_path) as writers:
        writers.put("a", full)
        for k in range(100):
            writers.put(f"{k}", lambda p: began.append(threading.Event().wait(0.01)))
        writers.finish(silent())
    assert len(began) < 100


def test_a_cancelled_run_stops_between_files(tmp_path):
    token = CancelToken()
    reporter = Reporter(lambda event: None, token=token)
    with pytest.raises(Cancelled), Writers(tmp_path) as writers:
        writers.put("a", some_bytes)
        token.cancel()
        writers.finish(reporter)

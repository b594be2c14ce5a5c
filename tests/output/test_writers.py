"""Files are written side by side, and listed as if one after the other."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from scenelift.errors import Cancelled, FormatError, OutputError
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

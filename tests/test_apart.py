"""A call in a helper process gives what it gives here."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import trimesh

from scenelift import apart as module
from scenelift.apart import apart, calls_apart
from scenelift.errors import InputError
from scenelift.finish.stage import finish_mesh
from scenelift.options import FinishOptions
from scenelift.types import Mesh


@pytest.fixture(autouse=True, scope="module")
def no_helper_left():
    yield
    module._HELPER.stop()


def test_calls_are_made_here_unless_asked_for():
    assert apart(os.getpid) == os.getpid()


def test_calls_are_made_in_one_other_process_and_give_the_same():
    values = np.arange(1000.0)
    with calls_apart():
        other = apart(os.getpid)
        assert other != os.getpid()
        assert apart(math.fsum, values.tolist()) == math.fsum(values)
        assert apart(os.getpid) == other
    with calls_apart(False):
        assert apart(os.getpid) == os.getpid()


def test_errors_come_back():
    with calls_apart(), pytest.raises(ValueError, match=r"domain|nonnegative|positive"):
        apart(math.sqrt, -1)
    with calls_apart(), pytest.raises(InputError, match="not an amount of memory"):
        from scenelift.options import read_bytes

        apart(read_bytes, "lots")


def test_other_threads_go_on_meanwhile():
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    with calls_apart():
        apart(os.getpid)  # it has started
        thread.start()
        apart(time.sleep, 0.3)
        done.set()
    thread.join()
    assert len(ticks) > 3


def test_a_helper_that_dies_is_replaced_and_the_call_is_made():
    with calls_apart():
        first = apart(os.getpid)
        process = module._HELPER._process
        assert process is not None
        process.kill()
        process.wait()
        assert apart(os.getpid) not in (first, os.getpid())


def test_a_script_without_a_guard_is_not_run_twice(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math, sys\n"
        "from scenelift.apart import apart, calls_apart\n"
        "print('once')\n"
        "with calls_apart():\n"
        "    print(apart(math.sqrt, 9.0))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "once\n3.0\n"


def test_a_mesh_is_finished_the_same_way(monkeypatch):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.4)
    mesh = Mesh(
        vertices=np.asarray(ball.vertices, np.float32), faces=np.asarray(ball.faces, np.int32)
    )
    here = finish_mesh(mesh, None, FinishOptions(faces=300, texture_size=64)).mesh
    called: list[str] = []
    inner = module._Helper.call

    def call(helper, function, arguments):
        called.append(function.__name__)
        return inner(helper, function, arguments)

    monkeypatch.setattr(module._Helper, "call", call)
    with calls_apart():
        there = finish_mesh(mesh, None, FinishOptions(faces=300, texture_size=64)).mesh
    assert called == ["decimate", "_pack"]
    np.testing.assert_array_equal(there.vertices, here.vertices)
    np.testing.assert_array_equal(there.faces, here.faces)
    np.testing.assert_array_equal(there.uv, here.uv)

"""Kernels compile where nothing can be cached, and run in any thread, several, and forks."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import numba
import numpy as np
import pytest

from scenelift import jit
from scenelift.jit import compiled, kernel_array, on_compilation, spread
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Mesh


def homeless(function):
    """numba looks for its cache beside the source: this function's lies nowhere."""
    return FunctionType(function.__code__.replace(co_filename="<nowhere>"), {})


def test_compiles_without_a_folder_for_the_cache():
    double = homeless(lambda x: 2 * x)
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(double, cache=True)
    assert compiled(double)(21) == 42


def test_a_compilation_is_told_once_and_none_is_not():
    told = []
    one, other = (compiled(homeless(f)) for f in (lambda x: x + 1, lambda x: x + 2))
    with on_compilation(lambda: told.append("compiling")):
        assert (one(1), other(1)) == (2, 3)
    with on_compilation(lambda: told.append("again")):
        assert (one(1), other(1)) == (2, 3)
    one(1.5)  # another type, but nobody listens
    assert told == ["compiling"]


def test_arrays_are_copied_only_where_needed():
    good = np.zeros((4, 3), np.float32)
    assert kernel_array(good, np.float32) is good
    for other in (good[::2], good.T, good.astype(np.float64), np.broadcast_to(good[:1], (4, 3))):
        array = kernel_array(other, np.float32)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        np.testing.assert_array_equal(array, other)


def draw():
    corners = np.array([[-1, -1, -2], [1, -1, -2], [0, 1, -2]], np.float32)
    mesh = Mesh(vertices=corners, faces=np.array([[0, 1, 2]], np.int32))
    return render_mesh(mesh, Camera.from_fov(40, 30, fov_deg=60)).color.tobytes()


def test_threads_may_draw_at_once():
    alone = draw()
    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(lambda _: draw(), range(12)))
    assert set(pictures) == {alone}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_every_item_is_worked_on_once(monkeypatch, threads, count):
    monkeypatch.setattr(jit, "thread_count", lambda: threads)
    times = np.zeros(count, int)

    def kernel(first, end, times):
        times[first:end] += 1

    spread(kernel, count, times)
    assert (times == 1).all()


def test_an_error_in_any_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(jit, "thread_count", lambda: 2)
    caller, met = threading.get_ident(), threading.Event()

    def kernel(first, end):
        if threading.get_ident() != caller:
            met.set()
            raise MemoryError
        assert first == end or met.wait(60)

    with pytest.raises(MemoryError):
        spread(kernel, 100)


# Newer Pythons warn of what this is about.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_draws_the_same(monkeypatch):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    alone = draw()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(draw).get(60) == alone

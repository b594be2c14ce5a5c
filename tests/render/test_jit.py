"""Kernels compile where nothing can be cached, and may be called from several threads."""

from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import numba
import numpy as np
import pytest

from scenelift.render.jit import compiled, kernel_array
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Mesh


def test_compiles_without_a_folder_for_the_cache():
    def double(x):
        return 2 * x

    # numba looks for its cache beside the source: this function's lies nowhere.
    homeless = FunctionType(double.__code__.replace(co_filename="<nowhere>"), {})
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(homeless, cache=True)
    assert compiled()(homeless)(21) == 42


def test_arrays_are_copied_only_where_needed():
    good = np.zeros((4, 3), np.float32)
    assert kernel_array(good, np.float32) is good
    for other in (good[::2], good.T, good.astype(np.float64), np.broadcast_to(good[:1], (4, 3))):
        array = kernel_array(other, np.float32)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        np.testing.assert_array_equal(array, other)


def test_threads_may_draw_at_once():
    corners = np.array([[-1, -1, -2], [1, -1, -2], [0, 1, -2]], np.float32)
    mesh = Mesh(vertices=corners, faces=np.array([[0, 1, 2]], np.int32))
    camera = Camera.from_fov(40, 30, fov_deg=60)
    alone = render_mesh(mesh, camera).color.tobytes()
    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(lambda _: render_mesh(mesh, camera).color.tobytes(), range(12)))
    assert set(pictures) == {alone}

"""Compilation of the render kernels by numba.

Machine code is cached in `NUMBA_CACHE_DIR` where that is set, else beside this package, else in the
user's cache folder. In a container where none of them can be written, kernels still compile, once
for every process (a few seconds).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PARALLEL_REGION", "compiled", "kernel_array"]

logger = logging.getLogger(__name__)

# numba's fallback scheduler ("workqueue") aborts the process when two Python threads enter
# parallel code at once; the callers of parallel kernels hold this lock.
PARALLEL_REGION = threading.Lock()


def compiled(*, parallel: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: compile on the first call, cached on disk where some folder can be written.

    No `fastmath`: every run and every thread count gives the same bytes. `error_model="numpy"`
    makes a division by zero an infinity, as everywhere else in the package.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(function, cache=True, parallel=parallel, error_model="numpy")
        except RuntimeError as exc:  # numba found no folder that it can write
            logger.info("%s is compiled in every process: %s", function.__name__, exc)
            return numba.njit(function, parallel=parallel, error_model="numpy")

    return decorate


def kernel_array(array: ArrayLike, dtype: type) -> NDArray:
    """The array as kernels want it, copied only where needed.

    A read-only or strided array is another type to numba, and would compile a second kernel.
    """
    return np.require(array, dtype, ["C", "A", "W"])

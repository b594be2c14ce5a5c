"""Runs the embedded models: onnxruntime on the CPU."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import onnxruntime

from scenelift.errors import WeightsError
from scenelift.weights import embedded

__all__ = ["OneNetwork", "last_run", "session", "session_at", "session_of"]

_ERRORS_ONLY = 3
# The second thread of an operator sleeps until there is work: one that spins takes half as much
# processor time again, and on busy cores twice the time, for the same bits. Work is handed out in
# smaller and smaller blocks, so that nobody waits for a thread that another program holds up.
_CONFIG = {"session.intra_op.allow_spinning": "0", "session.dynamic_block_base": "4"}


class OneNetwork:
    """Base of the models that are one ONNX session.

    Args:
        network: the session.
    """

    artefact: ClassVar[str]

    def __init__(self, network: Any) -> None:
        self._network = network

    @classmethod
    def load(cls, weights: Path | None, threads: int = 0) -> Self:
        """Load the installed weights.

        Raises:
            WeightsError: they are missing.
        """
        return cls(session(cls.artefact, weights, threads))


def session(
    name: str, weights: Path | None = None, threads: int = 0
) -> onnxruntime.InferenceSession:
    """Return the session of an embedded model, made once for each number of threads.

    Args:
        name: an artefact whose main file is an ONNX model: "dinov2", "nanodet", …
        weights: folder of all weights in place of the cache.
        threads: for one operator; 0 is one a core.

    Raises:
        WeightsError: the model is missing, or onnxruntime cannot read it.
    """
    return session_at(embedded.path(name, weights), threads)


@lru_cache(maxsize=16)
def session_at(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Return the session of any ONNX file, as `session` does."""
    return session_of(str(path), path, threads)


def session_of(
    model: str | bytes, path: Path, threads: int = 0, *, keep_memory: bool = True
) -> onnxruntime.InferenceSession:
    """Make the session of a model.

    Args:
        model: its file, or its bytes where they differ from the file's.
        path: its file, for messages.
        threads: for one operator; 0 is one a core.
        keep_memory: whether what the largest run needed is kept for the next one.

    Raises:
        WeightsError: onnxruntime cannot read it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = keep_memory
    for key, value in _CONFIG.items():
        options.add_session_config_entry(key, value)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no public base class
        raise WeightsError(
            f"onnxruntime cannot read {path}: {exc}. `scenelift models verify` shows whether the "
            "file is damaged."
        ) from exc


@cache
def last_run() -> onnxruntime.RunOptions:
    """Return the options of a run after which a session gives back what its runs needed.

    The next run takes as much again, which costs a fiftieth of its time.
    """
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options

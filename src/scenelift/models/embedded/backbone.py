"""DINOv2 with a head's own adapters."""

from __future__ import annotations

import tempfile
import threading
from functools import lru_cache
from pathlib import Path

import onnxruntime

from scenelift.errors import WeightsError
from scenelift.memory import give_back
from scenelift.weights.onnx_session import session_of

__all__ = ["adapted_session"]

# Threads that ask at once share one session: another would take as much time and memory again.
_lock = threading.Lock()


def adapted_session(
    backbone: Path, adapters: Path, threads: int = 0
) -> onnxruntime.InferenceSession:
    """Return the session of the backbone with adapters, made once for each number of threads.

    Args:
        backbone: `dinov2.onnx`.
        adapters: a file of `scenelift.weights.dinov2_adapters`.
        threads: for one operator; 0 is one a core.

    Raises:
        WeightsError: either is damaged, or another network's.
    """
    with _lock:
        return _session(backbone, adapters, threads)


@lru_cache(maxsize=4)
def _session(backbone: Path, adapters: Path, threads: int) -> onnxruntime.InferenceSession:
    import onnx
    from google.protobuf.message import DecodeError

    from scenelift.weights.dinov2_adapters import adapted, read_adapters

    tensors = read_adapters(adapters)
    try:
        frozen = onnx.load(str(backbone))
    except DecodeError as exc:
        raise WeightsError(
            f"{backbone} is damaged ({exc}): run `scenelift models download embedded`."
        ) from exc
    data = adapted(frozen, tensors).SerializeToString()
    del frozen
    # From a file, because onnxruntime keeps the bytes that a session was made from: 28 MB. Where
    # no temporary folder has room for it, that is better than nothing.
    try:
        with tempfile.TemporaryDirectory(prefix="scenelift-") as folder:
            path = Path(folder) / "adapted.onnx"
            path.write_bytes(data)
            session = session_of(str(path), adapters, threads)
    except OSError:
        session = session_of(data, adapters, threads)
    del data
    give_back()
    return session

"""What threads of onnxruntime cost that wait for work: `python -m benchmarks.onnx_threads`.

DINOv2 on a square of 28² patches, with one thread and two, which spin, sleep, or sleep and take
work in smaller blocks; by turns, so that other work on the machine meets all alike. Says also
whether the features are the same to the bit.
"""

from __future__ import annotations

import os
import time

import numpy as np
import onnxruntime

from scenelift.models.embedded import LEVELS, PATCH
from scenelift.weights import embedded

SIDE = 28 * PATCH
ROUNDS = 6
SPIN, BLOCK = "session.intra_op.allow_spinning", "session.dynamic_block_base"
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    "one thread": (1, {}),
    "two, spinning": (2, {SPIN: "1"}),
    "two, sleeping": (2, {SPIN: "0"}),
    "two, sleeping, small blocks": (2, {SPIN: "0", BLOCK: "4"}),
}


def main() -> None:
    sessions = {name: session(*way) for name, way in WAYS.items()}
    picture = {"image": np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)}
    features = {name: each.run(LEVELS, picture) for name, each in sessions.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, each in sessions.items():
            wall, work = time.perf_counter(), time.process_time()
            each.run(LEVELS, picture)
            seconds[name].append((time.perf_counter() - wall, time.process_time() - work))
    first = next(iter(features.values()))
    print(f"load {os.getloadavg()[0]:.0f}")
    for name, taken in seconds.items():
        wall, work = np.median(taken, axis=0)
        same = all(
            np.array_equal(np.asarray(a), np.asarray(b))
            for a, b in zip(first, features[name], strict=True)
        )
        print(f"{name:28} {wall:.2f} s, processor {work:.2f} s, {'same' if same else 'OTHER'} bits")


def session(threads: int, config: dict[str, str]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    path = str(embedded.path("dinov2", None))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()

"""What the integer weights of DINOv2 cost and gain: `python benchmarks/dinov2_int8.py`.

Fetches the float32 weights (90 MB) into a temporary folder and compares both on three photos of
scikit-image: cosine between features of the same token, and time on the CPU.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from skimage import data
from skimage.transform import resize

from scenelift.weights.dinov2 import OUTPUTS, cut_backbone, quantize
from scenelift.weights.embedded import ARTEFACTS
from scenelift.weights.onnx_graph import serialize
from scenelift.weights.packages import PackageFetcher, read_members

SIZES = (224, 518)
REPEATS = 9
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = ARTEFACTS["dinov2"].members
        archive = PackageFetcher(Path(folder), lambda: None).fetch(members[0].package)
        exact = cut_backbone(*read_members(archive, members))
    models = {"float32": serialize(exact), "integer": quantize(exact)}
    print(f"onnxruntime {onnxruntime.__version__}, {os.cpu_count()} CPU threads")
    for name, model in models.items():
        print(f"{name}: {len(model) / 1e6:.1f} MB")

    sessions = {
        name: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for name, model in models.items()
    }
    for size in SIZES:
        photos = [
            _normalized(photo(), size) for photo in (data.astronaut, data.coffee, data.chelsea)
        ]
        seconds = _fastest_runs(sessions, photos[0])
        gain = seconds["float32"] / seconds["integer"]
        print(
            f"{size}×{size}: float32 {seconds['float32'] * 1e3:.0f} ms, "
            f"integer {seconds['integer'] * 1e3:.0f} ms, {gain:.2f} times as fast"
        )
        for output in OUTPUTS:
            features = [[_features(s, p, output) for s in sessions.values()] for p in photos]
            cosines = np.concatenate([_cosines(exact, rounded) for exact, rounded in features])
            mean, low = cosines.mean(), np.percentile(cosines, 1)
            print(f"  {output:4} cosine: mean {mean:.4f}, first percentile {low:.4f}")


def _normalized(photo: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    scaled = np.asarray(resize(photo, (size, size), anti_aliasing=True), np.float64)
    return ((scaled - MEAN) / DEVIATION).transpose(2, 0, 1)[None].astype(np.float32)


def _features(
    session: onnxruntime.InferenceSession, image: NDArray[np.float32], output: str
) -> NDArray[np.float32]:
    return np.asarray(session.run([output], {"image": image})[0])


def _fastest_runs(
    sessions: dict[str, onnxruntime.InferenceSession], image: NDArray[np.float32]
) -> dict[str, float]:
    """Seconds of the run that was disturbed least, the models taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(REPEATS):
        for name, session in sessions.items():
            started = time.perf_counter()
            _features(session, image, "feat")
            seconds[name].append(time.perf_counter() - started)
    return {name: min(runs) for name, runs in seconds.items()}


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))).reshape(-1)


if __name__ == "__main__":
    main()

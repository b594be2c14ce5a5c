"""Whether ONNX Runtime runs the light quality's largest part faster than PyTorch does on a CPU.

    python -m benchmarks.onnx_export [--side 37]

The backbone of MoGe-2 ViT-S (DINOv2 ViT-S/14, random weights, fp32) on a square of patches, one
thread each, in turns; processor seconds, the least of each. An export would be worth its download
and its second path from a factor of 1.5 on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from scenelift.models.layers.dino import DinoParams, VisionTransformer

TURNS = 4
ENOUGH = 1.5


def least(run: Callable[[], object]) -> float:
    """Processor seconds of the quickest of some runs."""
    seconds = []
    for _ in range(TURNS):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=37, help="patches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    params = DinoParams(width=384, blocks=12, registers=0)
    model = VisionTransformer(params).eval()
    picture = torch.rand(1, 3, 14 * options.side, 14 * options.side)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        path = Path(folder) / "backbone.onnx"
        torch.onnx.export(model, (picture,), path, opset_version=17, dynamo=False)
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, session_options)
        feed = {session.get_inputs()[0].name: picture.numpy()}
        difference = np.abs(session.run(None, feed)[0] - model(picture).numpy()).max()
        exported = least(lambda: session.run(None, feed))
        native = least(lambda: model(picture))
    print(
        f"{options.side}² patches: PyTorch {native:.2f} s, ONNX Runtime {exported:.2f} s, "
        f"factor {native / exported:.2f} ({ENOUGH} would be enough); "
        f"largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()

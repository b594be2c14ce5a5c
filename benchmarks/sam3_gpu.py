"""Time SAM 3 on a GPU: a photo with 1, 4 and 16 phrases, at full size with random weights.

    python benchmarks/sam3_gpu.py [--repeats 20] [--tiny]

"recorded" is what the segmenter does: one look, all phrases in batches, recorded CUDA graphs.
"stepwise" is the same without recording; "singly" asks one phrase after another, as a loop over the
published API would. Times are medians of the host's clock around a synchronised device, with the
photo's upload and resizing. Peak memory is that of PyTorch's allocator. `--tiny` runs a tiny
network on the CPU, to check this script.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scenelift.progress import silent
from scenelift.segment.pretrained import Sam3Model, Sam3Processor, load_processor
from scenelift.segment.published import COMMON
from scenelift.segment.sam3 import SAM3Segmenter
from scenelift.segment.sam3_network import Query, SAM3Network, Sam3Result
from scenelift.testing.tiny_segmenters import write_sam3
from scenelift.types import Image, Prompt

PHRASES = (1, 4, 16)


def build(tiny: bool, folder: Path) -> tuple[Sam3Model, Sam3Processor]:
    """The network with random weights, and a processor of its size."""
    from transformers import Sam3Config, Sam3ImageProcessor

    write_sam3(folder)
    processor = load_processor(Sam3Processor, folder)
    if tiny:
        return Sam3Model.from_pretrained(folder).eval(), processor
    processor.image_processor = Sam3ImageProcessor()
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = Sam3Model(Sam3Config())
    nn.Module.to(model, torch.bfloat16)
    return model.eval().requires_grad_(False), processor


def milliseconds(step: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median time of a step after warming up, and peak GiB of device memory while it ran."""
    on_device = torch.cuda.is_available()
    for _ in range(2):
        step()
    if on_device:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        if on_device:
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - started))
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_device else 0.0
    return statistics.median(times), peak


def found_by(network: SAM3Network, queries: list[Query]) -> list[Sam3Result]:
    """Everything found, copied out of the buffers that the next batch overwrites."""
    return [
        Sam3Result(scores=f.scores.clone(), boxes=f.boxes.clone(), logits=f.logits.clone())
        for batch in network.find(queries)
        for f in batch
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        model, processor = build(arguments.tiny, Path(folder))
    name = "CPU" if arguments.tiny else torch.cuda.get_device_name()
    size = sum(p.numel() for p in model.parameters())
    print(f"{name}, torch {torch.__version__}, {size:,} parameters, {model.dtype}, photo 1600×1200")

    networks = {
        "recorded": SAM3Network(model, processor, at_once=8),
        "stepwise": SAM3Network(model, processor, at_once=8, record=False),
        "singly": SAM3Network(model, processor, at_once=1, record=False),
    }
    queries = [Query(text=phrase) for phrase in COMMON]
    outputs = {}
    for way, network in networks.items():
        started = time.perf_counter()
        network.look(pixels)
        outputs[way] = found_by(network, queries)
        first = time.perf_counter() - started
        look, _ = milliseconds(lambda n=network: n.look(pixels), arguments.repeats)
        print(f"{way:9} first photo {first:6.2f} s, then look {look:6.1f} ms; look and find:")
        for count in PHRASES:

            def both(network: SAM3Network = network, count: int = count) -> None:
                network.look(pixels)
                for _ in network.find(queries[:count]):
                    pass

            took, peak = milliseconds(both, arguments.repeats)
            print(f"{'':9} {count:2} phrases {took:7.1f} ms, peak {peak:.2f} GiB")
    for one, other in (("recorded", "stepwise"), ("recorded", "singly")):
        pairs = list(zip(outputs[one], outputs[other], strict=True))
        scores = max(float((a.scores - b.scores).abs().max()) for a, b in pairs)
        spread = max(float(b.logits.float().std()) for _, b in pairs)
        logits = max(float((a.logits.float() - b.logits.float()).abs().max()) for a, b in pairs)
        print(
            f"{one} and {other} differ by {scores:.1e} in scores, {logits / spread:.1e}σ in logits"
        )

    segmenter = SAM3Segmenter(model, processor)
    image = Image(pixels=pixels)
    least = sorted(outputs["singly"][0].scores.tolist())[-5]
    prompt = Prompt(phrases=(COMMON[0],), min_score=least)
    found = segmenter.segment(image, prompt, silent())
    took, peak = milliseconds(lambda: segmenter.segment(image, prompt, silent()), 3)
    print(
        f"segment(), one phrase, {len(found.instances)} of 5 candidates kept: {took:.0f} ms "
        f"with masks at the photo's size and their filters, peak {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()

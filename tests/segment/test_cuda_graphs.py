"""What is replayed is what was recorded, for any number of queries and photo after photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scenelift.segment.cuda_graphs import ConstantsOnHost, Replayed
from scenelift.segment.pretrained import Sam3Model, Sam3Processor, load_model, load_processor
from scenelift.segment.sam3_network import Query, SAM3Network
from scenelift.testing.tiny_segmenters import write_sam3

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
WORDS = ("cup", "cat", "dog", "box", "car")


def test_constants_are_made_on_the_host_whatever_device_they_are_for():
    with ConstantsOnHost():
        assert torch.tensor([1, 2], device="meta").device.type == "cpu"
        assert torch.zeros(2, device="meta").device.type == "meta"
    assert torch.tensor([1, 2], device="meta").device.type == "meta"


def test_the_network_waits_for_no_device_while_it_is_recorded(tmp_path, monkeypatch):
    """The meta device has no values: whatever reads one back, or copies one there, fails."""
    model = load_model(
        Sam3Model, write_sam3(tmp_path), dtype=torch.float32, device=torch.device("cpu")
    )
    network = SAM3Network(model, load_processor(Sam3Processor, tmp_path), record=False)
    torch.nn.Module.to(model, "meta")
    # As transformers asks, to leave out what depends on values.
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with ConstantsOnHost(), torch.inference_mode():
        network._features = network._encode(torch.zeros(1, 3, 112, 112, device="meta"))
        tokens = torch.zeros(3, 32, dtype=torch.int64, device="meta")
        scores, boxes, logits = network._decode(tokens, tokens)
    assert (scores.shape, boxes.shape, logits.shape) == ((3, 12), (3, 12, 4), (3, 12, 32, 32))


@pytest.mark.gpu
@needs_cuda
def test_replayed_launches_find_what_single_steps_find(tmp_path):
    model = load_model(
        Sam3Model, write_sam3(tmp_path), dtype=torch.float32, device=torch.device("cuda")
    )
    processor = load_processor(Sam3Processor, tmp_path)
    recorded, stepwise = SAM3Network(model, processor), SAM3Network(model, processor, record=False)
    rng = np.random.default_rng(0)
    for count in (1, 3, 5, 1):
        pixels = rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)
        queries = [Query(text=word) for word in WORDS[:count]]
        recorded.look(pixels)
        stepwise.look(pixels)
        pairs = zip(recorded.find(queries), stepwise.find(queries), strict=True)
        for ours, theirs in ((a, b) for x, y in pairs for a, b in zip(x, y, strict=True)):
            # Batches are filled up to a power of two, so that sums run in another order.
            torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-3, atol=1e-5)
    recorded.release()
    recorded.resume(torch.device("cuda"))
    recorded.look(pixels)
    (found,) = recorded.find(queries)
    torch.testing.assert_close(found[0].scores, theirs.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_what_cannot_be_recorded_runs_step_by_step(caplog):
    def waits(x):
        return (x * float(x.sum()),)

    replayed = Replayed(waits, torch.cuda.graph_pool_handle())
    x = torch.ones(3, device="cuda")
    assert replayed(x)[0].tolist() == [3, 3, 3]
    assert replayed(2 * x)[0].tolist() == [12, 12, 12]
    assert "step by step" in caplog.text

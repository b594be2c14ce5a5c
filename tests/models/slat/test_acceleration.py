"""Preparing a network for a device changes types and speed, not what it computes."""

from contextlib import nullcontext

import pytest
import torch
import torch._dynamo.config as dynamo_config
import torch._inductor.config as inductor_config
import torch.nn.functional as F
from torch._functorch._aot_autograd.autograd_cache import check_cacheable
from torch.nn.attention import sdpa_kernel

from scenelift.models.layers.attention import _SPLITTING
from scenelift.models.layers.blocks import BlockParams, FlowBlock
from scenelift.models.layers.dino import DinoParams
from scenelift.models.sam3d.condition import ConditionEmbedder, ConditionParams
from scenelift.models.sam3d.pointpatch import PointPatchParams
from scenelift.models.sam3d.structure_flow import (
    StructureFlow,
    StructureLatents,
    structure_noise,
)
from scenelift.models.slat import acceleration
from scenelift.models.slat.acceleration import (
    RecordedMemory,
    Recordings,
    as_cuda_graph,
    default_dtype,
    prepare,
)
from scenelift.models.slat.precision import tensor_types
from scenelift.models.slat.sampling import SamplingParams, sample_flow
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.testing.fake_weights import draw_weights

CPU = torch.device("cpu")
BLOCK = BlockParams(width=48, heads=3, condition_width=24)


def _flow():
    flow = StructureFlow(StructureFlowParams(block=BLOCK, blocks=2, resolution=4)).eval()
    flow.load_state_dict(draw_weights({n: t.shape for n, t in flow.state_dict().items()}, seed=1))
    return flow


@torch.inference_mode()
def _velocity(flow):
    noise = structure_noise(flow.params, torch.Generator().manual_seed(0))
    condition = torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(1))
    velocity = flow(noise, torch.tensor([0.3]), flow.remember(condition), step=torch.zeros(1))
    return torch.cat([v.flatten() for v in velocity])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_flow_takes_and_returns_float32_without_autocast(dtype):
    full, half = _velocity(_flow()), _velocity(prepare(_flow(), CPU, dtype=dtype))
    assert half.dtype == torch.float32
    # Two blocks, each rounding to 8 (bfloat16) or 11 bits a few times.
    error = (half - full).norm() / full.norm()
    assert 0 < error < (2e-2 if dtype == torch.bfloat16 else 2e-3)


def test_only_matrices_inside_blocks_are_half_precision():
    flow = prepare(_flow(), CPU, dtype=torch.float16)
    half = {name for name, p in flow.named_parameters() if p.dtype == torch.float16}
    assert "blocks.1.mlp.shape.mlp.0.weight" in half
    assert all(name.startswith("blocks.") for name in half)
    assert not any("norm2." in name or "rms_norm." in name for name in half)


def test_weights_stored_as_half_precision_run_as_float32_on_a_cpu():
    flow = prepare(_flow().half(), CPU)
    assert {p.dtype for p in flow.parameters()} == {torch.float32}
    assert default_dtype(torch.device("cuda")) == torch.float16


def test_shared_memory_stays_shared():
    dino = DinoParams(width=64, blocks=1, side=2)
    points = PointPatchParams(width=32, side=2, window=2, heads=2)
    embedder = ConditionEmbedder(ConditionParams(width=24, dino=dino, points=points))
    name = "module_list.{}.backbone.blocks.0.mlp.fc1.weight"
    first, second = (embedder.get_parameter(name.format(i)) for i in range(2))
    second.data = first.data
    prepare(embedder, CPU, dtype=torch.float16)
    assert first.dtype == torch.float16
    assert first.data_ptr() == second.data_ptr()


def test_types_follow_from_names_and_shapes_alone():
    tensors = {
        "blocks.0.attn.to_out.weight": torch.zeros(4, 4, device="meta"),
        "blocks.0.norm.weight": torch.zeros(4, dtype=torch.float16, device="meta"),
    }
    assert list(tensor_types(tensors, torch.bfloat16).values()) == [torch.bfloat16, torch.float32]


def test_without_a_gpu_nothing_is_recorded():
    def velocity(x, time, view):
        return x

    assert as_cuda_graph(velocity, CPU) is velocity


def test_recordings_serve_later_objects_under_their_own_contexts(monkeypatch):
    begun = []

    def begin(contexts):
        begun.append(contexts)
        return lambda x, time, view: (x[0] + contexts[0][0][0] * contexts[0][1],)

    # As graphs do, it reads whatever is in the first context's place.
    monkeypatch.setattr(acceleration, "as_cuda_graph", lambda velocity, device: velocity)
    recordings, gpu, x = Recordings(), torch.device("cuda"), (torch.ones(2),)
    for k, (size, times_begun) in enumerate([(2, 1), (2, 1), (1, 2), (2, 3)]):
        first, second = torch.full((size,), 2.0 + k), torch.full((size,), 3.0 + k)
        velocity = recordings.of(begin, [iter([(first,), second])], size, gpu)
        assert len(begun) == times_begun
        assert torch.equal(velocity(x, torch.zeros(1), 0)[0], x[0] + first * second)
    assert recordings.nbytes == 4 * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_a_recording_gives_the_next_object_what_its_own_would():
    gpu = torch.device("cuda")
    flow = prepare(_flow(), gpu)
    step = torch.zeros(1, device=gpu)

    def begin(contexts):
        def velocity(x, time, view):
            context = None if view is None else contexts[view]
            return flow(StructureLatents(*x), time, context, step=step)

        return velocity

    noise = structure_noise(flow.params, torch.Generator(gpu).manual_seed(0))
    conditions = [torch.randn(1, 5, 24, device=gpu) for _ in range(3)]

    def sample(recordings, condition):
        velocity = recordings.of(begin, [flow.block_contexts(condition)], 0, gpu)
        return sample_flow(velocity, noise, SamplingParams(steps=6))

    kept = Recordings()
    for condition in conditions:
        for a, b in zip(sample(kept, condition), sample(Recordings(), condition), strict=True):
            assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_a_recorded_velocity_gives_what_the_velocity_gives():
    gpu = torch.device("cuda")
    flow = prepare(_flow(), gpu)
    context = flow.remember(torch.randn(1, 5, 24, device=gpu))
    step = torch.zeros(1, device=gpu)

    def velocity(x, time, view):
        return flow(StructureLatents(*x), time, None if view is None else context, step=step)

    noise = structure_noise(flow.params, torch.Generator(gpu).manual_seed(0))
    plain = sample_flow(velocity, noise, SamplingParams(steps=6))
    replayed = sample_flow(as_cuda_graph(velocity, gpu), noise, SamplingParams(steps=6))
    for a, b in zip(plain, replayed, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_recordings_in_memory_that_earlier_objects_have_left_give_the_same():
    gpu, memory = torch.device("cuda"), RecordedMemory()
    flow = prepare(_flow(), gpu)
    for seed in range(3):
        context = flow.remember(torch.randn(1, 5, 24, device=gpu))

        def velocity(x, time, view, context=context):
            own = None if view is None else context
            return flow(StructureLatents(*x), time, own, step=torch.zeros(1, device=gpu))

        noise = structure_noise(flow.params, torch.Generator(gpu).manual_seed(seed))
        plain = sample_flow(velocity, noise, SamplingParams(steps=6))
        graphs = as_cuda_graph(velocity, gpu, memory)
        for a, b in zip(plain, sample_flow(graphs, noise, SamplingParams(steps=6)), strict=True):
            torch.testing.assert_close(a, b)


class Recorder:
    """Stands for CUDA: what PyTorch is told of recordings, which fail or are empty."""

    def __init__(self, monkeypatch, *, fails=True):
        self.calls, self.fails = [], fails
        own = torch.device("cuda", 0)
        self.stream = type("Stream", (), {"device": own})()
        handles = iter(range(7, 99))
        cuda = {
            "graph_pool_handle": lambda: (0, next(handles)),
            "CUDAGraph": lambda: self,
            "current_stream": lambda device: self.stream,
            "set_stream": lambda s: self.calls.append("own" if s is self.stream else "other"),
            "stream": lambda s: nullcontext(),
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: self.calls.append("given back"),
        }
        for name, value in cuda.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end, raising=False)
        monkeypatch.setattr(acceleration, "_recording_stream", lambda device: None)

    def end(self, device, pool):
        self.calls.append(("ended", device, pool))

    def capture_begin(self, *, pool, capture_error_mode):
        self.calls.append(pool)

    def capture_end(self):
        if self.fails:
            raise RuntimeError("operation failed due to a previous error during capture")


def test_a_recording_that_fails_leaves_nothing_behind_and_is_not_tried_again(monkeypatch):
    recorder = Recorder(monkeypatch)

    def velocity(x, time, view):
        return (x[0] * (1 if view is None else 2),)

    noise, params = (torch.ones(3),), SamplingParams(steps=6)
    plain = sample_flow(velocity, noise, params)
    graphs = as_cuda_graph(velocity, torch.device("cuda"))
    torch.testing.assert_close(sample_flow(graphs, noise, params), plain)
    assert recorder.calls == ["given back", (0, 7), "own", ("ended", 0, (0, 7))]


def test_the_next_object_is_recorded_in_the_same_memory_unless_it_is_larger(monkeypatch):
    recorder, memory = Recorder(monkeypatch, fails=False), RecordedMemory()

    def record(count):
        recorder.calls.clear()
        memory.begin()
        with memory.recording(recorder, (torch.ones(count),), recorder.stream.device):
            pass
        return recorder.calls

    assert record(4) == ["given back", (0, 7)]
    for count in (4, 3):
        assert record(count) == [(0, 7)]
    assert record(5) == ["given back", (0, 8)]
    monkeypatch.setattr(acceleration, "_is_tight", lambda device: True)
    assert record(1) == ["given back", (0, 8)]  # others may need some meanwhile
    memory.end(recorder.stream)
    assert record(1) == ["given back", (0, 9)]


@pytest.fixture
def kept_when_compiled(tmp_path, monkeypatch):
    """What compiles is set up as for a flow; afterwards as it was."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with (
        dynamo_config.patch(specialize_float=False),
        inductor_config.patch(unsafe_marked_cacheable_functions={"mine": "2"}),
    ):
        acceleration.keep_what_is_compiled()
        yield
    torch._dynamo.reset()


def _traced(function, *inputs, dynamic):
    """The graph that PyTorch would compile."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch.compile(function, backend=backend, dynamic=dynamic)(*inputs)
    (graph,) = graphs
    return graph


def test_what_has_attention_of_few_queries_is_kept_for_the_next_process(kept_when_compiled):
    def few(q, k):
        with sdpa_kernel(_SPLITTING):
            return F.scaled_dot_product_attention(q, k, k)

    graph = _traced(few, torch.ones(1, 2, 4, 8), torch.ones(1, 2, 9, 8), dynamic=False)
    assert any("_sdpa_kernel" in str(node.target) for node in graph.graph.nodes)
    check_cacheable(graph)  # raises where it is not
    assert inductor_config.unsafe_marked_cacheable_functions["mine"] == "2"


@torch.inference_mode()
def test_a_block_of_any_size_is_traced_once_with_the_numbers_of_its_norms(kept_when_compiled):
    block = FlowBlock(BLOCK)
    graph = _traced(block, torch.ones(1, 20, 48), torch.ones(1, 48), None, dynamic=True)
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    numbers = [n.meta["example_value"] for n in placeholders]
    assert [n for n in numbers if isinstance(n, torch.Tensor) and n.ndim == 0] == []
    assert len(numbers) > len(list(block.parameters())) / 2

"""Adapters change the 8-bit backbone as they change the float one that training sees through."""

import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from safetensors.numpy import save, save_file

import scenelift.models.embedded as heads
from scenelift.errors import WeightsError
from scenelift.models.embedded import LEVELS, Head
from scenelift.models.embedded.backbone import adapted_session
from scenelift.options import BackendOptions
from scenelift.reconstruct.embedded import EmbeddedReconstructor
from scenelift.weights.dinov2_adapters import BLOCKS, LAYERS, adapted, in_bytes, read_adapters
from scenelift.weights.embedded import path
from scenelift.weights.onnx_session import session

RANK = 3


def adapters(size, seed=0):
    rng = np.random.default_rng(seed)
    tensors = {}
    for i in range(BLOCKS):
        for layer, (inputs, outputs) in LAYERS.items():
            down = rng.standard_normal((inputs, RANK)) / inputs**0.5
            up = size * rng.standard_normal((RANK, outputs))
            tensors[f"blocks.{i}.{layer}.down"] = down.astype(np.float16)
            tensors[f"blocks.{i}.{layer}.up"] = up.astype(np.float16)
    return tensors


@pytest.fixture
def picture():
    rng = np.random.default_rng(1)
    blocks = rng.normal(size=(3, 6, 8)).repeat(14, 1).repeat(14, 2)
    return (blocks + 0.3 * rng.normal(size=blocks.shape)).astype(np.float32)[None]


def tokens_of(tensors, file, picture):
    save_file(in_bytes(tensors), file)
    return adapted_session(path("dinov2"), file, 1).run(LEVELS, {"image": picture})


def alike(tokens, others):
    """Mean cosine of tokens at each level."""
    cosines = []
    for a, b in zip(tokens, others, strict=True):
        lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        cosines.append(((a * b).sum(-1) / lengths).mean())
    return np.array(cosines)


def test_eight_bits_of_each_rank_are_read_again(tmp_path):
    tensors = adapters(0.1)
    save_file(in_bytes(tensors), tmp_path / "a.safetensors")
    for name, value in read_adapters(tmp_path / "a.safetensors").items():
        over = 0 if name.endswith("down") else 1
        largest = np.abs(tensors[name].astype(np.float32)).max(over, keepdims=True)
        assert (np.abs(value - tensors[name]) <= largest / 253).all()
    numbers = sum(value.size for value in tensors.values())
    assert (tmp_path / "a.safetensors").stat().st_size < 1.25 * numbers


@pytest.mark.weights
def test_adapters_of_zero_change_no_bit(tmp_path, picture):
    plain = session("dinov2", threads=1).run(LEVELS, {"image": picture})
    for ours, theirs in zip(
        tokens_of(adapters(0), tmp_path / "zero.safetensors", picture), plain, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.weights
def test_tokens_are_those_of_the_adapted_float_network(tmp_path, picture):
    torch = pytest.importorskip("torch")
    from scenelift.training.backbone import Backbone

    file = tmp_path / "a.safetensors"
    ours = tokens_of(adapters(0.1), file, picture)
    tensors = read_adapters(file)
    network = Backbone.load(path("dinov2"))
    with torch.no_grad():
        for i in range(BLOCKS):
            for layer in LAYERS:
                name = f"blocks.{i}.{layer}"
                down, up = (torch.from_numpy(tensors[f"{name}.{p}"]) for p in ("down", "up"))
                network.vit.get_parameter(f"{name}.weight").add_((down @ up).T)
    reference = [level.numpy() for level in network(torch.from_numpy(picture))]
    plain = session("dinov2", threads=1).run(LEVELS, {"image": picture})
    off = 1 - alike(ours, reference)
    assert (off < 0.005).all(), "what 8 bits lose"
    assert (off < 0.1 * (1 - alike(plain, reference))).all()


@pytest.mark.weights
def test_only_a_head_with_adapters_has_tokens_of_its_own(tmp_path, monkeypatch):
    own = tmp_path / "shape_adapter.safetensors"
    save_file(in_bytes(adapters(0.1)), own)
    monkeypatch.setattr(
        heads, "shipped_adapters", lambda name: tmp_path / f"{name}_adapter.safetensors"
    )
    monkeypatch.setattr(heads, "ADAPTED", ("shape",))
    pixels = np.random.default_rng(0).integers(0, 255, (28, 42, 3), np.uint8)
    shape, mask, depth = (
        Head.load(name, threads=1).tokens(pixels)["feat"] for name in ("shape", "mask", "depth")
    )
    np.testing.assert_array_equal(mask, depth)
    assert alike([shape], [mask]) < 0.99

    own.write_bytes(own.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"shape_adapter\.safetensors"):
        EmbeddedReconstructor.load(BackendOptions(threads=2))

    own.unlink()
    with pytest.raises(WeightsError, match=r"shape_adapter\.safetensors is missing"):
        Head.load("shape", threads=1)


@pytest.mark.weights
def test_without_room_for_temporary_files_the_session_is_the_same(tmp_path, picture, monkeypatch):
    reference = tokens_of(adapters(0.1), tmp_path / "a.safetensors", picture)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    ours = tokens_of(adapters(0.1), tmp_path / "b.safetensors", picture)
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_backbone_is_told(tmp_path):
    save_file(in_bytes(adapters(0.1)), tmp_path / "a.safetensors")
    (tmp_path / "dinov2.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=r"dinov2\.onnx is damaged"):
        adapted_session(tmp_path / "dinov2.onnx", tmp_path / "a.safetensors", 1)


@pytest.mark.weights
def test_threads_that_ask_at_once_share_one_session(tmp_path):
    file = tmp_path / "shared.safetensors"
    save_file(in_bytes(adapters(0.1)), file)
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: adapted_session(path("dinov2"), file, 1), range(4)))
    assert len({id(one) for one in sessions}) == 1


def without(name):
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


def changed(name, value):
    return lambda tensors: tensors | {name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("blocks.3.mlp.fc1.up"), r"'blocks\.3\.mlp\.fc1\.up' is missing"),
        (
            changed("blocks.12.mlp.fc1.up", np.ones(1)),
            r"'blocks\.12\.mlp\.fc1\.up' is not expected",
        ),
        (
            changed("blocks.3.mlp.fc1.up", np.ones((2, 1536), np.int8)),
            r"\(384, 3\) and \(2, 1536\)",
        ),
        (changed("blocks.3.mlp.fc1.up", np.ones(1536, np.int8)), r"\(1536,\) in place of"),
        (changed("blocks.0.attn.proj.down", np.ones((384, 3), np.float16)), "in place of int8"),
        (
            changed("blocks.0.attn.proj.up.scale", np.full(3, np.nan, np.float32)),
            "have no 3 finite scales",
        ),
    ],
)
def test_other_adapters_are_refused(change, message, tmp_path):
    file = tmp_path / "a.safetensors"
    save_file(change(in_bytes(adapters(0.1))), file)
    with pytest.raises(WeightsError, match=message):
        read_adapters(file)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, save(in_bytes(adapters(0.1)))[:-1]])
def test_a_damaged_file_is_refused(data, tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"a\.safetensors is no file of adapters"):
        read_adapters(file)


def test_another_graph_is_refused():
    tensors = {name: value.astype(np.float32) for name, value in adapters(0.1).items()}
    with pytest.raises(WeightsError, match="72 products"):
        adapted(onnx.ModelProto(), tensors)

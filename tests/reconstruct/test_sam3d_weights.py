"""Converted checkpoints are the published ones: the same values, DINOv2 stored once."""

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from scenelift.errors import Cancelled, InputError, OutputError, WeightsError
from scenelift.models.sam3d.checkpoints import load_models
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.reconstruct.sam3d_weights import convert
from scenelift.testing.fake_checkpoints import TINY, write_checkpoints
from scenelift.weights.bundles import FULL
from scenelift.weights.locate import locate
from scenelift.weights.tensor_files import read_tensors, write_tensors

DINO = "_base_models.condition_embedder.module_list.{}.backbone."


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A weights folder with checkpoints whose copies of DINOv2 are equal, but for one tensor."""
    weights = tmp_path_factory.mktemp("weights")
    target = weights / "full" / "sam3d"
    target.mkdir(parents=True)
    list(write_checkpoints(target, TINY))
    first = torch.load(target / "ss_generator.ckpt", weights_only=True)["state_dict"]
    values = {k: v for k, v in first.items() if k.startswith(DINO.format(0))}
    for name in ("ss_generator", "slat_generator"):
        content = torch.load(target / f"{name}.ckpt", weights_only=True)
        tensors = content["state_dict"]
        for key, value in values.items():
            part = key.removeprefix(DINO.format(0))
            for k in (0, 1):
                tensors[DINO.format(k) + part] = value.clone()
        if name == "slat_generator":
            tensors[DINO.format(1) + "cls_token"] += 1
        torch.save(content, target / f"{name}.ckpt")
    return weights


@pytest.fixture
def weights(published, tmp_path):
    """A folder of its own for each test, with links to the published files."""
    target = tmp_path / "full" / "sam3d"
    target.mkdir(parents=True)
    for path in (published / "full" / "sam3d").iterdir():
        (target / path.name).symlink_to(path)
    return tmp_path


def networks(folder):
    models = load_models(folder)
    parts = ("structure_condition", "structure_flow", "structure_decoder", "latent_condition",
             "latent_flow", "gaussian_decoder", "mesh_decoder")  # fmt: skip
    return {
        f"{part}.{name}": tensor
        for part in parts
        for name, tensor in getattr(models, part).state_dict().items()
    }


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_every_value_is_kept_in_the_precision_it_is_computed_in(weights, precision):
    out = convert(silent(), weights, precision=precision)
    theirs, ours = networks(weights / "full" / "sam3d"), networks(out)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name].to(tensor.dtype)), name
    half = {n for n, t in ours.items() if t.dtype == torch.float16}
    published_half = {n for n, t in theirs.items() if t.dtype == torch.float16}
    assert (half > published_half) if precision == "fp16" else (half == published_half)


def test_copies_of_dinov2_are_stored_once(weights):
    out = convert(silent(), weights, precision="fp32")
    stored = [set(load_file(out / f"{n}.safetensors")) for n in ("ss_generator", "slat_generator")]
    assert not [name for name in stored[0] if name.startswith(DINO.format(1))]
    # The one tensor that differs is kept.
    dino = [n for n in stored[1] if "condition_embedder" in n and ".backbone." in n]
    assert dino == [DINO.format(1) + "cls_token"]


def test_the_converted_folder_is_found_first_and_counts_as_verified(weights):
    out = convert(silent(), weights)
    assert locate("sam3d", weights) == out
    row = next(row for row in FULL.status(weights, verify=True) if row.name == "sam3d")
    assert (row.present, row.checked, row.problem) == (True, True, "")


def test_a_changed_byte_in_a_converted_file_is_noticed(weights):
    out = convert(silent(), weights)
    path = out / "ss_decoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    row = next(row for row in FULL.status(weights, verify=True) if row.name == "sam3d")
    assert not row.present
    assert "ss_decoder.safetensors has SHA-256" in row.problem


def test_a_conversion_that_is_stopped_leaves_nothing(weights):
    token = CancelToken()

    def stop_at_the_second_network(event):
        if event.message.startswith("ss_decoder"):
            token.cancel()

    with pytest.raises(Cancelled):
        convert(Reporter(stop_at_the_second_network, token=token), weights)
    assert [p for p in (weights / "full").iterdir() if p.is_dir()] == [weights / "full" / "sam3d"]


def test_what_a_killed_conversion_left_is_removed(weights):
    leftover = weights / "full" / ".partial-convert-1234"
    leftover.mkdir()
    (leftover / "ss_generator.safetensors").write_bytes(b"half")
    convert(silent(), weights)
    assert not leftover.exists()


def test_two_processes_do_not_convert_into_one_folder(weights):
    lock = FileLock(weights / "full" / ".convert.lock")
    with lock, pytest.raises(WeightsError, match="Another process"):
        convert(silent(), weights)


def test_converting_again_replaces_the_earlier_conversion(weights):
    first = convert(silent(), weights, precision="fp16")
    size = (first / "ss_generator.safetensors").stat().st_size
    again = convert(silent(), weights, precision="fp32")
    assert again == first
    assert (again / "ss_generator.safetensors").stat().st_size > 1.5 * size


def test_what_cannot_be_converted_is_refused_before_anything_is_written(weights, tmp_path):
    with pytest.raises(OutputError, match="choose another"):
        convert(silent(), weights, out=weights / "full" / "sam3d")
    with pytest.raises(InputError, match="fp8"):
        convert(silent(), weights, precision="fp8")


def test_without_checkpoints_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="models download full --only sam3d"):
        convert(silent(), tmp_path)


def test_too_full_a_disk_is_noticed_before_writing(weights, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match="GB free"):
        convert(silent(), weights)


def test_our_files_are_read_by_the_safetensors_package(tmp_path):
    tensors = {
        "b": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        "a": torch.tensor(3, dtype=torch.int64),
        "empty": torch.zeros(0, 4),
        "flag": torch.tensor([True, False, True]),
        "h": torch.full((3,), 0.5),
    }
    types = {n: t.dtype for n, t in tensors.items()} | {"h": torch.float16}
    sizes = []
    path = tmp_path / "x.safetensors"
    write_tensors(path, tensors, types=types, same_as={}, on_bytes=sizes.append)
    read = load_file(path)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.to(types[name]))
    assert sum(sizes) == 24 + 8 + 0 + 3 + 6


def test_a_table_of_shared_tensors_that_makes_no_sense_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata={"same_as": "[1]"})
    with pytest.raises(WeightsError, match="same_as"):
        read_tensors(path)
    save_file({"a": torch.ones(2)}, path, metadata={"same_as": '{"b": "../y.safetensors:b"}'})
    save_file({"b": torch.ones(2)}, tmp_path.parent / "y.safetensors")
    with pytest.raises(WeightsError, match="Convert the weights again"):
        read_tensors(path)


def test_a_shared_tensor_that_is_gone_is_reported(tmp_path):
    path = tmp_path / "x.safetensors"
    tensor = torch.ones(2)
    write_tensors(
        path,
        {"a": tensor},
        types={"a": torch.float32},
        same_as={"a": "y.safetensors:a"},
        on_bytes=lambda n: None,
    )
    save_file({"b": tensor}, tmp_path / "y.safetensors")
    with pytest.raises(WeightsError, match="Convert the weights again"):
        read_tensors(path)
    save_file({"a": tensor}, tmp_path / "y.safetensors")
    assert torch.equal(read_tensors(path)["a"], tensor)

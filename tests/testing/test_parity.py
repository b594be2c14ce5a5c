"""This package computes what the published code computed, and the parity command says when not."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scenelift.testing.comparison import Comparison
from scenelift.testing.golden import case_names, read_case, weights
from scenelift.testing.parity import CHECKS, check_case, main

GOLDEN = Path(__file__).parents[1] / "golden" / "sam3d"
GOLDEN_TRELLIS = GOLDEN.with_name("trellis")
GOLDEN_MOGE2 = GOLDEN.with_name("moge2")
GOLDEN_TRELLIS2 = GOLDEN.with_name("trellis2")
FOLDERS = (GOLDEN, GOLDEN_TRELLIS, GOLDEN_MOGE2, GOLDEN_TRELLIS2)


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder in FOLDERS for name in case_names(folder)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_agrees_with_the_published_code(folder, name):
    assert check_case(folder, name).failures == []


@pytest.mark.parametrize(("name", "salt"), [("edge", 0), ("salt1", 1), ("salt2", 2)])
def test_meshes_at_the_rim_and_of_other_weights_have_the_published_faces_in_order(name, salt):
    """Cubes at the rim of scattered voxels, where two patches lie in one cube."""
    folder = GOLDEN.with_name("mesh_more") / name
    assert check_case(folder, "mesh_surface", salt=salt).failures == []
    assert not check_case(folder, "mesh_surface", salt=salt + 1).ok


def copy_case(name: str, folder: Path, new_name: str | None = None) -> None:
    """A case under another name; its tensors as the published code's runs write them, unpacked."""
    case = read_case(GOLDEN, name)
    shutil.copy(GOLDEN / f"{name}.json", folder / f"{new_name or name}.json")
    save_file(dict(case.tensors), folder / f"{new_name or name}.safetensors")


def test_the_command_prints_a_line_for_each_case_and_succeeds(tmp_path, capsys):
    copy_case("pose", tmp_path)
    copy_case("fuser", tmp_path)
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["fuser", "pose"]
    assert all(line.split()[2] == "ok" and float(line.split()[1]) < 1e-5 for line in lines)


def test_other_weights_than_the_recorded_ones_fail(tmp_path, capsys):
    copy_case("fuser", tmp_path)
    assert main([str(tmp_path), "--salt", "1"]) == 1
    assert capsys.readouterr().out.split()[2] == "FAIL"


@pytest.mark.parametrize("name", ["ss_flow", "ss_sampler", "multi_image", "slat_flow", "cond"])
def test_other_weights_fail_in_trellis_too(name):
    assert not check_case(GOLDEN_TRELLIS, name, salt=1).ok


def test_other_weights_fail_in_moge_2_too():
    assert not check_case(GOLDEN_MOGE2, "moge2", salt=1).ok


@pytest.mark.parametrize(
    "name", ["cond2", "ss_sampler2", "shape_sampler", "tex_flow", "shape_decoder", "p3d_cond"]
)
def test_other_weights_fail_in_trellis2_and_pixal3d_too(name):
    assert not check_case(GOLDEN_TRELLIS2, name, salt=1).ok


def test_an_unknown_case_fails(tmp_path, capsys):
    copy_case("pose", tmp_path, "nose")
    assert main([str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out.split() == ["nose", "inf", "FAIL"]
    assert "no check has that name" in captured.err


def test_a_case_may_have_a_longer_name_than_its_check(tmp_path):
    copy_case("pose", tmp_path, "pose_again")
    assert check_case(tmp_path, "pose_again").ok


def test_a_damaged_case_fails_and_the_others_still_run(tmp_path, capsys):
    copy_case("fuser", tmp_path)
    copy_case("pose", tmp_path)
    (tmp_path / "fuser.safetensors").write_bytes(b"")
    assert main([str(tmp_path)]) == 1
    verdicts = [line.split()[2] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["FAIL", "ok"]


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) != 0
    assert "No golden case" in capsys.readouterr().err


def test_every_golden_case_has_a_check_of_its_own():
    assert set(case_names(GOLDEN)) <= set(CHECKS)
    assert set(case_names(GOLDEN_MOGE2)) <= set(CHECKS)


def test_weights_follow_from_name_shape_and_salt():
    shapes = {"a.gamma": (4,), "a.weight": (4,), "b.bias": (4,), "b.weight": (4, 100), "c": ()}
    first, again, salted = weights(shapes), weights(shapes), weights(shapes, salt=1)
    for name, shape in shapes.items():
        assert first[name].shape == shape
        assert first[name].dtype == torch.float32
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], salted[name])
    # Gains are near 1, vectors near 0, matrices of unit gain; 4 standard deviations of slack.
    assert (first["a.gamma"] - 1).abs().max() < 0.4
    assert (first["a.weight"] - 1).abs().max() < 0.4
    assert first["b.bias"].abs().max() < 0.4
    assert first["b.weight"].norm() == pytest.approx(2.0, rel=0.15)


def test_a_case_tells_its_tensors_apart():
    case = read_case(GOLDEN, "ss_flow")
    assert case.scalars["meta.heads"] == 4
    assert set(case.under("inputs.latents")) == set(case.under("outputs.velocity"))
    assert case.state.keys() == case.parameters.keys()


@pytest.mark.parametrize(
    ("actual", "expected", "ok"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0, 2.0], [1.0, 2.0, 3.0], False),
        ([float("nan"), 2.0], [float("nan"), 2.0], True),
        ([float("nan"), 2.0], [1.0, 2.0], False),
        ([1.0, 2.0], [float("nan"), 2.0], False),
        ([float("inf")], [float("inf")], True),
        ([float("inf")], [float("-inf")], False),
    ],
)
def test_comparison_of_real_values(actual, expected, ok):
    comparison = Comparison()
    comparison.close("x", torch.tensor(actual), torch.tensor(expected), atol=1e-3)
    assert comparison.ok is ok
    assert (comparison.largest == 0) is ok


def test_comparison_of_integers_is_exact():
    comparison = Comparison()
    comparison.equal("x", torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int32))
    assert comparison.ok
    comparison.equal("x", torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert comparison.failures == ["x: 1 of 2 values differ"]

"""`scenelift convert` from one splat file to another."""

import numpy as np
import pytest
from tests.io.test_glb_splats import some_splats
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.io.ply import read_ply, write_ply
from scenelift.io.splat_reader import read_splats


@pytest.fixture
def source(tmp_path):
    write_ply(tmp_path / "in.ply", some_splats(30))
    return tmp_path / "in.ply"


def run(*words) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["convert", *map(str, words)])
    return result.exit_code, result.output


def test_a_ply_becomes_a_glb_the_right_way_up(source, tmp_path):
    code, output = run(source, tmp_path / "out.glb")
    assert code == 0, output
    assert "30 splats" in output
    turned = read_ply(source).means * np.float32([1, -1, -1])
    np.testing.assert_allclose(read_splats(tmp_path / "out.glb").means, turned, atol=1e-6)


def test_a_named_frame_leaves_the_numbers_alone(source, tmp_path):
    code, output = run(source, tmp_path / "out.glb", "--from-frame", "y-up")
    assert code == 0, output
    np.testing.assert_allclose(
        read_splats(tmp_path / "out.glb").means, read_ply(source).means, atol=1e-6
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("in.ply", "out.obj"), ".spz"),
        (("none.ply", "out.spz"), "none.ply"),
        (("in.ply", "out.spz", "--to-frame", "sideways"), "y-down"),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_2(source, tmp_path, words, hint):
    code, output = run(*(tmp_path / w if "." in w else w for w in words))
    assert code == 2
    assert hint in output
    assert not (tmp_path / "out.spz").exists()

"""Under the constraints of an image's build, pip cannot replace the base's PyTorch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location(
    "base_constraints", ROOT / "deploy" / "image" / "base_constraints.py"
)
base_constraints = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(base_constraints)


def test_without_pytorch_in_the_base_the_projects_pins_hold():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert list(base_constraints.constraints(lines, {})) == lines


def test_the_bases_pytorch_takes_the_place_of_ours():
    lines = ["numpy==2.4.6\n", "torch==2.13.0\n", "torchvision==0.28.0\n", "# a remark\n"]
    installed = {"torch": "2.9.0a0+50eac811a6.nv25.9", "torchvision": "0.24.0a0"}
    assert list(base_constraints.constraints(lines, installed)) == [
        "numpy==2.4.6",
        "# a remark",
        "torch==2.9.0a0+50eac811a6.nv25.9",
        "torchvision==0.24.0a0",
    ]


@pytest.mark.parametrize("name", ["torch", "Torch", "pytorch_triton"])
@pytest.mark.parametrize("rest", ["==2.13.0", " >= 2.6", "~=2.0; python_version>'3.10'", ""])
def test_however_the_pin_is_written(name, rest):
    installed = {name.lower().replace("_", "-"): "1"}
    assert list(base_constraints.constraints([f"{name}{rest}\n"], installed)) == [
        f"{name.lower().replace('_', '-')}==1"
    ]


def test_packages_whose_names_only_begin_alike_keep_their_pin():
    assert list(base_constraints.constraints(["torchmetrics==1.0\n"], {"torch": "2"})) == [
        "torchmetrics==1.0",
        "torch==2",
    ]

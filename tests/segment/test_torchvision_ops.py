"""torchvision imports beside any PyTorch, and is left alone where its operators load."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from scenelift.errors import SetupError
from scenelift.segment import torchvision_ops


def python(code: str) -> str:
    """What a fresh process prints; torchvision is imported once in a process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_resizing_and_roi_align_work_whatever_was_compiled():
    out = python(
        """
        from scenelift.segment.torchvision_ops import import_torchvision
        import_torchvision()
        import_torchvision()  # twice is once
        import torch, torchvision
        from torchvision.transforms.v2 import functional as F
        print(F.resize(torch.zeros(3, 8, 6), [4, 3]).shape)
        ramp = torch.arange(8.0).expand(1, 1, 8, 8)
        pooled = torchvision.ops.roi_align(ramp, [torch.tensor([[1.0, 1.0, 5.0, 5.0]])], 2)
        print(pooled[0, 0, 0].tolist())
        """
    )
    # Of a ramp along x, each half of the box from 1 to 5 has its centre's value.
    assert out.splitlines() == ["torch.Size([3, 4, 3])", "[2.0, 4.0]"]


def test_where_the_compiled_half_loads_nothing_is_declared(tmp_path, monkeypatch):
    (tmp_path / "_C.so").touch()
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    assert torchvision_ops._loads(tmp_path)


def test_a_compiled_half_for_another_pytorch_does_not_load(tmp_path):
    (tmp_path / "_C.so").write_bytes(b"not for this PyTorch")
    assert not torchvision_ops._loads(tmp_path)


def test_without_torchvision_the_error_names_the_command(monkeypatch):
    monkeypatch.setattr(torchvision_ops.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install 'scenelift\[full\]'"):
        torchvision_ops.import_torchvision()

"""docs/containers.md leaves nothing of the earlier set-up unanswered, and names what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "containers.md").read_text()
TABLE = DOC.split("## What became of the earlier set-up")[1]
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ", 1)]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| **", "| ---", "| then"))
]

# Everything that the earlier system's documentation names about its container.
EARLIER = {
    "base": ["nvcr.io/nvidia/pytorch:24.10-py3", "PyTorch 2.5.0", "CUDA 12.6", "Python 3.10"],
    "dependencies": [
        "PyTorch3D 0.7.8",
        "kaolin 0.17.0",
        "flash_attn 2.7.2",
        "spconv 2.3.8",
        "transformers 4.36+",
        "trimesh",
        "gsplat 1.0.0",
        "gradio",
        "nvdiffrast",
        "utils3d",
        "lib/utils3d_compat.py",
        "NumPy `>=1.24,<2.0`",
    ],
    "run-time variables": [
        "SPARSE_ATTN_BACKEND",
        "ATTN_BACKEND",
        "SSL_CERT_FILE",
        "CONDA_PREFIX",
        "HYDRA_FULL_ERROR",
        "TORCH_HOME",
        "TORCH_EXTENSIONS_DIR",
        "HF_HOME",
    ],
    "build-time variables": ["TORCH_CUDA_ARCH_LIST", "FORCE_CUDA"],
    "build order": [
        "1. Install what may change PyTorch first",
        "2. Record the final PyTorch version",
        "3. Build CUDA extensions last",
        "4. Never pip install afterwards",
        "Build from source for ABI matches",
    ],
    "known issues": [
        "1. nvdiffrast JIT finds no GCC",
        "2. Gradio updates PyTorch",
        "3. NumPy 2 breaks binary compatibility",
        "4. SSL certificate errors",
    ],
    "jobs": [
        "16 CPUs, 128 GB, 4 hours",
        "`gpu:H200:1`, 64 GB, 8 hours",
        "Bind mounts",
        "SSH tunnel instructions",
    ],
    "debugging": ["logging.DEBUG", "Import kaolin and flash_attn", "nvidia-smi"],
    "measured": ["11 GB", "30–60 minutes"],
}


@pytest.mark.parametrize("name", [name for names in EARLIER.values() for name in names])
def test_what_was_there_has_an_answer(name):
    if name in EARLIER["measured"]:
        assert name in DOC.split("## What became")[0]
        return
    rows = [now for then, now in ROWS if name in then]
    assert rows, f"{name} is in no row"
    assert all(len(now) > 3 for now in rows), f"{name} has no answer"


def test_every_file_it_names_exists():
    named = re.findall(r"`((?:deploy|compat|render|models|geometry)/[\w./]*)`", DOC)
    assert len(set(named)) > 5
    for name in named:
        places = (ROOT / name, ROOT / "src" / "scenelift" / name)
        assert any(place.exists() for place in places), f"{name} does not exist"


def test_its_arguments_and_mounts_are_the_dockerfiles():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for name, default in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", DOC, re.M):
        assert f"{name}={default}" in dockerfile
    for name in re.findall(r"`(\w+_(?:HOME|DIR|DATA))`", DOC.split("## Checked")[0]):
        assert f"{name}=/data/" in dockerfile

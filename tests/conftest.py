"""Fixtures that several test files share."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import PIL.Image
import pytest

from scenelift.pipeline import Pipeline
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)


@pytest.fixture(autouse=True)
def seeded():
    """Random tensors are the same whatever ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def photo(tmp_path):
    """A file with a red and a blue disc on grey."""
    path = tmp_path / "discs.png"
    PIL.Image.fromarray(disc_photo().pixels).save(path)
    return path


@pytest.fixture
def pipeline():
    """A pipeline that needs no weights and finishes in milliseconds."""
    return Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory):
    """A folder of weights as published, SAM 3D Objects and MoGe, with tiny made-up networks.

    Tests must not change it.
    """
    from scenelift.testing.fake_checkpoints import TINY, write_checkpoints

    folder = tmp_path_factory.mktemp("weights")
    # Objects of about a hundred voxels: a test makes one in a fraction of a second.
    flow = dataclasses.replace(TINY.structure_flow, resolution=3)
    list(write_checkpoints(folder, dataclasses.replace(TINY, structure_flow=flow)))
    return folder

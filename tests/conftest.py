"""Fixtures that several test files share."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import PIL.Image
import pytest
from hypothesis import settings

from scenelift.pipeline import Pipeline
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)

# The same examples everywhere, so that what lands passes again tomorrow. Looking for new ones is
# `pytest --hypothesis-profile explore`. No deadline: a busy machine is no mistake.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")


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


@pytest.fixture(scope="session")
def tiny_open(tmp_path_factory):
    """A folder of weights as `scenelift models download open` leaves it, with tiny networks.

    Tests must not change it.
    """
    from scenelift.testing.fake_checkpoints import TINY
    from scenelift.testing.fake_trellis import write_trellis
    from scenelift.testing.moge2_sizes import write_tiny_moge2
    from scenelift.testing.tiny_segmenters import write_grounding_dino, write_sam2

    folder = tmp_path_factory.mktemp("open-weights")
    flow = dataclasses.replace(TINY.structure_flow, resolution=3)
    list(write_trellis(folder, dataclasses.replace(TINY, structure_flow=flow)))
    write_grounding_dino(folder / "open" / "grounding-dino")
    write_sam2(folder / "open" / "sam2.1")
    write_tiny_moge2(folder / "open" / "moge-2-vitl-normal" / "model.pt")
    return folder


@pytest.fixture(scope="session")
def tiny_light(tmp_path_factory):
    """Likewise of `scenelift models download light`."""
    from scenelift.testing.moge2_sizes import write_tiny_moge2
    from scenelift.testing.tiny_segmenters import write_grounding_dino, write_sam2

    folder = tmp_path_factory.mktemp("light-weights")
    write_grounding_dino(folder / "light" / "grounding-dino-tiny")
    write_sam2(folder / "light" / "sam2.1-tiny")
    write_tiny_moge2(folder / "light" / "moge-2-vits-normal" / "model.pt")
    return folder


@pytest.fixture(scope="session")
def tiny_pbr(tmp_path_factory, tiny_open):
    """A weights folder with TRELLIS.2 and Pixal3D, tiny, beside the segmenters and MoGe.

    Tests must not change it.
    """
    from scenelift.testing.fake_trellis2 import TINY2, write_trellis2

    folder = tmp_path_factory.mktemp("pbr-weights")
    list(write_trellis2(folder, TINY2, pixal3d=True))
    for bundle in ("open", "full"):
        (folder / bundle).symlink_to(tiny_open / bundle)
    return folder

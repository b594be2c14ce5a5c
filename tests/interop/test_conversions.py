"""`scenelift convert` between all kinds of splat files keeps places, colours and the way up."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree
from tests.interop.known_scene import known_scene

from scenelift.compose import make_scene
from scenelift.io.ply import write_ply
from scenelift.io.splat_reader import SPLAT_KINDS, convert_splats, read_splats
from scenelift.types import SH_C0, Gaussians


@pytest.fixture(scope="module")
def splats() -> Gaussians:
    return make_scene(known_scene().objects)


@pytest.fixture(scope="module")
def sources(splats, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_ply(folder / "from.ply", splats, frame="colmap")
    for kind in SPLAT_KINDS:
        if kind != "ply":
            convert_splats(folder / "from.ply", folder / f"from.{kind}")
    return folder


@pytest.mark.parametrize(("kind", "new"), list(itertools.product(SPLAT_KINDS, repeat=2)))
def test_every_kind_becomes_every_other(splats, sources, tmp_path, kind, new):
    assert convert_splats(sources / f"from.{kind}", tmp_path / f"to.{new}") == len(splats)
    read = read_splats(tmp_path / f"to.{new}")
    distances, nearest = KDTree(read.means).query(splats.means)
    assert distances.max() < 2e-3  # of a scene of two metres, in 16 bits at the least
    assert SH_C0 * np.abs(read.sh0[nearest] - splats.sh0).max() < 0.02

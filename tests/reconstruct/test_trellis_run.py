"""TRELLIS makes what it made when this was recorded: a regression test of our own code.

This is no parity with the published code, of which `tests/golden/trellis` holds recorded runs of
each part. `tests/golden/trellis_own` holds what this package itself made of a picture with made-up
weights. Where a change of results is meant, record it again and say why:

    python tests/reconstruct/test_trellis_run.py
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scenelift.models.trellis.preprocess import crop_on_black
from scenelift.options import ReconstructionOptions
from scenelift.progress import silent
from scenelift.reconstruct.trellis import TrellisReconstructor
from scenelift.testing.fake_checkpoints import TINY
from scenelift.testing.fake_trellis import write_trellis
from scenelift.testing.fakes import disc_photo

RECORD = Path(__file__).parents[1] / "golden" / "trellis_own" / "run.safetensors"
STRIDE = 50
# Of float32 sums in the order of another processor, over 50 steps: two digits more than parity of
# one evaluation allows; colours of a mesh as in `parity_latent`.
TOLERANCE = {"mesh_attributes": 2e-3}


def run(weights: Path) -> dict[str, torch.Tensor]:
    """Structure, voxels, splats and mesh of a disc, at the published steps."""
    sizes = replace(TINY, structure_flow=replace(TINY.structure_flow, resolution=4))
    list(write_trellis(weights, sizes))
    options = ReconstructionOptions(weights=weights, device="cpu", precision="float32")
    model = TrellisReconstructor.load(options).model
    photo = disc_photo([("red", 80, 60, 40)])
    matte = np.uint8(255) * (photo.pixels == photo.pixels[60, 80]).all(-1)
    picture = crop_on_black(photo.pixels, matte, size=model.models.image_size)
    (begun,) = model.begin([picture], seeds=[7], report=silent())
    shape = model.complete(begun, report=silent())
    splats, mesh = shape.gaussians, shape.mesh
    return {
        "structure": begun.state[0],
        "coords": begun.coords.short(),
        "means": torch.from_numpy(splats.means[::STRIDE]),
        "scales": torch.from_numpy(splats.scales[::STRIDE]),
        "rotations": torch.from_numpy(splats.rotations[::STRIDE]),
        "opacities": torch.from_numpy(splats.opacities[::STRIDE]),
        "sh0": torch.from_numpy(splats.sh0[::STRIDE]),
        "mesh_vertices": mesh.vertices[::STRIDE],
        "mesh_attributes": mesh.attributes[::STRIDE],
        "mesh_faces": mesh.faces[::STRIDE],
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run(tmp_path_factory.mktemp("trellis"))


def test_makes_what_it_made(made):
    expected = load_file(RECORD)
    assert made.keys() == expected.keys()
    for name, values in expected.items():
        atol = TOLERANCE.get(name, 2e-4) if values.is_floating_point() else 0
        torch.testing.assert_close(made[name], values, rtol=0, atol=atol)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        RECORD.parent.mkdir(exist_ok=True)
        save_file({name: value.contiguous() for name, value in run(Path(folder)).items()}, RECORD)

"""The converted models must compute what the originals compute, run by other programs.

`reference_outputs.json` says which.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from scenelift.weights.embedded import ARTEFACTS, path
from scenelift.weights.onnx_session import session

pytestmark = pytest.mark.weights

REFERENCES = json.loads(Path(__file__).with_name("reference_outputs.json").read_text("utf-8"))
OUTPUTS = [(model, name) for model, names in REFERENCES["outputs"].items() for name in names]


def pattern(size):
    """An image of waves in 0…1, [1, size, size, 3]."""
    row, column, channel = np.meshgrid(
        np.arange(size), np.arange(size), np.arange(3), indexing="ij"
    )
    waves = np.sin((channel + 1) * (0.05 * row + 0.03 * column))
    return (0.5 + 0.5 * waves)[None].astype(np.float32)


def image_for(model):
    if model == "nanodet":
        return np.ascontiguousarray((pattern(416) * 4 - 2).transpose(0, 3, 1, 2))
    return pattern(300) * 2 - 1 if model.startswith("ssd") else pattern(224)


@pytest.mark.parametrize(("model", "output"), OUTPUTS)
def test_computes_what_the_original_computes(model, output):
    reference = REFERENCES["outputs"][model][output]
    (actual,) = session(model, threads=1).run([output], {"image": image_for(model)})
    actual = actual.reshape(-1)[:: reference["every"]]
    # float32 sums of up to 50 layers in another order, values up to 200; measured: 2e-4 at most.
    # Kernels of ssd_coco are kept in 16 bits: .08 of logits up to 16 (with 32 bits 2e-5).
    atol = 0.1 if model == "ssd_coco" else 5e-4
    np.testing.assert_allclose(actual, reference["values"], rtol=1e-5, atol=atol)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (70, 140)])
def test_dinov2_gives_a_token_a_patch_and_the_class_token(height, width):
    image = np.zeros((1, 3, height, width), np.float32)
    outputs = session("dinov2", threads=1).run(["feat", "h2", "h5", "h8"], {"image": image})
    assert {o.shape for o in outputs} == {(1, 1 + height // 14 * (width // 14), 384)}


def test_the_labels_are_as_many_as_the_classes_of_the_detector():
    labels = path("ssd_oidv4", file="labels.txt").read_text("utf-8").splitlines()
    logits = next(o for o in session("ssd_oidv4", threads=1).get_outputs() if o.name == "logits")
    assert len([label for label in labels if label]) == logits.shape[2]


def test_wordnets_index_points_at_its_synsets():
    index = path("wordnet", file="index.noun").read_text("utf-8")
    line = next(line for line in index.splitlines() if line.startswith("chair "))
    count = int(line.split()[2])
    data = path("wordnet", file="data.noun").read_bytes()
    for offset in line.split()[-count:]:
        assert data[int(offset) :].startswith(offset.encode())


def test_every_artefact_of_the_table_is_present():
    assert [path(name).name for name in ARTEFACTS] == [a.files[0] for a in ARTEFACTS.values()]

"""A folder of TRELLIS loads completely, or says what is wrong with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from scenelift.errors import WeightsError
from scenelift.models.layers.dino import DinoParams, VisionTransformer
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlow, LatentFlowParams
from scenelift.models.slat.mesh_decoder import MeshDecoder, MeshDecoderParams
from scenelift.models.slat.precision import to_half
from scenelift.models.slat.structure_decoder import StructureDecoder, StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.models.trellis.checkpoints import DINO_FILE, ROLES, TrellisFolder, load_models
from scenelift.models.trellis.config import PUBLISHED
from scenelift.models.trellis.structure_flow import StructureFlow
from scenelift.testing.fake_checkpoints import TINY
from scenelift.testing.fake_trellis import write_trellis
from scenelift.weights.published import MODELS

BUILD = {
    "sparse_structure_flow_model": lambda: StructureFlow(StructureFlowParams()),
    "sparse_structure_decoder": lambda: StructureDecoder(StructureVAEParams()),
    "slat_flow_model": lambda: LatentFlow(LatentFlowParams()),
    "slat_decoder_gs": lambda: GaussianDecoder(GaussianDecoderParams()),
    "slat_decoder_mesh": lambda: MeshDecoder(MeshDecoderParams()),
}


def size_of_file(tensors) -> int:
    """Bytes of a safetensors file: the length, the header padded to eight bytes, the data."""
    codes = {torch.float32: "F32", torch.float16: "F16"}
    header, end = {}, 0
    for name, tensor in sorted(tensors.items(), key=lambda i: (-i[1].itemsize, i[0])):
        start, end = end, end + tensor.numel() * tensor.itemsize
        shape, offsets = list(tensor.shape), [start, end]
        header[name] = {"dtype": codes[tensor.dtype], "shape": shape, "data_offsets": offsets}
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + text + -text % 8 + end


@pytest.mark.parametrize("role", ROLES)
def test_files_of_the_published_sizes_have_the_published_number_of_bytes(role):
    """Names, shapes and types of all tensors enter into the number."""
    with torch.device("meta"):
        state = BUILD[role]().state_dict()
    name = f"{ROLES[role]}.safetensors"
    (published,) = (f.size for f in MODELS["trellis"].files if f.name == name)
    assert size_of_file(to_half(state)) == published


def test_dinov2_has_the_published_tensors():
    with torch.device("meta"):
        state = VisionTransformer(DinoParams()).state_dict()
    (published,) = (f.size for f in MODELS["dinov2-large"].files)
    data = 4 * sum(t.numel() for t in state.values())
    # PyTorch's archive takes 200 to 400 bytes an entry besides the numbers.
    assert 200 < (published - data) / len(state) < 400


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    list(write_trellis(folder, TINY))
    return folder / "open"


@pytest.fixture
def files(published, tmp_path) -> TrellisFolder:
    """A copy by links, in which a test may replace files."""
    for path in published.rglob("*"):
        target = tmp_path / path.relative_to(published)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.symlink_to(path)
    return folder_of(tmp_path)


def folder_of(root: Path) -> TrellisFolder:
    return TrellisFolder(root / "trellis", root / "dinov2-large" / DINO_FILE)


def rewrite_json(path: Path, change) -> None:
    values = json.loads(path.read_text())
    change(values["args"])
    path.unlink()
    path.write_text(json.dumps(values))


def test_every_network_loads_with_the_sizes_of_its_file(published):
    models = load_models(folder_of(published))
    assert models.structure_flow.params == TINY.structure_flow
    assert models.structure_decoder.params == TINY.structure_decoder
    assert models.latent_flow.params == TINY.latent_flow
    assert models.image_embedder.backbone.params == TINY.latent_condition.dino
    assert models.gaussian_decoder.params.gaussians == 32
    assert (models.resolution, models.image_size) == (TINY.resolution, 56)
    assert models.settings == PUBLISHED


def test_published_settings_are_those_of_the_specification():
    sampling = PUBLISHED.structure_sampling
    assert sampling == PUBLISHED.latent_sampling
    assert (sampling.steps, sampling.guidance, sampling.rescale) == (25, 5.0, 3.0)
    assert sampling.guided == (0.0, 0.5)
    assert sampling.toward_noise


def test_a_pipeline_file_may_ask_for_other_steps(files):
    def fewer(args):
        args["slat_sampler"]["params"] |= {"steps": 12, "cfg_strength": 3, "cfg_interval": [0.6, 1]}

    rewrite_json(files.folder / "pipeline.json", fewer)
    settings = folder_of(files.folder.parent).settings()
    expected = replace(
        PUBLISHED.latent_sampling, steps=12, guidance=3.0, guided=(0.0, pytest.approx(0.4))
    )
    assert settings.latent_sampling == expected
    assert settings.structure_sampling == PUBLISHED.structure_sampling


def test_numbers_that_yaml_takes_for_words_are_numbers(files):
    path = files.folder / f"{ROLES['slat_decoder_gs']}.json"
    text = path.read_text().replace("0.0009", "9e-4")
    assert "9e-4" in text
    path.unlink()
    path.write_text("\n" + text)  # some of the published files begin with an empty line
    assert files.gaussian_decoder().params.head.kernel == 9e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("input_layer.bias"), "missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "left over"),
        (lambda t: t.update({"out_layer.bias": torch.zeros(9)}), "of another shape"),
        (lambda t: t.pop("pos_emb"), "pos_emb"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(files, change, message):
    path = files.folder / f"{ROLES['sparse_structure_flow_model']}.safetensors"
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=message):
        files.structure_flow()


def test_settings_that_contradict_the_tensors_are_refused(files):
    path = files.folder / f"{ROLES['slat_flow_model']}.json"
    rewrite_json(path, lambda args: args.update(num_blocks=24))
    with pytest.raises(WeightsError, match="num_blocks is 24"):
        files.latent_flow()


def test_another_image_encoder_is_refused(files):
    rewrite_json(
        files.folder / "pipeline.json", lambda a: a.update(image_cond_model="dinov3_vitl16")
    )
    with pytest.raises(WeightsError, match="dinov3"):
        folder_of(files.folder.parent).settings()


def test_a_pipeline_file_cannot_lead_out_of_its_folder(files):
    rewrite_json(
        files.folder / "pipeline.json", lambda a: a["models"].update(slat_flow_model="../../x")
    )
    with pytest.raises(WeightsError, match="no file of its folder"):
        folder_of(files.folder.parent).latent_flow()


def test_a_missing_file_is_named(files):
    files.dino.unlink()
    with pytest.raises(WeightsError, match=DINO_FILE):
        files.image_embedder()

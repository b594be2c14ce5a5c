"""A checkpoint folder loads completely, or says what is wrong with it."""

from pathlib import Path

import pytest
import torch
import yaml

from scenelift.errors import WeightsError
from scenelift.models.sam3d.checkpoints import CheckpointFolder, Sam3dModels, load_models
from scenelift.models.sam3d.condition import ConditionEmbedder, ConditionParams
from scenelift.models.sam3d.config import PUBLISHED
from scenelift.models.sam3d.structure_flow import StructureFlow
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlow, LatentFlowParams
from scenelift.models.slat.mesh_decoder import MeshDecoder, MeshDecoderParams
from scenelift.models.slat.precision import to_half
from scenelift.models.slat.structure_decoder import StructureDecoder, StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.testing.fake_checkpoints import TINY, write_checkpoints

NETWORKS = (
    "structure_condition",
    "structure_flow",
    "structure_decoder",
    "latent_condition",
    "latent_flow",
    "gaussian_decoder",
    "mesh_decoder",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder with the published layout, which tests must not change."""
    folder = tmp_path_factory.mktemp("checkpoints")
    list(write_checkpoints(folder, TINY))
    return folder


@pytest.fixture
def folder(published, tmp_path) -> Path:
    """A copy by links, in which a test may replace files."""
    for path in published.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def rewrite(folder: Path, name: str, change) -> None:
    """Replace a weight file by one with changed tensors."""
    content = torch.load(folder / name, weights_only=True)
    change(content.get("state_dict", content))
    (folder / name).unlink()
    torch.save(content, folder / name)


def rewrite_yaml(folder: Path, name: str, change) -> None:
    values = yaml.safe_load((folder / name).read_text())
    change(values)
    (folder / name).unlink()
    (folder / name).write_text(yaml.safe_dump(values))


# Tensors and elements of the published files, which their sizes confirm.
@pytest.mark.parametrize(
    ("build", "tensors", "elements"),
    [
        (lambda: StructureFlow(StructureFlowParams()), 945, 964_156_437),
        (lambda: ConditionEmbedder(ConditionParams()), 722, 634_485_760),
        (lambda: StructureDecoder(StructureVAEParams()), 74, 73_671_201),
        (lambda: LatentFlow(LatentFlowParams()), 526, 600_432_520),
        (
            lambda: ConditionEmbedder(ConditionParams(prenorm=True, points=None)),
            699,
            626_054_144,
        ),
        (lambda: GaussianDecoder(GaussianDecoderParams()), 101, 85_369_120),
        (lambda: GaussianDecoder(GaussianDecoderParams(gaussians=4)), 101, 85_067_588),
        (lambda: MeshDecoder(MeshDecoderParams()), 120, 90_926_693),
    ],
)
def test_default_sizes_are_the_published_ones(build, tensors, elements):
    with torch.device("meta"):
        state = build().state_dict()
    assert len(state) == tensors
    assert sum(t.numel() for t in state.values()) == elements


def test_every_network_loads_with_the_sizes_of_its_file(published):
    models = load_models(published)
    assert models.structure_flow.params == TINY.structure_flow
    assert models.structure_condition.params == TINY.structure_condition
    assert models.latent_condition.params == TINY.latent_condition
    assert models.structure_decoder.params == TINY.structure_decoder
    assert models.latent_flow.params == TINY.latent_flow
    assert (models.resolution, models.image_size) == (TINY.resolution, 56)
    assert models.settings == PUBLISHED
    for name in NETWORKS:
        network = getattr(models, name)
        assert not network.training
        assert all(not p.is_meta and not p.requires_grad for p in network.parameters())


def test_the_smaller_gaussian_decoder_can_be_chosen(published):
    files = CheckpointFolder(published)
    sizes = [len(files.gaussian_decoder(n).offset_perturbation) for n in (4, 32)]
    assert sizes == [4, 32]


def test_the_folder_above_the_checkpoints_will_do(published, tmp_path):
    (tmp_path / "checkpoints").symlink_to(published)
    assert CheckpointFolder(tmp_path).folder == tmp_path / "checkpoints"


def test_without_yaml_files_sizes_still_come_from_the_tensors(folder):
    for path in folder.glob("*.yaml"):
        path.unlink()
    files = CheckpointFolder(folder)
    assert files.structure_flow().params == TINY.structure_flow
    assert files.latent_condition().params == TINY.latent_condition
    assert files.settings() == PUBLISHED


def test_equal_copies_of_dino_share_memory(folder):
    prefix = "_base_models.condition_embedder.module_list."

    def first_embedder(tensors):
        return {
            name.removeprefix(prefix + "0."): t
            for name, t in tensors.items()
            if name.startswith(prefix + "0.")
        }

    original = first_embedder(CheckpointFolder(folder).tensors("ss_generator"))

    def copy_all_but_one(tensors):
        for name, tensor in original.items():
            tensors[f"{prefix}1.{name}"] = tensor.clone()
        tensors[f"{prefix}1.backbone.norm.bias"] += 1

    rewrite(folder, "ss_generator.ckpt", copy_all_but_one)
    rewrite(
        folder,
        "slat_generator.ckpt",
        lambda tensors: tensors.update({f"{prefix}0.{n}": t.clone() for n, t in original.items()}),
    )
    models = load_models(folder)

    image, mask = (e.state_dict() for e in models.structure_condition.dino_embedders)
    latent, other = (e.state_dict() for e in models.latent_condition.dino_embedders)
    for name in image:
        assert latent[name].data_ptr() == image[name].data_ptr()
        assert (mask[name].data_ptr() == image[name].data_ptr()) == (name != "backbone.norm.bias")
        assert other[name].data_ptr() != image[name].data_ptr()  # made up separately


@pytest.mark.parametrize(
    "name", ["ss_generator.ckpt", "ss_decoder.ckpt", "slat_generator.ckpt", "slat_decoder_gs.ckpt"]
)
def test_a_missing_or_truncated_file_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name):
        load_models(folder)
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=name):
        load_models(folder)


def test_an_empty_folder_says_where_weights_come_from(tmp_path):
    with pytest.raises(WeightsError, match="facebook/sam-3d-objects"):
        load_models(tmp_path)


class Attack:
    """Writes a file when unpickled without restrictions."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "executed")


def test_a_checkpoint_that_runs_code_is_refused_unrun(folder):
    (folder / "ss_decoder.ckpt").unlink()
    torch.save({"state_dict": {}, "hook": Attack(folder / "marker")}, folder / "ss_decoder.ckpt")
    with pytest.raises(WeightsError, match="asks to run code"):
        load_models(folder)
    assert not (folder / "marker").exists()


def drop(name):
    return lambda tensors: tensors.pop(name)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ss_decoder.ckpt", drop("out_layer.2.bias"), r"1 missing \(out_layer.2.bias\)"),
        ("ss_decoder.ckpt", drop("input_layer.weight"), "lack 'input_layer.weight'"),
        (
            "ss_decoder.ckpt",
            lambda t: t.update(extra=torch.zeros(1)),
            r"1 left over \(extra\)",
        ),
        (
            "ss_decoder.ckpt",
            lambda t: t.update({"out_layer.2.bias": torch.zeros(7)}),
            r"out_layer.2.bias \[7\] instead of \[1\]",
        ),
        (
            "slat_generator.ckpt",
            lambda t: t.update({"optimizer.step": torch.zeros(1)}),
            "1 tensors that belong to no network",
        ),
        (
            "ss_generator.ckpt",
            drop("_base_models.generator.reverse_fn.backbone.d_embedder.mlp.0.bias"),
            "d_embedder.mlp.0.bias",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(folder, name, change, message):
    rewrite(folder, name, change)
    with pytest.raises(WeightsError, match=message):
        load_models(folder)


def test_a_file_that_lacks_its_last_block_is_refused(folder):
    def cut(tensors):
        for name in [n for n in tensors if n.startswith("blocks.1.")]:
            del tensors[name]

    rewrite(folder, "slat_decoder_mesh.ckpt", cut)
    with pytest.raises(WeightsError, match="num_blocks is 2"):
        load_models(folder)


def test_the_copy_of_the_structure_decoder_is_not_needed(folder):
    def strip(tensors):
        for name in [n for n in tensors if n.startswith("_base_models.decoder.")]:
            del tensors[name]

    rewrite(folder, "ss_generator.ckpt", strip)
    assert CheckpointFolder(folder).structure_flow().params == TINY.structure_flow


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ss_decoder.yaml", lambda v: v.update(channels=[1, 2, 3]), "channels is"),
        ("slat_decoder_gs.yaml", lambda v: v.update(attn_mode="full"), "attn_mode is 'full'"),
        ("slat_decoder_mesh.yaml", lambda v: v.update(num_heads="two"), "should be a number"),
        ("pipeline.yaml", lambda v: v.update(slat_mean=[0.0]), "slat_mean should be 8 numbers"),
        ("pipeline.yaml", lambda v: v.update(pose_decoder_name="Other"), "pose_decoder_name"),
        ("ss_generator.yaml", lambda v: v["module"].update(generator=3), "generator should be"),
        (
            "ss_generator.yaml",
            lambda v: v["module"]["condition_embedder"]["backbone"].update(embedder_list=[1]),
            "embedder_list should be",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(folder, name, change, message):
    rewrite_yaml(folder, name, change)
    with pytest.raises(WeightsError, match=message):
        load_models(folder)


def test_a_yaml_file_that_is_none_is_refused(folder):
    (folder / "pipeline.yaml").unlink()
    for content in ("a: [1", "- 1\n- 2\n", "!!python/object/apply:os.getcwd []"):
        (folder / "pipeline.yaml").write_text(content)
        with pytest.raises(WeightsError, match=r"pipeline\.yaml"):
            CheckpointFolder(folder)


def test_settings_are_taken_from_the_yaml_files(folder):
    def change(values):
        values.update(ss_inference_steps=4, ss_cfg_strength=2, slat_cfg_interval=[100, 900])
        values.update(slat_rescale_t=3, slat_mean=list(range(8)), downsample_ss_dist=0)

    rewrite_yaml(folder, "pipeline.yaml", change)
    settings = CheckpointFolder(folder).settings()
    assert (settings.structure_sampling.steps, settings.structure_sampling.guidance) == (4, 2)
    assert settings.latent_sampling.guided == (0.1, 0.9)
    assert settings.latent_sampling.rescale == 3
    assert settings.latent_mean == tuple(range(8))
    assert not settings.prune_interior


def network_tensors(models: Sam3dModels):
    return {
        f"{network}.{name}": tensor
        for network in NETWORKS
        for name, tensor in getattr(models, network).state_dict().items()
    }


def test_half_precision_spares_norms_embeddings_and_the_ends():
    names = {
        "blocks.0.self_attn.to_qkv.weight": (6, 2),
        "blocks.0.self_attn.to_qkv.bias": (6,),
        "upsample.0.out_layers.0.conv.weight": (2, 3, 3, 3, 2),
        "blocks.0.norm2.weight": (2,),
        "blocks.0.norm2.bias": (2,),
        "blocks.0.self_attn.q_rms_norm.gamma": (2, 2),
        "module_list.0.backbone.blocks.0.mlp.fc1.weight": (2, 2),
        "module_list.0.backbone.pos_embed": (1, 2, 2),
        "t_embedder.mlp.0.weight": (2, 2),
        "input_layer.weight": (2, 2),
        "latent_mapping.scale.pos_emb": (1, 2),
    }
    halved = to_half({name: torch.ones(shape) for name, shape in names.items()})
    assert {name for name, t in halved.items() if t.dtype == torch.float16} == {
        "blocks.0.self_attn.to_qkv.weight",
        "blocks.0.self_attn.to_qkv.bias",
        "upsample.0.out_layers.0.conv.weight",
        "module_list.0.backbone.blocks.0.mlp.fc1.weight",
    }

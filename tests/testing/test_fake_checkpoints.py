"""Made-up checkpoints have the published layout, and models that behave."""

import pytest
import torch

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.moge.checkpoint import load_moge
from scenelift.models.sam3d.checkpoints import Sam3dModels, load_models
from scenelift.models.sam3d.structure_flow import StructureLatents, structure_noise
from scenelift.models.slat.flexicubes import extract_mesh
from scenelift.models.slat.latent_flow import latent_noise
from scenelift.models.slat.sampling import SamplingParams, sample_flow
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.slat.voxels import occupied_voxels
from scenelift.testing.fake_checkpoints import MOGE_FILE, TINY, main, write_checkpoints
from scenelift.weights.state_dicts import read_pickle, read_state_dict

STEMS = (
    *("ss_generator", "ss_decoder", "slat_generator"),
    *("slat_decoder_gs", "slat_decoder_gs_4", "slat_decoder_mesh"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    assert main([str(folder), "--size", "tiny", "--seed", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def models(folder) -> Sam3dModels:
    return load_models(folder)


def test_the_folder_has_the_published_files(folder):
    files = {path.name for path in folder.iterdir() if path.is_file()}
    published = {f"{stem}{suffix}" for stem in STEMS for suffix in (".ckpt", ".yaml")}
    assert files == published | {"pipeline.yaml"}
    assert set(read_pickle(folder / MOGE_FILE)) == {"model_config", "model"}
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 20e6


def test_generators_are_wrapped_and_hold_three_parts_or_two(folder):
    def parts(stem):
        content = read_pickle(folder / f"{stem}.ckpt")
        return {name.split(".")[1] for name in content["state_dict"]}

    assert parts("ss_generator") == {"generator", "condition_embedder", "decoder"}
    assert parts("slat_generator") == {"generator", "condition_embedder"}


def test_types_are_the_published_ones(folder):
    def halves(stem):
        tensors = read_state_dict(folder / f"{stem}.ckpt", member="state_dict")
        return {name for name, t in tensors.items() if t.dtype == torch.float16}

    assert not halves("ss_generator") | halves("slat_generator") | halves("slat_decoder_mesh")
    gaussian = read_state_dict(folder / "slat_decoder_gs.ckpt")
    assert halves("slat_decoder_gs") == {n for n in gaussian if n.startswith("blocks.")}
    assert all(".conv" in name for name in halves("ss_decoder"))
    assert "blocks.0.conv1.weight" in halves("ss_decoder")
    assert not any("norm" in n or "_layer" in n for n in halves("ss_decoder"))


def test_a_seed_gives_the_same_weights_and_another_gives_others(folder, tmp_path):
    def decoder(where):
        return read_state_dict(where / "ss_decoder.ckpt")["middle_block.0.conv1.weight"]

    for seed in (3, 4):
        *_, last = (
            path
            for path in write_checkpoints(tmp_path / str(seed), TINY, seed=seed)
            if path.name == "ss_decoder.ckpt"
        )
        assert last.is_file()
    assert torch.equal(decoder(tmp_path / "3"), decoder(folder))
    assert not torch.equal(decoder(tmp_path / "4"), decoder(folder))


@torch.inference_mode()
def test_the_first_stage_finds_an_object_in_the_middle(models):
    flow = models.structure_flow
    noise = structure_noise(flow.params, torch.Generator().manual_seed(0))
    width = flow.params.block.condition_width
    context = flow.remember(torch.randn(1, 9, width, generator=torch.Generator().manual_seed(1)))
    still = torch.zeros(1)

    def velocity(state, time, conditional):
        return flow(StructureLatents(*state), time, context if conditional else None, step=still)

    latents = StructureLatents(*sample_flow(velocity, noise, SamplingParams(steps=8)))
    grid = models.structure_decoder.float()(cube_from_tokens(latents.shape))
    coords = occupied_voxels(grid)[:, 1:].float()
    assert 0.02 < len(coords) / grid.numel() < 0.6
    # Spread less than voxels all over the cube, around its middle.
    side = grid.shape[-1]
    assert coords.std(0).mean() < 0.9 * side / 12**0.5
    assert (coords.mean(0) - side / 2).abs().max() < 0.2 * side
    assert all(part.isfinite().all() and part.abs().max() < 50 for part in latents)


@torch.inference_mode()
def test_the_second_stage_ends_in_splats_and_a_mesh(models):
    axis = torch.arange(5, 10)
    coords = torch.nn.functional.pad(torch.cartesian_prod(axis, axis, axis), (1, 0)).int()
    voxels = Voxels(coords, models.resolution)
    flow = models.latent_flow
    width = flow.params.block.condition_width
    context = flow.remember(torch.randn(1, 9, width, generator=torch.Generator().manual_seed(1)))
    (feats,) = sample_flow(
        lambda state, time, conditional: (
            flow(state[0], time, voxels, context if conditional else None),
        ),
        (latent_noise(flow.params, len(voxels), torch.Generator().manual_seed(0)),),
        SamplingParams(steps=4, rescale=1, guidance=1),
    )
    latent = SparseTensor(feats, voxels)
    splats = models.gaussian_decoder.float()(latent).activate()
    assert len(splats) == 32 * len(voxels)
    assert abs(splats.means).max() < 0.6
    assert 0 < splats.scales.max() < 1

    mesh = extract_mesh(models.mesh_decoder(latent))
    assert len(mesh.faces) > 100
    assert mesh.vertices.isfinite().all()
    assert mesh.vertices.abs().max() < 0.6


@torch.inference_mode()
def test_moge_sees_a_plane_in_front_of_a_camera(folder):
    network, settings = load_moge(folder / MOGE_FILE)
    points, mask = network(torch.rand(1, 3, 40, 60), settings.tokens)
    assert (mask > settings.mask_threshold).all()
    depth = points[..., 2]
    assert depth.min() > 0.5
    assert depth.max() / depth.min() < 2
    # Further right in the picture is further right in space, likewise down.
    assert (points[0, 20, 50, 0] > points[0, 20, 10, 0] + 0.5).all()
    assert (points[0, 35, 30, 1] > points[0, 5, 30, 1] + 0.3).all()

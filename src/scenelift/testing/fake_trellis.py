"""Write TRELLIS and DINOv2 in their published layout, with made-up weights.

    python -m scenelift.testing.fake_trellis DIR --size tiny|full [--seed N]

makes `DIR/open/trellis` and `DIR/open/dinov2-large`, which `--weights DIR` takes. `tiny` is a
megabyte and runs on a laptop in seconds; `full` has the published sizes (4 GB) for measurements.
What the model makes of a photo is a blob: see `fake_weights`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from scenelift.models.layers.dino import VisionTransformer
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlow
from scenelift.models.slat.mesh_decoder import MeshDecoder, MeshDecoderParams
from scenelift.models.slat.precision import to_half
from scenelift.models.slat.structure_decoder import StructureDecoder
from scenelift.models.trellis.checkpoints import DINO_FILE, ROLES
from scenelift.models.trellis.config import PUBLISHED
from scenelift.models.trellis.structure_flow import StructureFlow
from scenelift.testing import fake_configs as configs
from scenelift.testing.fake_checkpoints import FULL, TINY, Sizes, draw
from scenelift.testing.fake_commands import command_of, show_sizes
from scenelift.testing.fake_weights import plant_decoder_path, plant_object, plant_outside

__all__ = ["write_json", "write_trellis"]


def write_trellis(folder: Path, sizes: Sizes, *, seed: int = 0) -> Iterator[Path]:
    """Write both folders, one network in memory at a time.

    Args:
        folder: of all weights; made where it does not exist.
        sizes: of the networks; the condition's are those of the second stage.
        seed: of the weights.

    Yields:
        The path of each file, once it is written.
    """
    model = folder / "open" / "trellis"
    yield write_json(model / "pipeline.json", _pipeline())

    n = sizes.resolution
    gaussians = GaussianDecoderParams(torso=sizes.torso)
    mesh = MeshDecoderParams(torso=sizes.torso, upsampled=sizes.upsampled)
    flow, latent = sizes.structure_flow, sizes.latent_flow

    def as_it_is(tensors: dict[str, Tensor]) -> None:
        """Leave the weights as they are."""

    networks: dict[
        str, tuple[Callable[[], nn.Module], Callable[[dict[str, Tensor]], None], configs.Config]
    ] = {
        "sparse_structure_flow_model": (
            lambda: StructureFlow(flow),
            partial(plant_object, ends="", toward_noise=True),
            configs.structure_transformer_config(flow),
        ),
        "sparse_structure_decoder": (
            lambda: StructureDecoder(sizes.structure_decoder),
            plant_decoder_path,
            configs.structure_decoder_config(sizes.structure_decoder),
        ),
        "slat_flow_model": (
            lambda: LatentFlow(latent),
            as_it_is,
            configs.latent_transformer_config(latent, n),
        ),
        "slat_decoder_gs": (
            lambda: GaussianDecoder(gaussians),
            as_it_is,
            configs.gaussian_decoder_config(gaussians, n),
        ),
        "slat_decoder_mesh": (
            lambda: MeshDecoder(mesh),
            plant_outside,
            configs.mesh_decoder_config(sizes.torso, n),
        ),
    }
    for role, (build, plant, arguments) in networks.items():
        path = model / ROLES[role]
        yield write_json(path.with_name(f"{path.name}.json"), {"name": role, "args": arguments})
        tensors = draw(role, build, seed=seed)
        plant(tensors)
        weights = path.with_name(f"{path.name}.safetensors")
        save_file(to_half(tensors), weights)
        yield weights

    dino = folder / "open" / "dinov2-large" / DINO_FILE
    dino.parent.mkdir(parents=True, exist_ok=True)
    params = sizes.latent_condition.dino
    torch.save(draw("dino", lambda: VisionTransformer(params), seed=seed), dino)
    yield dino


def _pipeline() -> dict[str, Any]:
    first, last = PUBLISHED.structure_sampling.guided
    sampling = {
        "steps": PUBLISHED.structure_sampling.steps,
        "cfg_strength": PUBLISHED.structure_sampling.guidance,
        "cfg_interval": [1 - last, 1 - first],
        "rescale_t": PUBLISHED.structure_sampling.rescale,
    }
    sampler = {"name": "made-up", "args": {"sigma_min": 1e-5}, "params": sampling}
    return {
        "name": "made-up",
        "args": {
            "models": ROLES,
            "sparse_structure_sampler": sampler,
            "slat_sampler": sampler,
            "slat_normalization": {
                "mean": list(PUBLISHED.latent_mean),
                "std": list(PUBLISHED.latent_std),
            },
            "image_cond_model": "dinov2_vitl14_reg",
        },
    }


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a settings file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    options = command_of("fake_trellis", __doc__).parse_args(arguments)
    sizes = {"tiny": TINY, "full": FULL}[options.size]
    return show_sizes(write_trellis(options.folder, sizes, seed=options.seed))


if __name__ == "__main__":
    sys.exit(main())

"""Random weights that make a model behave: finite everywhere, with an object in the middle.

Most values are plain noise of a size that keeps activations near one. A few are set by hand:
the structure flow grows one latent channel where the position embedding says "near the centre",
the structure decoder passes that channel on to its logits, the mesh decoder leans towards outside,
and MoGe sees a plane in front of a camera. So a whole run meets a blob of voxels, closed surfaces
and a well-posed focal length, as it does with real weights.

Tensors go by their published names. D is the width of a network.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from scenelift.models.layers.dino import IMAGENET_MEAN, IMAGENET_STD
from scenelift.models.layers.embeddings import absolute_position_embedding
from scenelift.models.slat.gaussian_decoder import hammersley_offsets

__all__ = [
    "draw_weights",
    "plant_decoder_path",
    "plant_object",
    "plant_outside",
    "plant_plane",
]

# Last layers of residual branches, by the end of their names. Small ones keep a deep network near
# the identity, as training does.
_BRANCH_ENDS = (
    *("to_out.weight", "mlp.2.weight", "attn.proj.weight", "mlp.fc2.weight", "conv2.weight"),
    *("adaLN_modulation.1.weight", "conv2.conv.weight", "layers.5.weight"),
)
_BRANCH_SCALE = 0.2

_OBJECT_SHARE = 0.2  # of the cube's cells that the object fills
_OBJECT_GAIN = 8.0  # latent units between the object and its surroundings, in deviations


def draw_weights(shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> dict[str, Tensor]:
    """Draw a float32 tensor for every name; its values depend on name, shape and seed alone."""
    return {name: _draw(name, shape, seed) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    fixed = _by_formula(name, shape)
    if fixed is not None:
        return fixed
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:6], "little"))
    z = torch.randn(shape, generator=generator)
    if name.endswith("gamma") or (z.ndim == 1 and name.endswith("weight")):
        return z.mul_(0.1).add_(1)
    if z.ndim <= 1:
        return z.mul_(0.02)
    scale = _BRANCH_SCALE if name.endswith(_BRANCH_ENDS) else 1.0
    return z.mul_(scale / math.sqrt(z[0].numel()))


def _by_formula(name: str, shape: tuple[int, ...]) -> Tensor | None:
    last = name.rpartition(".")[2]
    if name.endswith(("latent_mapping.shape.pos_emb", "/pos_emb")):  # of SAM 3D, of TRELLIS
        side = torch.arange(round(shape[0] ** (1 / 3)))
        return absolute_position_embedding(torch.cartesian_prod(side, side, side), shape[1])
    if last == "offset_perturbation":
        return hammersley_offsets(shape[0])
    if last in ("image_mean", "image_std"):
        values = IMAGENET_MEAN if last == "image_mean" else IMAGENET_STD
        return torch.tensor(values).reshape(shape)
    return None


def plant_object(
    flow: dict[str, Tensor], ends: str = "latent_mapping.shape.", *, toward_noise: bool = False
) -> None:
    """Make the structure flow push the shape's channel 0 up near the centre, and down elsewhere.

    Args:
        flow: its tensors, changed in place.
        ends: prefix of its first and last layer.
        toward_noise: its velocities point to the noise.
    """
    positions = flow[ends + "pos_emb"]  # [side³, D]
    side, frequencies = round(len(positions) ** (1 / 3)), positions.shape[1] // 6
    # Of the sines sin(ω v), that whose first half wave spans an axis: 10000^(−j/f) ≈ π / side.
    j = round(max(0.0, math.log(side / math.pi) / math.log(10000)) * frequencies)
    columns = torch.tensor([2 * axis * frequencies + j for axis in range(3)])

    # The last layer reads the stream after a layer norm; the blocks change it little.
    normed = torch.nn.functional.layer_norm(positions, positions.shape[1:])
    nearness = normed[:, columns].sum(1)
    gain = (-1 if toward_noise else 1) * _OBJECT_GAIN / nearness.std()
    weight, bias = flow[ends + "out_layer.weight"], flow[ends + "out_layer.bias"]
    weight[0] = 0
    weight[0, columns] = gain
    bias[0] = -gain * nearness.quantile(1 - _OBJECT_SHARE)


def plant_decoder_path(decoder: dict[str, Tensor]) -> None:
    """Make the structure decoder's logits follow channel 0 of the latent."""
    names = [n for n in decoder if n.endswith(".conv.weight")]  # of the up-sampling layers
    for name in ("input_layer.weight", *names, "out_layer.2.weight"):
        weight = decoder[name]
        copies = 8 if name in names else 1  # a cell's eight children lie in eight rows
        weight[:copies] = 0
        weight[:copies, 0, 1, 1, 1] = 30.0 if name == "out_layer.2.weight" else 1.0
    # Before it stand a norm and a SiLU, which leaves positive values alone.
    decoder["out_layer.2.bias"].fill_(-25)


def plant_outside(decoder: dict[str, Tensor]) -> None:
    """Make the mesh decoder's distances positive more often than not, so that surfaces close."""
    decoder["out_layer.weight"][:8] *= 0.3
    decoder["out_layer.bias"][:8] = 0.4


def plant_plane(moge: dict[str, Tensor]) -> None:
    """Make MoGe see a plane of almost constant depth, everywhere, through a camera of 90°."""
    hidden, points = moge["head.output_block.0.0.weight"], moge["head.output_block.0.2.weight"]
    # The last two inputs are the view plane's u and v, in −1 … 1; a bias lifts them over the ReLU.
    hidden[:2] = 0
    hidden[0, -2, 1, 1] = hidden[1, -1, 1, 1] = 1
    moge["head.output_block.0.0.bias"][:2] = 1
    points *= 0.05
    points[:2, :2] = 0
    centre = points.shape[-1] // 2
    points[0, 0, centre, centre] = points[1, 1, centre, centre] = 1
    points[2, :2] = 0
    moge["head.output_block.0.2.bias"].copy_(torch.tensor([-1.0, -1.0, 0.5]))
    moge["head.output_block.1.2.bias"].fill_(4)  # the mask: a point everywhere

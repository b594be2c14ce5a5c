"""DINOv2 ViT-S/14 in PyTorch, with the weights that the embedded default runs.

The matrices are those of the quantised graph, so heads learn from the features they will get.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.func import functional_call

from scenelift.errors import WeightsError
from scenelift.models.layers.dino import DinoParams, VisionTransformer
from scenelift.weights.dinov2 import BLOCKS, WIDTH, layer_of

__all__ = ["BLOCKS", "LEVELS", "PATCH", "WIDTH", "Backbone", "dequantised"]

PATCH = 14
LEVELS = ("h2", "h5", "h8", "feat")
"""Outputs of the ONNX graph that heads read: after blocks 2, 5 and 8, and the normed last one."""

_PREFIX = "backbone.encoder.layer"
_LINEAR = {
    "attention/attention/query": "attn.q",
    "attention/attention/key": "attn.k",
    "attention/attention/value": "attn.v",
    "attention/output/dense": "attn.proj",
    "mlp/fc1": "mlp.fc1",
    "mlp/fc2": "mlp.fc2",
}


class Backbone(nn.Module):
    """Frozen features of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = VisionTransformer(DinoParams(width=WIDTH, blocks=BLOCKS, registers=0))
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path) -> Backbone:
        """Load the weights of `dinov2.onnx`.

        Raises:
            WeightsError: the file is missing, or is another network.
        """
        if not path.is_file():
            raise WeightsError(f"There is no {path}: run `scenelift models download embedded`.")
        backbone = cls()
        tensors = dequantised(path)
        tensors["mask_token"] = torch.zeros(1, WIDTH)
        try:
            backbone.vit.load_state_dict(tensors)
        except RuntimeError as exc:
            raise WeightsError(f"{path} is not the quantised DINOv2 ViT-S/14: {exc}") from exc
        return backbone.eval()

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:  # [B, 3, H, W] -> 4 × [B, 1 + h·w, 384]
        """Compute `LEVELS`' tokens of pictures normalised by ImageNet's mean and deviation."""
        return self.adapted(image, {})

    def adapted(self, image: Tensor, matrices: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute the tokens with other parameters in place of some of the frozen ones.

        Args:
            matrices: by their names in the vision transformer; gradients go through them.
        """
        features: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, out: Tensor) -> None:
            features.append(out)

        hooks = [self.vit.blocks[i].register_forward_hook(keep) for i in (2, 5, 8)]
        try:
            last = self.vit.norm(functional_call(self.vit, dict(matrices), (image,)))
        finally:
            for hook in hooks:
                hook.remove()
        return [*features, last]


def dequantised(path: Path) -> dict[str, Tensor]:
    """Convert `dinov2.onnx` to float32 parameters, under the names of `VisionTransformer`."""
    graph = onnx.load(str(path)).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    out: dict[str, np.ndarray] = {}
    for node in graph.node:
        place = layer_of(node)
        if place is None:
            continue
        block, rest = place
        name = node.input[1].removesuffix("_quantized")
        weight = values[node.input[1]].astype(np.float32) - values[f"{name}_zero_point"]
        out[f"blocks.{block}.{_LINEAR[rest]}.weight"] = (weight * values[f"{name}_scale"]).T
    for i in range(BLOCKS):
        old = f"{_PREFIX}.{i}"
        for theirs, ours in _LINEAR.items():
            out[f"blocks.{i}.{ours}.bias"] = values[f"{old}.{theirs.replace('/', '.')}.bias"]
        for kind in ("weight", "bias"):
            parts = [out.pop(f"blocks.{i}.attn.{k}.{kind}") for k in "qkv"]
            out[f"blocks.{i}.attn.qkv.{kind}"] = np.concatenate(parts)
            for norm in ("norm1", "norm2"):
                out[f"blocks.{i}.{norm}.{kind}"] = values[f"{old}.{norm}.{kind}"]
        for k in (1, 2):
            out[f"blocks.{i}.ls{k}.gamma"] = values[f"{old}.layer_scale{k}.lambda1"]
    embeddings = "backbone.embeddings"
    out["cls_token"] = values[f"{embeddings}.cls_token"]
    for kind in ("weight", "bias"):
        out[f"patch_embed.proj.{kind}"] = values[f"{embeddings}.patch_embeddings.projection.{kind}"]
        out[f"norm.{kind}"] = values[f"backbone.layernorm.{kind}"]
    of_class = next(v for k, v in values.items() if k.startswith("onnx::Concat"))
    of_patches = next(v for v in values.values() if v.shape == (1, 37 * 37, WIDTH))
    out["pos_embed"] = np.concatenate([of_class, of_patches], 1)
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in out.items()}

"""SAM 2.1: cuts masks out of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.segment.pretrained import Sam2Model, Sam2Processor, photo_on
from scenelift.types import Box

__all__ = ["SAM2Masks"]

# A box costs next to nothing beside the photo's features; this bounds the memory for a crowd.
AT_ONCE = 32


class SAM2Masks:
    """The published network for single images: encodes a photo once, then cuts out boxes."""

    def __init__(self, model: Sam2Model, processor: Sam2Processor) -> None:
        self.model, self.processor = model, processor

    @torch.inference_mode()
    def cut(self, pixels: NDArray[np.uint8], boxes: Sequence[Box]) -> list[Tensor]:
        """Cut masks over the whole photo, one for each box.

        Args:
            pixels: uint8 [H, W, 3].
            boxes: x0, y0, x1, y1 in pixels.

        Returns:
            float32 [h, w] logits at the network's resolution, above 0 inside.
        """
        if not boxes:
            return []
        device, dtype = self.model.device, self.model.dtype
        photo = photo_on(device, pixels)
        view = self.processor.image_processor(photo, return_tensors="pt", device=device)
        features = self.model.get_image_embeddings(view["pixel_values"].to(dtype))
        return [mask for group in self._decoded(features, boxes, pixels.shape) for mask in group]

    def _decoded(
        self, features: list[Tensor], boxes: Sequence[Box], shape: tuple[int, ...]
    ) -> Iterator[Tensor]:  # float32 [N, h, w]
        for start in range(0, len(boxes), AT_ONCE):
            group = [list(box) for box in boxes[start : start + AT_ONCE]]
            inputs = self.processor(
                original_sizes=[[shape[0], shape[1]]], input_boxes=[group], return_tensors="pt"
            )
            outputs = self.model(
                image_embeddings=features,
                input_boxes=inputs["input_boxes"].to(self.model.device),
                multimask_output=False,
            )
            yield outputs.pred_masks[0, :, 0].float()

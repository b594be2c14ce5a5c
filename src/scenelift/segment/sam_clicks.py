"""SAM 2.1 and SAM 3's tracker: cut out one object by points, a box and a mask.

Both have the same decoder and the same call in transformers; the tracker's image encoder is the
detector's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scenelift.segment.clicks import Clicks, obey_points
from scenelift.segment.pretrained import (
    Sam2Model,
    Sam2Processor,
    Sam3Processor,
    Sam3TrackerModel,
    out_of_memory_explained,
    photo_on,
)
from scenelift.types import Image

__all__ = ["SAMClicker", "SAMFeatures"]

# Logits of a mask to start from: SAM was trained on its own, which are of this size inside.
SURE = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class SAMFeatures:
    """A photo's feature maps, fine to coarse, and its height and width."""

    maps: list[Tensor]
    height: int
    width: int

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.maps)


class SAMClicker:
    """A `Clicker` of a published model.

    Args:
        name: of the segmenter.
        model: in evaluation mode.
        processor: of the same checkpoint; prepares photos.
        resume: called before the model is used, where it may have been taken off its device.
        release: called when clicks make way for other models.
    """

    def __init__(
        self,
        name: str,
        model: Sam2Model | Sam3TrackerModel,
        processor: Sam2Processor | Sam3Processor,
        *,
        resume: Callable[[], None] = lambda: None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self._model, self._resume = name, model, resume
        self.release = release
        self._prepare: Any = processor.image_processor
        # For one size of squares both configurations have a number.
        self._side = int(cast("int", model.prompt_encoder.input_image_size))

    @torch.inference_mode()
    def look(self, image: Image) -> SAMFeatures:
        """Compute the features of a photo.

        Raises:
            DeviceMemoryError: the device has too little memory.
        """
        with out_of_memory_explained(self.name):
            self._resume()
            device, dtype = self._model.device, self._model.dtype
            view = self._prepare(photo_on(device, image.pixels), return_tensors="pt", device=device)
            maps = self._model.get_image_embeddings(view["pixel_values"].to(dtype))
            return SAMFeatures(list(maps), image.height, image.width)

    @torch.inference_mode()
    def cut(self, features: SAMFeatures, clicks: Clicks) -> NDArray[np.float32]:
        """Cut out one object as a soft mask [H, W]."""
        logits = self._decoded(features, clicks)
        upsampled = F.interpolate(
            logits[None, None].float(),
            size=(features.height, features.width),
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        return obey_points(upsampled.sigmoid().cpu().numpy(), clicks.points)

    def _decoded(self, features: SAMFeatures, clicks: Clicks) -> Tensor:  # [h, w]
        """Decode the best of the masks that the network proposes, as logits."""
        with out_of_memory_explained(self.name):
            self._resume()
            device = self._model.device
            scale = torch.tensor([self._side / features.width, self._side / features.height])
            prompts: dict[str, Tensor] = {}
            if clicks.points:
                at = torch.tensor([p.point for p in clicks.points], dtype=torch.float32) * scale
                labels = torch.tensor([int(p.positive) for p in clicks.points])
                prompts["input_points"] = at[None, None].to(device)  # [1, 1, N, 2]
                prompts["input_labels"] = labels[None, None].to(device)  # [1, 1, N]
            if clicks.box is not None:
                corners = torch.tensor(clicks.box, dtype=torch.float32) * scale.repeat(2)
                prompts["input_boxes"] = corners[None, None].to(device)  # [1, 1, 4]
            if clicks.mask is not None:
                inside = torch.tensor(clicks.mask, dtype=torch.float32)[None, None]  # [1, 1, H, W]
                small = F.interpolate(
                    inside, size=self._model.prompt_encoder.mask_input_size, mode="area"
                )
                prompts["input_masks"] = (SURE * (2 * small - 1)).to(device, self._model.dtype)
            # A lone point may mean a part or the whole: the network then proposes three.
            one = len(clicks.points) == 1 and clicks.box is None and clicks.mask is None
            out = self._model(
                image_embeddings=[t.to(device) for t in features.maps],
                multimask_output=one,
                **prompts,
            )
            best = int(out.iou_scores[0, 0].argmax())
            return out.pred_masks[0, 0, best]

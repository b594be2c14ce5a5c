"""Grounding DINO: finds scored boxes of phrases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.segment.pretrained import (
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    photo_on,
    use_cpu_kernels,
)
from scenelift.types import Box

__all__ = ["Detection", "GroundingDino"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A box that matches a phrase.

    Attributes:
        phrase: the one that it matches best.
        score: in 0…1.
        box: x0, y0, x1, y1 in pixels of the photo.
    """

    phrase: str
    score: float
    box: Box


class GroundingDino:
    """The published detector.

    It reads one caption for a photo, the phrases separated by full stops, and says for each of
    its boxes how well every token of the caption describes it.
    """

    def __init__(
        self, model: GroundingDinoForObjectDetection, processor: GroundingDinoProcessor
    ) -> None:
        self.model, self.processor = model, processor
        if model.device.type == "cpu":
            use_cpu_kernels(model)

    def detect(
        self, pixels: NDArray[np.uint8], phrases: Sequence[str], least: float
    ) -> Iterator[list[Detection]]:
        """Find boxes of at least that score, for the phrases of one caption after another.

        Args:
            pixels: uint8 [H, W, 3].
            phrases: in any number; as many as the text encoder takes share a caption.
            least: score in 0…1.
        """
        for caption in self._captions(phrases):
            yield self._read(pixels, caption, least)

    def _captions(self, phrases: Sequence[str]) -> Iterator[dict[str, str]]:
        """Group phrases that fit into one caption, each with its text there."""
        room = self.model.config.max_text_len - 2  # what opens and closes a caption
        group: dict[str, str] = {}
        token_count = 0
        for phrase in phrases:
            # A full stop within would split the phrase.
            text = " ".join(phrase.lower().replace(".", " ").split())
            tokens = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]) + 1
            if group and token_count + tokens > room:
                yield group
                group, token_count = {}, 0
            group[phrase] = text
            token_count += tokens
        if group:
            yield group

    @torch.inference_mode()
    def _read(
        self, pixels: NDArray[np.uint8], caption: dict[str, str], least: float
    ) -> list[Detection]:
        device = self.model.device
        photo = photo_on(device, pixels)
        views = self.processor.image_processor(photo, return_tensors="pt", device=device)
        text = "".join(f"{part}. " for part in caption.values()).rstrip()
        tokens = self.processor.tokenizer(
            text,
            return_tensors="pt",
            return_token_type_ids=True,
            return_offsets_mapping=True,
            truncation=True,
            max_length=self.model.config.max_text_len,
        )
        places = tokens.pop("offset_mapping")[0].tolist()
        outputs = self.model(
            pixel_values=views["pixel_values"].to(self.model.dtype),
            pixel_mask=views["pixel_mask"],
            **{name: tensor.to(device) for name, tensor in tokens.items()},
        )
        likely = outputs.logits[0].float().sigmoid()  # [boxes, tokens]
        scores = torch.stack(
            [
                likely[:, span].amax(1) if span else likely.new_zeros(len(likely))
                for span in _spans(list(caption.values()), places)
            ],
            1,
        )  # [boxes, phrases]
        best, index = scores.max(1)
        phrases = list(caption)
        size = torch.tensor([pixels.shape[1], pixels.shape[0]] * 2)
        corners = _corners(outputs.pred_boxes[0].float().cpu()).clamp(0, 1) * size
        return [
            Detection(
                phrase=phrases[int(index[k])],
                score=float(best[k]),
                box=(x0, y0, x1, y1),
            )
            for k, (x0, y0, x1, y1) in enumerate(corners.tolist())
            if best[k] >= least and x1 > x0 and y1 > y0
        ]


def _spans(texts: Sequence[str], places: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Find the numbers of each text's tokens in a caption."""
    start = 0
    for text in texts:
        end = start + len(text)
        yield [k for k, (a, b) in enumerate(places) if start <= a < b <= end]
        start = end + len(". ")


def _corners(boxes: torch.Tensor) -> torch.Tensor:  # cx, cy, w, h -> x0, y0, x1, y1
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centres - sizes / 2, centres + sizes / 2], 1)

"""SAM 3 as the pipeline calls it: encode a photo once, then find what queries name.

Shape letters: B queries in one batch, Q objects the network proposes for each, h, w rows and
columns of its masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scenelift.segment.cuda_graphs import Replayed
from scenelift.segment.pretrained import Sam3Model, Sam3Processor, Sam3VisionEncoderOutput, photo_on
from scenelift.types import Box

__all__ = ["Query", "SAM3Network", "Sam3Result"]

# What the processor takes for the text of boxes alone.
BOXES_ALONE = "visual"
# The text encoder's context; what a longer phrase has beyond it is not read.
PHRASE_TOKENS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One thing to find all instances of: a phrase, example boxes, or both.

    Attributes:
        text: the phrase, or None for boxes alone.
        boxes: x0, y0, x1, y1 in pixels of the photo.
        positive: for each box, whether it is an example of what is meant or of what is not.
    """

    text: str | None
    boxes: tuple[Box, ...] = ()
    positive: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam3Result:
    """The network's proposals for one query; most of them have tiny scores.

    Attributes:
        scores: float32 [Q] in 0…1.
        boxes: float32 [Q, 4], x0, y0, x1, y1 in 0…1 of the photo's width and height.
        logits: [Q, h, w] masks over the whole photo, in the network's type; above 0 is inside.
    """

    scores: Tensor
    boxes: Tensor
    logits: Tensor


class SAM3Network:
    """The published network with what makes it fast: shared features, batches, recorded launches.

    Args:
        model: in evaluation mode, on its device.
        processor: of the same checkpoint.
        at_once: most queries in one batch.
        record: replay recorded CUDA graphs; None for wherever there is a CUDA device.
    """

    def __init__(
        self,
        model: Sam3Model,
        processor: Sam3Processor,
        *,
        at_once: int = 8,
        record: bool | None = None,
    ) -> None:
        self.model, self.processor, self.at_once = model, processor, at_once
        self._record = model.device.type == "cuda" if record is None else record
        self._look: Callable[..., tuple[Tensor, ...]] = self._encode
        self._find: Callable[..., tuple[Tensor, ...]] = self._decode
        self._features: tuple[Tensor, ...] = ()
        self._size: tuple[int, int] = (0, 0)
        if self._record:
            self._start_recording()

    @torch.inference_mode()
    def look(self, pixels: NDArray[np.uint8]) -> None:
        """Compute the features of a photo, uint8 [H, W, 3]; `find` is about it from then on."""
        device = self.model.device
        photo = photo_on(device, pixels)
        inputs = self.processor(images=photo, return_tensors="pt", device=device)
        self._size = (pixels.shape[0], pixels.shape[1])
        self._features = self._look(inputs["pixel_values"].to(self.model.dtype))

    def find(self, queries: Sequence[Query]) -> Iterator[list[Sam3Result]]:
        """Find what each query names in the photo that was looked at.

        Yields:
            The results of the next few queries, in order. They are good until the next step.
        """
        for batch in _batches(queries, self.at_once):
            yield self._find_batch(batch)

    def release(self) -> None:
        """Drop features and recordings, and take the weights off the device."""
        self._features = ()
        self._look, self._find = self._encode, self._decode
        device = self.model.device
        nn.Module.to(self.model, "cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def resume(self, device: torch.device) -> None:
        """Undo `release`: put the weights back on the device."""
        if self.model.device != device:
            nn.Module.to(self.model, device)
            if self._record:
                self._start_recording()

    def _start_recording(self) -> None:
        pool = torch.cuda.graph_pool_handle()
        self._look, self._find = Replayed(self._encode, pool), Replayed(self._decode, pool)

    @torch.inference_mode()
    def _find_batch(self, queries: Sequence[Query]) -> list[Sam3Result]:
        inputs = self._inputs(queries)
        if "input_boxes" in inputs:
            # Pooling over boxes makes constants on the device, so it is not recorded.
            outputs = self._decode(**inputs)
        else:
            # Recordings are made for 1, 2, 4, 8 … queries; a batch is filled up with its last.
            fill = _power_of_two(len(queries)) - len(queries) if self._record else 0
            ids, mask = (_filled(inputs[k], fill) for k in ("input_ids", "attention_mask"))
            outputs = self._find(ids, mask)
        scores, boxes, logits = (tensor[: len(queries)] for tensor in outputs)
        return [
            Sam3Result(scores=s, boxes=b, logits=l)
            for s, b, l in zip(scores, boxes, logits, strict=True)
        ]

    def _inputs(self, queries: Sequence[Query]) -> dict[str, Tensor]:
        # The processor itself does not cut long phrases, which the text encoder cannot take.
        tokens = self.processor.tokenizer(
            [query.text or BOXES_ALONE for query in queries],
            return_tensors="pt",
            padding="max_length",
            max_length=PHRASE_TOKENS,
            truncation=True,
        )
        device = self.model.device
        inputs = {k: tokens[k].to(device) for k in ("input_ids", "attention_mask")}
        if queries[0].boxes:
            examples: dict[str, Any] = {
                "original_sizes": [list(self._size)] * len(queries),
                "input_boxes": [[list(box) for box in query.boxes] for query in queries],
                "input_boxes_labels": [[int(p) for p in query.positive] for query in queries],
            }
            encoded = self.processor(return_tensors="pt", **examples)
            inputs["input_boxes"] = encoded["input_boxes"].to(device, self.model.dtype)
            inputs["input_boxes_labels"] = encoded["input_boxes_labels"].to(device)
        return inputs

    def _encode(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Encode a picture [1, 3, S, S] as feature maps, fine to coarse, then their positions."""
        vision = self.model.get_vision_features(pixel_values)
        return (*vision.fpn_hidden_states, *vision.fpn_position_encoding)

    def _decode(
        self, input_ids: Tensor, attention_mask: Tensor, **boxes: Tensor
    ) -> tuple[Tensor, ...]:
        """Decode token ids [B, T] into scores [B, Q], boxes [B, Q, 4], mask logits [B, Q, h, w]."""
        shared = [t.expand(len(input_ids), -1, -1, -1) for t in self._features]
        levels = len(shared) // 2
        out = self.model(
            vision_embeds=Sam3VisionEncoderOutput(
                fpn_hidden_states=tuple(shared[:levels]),
                fpn_position_encoding=tuple(shared[levels:]),
            ),
            input_ids=input_ids,
            attention_mask=attention_mask,
            **boxes,
        )
        # An object's score is that it matches, given that anything does, times that anything does.
        scores = out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid()
        return scores, out.pred_boxes.float(), out.pred_masks


def _batches(queries: Sequence[Query], most: int) -> Iterator[Sequence[Query]]:
    """Batch consecutive queries, at most so many, with equally many boxes: padding is not for free.

    A query without boxes has no token for them at all, so it cannot share a batch with one that
    has some.
    """
    start = 0
    for end in range(1, len(queries) + 1):
        full = end - start == most
        if full or end == len(queries) or len(queries[end].boxes) != len(queries[start].boxes):
            yield queries[start:end]
            start = end


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _filled(rows: Tensor, more: int) -> Tensor:  # [B, T] -> [B + more, T]
    return torch.cat([rows, rows[-1:].expand(more, -1)]) if more else rows

"""Grounding DINO tiny and SAM 2.1 tiny with random weights of the published sizes, for timing.

The sizes are the published configurations': what `config.json` of both repositories says is what
transformers' configuration classes have as their defaults.
"""

from __future__ import annotations

from pathlib import Path

import torch

from scenelift.segment.torchvision_ops import import_torchvision

import_torchvision()

from transformers import (  # noqa: E402  (needs torchvision to be importable)
    BertConfig,
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
)

from scenelift.testing.tiny_segmenters import bert_vocabulary  # noqa: E402

__all__ = ["write_grounding_dino_tiny", "write_sam2_tiny"]


def write_grounding_dino_tiny(folder: Path) -> Path:
    """Write 172 million numbers, with a tokenizer of a few words."""
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config={"model_type": "swin", "out_indices": [2, 3, 4]},
        text_config=BertConfig(),
        disable_custom_kernels=True,
    )
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        # Scores are this norm's output times the text's: made small, they are all near one half.
        model.model.decoder.layer_norm.weight.mul_(0.01)
    model.save_pretrained(folder)
    GroundingDinoProcessor(
        image_processor=GroundingDinoImageProcessor(),
        tokenizer=BertTokenizer(vocab=bert_vocabulary(), model_max_length=256),
    ).save_pretrained(folder)
    return folder


def write_sam2_tiny(folder: Path) -> Path:
    """Write 31 million numbers: those that single images need."""
    torch.manual_seed(0)
    Sam2Model(Sam2Config()).save_pretrained(folder)
    Sam2Processor(Sam2ImageProcessor()).save_pretrained(folder)
    return folder

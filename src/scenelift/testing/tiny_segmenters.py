"""Tiny segmentation checkpoints with random weights: SAM 3, Grounding DINO and SAM 2.1.

    write_sam3(folder)              folder/config.json, model.safetensors, processor, tokenizer
    write_grounding_dino(folder)
    write_sam2(folder)
    write_sam3_with_tracker(folder)  detector and tracker in one file, as they are published

They have the published layout and classes at a thousandth of the size, are made without network
access in a fraction of a second, and run through the same code as real weights.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from scenelift.segment.torchvision_ops import import_torchvision

import_torchvision()

from transformers import (  # noqa: E402  (needs torchvision to be importable)
    BertConfig,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2Processor,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3VisionConfig,
    Sam3ViTConfig,
)

__all__ = [
    "WORDS",
    "bert_vocabulary",
    "write_grounding_dino",
    "write_sam2",
    "write_sam3",
    "write_sam3_with_tracker",
]

# Words that the tiny tokenizers know whole; any other is spelled in letters.
WORDS = ("cup", "cat", "dog", "box", "car", "red", "visual")

_WIDTH = 32


def write_sam3(folder: Path, *, image_size: int = 112, queries: int = 12, seed: int = 0) -> Path:
    """Write a SAM 3 of 0.2 M parameters.

    Args:
        folder: made if it is not there.
        image_size: what photos are resized to; a multiple of 28.
        queries: objects it can find for one phrase.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    vocabulary, _ = _clip_vocabulary()
    Sam3Model(_sam3_config(image_size, queries, len(vocabulary))).save_pretrained(folder)
    return _write_sam3_processor(folder, image_size)


def write_sam3_with_tracker(folder: Path, *, image_size: int = 112, seed: int = 0) -> Path:
    """Write a SAM 3 with its tracker, under the names that the published file has."""
    torch.manual_seed(seed)
    vocabulary, _ = _clip_vocabulary()
    detector = Sam3Model(_sam3_config(image_size, 12, len(vocabulary)))
    side = {"hidden_size": _WIDTH, "image_size": image_size}
    vision: Any = detector.config.vision_config
    tracker_config = Sam3TrackerConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=side | {"patch_size": 14, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": _WIDTH,
            "mlp_dim": 2 * _WIDTH,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": _WIDTH,
        },
    )
    tracker = Sam3TrackerModel(tracker_config)
    tensors = {f"detector_model.{name}": t for name, t in detector.state_dict().items()}
    for name, tensor in tracker.state_dict().items():
        if name.startswith("vision_encoder.neck."):
            tensors[f"tracker_neck.{name.removeprefix('vision_encoder.neck.')}"] = tensor
        elif not name.startswith("vision_encoder."):
            tensors[f"tracker_model.{name}"] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.clone() for name, t in tensors.items()}, folder / "model.safetensors")
    config = {
        "architectures": ["Sam3VideoModel"],
        "model_type": "sam3_video",
        "detector_config": detector.config.to_dict(),
        "tracker_config": tracker_config.to_dict(),
    }
    (folder / "config.json").write_text(json.dumps(config, default=str))
    return _write_sam3_processor(folder, image_size)


def _write_sam3_processor(folder: Path, image_size: int) -> Path:
    vocabulary, merges = _clip_vocabulary()
    tokenizer: dict[str, Any] = {"vocab": vocabulary, "merges": merges, "model_max_length": 32}
    side = {"height": image_size, "width": image_size}
    mask_side = {"height": image_size * 2 // 7, "width": image_size * 2 // 7}
    Sam3Processor(
        image_processor=Sam3ImageProcessor(size=side, mask_size=mask_side),
        tokenizer=CLIPTokenizer(**tokenizer),
    ).save_pretrained(folder)
    return folder


def write_grounding_dino(folder: Path, *, queries: int = 12, seed: int = 0) -> Path:
    """Write a Grounding DINO with a Swin of one block a stage and a BERT of one layer."""
    torch.manual_seed(seed)
    vocabulary = bert_vocabulary()
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 64,
            "embed_dim": 16,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 2, 2, 2],
            "window_size": 4,
            "out_indices": [2, 3, 4],
        },
        text_config=BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=2 * _WIDTH,
        ),
        d_model=_WIDTH,
        num_queries=queries,
        encoder_layers=1,
        decoder_layers=2,  # the second shares its box head with the first
        encoder_ffn_dim=2 * _WIDTH,
        decoder_ffn_dim=2 * _WIDTH,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        disable_custom_kernels=True,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    GroundingDinoProcessor(
        image_processor=GroundingDinoImageProcessor(
            size={"shortest_edge": 96, "longest_edge": 160}
        ),
        tokenizer=BertTokenizer(vocab=vocabulary, model_max_length=256),
    ).save_pretrained(folder)
    return folder


def write_sam2(folder: Path, *, image_size: int = 128, seed: int = 0) -> Path:
    """Write a SAM 2.1 for single images with a Hiera of five blocks."""
    torch.manual_seed(seed)
    widths = [8, 16, 24, 32]
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=Sam2HieraDetConfig(
                hidden_size=widths[0],
                image_size=[image_size, image_size],
                blocks_per_stage=[1, 1, 2, 1],
                embed_dim_per_stage=widths,
                num_attention_heads_per_stage=[1, 1, 1, 1],
                window_size_per_stage=[4, 4, 4, 4],
                global_attention_blocks=[3],  # may not be the first of its stage
            ),
            backbone_channel_list=widths[::-1],
            backbone_feature_sizes=[[image_size // step] * 2 for step in (4, 8, 16)],
            fpn_hidden_size=_WIDTH,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(
            hidden_size=_WIDTH, image_size=image_size, mask_input_channels=4
        ),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=_WIDTH,
            mlp_dim=2 * _WIDTH,
            num_attention_heads=2,
            iou_head_hidden_dim=_WIDTH,
        ),
    )
    Sam2Model(config).save_pretrained(folder)
    side = {"height": image_size, "width": image_size}
    mask_side = {"height": image_size // 4, "width": image_size // 4}
    Sam2Processor(Sam2ImageProcessor(size=side, mask_size=mask_side)).save_pretrained(folder)
    return folder


def _sam3_config(image_size: int, queries: int, vocabulary: int) -> Sam3Config:
    grid = image_size // 14
    block = {
        "hidden_size": _WIDTH,
        "num_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 2 * _WIDTH,
    }
    return Sam3Config(
        vision_config=Sam3VisionConfig(
            backbone_config=Sam3ViTConfig(
                hidden_size=_WIDTH,
                intermediate_size=2 * _WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=image_size,
                patch_size=14,
                window_size=grid // 2,
                global_attn_indexes=[1],
                pretrain_image_size=image_size // 2,
            ),
            fpn_hidden_size=_WIDTH,
            backbone_feature_sizes=[[grid * 4] * 2, [grid * 2] * 2, [grid] * 2],
        ),
        text_config=CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=_WIDTH,
            intermediate_size=2 * _WIDTH,
            projection_dim=_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
            hidden_act="gelu",
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        ),
        geometry_encoder_config=block | {"roi_size": 3},
        detr_encoder_config=block,
        detr_decoder_config=block | {"num_queries": queries},
        mask_decoder_config={
            "hidden_size": _WIDTH,
            "num_upsampling_stages": 3,
            "num_attention_heads": 2,
        },
    )


def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """List characters, characters that end a word, and the merges that build each of WORDS."""
    characters = sorted(string.ascii_lowercase + string.digits + string.punctuation)
    tokens = [*characters, *(c + "</w>" for c in characters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        built, *rest = [*word[:-1], f"{word[-1]}</w>"]
        for part in rest:
            if (built, part) not in merges:
                merges.append((built, part))
                tokens.append(built + part)
            built += part
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}, merges


def bert_vocabulary() -> dict[str, int]:
    """List special tokens, WORDS, and characters that begin or continue a word."""
    characters = sorted(string.ascii_lowercase + string.digits + string.punctuation)
    tokens = [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *WORDS,
        *characters,
        *(f"##{c}" for c in characters),
    ]
    return {token: index for index, token in enumerate(tokens)}

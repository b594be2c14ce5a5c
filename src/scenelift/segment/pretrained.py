"""Loads transformers' models from a local folder: strictly, silently, without running code.

The classes themselves are imported here and nowhere else, because torchvision has to be importable
before the first of them is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from scenelift.errors import DeviceMemoryError, WeightsError, first_line
from scenelift.models.ops.deformable_attention import DeformableAttention
from scenelift.segment.torchvision_ops import import_torchvision

import_torchvision()

from transformers import (  # noqa: E402
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Sam2Model,
    Sam2Processor,
    Sam3Model,
    Sam3Processor,
    Sam3TrackerModel,
)
from transformers.models.grounding_dino.modeling_grounding_dino import (  # noqa: E402
    MultiScaleDeformableAttention,
)
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

__all__ = [
    "GroundingDinoForObjectDetection",
    "GroundingDinoProcessor",
    "MultiScaleDeformableAttention",
    "Sam2Model",
    "Sam2Processor",
    "Sam3Model",
    "Sam3Processor",
    "Sam3TrackerModel",
    "Sam3VisionEncoderOutput",
    "choose_dtype",
    "load_model",
    "load_processor",
    "out_of_memory_explained",
    "photo_on",
    "use_cpu_kernels",
]

M = TypeVar("M", bound=PreTrainedModel)
P = TypeVar("P", bound=ProcessorMixin)

# What transformers raises for files that are missing, damaged, or of another shape.
_LOADING_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)


def choose_dtype(device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the device has it, float16 on older CUDA devices, else float32."""
    if device.type != "cuda":
        return torch.float32
    native = torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if native else torch.float16


def load_model(kind: type[M], folder: Path, *, dtype: torch.dtype, device: torch.device) -> M:
    """Load a model for inference.

    Raises:
        WeightsError: files are missing or damaged, or the weights do not fit the model exactly.
    """
    with _quietly(), _translated(folder):
        loaded: Any = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, loading = loaded
    absent = [*loading["missing_keys"], *loading["mismatched_keys"]]
    if absent:
        raise WeightsError(
            f"The weights in {folder} do not fit {kind.__name__}: {len(absent)} tensors are "
            f"missing or of another shape ({', '.join(str(k) for k in sorted(absent)[:3])} …). "
            f"Fetch them again, or check that they belong to this model."
        )
    return model.to(device).eval().requires_grad_(False)


def use_cpu_kernels(model: GroundingDinoForObjectDetection) -> None:
    """Let a detector on the CPU read its feature maps by a kernel of ours: the same numbers sooner.

    Args:
        model: in float32; it is changed in place. Where it goes to a GPU later, PyTorch's own way
            is taken there.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, MultiScaleDeformableAttention):
                setattr(module, name, DeformableAttention(elsewhere=child))


def load_processor(kind: type[P], folder: Path) -> P:
    """Load what turns photos and phrases into a model's inputs.

    Raises:
        WeightsError: files are missing or damaged.
    """
    with _quietly(), _translated(folder):
        return kind.from_pretrained(folder, local_files_only=True)


def photo_on(device: torch.device, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Move a photo, uint8 [H, W, 3], to a device as uint8 [3, H, W] for an image processor."""
    return torch.tensor(pixels).to(device).movedim(-1, 0)  # copied: a photo may be read-only


@contextmanager
def out_of_memory_explained(name: str) -> Iterator[None]:
    """Context: turn a lack of device memory into a `DeviceMemoryError` with the next step."""
    try:
        yield
    except torch.OutOfMemoryError as exc:
        raise DeviceMemoryError(
            f"The GPU has too little free memory for the segmenter {name!r}. Free some, take a "
            f"smaller model with --segmenter-model, or run on `--device cpu`."
        ) from exc


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except _LOADING_ERRORS as exc:
        raise WeightsError(
            f"The model in {folder} cannot be loaded: {first_line(exc, 300)} Fetch it "
            "again; the folder needs config.json, model.safetensors, and the files of processor "
            "and tokenizer."
        ) from exc


@contextmanager
def _quietly() -> Iterator[None]:
    """Context: hide the progress bar of transformers, which would mix with our own lines."""
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()

"""Training examples on disk: a photo, a mask, and the truth about what it shows.

DATA/NAME/photo.png           or .jpg: any format that `scenelift run` takes
DATA/NAME/mask.png            the object's pixels, white, in the photo's size
DATA/NAME/truth.safetensors   tensors; see `Truth`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from scenelift.errors import InputError
from scenelift.io.image import read_image
from scenelift.models.sam3d.pose import CAMERA_FROM_PYTORCH3D
from scenelift.models.sam3d.preprocess import ConditionImages, preprocess
from scenelift.segment.given import load_masks
from scenelift.types import Pose

__all__ = ["Example", "Truth", "find_examples"]

TRUTH = "truth.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The truth about an object; each stage asks for its part.

    The tensors of `truth.safetensors`, by name:

        points        float32 [h, w, 3], the photo's point map in the camera frame
                      (docs/conventions.md), NaN where unknown; first stage
        rotation      float32 [4], scene_from_object of the y-up object, w, x, y, z; first stage
        translation   float32 [3]; first stage
        scale         float32 [1]; first stage
        voxels        int32 [N, 3], occupied cells 0…63 of the z-up object's cube; first stage,
                      where an encoder is given, or instead of it
        structure     float32 [C, s, s, s], the structure's latent cube
        coords        int32 [N, 3], voxels of the z-up object; second stage
        latents       float32 [N, C] on them, as the decoders take them; second stage
    """

    tensors: Mapping[str, Tensor]
    path: Path

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def tensor(self, name: str, *shape: int | None) -> Tensor:
        """Return one of the tensors; None in a shape stands for any size.

        Raises:
            InputError: it is missing or has another shape.
        """
        tensor = self.tensors.get(name)
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        if tensor is None:
            raise InputError(
                f"{self.path} has no tensor {name!r}, which this stage is trained on: expected "
                f"shape [{expected}]. It has: {', '.join(sorted(self.tensors)) or 'none'}."
            )
        if tensor.ndim != len(shape) or any(
            side not in (None, n) for side, n in zip(shape, tensor.shape, strict=True)
        ):
            raise InputError(
                f"{self.path}: {name} should have shape [{expected}], it has {list(tensor.shape)}."
            )
        return tensor

    @property
    def pose(self) -> Pose:
        """Return scene_from_object of the y-up object.

        Raises:
            InputError: a part is missing, or is no pose.
        """
        w, x, y, z = self.tensor("rotation", 4).double().tolist()
        tx, ty, tz = self.tensor("translation", 3).double().tolist()
        scale = self.tensor("scale", 1).double().item()
        if scale <= 0 or not np.isfinite([w, x, y, z, tx, ty, tz, scale]).all():
            raise InputError(f"{self.path}: the pose has the scale {scale}, or NaN in it.")
        norm = float(np.linalg.norm([w, x, y, z]))
        if abs(norm - 1) > 1e-3:
            raise InputError(f"{self.path}: the rotation is no unit quaternion (norm {norm:.3f}).")
        return Pose(
            rotation=(w / norm, x / norm, y / norm, z / norm),
            translation=(tx, ty, tz),
            scale=scale,
        )


@dataclass(frozen=True, slots=True)
class Example:
    """One training example; nothing is read before it is asked for."""

    folder: Path

    def truth(self) -> Truth:
        """Read the truth about the object.

        Raises:
            InputError: it cannot be read.
        """
        path = self.folder / TRUTH
        try:
            return Truth(load_file(path), path)
        except (OSError, SafetensorError) as exc:
            raise InputError(f"Cannot read {path}: {exc}.") from exc

    def view(
        self, size: int, device: torch.device, *, points: Tensor | None = None
    ) -> ConditionImages:
        """Prepare the inputs of the condition embedders.

        Args:
            size: side of their pictures.
            device: where the pictures shall be.
            points: of the truth, [h, w, 3]; the second stage does without.

        Raises:
            InputError: photo or mask cannot be read, or differ in size.
        """
        image = read_image(_photo_of(self.folder))
        size_of_photo = (image.height, image.width)
        mask = load_masks([self.folder / "mask.png"], size_of_photo)[0].mask
        axes = torch.tensor(np.diag(CAMERA_FROM_PYTORCH3D), dtype=torch.float32)
        return preprocess(
            torch.tensor(image.pixels, device=device).movedim(-1, 0).float() / 255,
            torch.tensor(mask, device=device).float()[None],
            None if points is None else (points.float() * axes).movedim(-1, 0).to(device),
            size=size,
        )


def find_examples(data: Path, *, held_out: int) -> tuple[list[Example], list[Example]]:
    """The examples of a folder, in two parts: to train on, and to keep out.

    Args:
        data: folder of example folders.
        held_out: how many to keep out, evenly spread over the sorted names.

    Raises:
        InputError: there are none, or too few for both parts.
    """
    examples = [Example(path.parent) for path in sorted(data.glob(f"*/{TRUTH}"))]
    if len(examples) <= held_out:
        raise InputError(
            f"{data} has {len(examples)} examples (folders with a {TRUTH}), of which {held_out} "
            f"are to be held out: none is left to train on."
        )
    if not held_out:
        return examples, []
    out = {len(examples) * (2 * k + 1) // (2 * held_out) for k in range(held_out)}
    return [e for i, e in enumerate(examples) if i not in out], [examples[i] for i in sorted(out)]


def _photo_of(folder: Path) -> Path:
    photos = sorted(folder.glob("photo.*"))
    if len(photos) != 1:
        raise InputError(f"{folder} should hold one photo.*, it holds {len(photos)}.")
    return photos[0]

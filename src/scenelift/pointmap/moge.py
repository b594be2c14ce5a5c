"""Point maps by MoGe v1. Their scale is the network's guess: a unit is no metre."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from scenelift.errors import InputError
from scenelift.moge.checkpoint import MoGeSettings, load_moge
from scenelift.moge.focal import focal_in_pixels, recover_focal_and_shift
from scenelift.moge.network import MoGe
from scenelift.pointmap.moge_weights import weight_file
from scenelift.progress import Reporter
from scenelift.registry import BackendOptions
from scenelift.types import Camera, Image, Instance, PointMap

__all__ = ["MoGePointMapper"]


class MoGePointMapper:
    """A `PointMapper`; runs in half precision on a GPU."""

    name = "moge"

    def __init__(
        self, network: MoGe, settings: MoGeSettings, *, device: torch.device | None = None
    ) -> None:
        self.network = network.to(device)
        self.settings = settings
        self.device = next(network.parameters()).device
        weights = network.head.output_block[0].state_dict().values()
        digest = hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in weights))
        self.version = f"moge-1 {digest.hexdigest()[:12]}"

    @classmethod
    def from_options(cls, options: BackendOptions) -> MoGePointMapper:
        """Load the weights from the folder that the options name, or the cache.

        Raises:
            WeightsError: they are missing or damaged.
        """
        network, settings = load_moge(weight_file(options))
        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network, settings, device=torch.device(device))

    @torch.inference_mode()
    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate points and camera of a photo; the instances do not matter.

        Raises:
            InputError: the photo shows nothing that has a depth.
        """
        report.update(0, message="estimating depth")
        pixels = torch.from_numpy(np.ascontiguousarray(image.pixels)).to(self.device)
        picture = pixels.movedim(-1, 0)[None].float() / 255
        with self._precision():
            points, logits = self.network(picture, self.settings.tokens)
        points, mask = points[0], logits[0] > self.settings.mask_threshold
        focal, shift = recover_focal_and_shift(points, mask)
        report.update(1, message="estimating depth")
        if not bool(mask.any()) or not focal > 0:
            raise InputError(
                "The photo shows no surface whose depth could be estimated. "
                "Try another photo, or give the depth yourself."
            )
        # x right, y down, z forward to x right, y up, z backward.
        points = torch.stack([points[..., 0], -points[..., 1], -(points[..., 2] + shift)], -1)
        points = torch.where(mask[..., None], points, torch.nan)
        f = focal_in_pixels(focal, image.height, image.width)
        return PointMap(
            points=points.cpu().numpy(),
            camera=Camera(
                fx=f,
                fy=f,
                cx=image.width / 2,
                cy=image.height / 2,
                width=image.width,
                height=image.height,
            ),
            source=self.name,
        )

    def _precision(self) -> AbstractContextManager[object]:
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.float16)
        return nullcontext()

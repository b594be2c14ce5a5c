"""Estimate point maps with MoGe v1, whose scale is a guess: a unit is not a metre."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.errors import DeviceMemoryError, InputError
from scenelift.models.moge.checkpoint import MoGeSettings, load_moge
from scenelift.models.moge.focal import recover_focal_and_shift
from scenelift.models.moge.network import MoGe
from scenelift.models.residency import Residency
from scenelift.options import BackendOptions, ExifFocal
from scenelift.pointmap.exif_focal import centred_camera, used_focal
from scenelift.pointmap.moge_weights import weight_file
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.types import Image, Instance, PointMap

__all__ = ["MoGePointMapper"]

_WORKING = 3 << 29  # bytes besides the weights, for the photo's own size at the end; an estimate


class MoGePointMapper:
    """A `PointMapper`; runs in half precision on a GPU.

    Args:
        network: on the host.
        settings: of its checkpoint.
        device: where it runs; the CPU by default.
        vram_bytes: most device memory to use.
        exif_focal: what a focal length that the photo tells is used for.
    """

    name = "moge"

    def __init__(
        self,
        network: MoGe,
        settings: MoGeSettings,
        *,
        device: torch.device | None = None,
        vram_bytes: int | None = None,
        exif_focal: ExifFocal = "camera",
    ) -> None:
        self.exif_focal: ExifFocal = exif_focal
        self.network = network
        self.settings = settings
        self.device = device or torch.device("cpu")
        self.memory = Residency(self.device, limit=vram_bytes)
        weights = network.head.output_block[0].state_dict().values()
        digest = hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in weights))
        self.version = f"moge-1 {digest.hexdigest()[:12]}, focal length of EXIF: {exif_focal}"

    @classmethod
    def from_options(cls, options: BackendOptions | Runtime) -> MoGePointMapper:
        """Load the weights from the folder that the options name, or from the cache.

        Raises:
            WeightsError: they are missing or damaged.
            SetupError: the device is not there.
        """
        runtime = Runtime.of(options)
        network, settings = load_moge(weight_file(runtime.options))
        return cls(
            network,
            settings,
            device=runtime.torch_device,
            vram_bytes=runtime.memory_bytes,
            exif_focal=runtime.options.exif_focal,
        )

    @torch.inference_mode()
    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate points and camera of a photo; the instances are not used.

        Where the photo says its focal length, that is the camera's, and the points lie on its
        pixels' rays, unless `exif_focal` says otherwise; else both are the network's.

        Raises:
            InputError: the photo shows nothing that has a depth.
            DeviceMemoryError: the device has too little memory.
        """
        report.update(0, message="estimating depth")
        try:
            points, logits = self.memory.first_that_fits(lambda: self._run(image))
        except torch.OutOfMemoryError as exc:
            raise DeviceMemoryError(
                f"There is too little memory on {self.device} for MoGe, which needs about 3 GiB. "
                f"Close what else uses it, give the depth yourself with --depth, or take "
                f"`--device cpu`."
            ) from exc
        points, mask = points[0], logits[0] > self.settings.mask_threshold
        own_focal, own_shift = recover_focal_and_shift(points, mask)
        focal, shift = own_focal, own_shift
        photo_focal = used_focal(image, self.exif_focal)
        if photo_focal:
            focal, shift = recover_focal_and_shift(points, mask, photo_focal)
        report.update(1, message="estimating depth")
        if not bool(mask.any()) or not focal > 0:
            raise InputError(
                "The photo shows no surface whose depth could be estimated. "
                "Try another photo, or give the depth yourself."
            )
        there = mask.cpu().numpy()[..., None]

        def shifted(by: float) -> NDArray[np.float32]:
            # x right, y down, z forward to x right, y up, z backward.
            camera_points = torch.stack([points[..., 0], -points[..., 1], -points[..., 2] - by], -1)
            return np.where(there, camera_points.cpu().numpy(), np.float32(np.nan))

        own, own_camera = shifted(own_shift), centred_camera(image, own_focal)
        if not photo_focal:
            return PointMap(points=own, camera=own_camera, source=self.name)
        camera = centred_camera(image, focal)
        camera_points = camera.unproject((points[..., 2] + shift).cpu().numpy())
        keep_own = self.exif_focal == "camera" and own_focal > 0
        return PointMap(
            points=np.where(there, camera_points, np.float32(np.nan)),
            camera=camera,
            network_points=own if keep_own else None,
            network_camera=own_camera if keep_own else None,
            source=self.name,
        )

    def _run(self, image: Image) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute points and the mask's logits on the device."""
        pixels = torch.tensor(image.pixels, device=self.device)
        picture = pixels.movedim(-1, 0)[None].float() / 255
        half = torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda")
        with self.memory.running(self.network, working=_WORKING) as network, half:
            return network(picture, self.settings.tokens)

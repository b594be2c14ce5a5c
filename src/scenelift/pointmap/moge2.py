"""Estimate point maps with MoGe-2: points, normals, and metres as the network guesses them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from scenelift.errors import DeviceMemoryError, InputError
from scenelift.models.moge.checkpoint import load_metric_moge
from scenelift.models.moge.geometry import geometry_of
from scenelift.models.moge.metric import FINEST, MetricMoGe, MoGeOutput
from scenelift.models.residency import Residency
from scenelift.options import BackendOptions, ExifFocal
from scenelift.pointmap.exif_focal import centred_camera, used_focal
from scenelift.pointmap.moge_weights import metric_weight_file
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.types import Image, Instance, PointMap

__all__ = ["METRES", "MetricMoGePointMapper"]

METRES = (
    "Metres are MoGe-2's guess from the photo alone; nothing in it was measured. The errors that "
    "its authors report (arXiv 2507.02546) are means over data sets: a single photo may be much "
    "further off. --known gives better metres."
)

# On a CPU, time grows with the patches that the transformer sees: 1733 instead of 3600.
COARSE = 2

_WORKING = 3 << 29  # bytes besides the weights, for the photo's own size at the end; an estimate
# x right, y down, z forward to x right, y up, z backward.
_OURS = np.array([1, -1, -1], np.float32)


class MetricMoGePointMapper:
    """A `PointMapper`; runs in half precision on a GPU.

    Args:
        network: on the host.
        name: what the manifest calls it.
        level: of resolution, 0…9, among those that the network was trained for.
        device: where it runs; the CPU by default.
        vram_bytes: most device memory to use.
        exif_focal: what a focal length that the photo tells is used for.
    """

    def __init__(
        self,
        network: MetricMoGe,
        *,
        name: str = "moge-2",
        level: int = FINEST,
        device: torch.device | None = None,
        vram_bytes: int | None = None,
        exif_focal: ExifFocal = "camera",
    ) -> None:
        self.exif_focal: ExifFocal = exif_focal
        self.name = name
        self.level = level
        self.network = network
        self.device = device or torch.device("cpu")
        self.memory = Residency(self.device, limit=vram_bytes)
        weights = network.points_head.state_dict().values()
        digest = hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in weights))
        self.version = (
            f"ViT width {network.params.backbone.width}, {network.params.tokens(level)} tokens "
            f"{digest.hexdigest()[:12]}, focal length of EXIF: {exif_focal}"
        )

    @classmethod
    def from_options(
        cls, options: BackendOptions | Runtime, *, name: str = "moge-2"
    ) -> MetricMoGePointMapper:
        """Load the weights from the folder that the options name, or from the cache.

        Args:
            options: where to look, and the device.
            name: of the backend, which says what sizes are looked for.

        Raises:
            WeightsError: they are missing or damaged.
            SetupError: the device is not there.
        """
        runtime = Runtime.of(options)
        device, exif_focal = runtime.torch_device, runtime.options.exif_focal
        network = load_metric_moge(metric_weight_file(name, runtime.options))
        if device.type == "cpu":
            # Its convolutions take three quarters of the time with channels last (docs/log.md).
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            coarse = name == "moge-2-small"
            level = COARSE if coarse else FINEST
            return cls(network, name=name, level=level, exif_focal=exif_focal)
        limit = runtime.memory_bytes
        return cls(network, name=name, device=device, vram_bytes=limit, exif_focal=exif_focal)

    @torch.inference_mode()
    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate points, normals and camera of a photo; the instances are not used.

        Where the photo says its focal length, that is the camera's, unless `exif_focal` says
        otherwise. Points lie on their pixels' rays.

        Raises:
            InputError: the photo shows nothing that has a depth.
            DeviceMemoryError: the device has too little memory.
        """
        report.update(0, message="estimating depth")
        try:
            output = self.memory.first_that_fits(lambda: self._run(image))
        except torch.OutOfMemoryError as exc:
            raise DeviceMemoryError(
                f"There is too little memory on {self.device} for MoGe-2, which needs about 3 GiB. "
                f"Close what else uses it, give the depth yourself with --depth, or take "
                f"`--device cpu`."
            ) from exc
        photo_focal = used_focal(image, self.exif_focal)
        geometry = geometry_of(output, focal=photo_focal)
        own = geometry_of(output) if photo_focal and self.exif_focal == "camera" else None
        if own is not None and not own.focal > 0:
            own = None
        report.update(1, message="estimating depth")
        if not bool(geometry.mask.any()) or not geometry.focal > 0:
            raise InputError(
                "The photo shows no surface whose depth could be estimated. "
                "Try another photo, or give the depth yourself."
            )
        there = geometry.mask.numpy()[..., None]
        normals = None
        if geometry.normal is not None:
            normals = np.where(there, geometry.normal.numpy() * _OURS, np.float32(np.nan))
        return PointMap(
            points=np.where(there, geometry.points.numpy() * _OURS, np.float32(np.nan)),
            camera=centred_camera(image, geometry.focal),
            network_points=own
            and np.where(
                own.mask.numpy()[..., None], own.points.numpy() * _OURS, np.float32(np.nan)
            ),
            network_camera=own and centred_camera(image, own.focal),
            scale="metric" if geometry.metric else "relative",
            scale_note=METRES if geometry.metric else "",
            source=self.name,
            normals=normals,
        )

    def _run(self, image: Image) -> MoGeOutput:
        """Run the network on the device."""
        pixels = torch.tensor(image.pixels, device=self.device)
        picture = pixels.movedim(-1, 0)[None].float() / 255
        half = torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda")
        with self.memory.running(self.network, working=_WORKING) as network, half:
            return network(picture, self.network.params.tokens(self.level))

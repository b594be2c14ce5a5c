"""Parts of the store's photos as networks see them: cropped, resized, turned into other photos.

Nothing here waits for the device: a step whose numbers Python reads, or whose constants it copies
over, begins only when the last one has ended.

Shape letters in this file: B batch, h and w patch rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from scenelift.models.layers.dino import IMAGENET_MEAN, IMAGENET_STD
from scenelift.training.backbone import PATCH
from scenelift.training.network import CELLS
from scenelift.training.store import SceneStore

__all__ = [
    "Windows",
    "coarse",
    "developed",
    "normalised",
    "on_host",
    "sampled",
    "window_pictures",
]

# A generator of PyTorch 2.11 cannot be referred to weakly; a training has one.
_twins: dict[torch.Generator, torch.Generator] = {}


def on_host(generator: torch.Generator) -> torch.Generator:
    """Return a generator on the host that belongs to one of a device, for what Python must know."""
    if generator.device.type == "cpu":
        return generator
    if generator not in _twins:
        _twins[generator] = torch.Generator().manual_seed(generator.initial_seed())
    return _twins[generator]


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Rectangles of photos; they may reach beyond them.

    Attributes:
        scene: int64 [B].
        box: float32 [B, 4], x0, y0, x1, y1 in pixels.
        flip: bool [B], seen in a mirror.
    """

    scene: Tensor
    box: Tensor
    flip: Tensor

    def grid(self, store: SceneStore, rows: int, columns: int) -> Tensor:  # [B, rows, columns, 2]
        """Compute where the pixels of the resampled windows lie, for `grid_sample`."""
        device = self.box.device
        u = (torch.arange(columns, device=device) + 0.5) / columns
        v = (torch.arange(rows, device=device) + 0.5) / rows
        u = torch.where(self.flip[:, None], 1 - u, u)  # [B, columns]
        x0, y0, x1, y1 = self.box.unbind(1)
        x = (x0[:, None] + u * (x1 - x0)[:, None]) / store.width * 2 - 1
        y = (y0[:, None] + v * (y1 - y0)[:, None]) / store.height * 2 - 1
        return torch.stack(
            [x[:, None].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], -1
        )

    def inside(self, boxes: Tensor, rows: int, columns: int) -> Tensor:
        """Tell which pixels of the windows lie in boxes of the photo.

        Args:
            boxes: [B, K, 4].

        Returns:
            float32 [B, K, rows, columns] of 0 and 1.
        """
        device = self.box.device
        u = (torch.arange(columns, device=device) + 0.5) / columns
        v = (torch.arange(rows, device=device) + 0.5) / rows
        u = torch.where(self.flip[:, None], 1 - u, u)
        x0, y0, x1, y1 = self.box.unbind(1)
        x = (x0[:, None] + u * (x1 - x0)[:, None])[:, None]  # [B, 1, columns]
        y = (y0[:, None] + v * (y1 - y0)[:, None])[:, None]
        across = (x > boxes[..., 0:1]) & (x < boxes[..., 2:3])
        along = (y > boxes[..., 1:2]) & (y < boxes[..., 3:4])
        return (along[..., :, None] & across[..., None, :]).float()


def window_pictures(
    store: SceneStore, windows: Windows, patches: tuple[int, int]
) -> Tensor:  # [B, 3, 14h, 14w] in 0…1
    """Read the pictures in the windows; what lies beyond a photo is grey."""
    rows, columns = (side * PATCH for side in patches)
    grid = windows.grid(store, rows, columns)
    grey, _ = _imagenet(store.device)
    photos = store.pixels[windows.scene].permute(0, 3, 1, 2) / 255
    return F.grid_sample(photos - grey, grid, mode="bilinear", align_corners=False) + grey


def sampled(
    store: SceneStore, windows: Windows, patches: tuple[int, int], cells: int = CELLS
) -> tuple[Tensor, Tensor]:  # 2 × [B, cells · h, cells · w]
    """Read depth (0 for the sky and beyond the photo) and objects' numbers in the windows."""
    grid = windows.grid(store, patches[0] * cells, patches[1] * cells)
    both = torch.stack(
        [store.depth[windows.scene].float(), store.numbers[windows.scene].float()], 1
    )
    depth, numbers = F.grid_sample(both, grid, mode="nearest", align_corners=False).unbind(1)
    return depth, numbers


def normalised(picture: Tensor) -> Tensor:
    """Normalise a picture for the backbone."""
    mean, std = _imagenet(picture.device)
    return (picture - mean) / std


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:  # 2 × [3, 1, 1]
    """Mean and deviation of photos."""
    mean, std = (torch.tensor(v, device=device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return mean[:, None, None], std[:, None, None]


def coarse(picture: Tensor, patches: tuple[int, int]) -> Tensor:  # [B, 3, 8h, 8w]
    """Resize the picture for heads, to `CELLS` pixels a patch."""
    size = (patches[0] * CELLS, patches[1] * CELLS)
    return F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)


def developed(picture: Tensor, generator: torch.Generator) -> Tensor:  # [B, 3, H, W] in 0…1
    """Vary the picture as another camera would: exposure, colours, blur, noise, size.

    Each picture of a batch differs; blur and size are shared by a batch for speed.
    """
    batch, device = len(picture), picture.device

    def between(low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand((batch, *shape), generator=generator, device=device)
        return low + (high - low) * unit

    one, two = torch.rand(2, generator=on_host(generator)).tolist()
    size = picture.shape[-2:]
    if one < 0.3:  # a small photo, enlarged
        smaller = [max(32, int(side * (0.35 + 0.6 * two))) for side in size]
        picture = F.interpolate(picture, smaller, mode="bilinear", antialias=True)
        picture = F.interpolate(picture, size, mode="bicubic").clamp(0, 1)
    elif one < 0.6:
        picture = _blurred(picture, 0.3 + 1.5 * two)
    picture = picture * between(0.65, 1.35, 1, 1, 1)
    picture = picture * between(0.85, 1.15, 3, 1, 1)
    grey = picture.mean((1, 2, 3), keepdim=True)
    picture = grey + (picture - grey) * between(0.6, 1.4, 1, 1, 1)
    luminance = picture.mean(1, keepdim=True)
    saturation = between(0.4, 1.4, 1, 1, 1) * (between(0, 1, 1, 1, 1) > 0.06)
    picture = (luminance + (picture - luminance) * saturation).clamp(1e-3, 1)
    picture = picture ** between(0.7, 1.45, 1, 1, 1)
    noise = torch.randn(picture.shape, generator=generator, device=device)
    return (picture + noise * between(0, 0.03, 1, 1, 1)).clamp(0, 1)


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    reach = max(1, int(2.5 * sigma))
    x = torch.arange(-reach, reach + 1, device=picture.device).float()
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(picture, (reach,) * 4, mode="reflect")
    across = F.conv2d(padded, kernel[:, :, None, :], groups=3)
    return F.conv2d(across, kernel[:, :, :, None], groups=3)

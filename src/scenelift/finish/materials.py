"""Read the materials of a light mesh from the voxels around the fine mesh.

A point of the light mesh lies a little off the fine surface, and so may lie beyond the voxels: read
at the nearest point of the fine mesh.

Shape letter in this file: P points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.types import AlphaMode, Material, MaterialVolume, Mesh

__all__ = ["MaterialSource", "alpha_mode_of", "mapped", "material_bytes"]

# Alpha from which a texel counts as opaque, and below which as clear.
OPAQUE, CLEAR = 250, 5
# Texels between the two in a cut-out, as a share of its clear ones; and below opaque in what counts
# as opaque all over, as a share of all: as many as rounding makes.
FEW, HARDLY_ANY = 0.2, 1e-3


class MaterialSource:
    """Reads a volume's materials at points.

    Args:
        volume: in the object's frame.
        device: where torch looks values up: "cpu", or the name of another.
    """

    def __init__(self, volume: MaterialVolume, device: str = "cpu") -> None:
        import torch

        from scenelift.models.trellis2.attributes import AttributeField

        self._volume = volume
        self._device = torch.device(device)
        self._field = AttributeField(
            torch.tensor(volume.cells, device=self._device),
            torch.tensor(volume.values, device=self._device).float(),
            volume.resolution,
        )

    def at(self, points: NDArray[np.float32]) -> NDArray[np.float32]:  # [P, 3] -> [P, 6]
        """Read the attributes at points of the fine surface; 0 if no voxel is near."""
        import torch

        place = (points / np.float32(self._volume.side) + np.float32(0.5)) * self._volume.resolution
        values, _ = self._field.at(torch.tensor(place, device=self._device))
        return values.cpu().numpy()


def material_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:  # [P, 6] -> [P, 6]
    """Convert attributes in 0…1 to bytes; they are rounded down, as the published export does."""
    return np.clip(values * np.float32(255), 0, 255).astype(np.uint8)


def mapped(mesh: Mesh, pixels: NDArray[np.uint8]) -> Mesh:  # [h, w, 6]
    """Attach a picture's base colour, metal, roughness and alpha to the mesh."""
    alpha = np.ascontiguousarray(pixels[..., 5])
    mode = alpha_mode_of(alpha)
    material = Material(
        surface=np.ascontiguousarray(pixels[..., 3:5]),
        alpha=None if mode == "opaque" else alpha,
        alpha_mode=mode,
    )
    return replace(mesh, texture=np.ascontiguousarray(pixels[..., :3]), material=material)


def alpha_mode_of(alpha: NDArray[np.uint8]) -> AlphaMode:
    """Choose glTF's alpha mode from texels' alpha: opaque, a cut-out, or glass.

    A cut-out is drawn in any order, which blending is not: it is preferred where alpha allows.
    """
    if (alpha < OPAQUE).mean() <= HARDLY_ANY:
        return "opaque"
    between = ((alpha > CLEAR) & (alpha < OPAQUE)).mean()
    clear = (alpha <= CLEAR).mean()
    return "mask" if between <= FEW * clear else "blend"

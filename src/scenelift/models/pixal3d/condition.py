"""The condition of Pixal3D's flows: a few tokens of the whole picture, and each token's own pixel.

Shape letters in this file: L tokens of the flow, D width of DINOv3, n side of a map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scenelift.models.layers.attention import PixelCondition
from scenelift.models.pixal3d.lifting import project, taps, token_places
from scenelift.models.pixal3d.naf import NAF

__all__ = ["EncodedPicture", "Guide"]


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """NAF's features of a picture, by which it reads other feature maps.

    Attributes:
        network: reads features by it.
        picture: [1, n², H, E].
        side: n.
    """

    network: NAF
    picture: Tensor
    side: int

    @classmethod
    def of(cls, network: NAF, picture: Tensor, side: int) -> Guide:  # [1, 3, s, s] in 0…1
        return cls(network, network.guide(picture, side), side)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedPicture:
    """DINOv3's features of one picture, seen through a camera on the object's z axis.

    Attributes:
        tokens: [1, first + patches², D]: class, registers, then the patches by rows.
        first: how many stand for no patch.
        size: side of the picture in pixels.
        fov: of the camera across it, in radians.
        distance: of the camera from the cube's middle, in sides of the cube.
    """

    tokens: Tensor
    first: int
    size: int
    fov: float
    distance: float

    def condition(
        self, cells: Tensor, side: int, guide: Guide | None = None
    ) -> PixelCondition:  # tokens [1, first, D], pixels [1, L, D or 2 D]
        """Build the condition of the flow's tokens; all behind one pixel share its features.

        Args:
            cells: [L, 3] of a grid.
            side: of that grid.
            guide: for features as fine as NAF makes them, beside the coarse ones.
        """
        places = token_places(cells, side)
        pixels, _ = project(places, fov=self.fov, distance=self.distance, size=self.size)
        patches = self.tokens[:, self.first :]  # [1, p², D]
        patch_side = round(patches.shape[1] ** 0.5)
        features = [taps(pixels, self.size, patch_side).read(patches)]
        if guide is not None:
            fine = taps(pixels, self.size, guide.side)
            distinct_cells, place = fine.cells.unique(return_inverse=True)
            coarse = patches.transpose(1, 2).unflatten(2, (patch_side, patch_side))
            fine_features = guide.network.read(guide.picture, coarse, distinct_cells)
            features.append(fine._replace(cells=place).read(fine_features))
        return PixelCondition(self.tokens[:, : self.first], torch.cat(features, -1))

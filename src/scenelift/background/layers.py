"""The layers of a background: what is visible, what lies behind its edges, a sheet behind both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from scenelift.background.inpaint import SAME, Sources, complete
from scenelift.background.margin import Margin
from scenelift.background.planes import Plane
from scenelift.background.relief import (
    Relief,
    VisibleRelief,
    backstop,
    relief_behind,
    relief_behind_edges,
)
from scenelift.background.shape import JUMP, Layer, count_faces
from scenelift.threads import side_by_side

__all__ = ["Pictures", "Reliefs"]

BEHIND_EDGES = 14  # cells that what is behind goes on at a jump of the depth
BLUR = 0.015  # of the longer side: the picture of what is behind everything
SMALL_BLUR = 3.0  # pixels of the picture in which that is blurred
DEEPER = 0.2  # in the logarithm of the depth: relief so much deeper is another surface
APART = 100_000  # between numbers of surfaces
NEGLIGIBLE = 0.002  # of the photo: so little need not be completed again


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """What the layers show, each uint8 [H, W, 3], of the photo where nothing else is said.

    Attributes:
        behind_objects: the photo without the objects.
        taken_out: bool [H, W], what stands before the second layer and is not in its picture.
        behind_edges: the photo without objects and without that.
        with_margin: `behind_objects`, `behind_edges`, and light and colours of that alone, all
            three continued into the margin.
    """

    behind_objects: NDArray[np.uint8]
    taken_out: NDArray[np.bool_]
    behind_edges: NDArray[np.uint8]
    with_margin: Sequence[NDArray[np.uint8]] = ()

    @classmethod
    def of(
        cls, pixels: NDArray[np.uint8], hidden: NDArray[np.bool_], reliefs: Reliefs, margin: Margin
    ) -> Pictures:
        """Complete the photo behind the objects, and behind what stands in front of the rest.

        Args:
            pixels: uint8 [H, W, 3], the photo.
            hidden: bool [H, W], what the objects hide of it.
            reliefs: say which surfaces are where, and what stands in front.
            margin: around the photo, which the reliefs have.
        """
        surface = margin.on_photo(_regions(reliefs.visible), hidden)
        behind_objects = complete(pixels, hidden, surface)
        nothing = np.zeros_like(hidden)
        pictures = cls(
            behind_objects=behind_objects,
            taken_out=nothing,
            behind_edges=behind_objects,
        )
        behind_edges, taken_out = pictures.behind_edges_of(reliefs, margin)
        three = (behind_objects, behind_edges, _blurred(behind_edges))
        return cls(
            behind_objects=behind_objects,
            taken_out=taken_out,
            behind_edges=behind_edges,
            with_margin=list(side_by_side(margin.continued, three)),
        )

    def behind_edges_of(
        self, reliefs: Reliefs, margin: Margin
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Take out what else stands before the second layer of other reliefs, if that is much.

        Returns:
            The picture of the second layer, and what was taken out for it.
        """
        second = reliefs.behind_edges
        if second is None or second.front is None or second.edges is None:
            return self.behind_edges, self.taken_out
        front = np.asarray(ndimage.binary_dilation(second.front, np.ones((3, 3), bool)), bool)
        before = margin.on_photo(front, self.taken_out) & ~self.taken_out
        if before.mean() < NEGLIGIBLE:
            return self.behind_edges, self.taken_out
        # What stands before one edge may be what goes on behind another.
        sources = Sources(
            pixels=self.behind_objects,
            left_out=margin.on_photo(second.edges, self.taken_out),
            regions=margin.on_photo(_regions(reliefs.visible), self.taken_out),
        )
        regions = margin.on_photo(_regions(second), self.taken_out)
        behind = complete(self.behind_edges, before, regions, sources=sources)
        return behind, self.taken_out | before


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliefs:
    """The depths of the layers, on one grid of rays.

    Attributes:
        visible: what the photo shows, continued behind the objects.
        behind_edges: what goes on behind jumps of that depth; None where there is none.
        sheet: a coarse one behind both.
    """

    visible: Relief
    behind_edges: Relief | None
    sheet: Relief

    @classmethod
    def of(
        cls,
        visible: VisibleRelief,
        planes: Sequence[Plane],
        solid: NDArray[np.float64] | None = None,
    ) -> Reliefs:
        """Continue what is visible; arguments as of `relief_behind`."""
        relief = relief_behind(visible, planes, solid)
        return cls(
            visible=relief,
            behind_edges=relief_behind_edges(relief, planes, jump=JUMP, reach=BEHIND_EDGES),
            sheet=backstop(relief, reach=BEHIND_EDGES),
        )

    def count_faces(self, picture: NDArray[np.uint8]) -> int:
        """Count the faces of the mesh; the picture, of photo and margin, gives its size alone."""
        return count_faces(self._layers(picture, picture, picture), planes_only=False)

    def layers(self, pictures: Pictures, margin: Margin) -> list[Layer]:
        """Give each layer its picture."""
        behind_objects, behind_edges, blurred = pictures.with_margin
        edges, _ = pictures.behind_edges_of(self, margin)
        if edges is not pictures.behind_edges:
            behind_edges = margin.continued(edges)
        box = margin.photo_box(pictures.taken_out)
        return self._layers(behind_objects, behind_edges, blurred, box)

    def _layers(
        self,
        behind_objects: NDArray[np.uint8],
        behind_edges: NDArray[np.uint8],
        blurred: NDArray[np.uint8],
        photo_box: tuple[int, int, int, int] | None = None,
    ) -> list[Layer]:
        second = self.behind_edges
        layers = [
            Layer(relief=self.visible, pixels=behind_objects, photo_box=photo_box),
            Layer(relief=self.sheet, pixels=blurred, whole=True),
        ]
        if second is not None:
            layers.append(Layer(relief=second, pixels=behind_edges, within=second.filled))
        return layers


def _regions(relief: Relief) -> NDArray[np.int64]:
    """Number the surfaces of a relief for `complete`: relief by its depth, planes far apart."""
    by_depth = np.rint(np.log(relief.depth) / DEEPER * SAME).astype(np.int64)
    return np.where(relief.surface == -1, by_depth, APART * (relief.surface + 3))


def _blurred(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture until nothing in it looks like a thing; light and colours stay.

    It is made smaller for it: at full size it would take as long as all else of the layers.
    """
    height, width = pixels.shape[:2]
    smaller = max(1.0, BLUR * max(height, width) / SMALL_BLUR)
    size = max(1, round(width / smaller)), max(1, round(height / smaller))
    picture = Pillow.fromarray(pixels)
    small = np.asarray(picture.resize(size, Pillow.Resampling.BOX), np.float32)
    sigma = BLUR * max(height, width) / smaller
    soft = np.asarray(ndimage.gaussian_filter(small, (sigma, sigma, 0)))
    enlarged = Pillow.fromarray(np.rint(soft).astype(np.uint8)).resize(
        (width, height), Pillow.Resampling.BICUBIC
    )
    return np.asarray(enlarged)

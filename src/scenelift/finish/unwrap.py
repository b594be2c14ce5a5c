"""Texture coordinates for a mesh: charts of its own cut, packed by xatlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xatlas
from numpy.typing import NDArray

from scenelift.finish.charts import Charts, cut_charts, lay_flat
from scenelift.finish.texels import Texels, rasterize_atlas

__all__ = ["Atlas", "unwrap"]

PADDING = 4  # texels between charts: linear filtering, and two levels of a viewer's smaller copies
ATTEMPTS = 4  # at cutting charts that overlap themselves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Atlas:
    """A surface with texture coordinates.

    Attributes:
        vertex: int64 [V'], the surface's vertex at the same place.
        faces: int32 [F, 3], the surface's, in the same order.
        uv: float32 [V', 2] in 0…1, v upwards from the bottom row.
        chart: int32 [F].
        texels: what each texel shows.
    """

    vertex: NDArray[np.int64]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    chart: NDArray[np.int32]
    texels: Texels


def unwrap(vertices: NDArray[np.float32], faces: NDArray[np.int32], size: int) -> Atlas:
    """Cut, flatten and pack a surface into a square texture.

    Charts that overlap themselves when flattened, as a spiral does, are cut further.

    Args:
        vertices: float32 [V, 3].
        faces: int32 [F, 3], at least one, none degenerate.
        size: texels on a side.
    """
    charts = cut_charts(vertices, faces)
    for _ in range(ATTEMPTS):
        atlas, beaten = _arrange(charts, size)
        if not len(beaten):
            return atlas
        chart = charts.chart.copy()
        # With their neighbours, as a face may overlap without covering a texel's centre.
        loose = np.isin(charts.faces, charts.faces[beaten]).any(1)
        chart[loose] += charts.chart.max() + 1  # those of one chart stay together
        charts = lay_flat(vertices, faces, chart)
    return _arrange(charts, size)[0]


def _arrange(charts: Charts, size: int) -> tuple[Atlas, NDArray[np.int32]]:
    """The packed charts, and the faces that lie under others of their own chart."""
    vertex, faces, uv = _pack(charts, size)
    texels, beaten = rasterize_atlas(uv, faces, (size, size))
    atlas = Atlas(
        vertex=charts.vertex[vertex], faces=faces, uv=uv, chart=charts.chart, texels=texels
    )
    return atlas, beaten


def _pack(
    charts: Charts, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Arrange charts in the unit square.

    Returns:
        Vertices of the charts [V'], faces [F, 3] on them, texture coordinates [V', 2]: parts of a
        chart that hang together by a single vertex are packed apart, and have it twice.
    """
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(
        charts.flat, charts.faces.astype(np.uint32), charts.chart.astype(np.uint32)[:, None]
    )
    options = xatlas.PackOptions()
    options.resolution = size
    # The packer makes the atlas as large as it comes out, about 1.6 times as wide as asked; what
    # counts is the padding after it has been made smaller.
    options.padding = 2 * PADDING
    atlas.generate(xatlas.ChartOptions(), options)
    vertex, faces, uv = atlas[0]
    # xatlas scales u and v to 0…1 each; made square again, so that texels are.
    extent = np.array([atlas.width, atlas.height], np.float64)
    square = np.clip(uv * (extent / extent.max()), 0, 1).astype(np.float32)
    return _gathered(charts, vertex.astype(np.int64), faces.astype(np.int32), square)


def _gathered(
    charts: Charts, vertex: NDArray[np.int64], faces: NDArray[np.int32], uv: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Slivers that xatlas took no notice of, back in one place.

    A face that is a line when flattened does not hold its chart together: its corners may be
    packed apart, and it would be drawn right across the atlas. It gets the texel of one of them.
    """

    def sides(at: NDArray) -> NDArray[np.float64]:  # [F, 3, 2] -> [F, 3]
        return np.linalg.norm(at.astype(np.float64) - np.roll(at, 1, 1), axis=-1)

    packed, flat = sides(uv[faces]), sides(charts.flat[charts.faces])
    scale = packed.sum() / max(float(flat.sum()), 1e-30)
    torn = np.flatnonzero((packed > 2 * scale * flat + 1e-3).any(1))
    faces = faces.copy()
    extra = faces[torn].ravel()
    faces[torn] = len(vertex) + np.arange(len(extra), dtype=np.int32).reshape(-1, 3)
    one_place = uv[np.repeat(extra[::3], 3)]
    return np.append(vertex, vertex[extra]), faces, np.concatenate([uv, one_place])

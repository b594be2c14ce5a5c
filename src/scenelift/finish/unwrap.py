"""Make texture coordinates for a mesh: we cut the charts, xatlas packs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xatlas
from numpy.typing import NDArray

from scenelift.apart import apart
from scenelift.finish.charts import Charts, cut_charts, cut_off
from scenelift.finish.texels import Texels, overlapping_faces, rasterize_atlas

__all__ = ["Atlas", "unwrap"]

PADDING = 4  # texels between charts: linear filtering, and two levels of a viewer's smaller copies
# Texels to a cell of the packer's grid, whose time grows with its cells. So FEW charts can each be
# tried everywhere, which makes up for coarser cells; of more xatlas would make a long strip, and it
# tries some places by chance. On the benchmark's 80 charts and 1024² texels they cover 58 % of the
# atlas in 0.12 s; by chance, on cells of one texel, 57 % in 0.35 s.
FEW = 400
CELL_FEW, CELL_MANY = 4, 2
USUAL_COVERAGE = 0.55  # share of an atlas that charts cover
LARGEST = 4.0  # atlases: what the rows may take in which overlaps are looked for
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
    for attempt in range(ATTEMPTS):
        overlapping = _overlapping(charts, size)
        if not len(overlapping):
            break
        charts = cut_off(vertices, faces, charts, overlapping, alone=attempt > 0)
    vertex, faces, uv = apart(_pack, charts, size)
    return Atlas(
        vertex=charts.vertex[vertex],
        faces=faces,
        uv=uv,
        chart=charts.chart,
        texels=rasterize_atlas(uv, faces, (size, size)),
    )


def _overlapping(charts: Charts, size: int) -> NDArray[np.int32]:
    """Find faces covered by others of their chart, at about the scale that the atlas will have.

    Charts are set in rows for that, tall ones first, which takes a tenth of the time of packing.
    """
    count = charts.chart.max() + 1
    of_vertex = np.zeros(len(charts.flat), np.int32)
    of_vertex[charts.faces] = charts.chart[:, None]
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, of_vertex, charts.flat)
    np.maximum.at(high, of_vertex, charts.flat)
    a, b, c = (charts.flat[charts.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2
    boxes = float((high - low).prod(1).sum())
    # Long slanting charts leave most of their boxes empty: those are looked at more coarsely.
    texel = max(area / USUAL_COVERAGE, boxes / LARGEST, 1e-30) ** 0.5 / size
    wide, tall = (high - low).T + 2 * texel
    across = float(wide @ tall) ** 0.5
    order = np.argsort(-tall)
    remainder, row = np.zeros(count), np.zeros(count, np.int64)
    remainder[order] = np.cumsum(wide[order]) - wide[order]
    row, remainder = (remainder // across).astype(np.int64), remainder % across
    row_tall = np.zeros(row.max() + 1)
    np.maximum.at(row_tall, row, tall)
    corner = np.stack([remainder, (np.cumsum(row_tall) - row_tall)[row]], -1) + texel - low
    extent = np.ceil([(across + wide.max()) / texel, row_tall.sum() / texel])
    uv = (charts.flat + corner[of_vertex]) / (extent * texel)
    return overlapping_faces(uv, charts.faces, (int(extent[1]), int(extent[0])))


def _pack(
    charts: Charts, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Pack charts into the unit square.

    Returns:
        Vertices of the charts [V'], faces [F, 3] on them, texture coordinates [V', 2]: parts of a
        chart that hang together by a single vertex are packed apart, and have it twice.
    """
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(
        charts.flat, charts.faces.astype(np.uint32), charts.chart.astype(np.uint32)[:, None]
    )
    options = xatlas.PackOptions()
    options.bruteForce = bool(charts.chart.max() < FEW)
    cell = CELL_FEW if options.bruteForce else CELL_MANY
    options.resolution = size // cell
    # The packer makes the atlas as large as it comes out, about 1.6 times as wide as asked; what
    # counts is the padding after it has been made smaller.
    options.padding = 2 * PADDING // cell
    atlas.generate(xatlas.ChartOptions(), options)
    vertex, faces, uv = atlas[0]
    # xatlas scales u and v to 0…1 each; made square again, so that texels are.
    extent = np.array([atlas.width, atlas.height], np.float64)
    square = np.clip(uv * (extent / extent.max()), 0, 1).astype(np.float32)
    return _gather_torn_faces(charts, vertex.astype(np.int64), faces.astype(np.int32), square)


def _gather_torn_faces(
    charts: Charts, vertex: NDArray[np.int64], faces: NDArray[np.int32], uv: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Put slivers that xatlas ignored back beside their chart.

    A face that is a line when flattened does not hold its chart together: its corners may be
    packed apart, and it would be drawn right across the atlas. It gets the texel of one of them.
    """

    def sides(at: NDArray) -> NDArray[np.float64]:  # [F, 3, 2] -> [F, 3]
        return np.linalg.norm(at.astype(np.float64) - np.roll(at, 1, 1), axis=-1)

    atlas_sides, flat = sides(uv[faces]), sides(charts.flat[charts.faces])
    scale = atlas_sides.sum() / max(float(flat.sum()), 1e-30)
    torn_faces = np.flatnonzero((atlas_sides > 2 * scale * flat + 1e-3).any(1))
    faces = faces.copy()
    extra = faces[torn_faces].ravel()
    faces[torn_faces] = len(vertex) + np.arange(len(extra), dtype=np.int32).reshape(-1, 3)
    one_place = uv[np.repeat(extra[::3], 3)]
    return np.append(vertex, vertex[extra]), faces, np.concatenate([uv, one_place])

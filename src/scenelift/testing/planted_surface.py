"""Makes surfaces and materials by formula, as TRELLIS.2's decoders give them: known truth.

A solid is a signed distance; its surface passes through voxels that are split as the shape's
decoder splits them, so that a whole run can be made of it with the networks' answers replaced.

Shape letters in this file: P points, N voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from scenelift.models.layers.sparse import Voxels
from scenelift.models.trellis2.dual_grid import DualGrid

__all__ = ["PlantedSurface", "Solid", "ball", "plant", "striped", "torus"]

Solid = Callable[[Tensor], Tensor]
"""Points [P, 3] in the cube [−½, ½]³ -> signed distance [P], negative inside; or less than it, but
not more, else voxels that the surface passes through are left out."""

Paint = Callable[[Tensor], Tensor]
"""Points [P, 3] -> base colour, metallic, roughness, alpha [P, 6] in 0…1."""


@dataclass(frozen=True, slots=True, eq=False)
class PlantedSurface:
    """The outputs of the decoders.

    Attributes:
        tokens: the voxels that carry latents.
        logits: of every split, [N, 8]: ±1.
        voxels: the finest.
        grid: vertices and crossed edges of the finest voxels.
        attributes: [N, 6] at the finest voxels' centres.
    """

    tokens: Voxels
    logits: list[Tensor]
    voxels: Voxels
    grid: DualGrid
    attributes: Tensor


def plant(
    solid: Solid, paint: Paint, resolution: int, *, finer: int = 16, device: str = "cpu"
) -> PlantedSurface:
    """Make voxels around a solid's surface.

    Args:
        solid: the shape.
        paint: its materials.
        resolution: fine voxels along a side.
        finer: fine voxels along a side of a token's.
        device: where the tensors are to be.
    """
    side = resolution // finer
    steps = torch.arange(side, device=device)
    cells = torch.cartesian_prod(steps, steps, steps)
    cells = cells[_near(solid, cells, side)]
    tokens = Voxels(torch.cat([torch.zeros_like(cells[:, :1]), cells], 1).int(), side)
    voxels, logits = tokens, []
    while voxels.resolution < resolution:
        every = torch.ones(len(voxels), 8, dtype=torch.bool, device=device)
        children = voxels.children(every)
        alive = _near(solid, children.coords[:, 1:], children.resolution).view(-1, 8)
        logits.append(alive.float() * 2 - 1)
        voxels = voxels.children(alive)
    cells = voxels.coords[:, 1:]
    centres = (cells + 0.5) / resolution - 0.5
    return PlantedSurface(
        tokens, logits, voxels, _dual_grid(solid, cells, centres, resolution), paint(centres)
    )


def _near(solid: Solid, cells: Tensor, side: int) -> Tensor:
    """Whether the surface may pass through a voxel: nearer than half its diagonal."""
    distance = solid((cells + 0.5) / side - 0.5)
    return distance.abs() < 0.9 / side


def _dual_grid(solid: Solid, cells: Tensor, centres: Tensor, resolution: int) -> DualGrid:
    # A voxel's flag of an axis is that of the edge that its ring of voxels shares.
    far = cells + 1
    crossed = []
    for axis in range(3):
        near = far.clone()
        near[:, axis] -= 1
        ends = (solid(at / resolution - 0.5) < 0 for at in (near, far))
        crossed.append(torch.ne(*ends))
    # The point of the surface that is nearest to the voxel's centre, about.
    step = 1e-3 / resolution
    offsets = step * torch.eye(3, device=cells.device)
    slope = torch.stack(
        [(solid(centres + o) - solid(centres - o)) / (2 * step) for o in offsets], 1
    )
    at = centres - solid(centres)[:, None] * slope / slope.square().sum(1, True).clamp(min=1e-6)
    vertex = (at + 0.5) * resolution - cells
    return DualGrid(vertex.clamp(-0.5, 1.5), torch.stack(crossed, 1), torch.ones_like(at[:, 0]))


def ball(radius: float = 0.4) -> Solid:
    return lambda p: p.norm(dim=1) - radius


def torus(radius: float = 0.32, tube: float = 0.12) -> Solid:
    def distance(p: Tensor) -> Tensor:
        ring = p[:, :2].norm(dim=1) - radius
        return torch.stack([ring, p[:, 2]], 1).norm(dim=1) - tube

    return distance


def striped(p: Tensor) -> Tensor:
    """Colour a surface gently along x, y and z; metal in bands, rough by height, all opaque."""
    colour = 0.5 + 0.4 * torch.sin(torch.stack([6 * p[:, 0], 7 * p[:, 1], 5 * p[:, 2]], 1))
    metallic = 0.5 + 0.4 * torch.sin(9 * p[:, :1] + 4 * p[:, 1:2])
    roughness = 0.5 + p[:, 2:3]
    return torch.cat([colour, metallic, roughness, torch.ones_like(roughness)], 1).clamp(0, 1)

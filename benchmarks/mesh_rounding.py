"""How far one more rounding of each input moves an extracted mesh: what parity must allow.

    python benchmarks/mesh_rounding.py [--meshes 300]

Random voxels, features and grid sizes; every feature is changed by at most one unit in its last
place, as another order of sums would, and the mesh is extracted again. `testing/parity_latent.py`
allows some five times the largest difference.
"""

from __future__ import annotations

import argparse

import torch

from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.flexicubes import extract_mesh

SIDES, BLOCKS, SCALES = (16, 24, 48, 64, 128), (20, 60, 200), (0.3, 1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--meshes", type=int, default=300)
    args = parser.parse_args()
    rng = torch.Generator().manual_seed(0)
    moved = torch.tensor([differences(k, rng) for k in range(args.meshes)])
    for column, name in enumerate(("positions", "attributes")):
        values = moved[:, column]
        print(f"{name}: median {values.median():.1e}, largest {values.max():.1e}")


def differences(index: int, rng: torch.Generator) -> tuple[float, float]:
    """Largest difference of positions and of attributes of one mesh."""
    side = SIDES[index % len(SIDES)]
    blocks = torch.randint(0, side // 4, (BLOCKS[index % len(BLOCKS)], 3), generator=rng)
    within = torch.cartesian_prod(*[torch.arange(4)] * 3)
    coords = (4 * blocks.unique(dim=0)[:, None] + within).reshape(-1, 3)
    voxels = Voxels(torch.nn.functional.pad(coords, (1, 0)).int(), side)
    feats = torch.randn(len(coords), 101, generator=rng) * SCALES[index // 5 % len(SCALES)]
    noise = 2 * torch.rand(feats.shape, generator=rng) - 1
    mesh = extract_mesh(SparseTensor(feats, voxels))
    again = extract_mesh(SparseTensor(feats * (1 + noise * 2**-23), voxels))
    if not torch.equal(mesh.faces, again.faces):  # a distance of all but zero changed its sign
        return 0.0, 0.0
    return (
        float((mesh.vertices - again.vertices).abs().max()),
        float((mesh.attributes - again.attributes).abs().max()),
    )


if __name__ == "__main__":
    main()

"""Finish a decoder-sized mesh, and compare its texture with one that was optimised.

    python -m benchmarks.finish [--device cuda]

The object is a vase with a handle and a relief, of known shape and colours: marching cubes gives a
mesh as large as a decoder's, and splats scatter about its surface with noise in place, size,
opacity and colour. Pictures of the finished mesh are compared with pictures of the splats from 24
places that no texture was made from.

The reference is the published recipe (100 views of the splats at radius 2, 40° wide, 1024²; 2500
steps of Adam on L1 + 0.01 total variation, one view a step) on the same mesh and the same atlas,
with this package's renderers. `--views 40 --size 512 --steps 600` fits into minutes on two cores.

On a GPU it needs numba, scipy, torch, triton, fast-simplification and xatlas; nothing need be
installed besides, and the best of `--repeats` counts.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
from numpy.typing import NDArray

from benchmarks.vase import decoded_vase, splats_of_vase
from scenelift.finish.stage import Finished, finish_mesh
from scenelift.finish.texels import fill_between, rasterize_atlas
from scenelift.finish.topology import is_closed
from scenelift.options import FinishOptions
from scenelift.render.choice import mesh_renderer, splat_renderer
from scenelift.render.meshes import interpolate
from scenelift.types import Camera, Gaussians, Mesh

RADIUS, FOV_DEG = 2.0, 40.0
UNSEEN = 24
BLACK = (0.0, 0.0, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--grid", type=int, default=428, help="cells on a side: 428 gives 1 M faces"
    )
    parser.add_argument("--splats", type=int, default=300_000)
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--texture-size", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=1, help="of finishing; the best is shown")
    parser.add_argument("--views", type=int, default=100, help="of the reference; 0 leaves it out")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--size", type=int, default=1024, help="pixels of the reference's views")
    args = parser.parse_args()

    say(f"{named(args.device)}, Python {platform.python_version()}")
    decoded = decoded_vase(args.grid)
    gaussians = splats_of_vase(decoded, args.splats)
    say(f"decoded: {len(decoded.faces):,} faces, {len(gaussians):,} splats")
    options = FinishOptions(faces=args.faces, texture_size=args.texture_size)
    # Compiles the kernels.
    finish_mesh(decoded_vase(48), gaussians, FinishOptions(faces=1000), device=args.device)
    done = best_of(args.repeats, decoded, gaussians, options, args.device)
    closed = is_closed(welded(done.mesh))
    say(f"finished: {len(done.mesh.faces):,} faces, {'watertight' if closed else 'open'}")

    cameras = sphere(UNSEEN, 512, shift=0.5)
    draw = splat_renderer(gaussians, args.device)
    truth = [whole(draw(camera, pose, BLACK)) for camera, pose in cameras]
    say(f"PSNR against the splats, {UNSEEN} unseen views of 512²: over the surface, whole picture")
    report("baked from the splats", done.mesh, cameras, truth, args.device)
    if args.views:
        began = time.perf_counter()
        mesh = optimised(done.mesh, gaussians, args.views, args.size, args.steps, args.device)
        took = time.perf_counter() - began
        name = f"optimised, {args.views} views of {args.size}², {args.steps} steps"
        report(name, mesh, cameras, truth, args.device)
        say(f"  the optimised texture took {took:.0f} s")


def say(text: str) -> None:
    print(text, flush=True)  # whatever happens next, this was measured


def named(device: str) -> str:
    if not device.startswith("cuda"):
        return platform.processor() or "CPU"
    import torch

    return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"


def best_of(
    repeats: int, mesh: Mesh, gaussians: Gaussians, options: FinishOptions, device: str
) -> Finished:
    """Finish the mesh that often, print the times of all runs and the steps of the fastest."""
    runs: list[tuple[float, float, Finished]] = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        done = finish_mesh(mesh, gaussians, options, device=device)
        runs.append((time.perf_counter() - wall, time.process_time() - cpu, done))
    wall, cpu, done = min(runs, key=lambda run: run[0])
    for name, seconds in done.seconds.items():
        say(f"  {name:10} {seconds:6.2f} s")
    say(f"  {'all':10} {wall:6.2f} s ({cpu:.2f} s of processor time)")
    if repeats > 1:
        say(f"  all runs   {', '.join(f'{run[0]:.2f}' for run in runs)} s")
    return done


def whole(picture):
    """The picture as arrays, wherever it was drawn."""
    return picture.to_numpy() if hasattr(picture, "to_numpy") else picture


def report(name: str, mesh: Mesh, cameras: list, truth: list, device: str) -> None:
    """Print both PSNRs of a mesh."""
    draw = mesh_renderer(device)
    surface: list[NDArray] = []
    everything: list[NDArray] = []
    for (camera, pose), splats in zip(cameras, truth, strict=True):
        drawn = draw(mesh, camera, pose, BLACK, "none", supersample=2)
        error = (drawn.color - splats.color) ** 2
        both = (drawn.alpha > 0.99) & (splats.alpha > 0.9)
        surface.append(error[both].ravel())
        everything.append(error.ravel())
    figures = [-10 * np.log10(float(np.concatenate(e).mean())) for e in (surface, everything)]
    say(f"  {name:44} {figures[0]:6.2f} dB {figures[1]:6.2f} dB")


def sphere(count: int, size: int, shift: float = 0.0) -> list[tuple[Camera, NDArray[np.float64]]]:
    """Cameras on a Hammersley sphere, looking at the origin; `shift` moves between two sets."""
    camera = Camera.from_fov(size, size, fov_deg=FOV_DEG)
    result = []
    for i in range(count):
        pitch = np.arccos(1 - 2 * (i + max(shift, 0.01)) / count) - np.pi / 2
        radical = int(f"{i:032b}"[::-1], 2) / 2**32
        yaw = 2 * np.pi * (radical + 0.37 * shift)
        back = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.cross([0.0, 1.0, 0.0], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(back, right), back], -1)
        pose[:3, 3] = RADIUS * back
        result.append((camera, pose))
    return result


def optimised(
    mesh: Mesh, gaussians: Gaussians, views: int, size: int, steps: int, device: str
) -> Mesh:
    """The mesh with the texture that the published recipe makes."""
    import torch
    from torch.nn.functional import grid_sample

    assert mesh.uv is not None
    assert mesh.texture is not None
    height, width = mesh.texture.shape[:2]
    seen = []
    draw_splats, draw_mesh = splat_renderer(gaussians, device), mesh_renderer(device)
    for camera, pose in sphere(views, size):
        pixels = draw_splats(camera, pose, BLACK).pixels()
        drawn = draw_mesh(mesh, camera, pose, BLACK, "none")
        assert drawn.face_id is not None
        assert drawn.barycentric is not None
        uv = interpolate(mesh.faces, drawn.face_id, drawn.barycentric, mesh.uv)
        both = (pixels > 0).any(-1) & (drawn.face_id >= 0)
        grid = uv[both] * 2 - 1
        grid[:, 1] *= -1  # v counts from the bottom row
        seen.append((torch.tensor(grid).to(device), torch.tensor(pixels[both]).to(device)))
    texture = torch.zeros(1, 3, height, width, device=device, requires_grad=True)
    adam = torch.optim.Adam([texture], lr=1e-2, betas=(0.5, 0.9))
    rng = np.random.default_rng(0)
    for step in range(1, steps + 1):
        grid, observed = seen[rng.integers(len(seen))]
        drawn = grid_sample(texture, grid[None, None], padding_mode="border", align_corners=False)[
            0, :, 0
        ].T
        loss = (drawn - observed.float() / 255).abs().mean()
        rows, columns = texture.diff(dim=2).abs().mean(), texture.diff(dim=3).abs().mean()
        adam.zero_grad()
        (loss + 0.01 * (rows + columns)).backward()
        adam.step()
        for group in adam.param_groups:
            group["lr"] = 1e-5 + 0.5 * (1e-2 - 1e-5) * (1 + np.cos(np.pi * step / steps))
    picture = texture.detach()[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()
    texels = rasterize_atlas(mesh.uv, mesh.faces, (height, width))
    picture = fill_between(texels, picture.reshape(-1, 3)[texels.index])
    return Mesh(
        vertices=mesh.vertices,
        faces=mesh.faces,
        uv=mesh.uv,
        texture=np.rint(picture * 255).astype(np.uint8),
    )


def welded(mesh: Mesh) -> NDArray[np.int32]:
    """The faces with one vertex for each place."""
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return place.reshape(-1)[mesh.faces].astype(np.int32)


if __name__ == "__main__":
    main()

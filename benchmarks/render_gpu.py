"""Check and time drawing on a GPU.

    python benchmarks/render_gpu.py [--splats 100000] [--device cuda]

Needs torch, numpy and (on CUDA) triton; nothing else. First whether the backends agree: plain
tensors with the definition in numpy, the device with the CPU, the kernel with plain tensors. Then
times: 36 views of 512 × 512 pixels on a full circle, drawn one after another, with every picture
brought to the host as bytes; the host's clock around a synchronised device, best of five after a
warm-up that compiles. A CPU draws fewer splats and views, to check this script.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.render.meshes_torch import render_mesh_torch
from scenelift.render.splats_reference import render_splats_reference
from scenelift.render.splats_torch import (
    SplatTensors,
    TensorRendering,
    blend_tiles,
    draw_splats,
    list_pairs,
)
from scenelift.render.turntable import turntable_cameras
from scenelift.types import Camera, Gaussians, Mesh

FRAMES = 36
SIZE = 512
BUDGET_MS = 150.0  # for 36 frames of 100 000 splats on an H100
REPEATS = 5
CENTRE = np.array([0.0, 0.0, -4.0])
PHOTO = Camera.from_fov(SIZE, SIZE, fov_deg=50)


def splat_torus(count: int) -> Gaussians:
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0, 2 * np.pi, (2, count))
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], -1)
    ring = np.stack([np.cos(u), np.sin(u), 0 * u], -1)
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    size = 0.008 * np.sqrt(100_000 / count)  # covers the surface, whatever the number
    return Gaussians(
        means=(ring + 0.35 * normals + CENTRE).astype(np.float32),
        scales=(size * rng.uniform(0.5, 1.5, (count, 3))).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0.5, 1, count).astype(np.float32),
        sh0=Gaussians.sh0_of(0.5 + 0.5 * normals),
    )


def mesh_torus(major: int = 320, minor: int = 160) -> Mesh:
    """A grid bent to a torus: 2 · major · minor faces."""
    i, j = np.meshgrid(np.arange(major), np.arange(minor), indexing="ij")
    u, v = 2 * np.pi * i / major, 2 * np.pi * j / minor
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], -1)
    ring = np.stack([np.cos(u), np.sin(u), 0 * u], -1)

    def index(a: NDArray, b: NDArray) -> NDArray:
        return (a % major) * minor + b % minor

    corners = (index(i, j), index(i + 1, j), index(i + 1, j + 1), index(i, j + 1))
    a, b, c, d = (x.ravel() for x in corners)
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    return Mesh(
        vertices=(ring + 0.35 * normals + CENTRE).reshape(-1, 3).astype(np.float32),
        faces=faces.astype(np.int32),
        colors=np.rint(255 * (0.5 + 0.5 * normals)).reshape(-1, 3).astype(np.uint8),
        normals=normals.reshape(-1, 3).astype(np.float32),
    )


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_ms(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> float:
    if device.type == "cpu":
        repeats = 1
    work()
    times = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def say(text: str) -> None:
    print(text, flush=True)  # whatever happens next, this was measured


def compare(name: str, actual: NDArray, expected: NDArray, most: float) -> bool:
    """Print how far two pictures are apart; single values may tie, the mean may not."""
    difference = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    error = float((difference**2).mean())
    psnr = "equal" if error == 0 else f"{-10 * np.log10(error):.1f} dB"
    fine = difference.mean() < 1e-4 and difference.max() < most
    verdict = "ok" if fine else "DIFFERS"
    say(f"  {name:<52} max {difference.max():.5f}  mean {difference.mean():.2e}  {psnr}  {verdict}")
    return fine


def check_splats(gaussians: Gaussians, views: list, device: torch.device) -> bool:
    cpu = torch.device("cpu")
    small = splat_torus(400)
    camera = Camera(fx=60, fy=55, cx=30, cy=20.5, width=61, height=43)
    defined = render_splats_reference(small, camera)
    plain = draw_splats(SplatTensors.from_gaussians(small, cpu), camera).to_numpy()
    fine = [compare("plain tensors / definition: color", plain.color, defined.color, 3 / 255)]
    fine.append(compare("plain tensors / definition: alpha", plain.alpha, defined.alpha, 3 / 255))

    view, pose = views[3]
    here = draw_splats(SplatTensors.from_gaussians(gaussians, cpu), view, pose).to_numpy()
    there = draw_splats(SplatTensors.from_gaussians(gaussians, device), view, pose).to_numpy()
    title = f"{device} / CPU, {len(gaussians)} splats: "
    # Ties in depth or at the faintest visible splat change single pixels.
    fine.append(compare(title + "color", there.color, here.color, 0.1))
    fine.append(compare(title + "alpha", there.alpha, here.alpha, 0.1))
    both = np.isfinite(here.depth) & np.isfinite(there.depth)
    gap = float(np.median(np.abs(there.depth[both] - here.depth[both])))
    say(
        f"  median difference of depth {gap:.2e}, seen by one alone "
        f"{(np.isfinite(here.depth) != np.isfinite(there.depth)).mean():.2e}"
    )
    return all(fine)


def check_mesh(mesh: Mesh, views: list, device: torch.device) -> bool:
    view, pose = views[3]
    here = render_mesh_torch(mesh, view, pose, device=torch.device("cpu"))
    there = render_mesh_torch(mesh, view, pose, device=device)
    fine = compare(f"{device} / CPU, {len(mesh.faces)} faces: color", there.color, here.color, 0.1)
    assert here.face_id is not None
    assert there.face_id is not None
    same = float((here.face_id == there.face_id).mean())
    say(f"  pixels that see the same face: {same:.6f}")
    return fine and same > 0.999


def time_splats(gaussians: Gaussians, views: list, device: torch.device) -> float:
    splats = SplatTensors.from_gaussians(gaussians, device)

    def draw_all() -> list[NDArray[np.uint8]]:
        return [draw_splats(splats, view, pose).pixels() for view, pose in views]

    def keep_all() -> list[TensorRendering]:
        return [draw_splats(splats, view, pose) for view, pose in views]

    total = best_ms(draw_all, device)
    say(f"  {len(views)} frames, as bytes on the host {total:33.1f} ms")
    say(f"  {len(views)} frames, left on the device {best_ms(keep_all, device):35.1f} ms")
    listing = best_ms(lambda: [list_pairs(splats, view, pose) for view, pose in views], device)
    say(f"    of which projecting, sorting and listing {listing:26.1f} ms")
    return total


def time_blending(gaussians: Gaussians, views: list, device: torch.device) -> None:
    splats = SplatTensors.from_gaussians(gaussians, device)
    view, pose = views[0]
    pairs, starts = list_pairs(splats, view, pose)
    longest = int((starts[1:] - starts[:-1]).max())
    say(f"  one view: {len(pairs)} pairs of splat and tile, at most {longest} in a tile")
    plain = best_ms(lambda: blend_tiles(pairs, starts, SIZE, SIZE), device, repeats=2)
    say(f"  blending by plain tensors {plain:41.2f} ms a view")
    if device.type != "cuda" or find_spec("triton") is None:
        return
    from scenelift.render.splats_triton import blend_tiles_triton

    expected = blend_tiles(pairs, starts, SIZE, SIZE).cpu().numpy()
    actual = blend_tiles_triton(pairs, starts, SIZE, SIZE).cpu().numpy()
    color = [0, 1, 2, 4]
    compare("kernel / plain tensors", actual[..., color], expected[..., color], 0.1)
    for at_once in (2, 4, 8, 16):
        for warps in (2, 4, 8):
            took = best_ms(
                lambda k=at_once, w=warps: blend_tiles_triton(
                    pairs, starts, SIZE, SIZE, at_once=k, warps=w
                ),
                device,
            )
            say(f"  kernel, {at_once:2} splats at once, {warps} warps {took:34.3f} ms a view")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--splats", type=int, default=100_000 if torch.cuda.is_available() else 5000
    )
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    say(f"{name or device}, torch {torch.__version__}, Python {platform.python_version()}")
    gaussians, mesh = splat_torus(arguments.splats), mesh_torus()
    views = turntable_cameras(gaussians.means, PHOTO, frames=FRAMES, path="circle", size=SIZE)
    if device.type == "cpu":
        views = views[:4]

    say("Agreement")
    agrees = check_splats(gaussians, views, device)
    agrees &= check_mesh(mesh, views, device)
    say(f"Splats: {len(views)} views of {SIZE} × {SIZE} pixels, {len(gaussians)} splats")
    total = time_splats(gaussians, views, device)
    verdict = "within" if total <= BUDGET_MS else "OVER"
    say(
        f"  {verdict} the budget of {BUDGET_MS:g} ms"
        if device.type == "cuda"
        else "  no budget on a CPU"
    )
    say("Blending")
    time_blending(gaussians, views, device)
    say(f"Mesh: {len(views)} views of {SIZE} × {SIZE} pixels, {len(mesh.faces)} faces")
    took = best_ms(
        lambda: [render_mesh_torch(mesh, view, pose, device=device) for view, pose in views],
        device,
        repeats=3,
    )
    say(f"  {len(views)} frames, whole renderings on the host {took:28.1f} ms")
    if device.type == "cuda":
        say(f"Peak memory {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB")
    say("All agree" if agrees else "SOMETHING DIFFERS")
    raise SystemExit(0 if agrees else 1)


if __name__ == "__main__":
    main()

"""Time the CPU rasterisers and the writers: python benchmarks/render.py

The scene is a torus of 100 000 splats and one of 102 400 faces; 36 views of 512 × 512 pixels on a
full circle, so that no view is drawn twice. Kernels are compiled before the clock starts; times
are the best of three. On a busy machine, CPU seconds over threads tell what an idle one needs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from scenelift.io.animation import write_gif
from scenelift.io.glb import GlbNode, write_glb
from scenelift.io.obj import write_obj
from scenelift.io.ply import read_ply, write_ply
from scenelift.jit import thread_count
from scenelift.progress import silent
from scenelift.render.meshes import render_mesh
from scenelift.render.splats import render_splats
from scenelift.render.turntable import Loop, turntable_cameras
from scenelift.types import Camera, Gaussians, Mesh

FRAMES = 36
PHOTO = Camera.from_fov(512, 512, fov_deg=50)
CENTRE = np.array([0.0, 0.0, -4.0])


def splat_torus(count: int) -> Gaussians:
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0, 2 * np.pi, (2, count))
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], -1)
    ring = np.stack([np.cos(u), np.sin(u), 0 * u], -1)
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=(ring + 0.35 * normals + CENTRE).astype(np.float32),
        scales=(0.008 * rng.uniform(0.5, 1.5, (count, 3))).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0.5, 1, count).astype(np.float32),
        sh0=Gaussians.sh0_of(0.5 + 0.5 * normals),
    )


def mesh_torus() -> Mesh:
    torus = trimesh.creation.torus(1, 0.35, major_sections=320, minor_sections=160)
    normals = np.asarray(torus.vertex_normals, np.float32)
    return Mesh(
        vertices=(np.asarray(torus.vertices) + CENTRE).astype(np.float32),
        faces=np.asarray(torus.faces, np.int32),
        colors=np.rint(255 * (0.5 + 0.5 * normals)).astype(np.uint8),
        normals=normals,
    )


def measure(name: str, work: Callable[[], object], budget: float | None = None) -> None:
    work()
    wall, cpu = [], []
    for _ in range(3):
        start, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    verdict = "" if budget is None else f"  budget {budget:g} s"
    print(f"{name:<52} {min(wall):7.2f} s wall {min(cpu):7.2f} s CPU{verdict}")


def main() -> None:
    splats, mesh = splat_torus(100_000), mesh_torus()
    views = turntable_cameras(splats.means, PHOTO, frames=FRAMES, path="circle")
    print(f"{thread_count()} threads, best of three")
    measure(
        f"{FRAMES} frames of {len(splats)} splats",
        lambda: [render_splats(splats, camera, pose) for camera, pose in views],
        budget=3.0,
    )
    measure(
        f"turntable of {len(splats)} splats, swinging",
        lambda: Loop.of(splats, PHOTO).pictures(silent()),
    )
    for samples in (1, 2):
        measure(
            f"{FRAMES} frames of {len(mesh.faces)} faces, {samples}× supersampling",
            lambda k=samples: [render_mesh(mesh, c, pose, supersample=k) for c, pose in views],
        )
    loop = Loop.of(splats, PHOTO).pictures(silent())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node = GlbNode(name="torus", mesh=mesh)
        measure("write_gif, 36 frames", lambda: write_gif(folder / "a.gif", loop))
        measure("write_ply, 100 000 splats", lambda: write_ply(folder / "a.ply", splats))
        measure("read_ply", lambda: read_ply(folder / "a.ply"))
        measure("write_glb, 102 400 faces", lambda: write_glb(folder / "a.glb", [node]))
        measure("write_obj, 102 400 faces", lambda: write_obj(folder / "a.obj", [node]))
        for file in sorted(folder.iterdir()):
            print(f"{file.name:<52} {file.stat().st_size / 1e6:7.2f} MB")


if __name__ == "__main__":
    main()

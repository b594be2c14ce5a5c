"""What a normal map gives back of a fine mesh: figures and a picture.

    python -m benchmarks.normal_map [--out DIR] [--grid 428] [--faces 30000,3000]

A vase as a decoder gives it (a million faces at the default grid) is finished with so many faces,
with and without a normal map. Both are drawn beside the fine mesh from four sides under one lamp,
and compared where both cover a pixel: mean angle between the normals that are shaded with, and
PSNR of the grey that a matt surface has.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from benchmarks.vase import decoded_vase
from scenelift.finish.normals import vertex_normals
from scenelift.finish.stage import finish_mesh
from scenelift.geometry.transforms import compose_transform
from scenelift.options import FinishOptions
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Mesh

SIZE, SIDES = 512, 4
LAMP = np.array([0.5, 0.6, 0.62])


def shaded_normals(
    mesh: Mesh, camera: Camera, eye: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Normals [H, W, 3] that a renderer shades with, and where there are any."""
    drawn = render_mesh(mesh, camera, eye, shading="none")
    assert drawn.face_id is not None
    assert drawn.barycentric is not None
    assert mesh.normals is not None
    hit = drawn.face_id >= 0
    corners, weights = mesh.faces[drawn.face_id[hit]], drawn.barycentric[hit]

    def at(values: NDArray) -> NDArray[np.float64]:
        return np.einsum("pk,pkc->pc", weights, values[corners].astype(np.float64))

    n = unit(at(mesh.normals))
    if mesh.material is not None and mesh.material.normal is not None:
        assert mesh.tangents is not None
        assert mesh.uv is not None
        t = unit(at(mesh.tangents[:, :3]))
        b = np.cross(n, t) * at(mesh.tangents[:, 3:])
        picture = mesh.material.normal
        uv = at(mesh.uv)
        row = ((1 - uv[:, 1]) * picture.shape[0]).astype(int).clip(0, picture.shape[0] - 1)
        column = (uv[:, 0] * picture.shape[1]).astype(int).clip(0, picture.shape[1] - 1)
        x, y, z = (picture[row, column] / 127.5 - 1).T[..., None]
        n = unit(x * t + y * b + z * n)
    result = np.zeros((*hit.shape, 3))
    result[hit] = n
    return result, hit


def unit(vectors: NDArray) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/normal_map"))
    parser.add_argument("--grid", type=int, default=428)
    parser.add_argument("--faces", default="30000,3000")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    fine = decoded_vase(options.grid)
    fine = dataclasses.replace(fine, normals=vertex_normals(fine.vertices, fine.faces))
    camera = Camera.from_fov(SIZE, SIZE, fov_deg=40)
    eyes = [
        compose_transform(1.0, [np.cos(a / 2), 0.0, np.sin(a / 2), 0.0], [0.0, 0.0, 0.0])
        @ compose_transform(1.0, [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.8])
        for a in np.arange(SIDES) * 2 * np.pi / SIDES
    ]
    truth = [shaded_normals(fine, camera, eye) for eye in eyes]
    print(f"fine: {len(fine.faces):,} faces")
    rows = [[truth[0]]]
    for faces in map(int, options.faces.split(",")):
        started = time.process_time()
        bare = dataclasses.replace(fine, normals=None)
        light = finish_mesh(bare, None, FinishOptions(faces=faces, normal_map=True)).mesh
        seconds = time.process_time() - started
        for name, mesh in (
            ("without", dataclasses.replace(light, material=None)),
            ("with", light),
        ):
            angles, errors = [], []
            for eye, (wanted, covered) in zip(eyes, truth, strict=True):
                shown, hit = shaded_normals(mesh, camera, eye)
                both = hit & covered
                cosine = (shown[both] * wanted[both]).sum(1).clip(-1, 1)
                angles.append(np.degrees(np.arccos(cosine)))
                grey = [np.clip(n[both] @ LAMP, 0, 1) for n in (shown, wanted)]
                errors.append((grey[0] - grey[1]) ** 2)
            angle = np.concatenate(angles)
            psnr = 10 * np.log10(1 / np.concatenate(errors).mean())
            print(
                f"{len(mesh.faces):7,} faces {name:8} map: normals off by {angle.mean():.2f}° "
                f"(95 %: {np.quantile(angle, 0.95):.1f}°), shading {psnr:.1f} dB"
            )
            rows[0].append(shaded_normals(mesh, camera, eyes[0]))
        print(f"        finished in {seconds:.1f} CPU seconds")
    shown = [np.clip(n @ LAMP, 0, 1) * hit + (1 - hit) for n, hit in rows[0]]
    strip = np.concatenate([(255 * s).astype(np.uint8) for s in shown], 1)
    path = options.out / "normal_map.png"
    PillowImage.fromarray(strip).save(path)
    print(f"{path}: fine, then each without and with its map")


if __name__ == "__main__":
    main()

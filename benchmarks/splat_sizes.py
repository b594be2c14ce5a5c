"""How large our splat files are, and how far from the scene, beside splat-transform's.

    python -m benchmarks.splat_sizes FOLDER      an output folder with scene.ply; make bench-splats

PlayCanvas' splat-transform (`npm ci --prefix tests/interop`) packs the same scene.ply. Both are
read back by this package: printed are bytes, and against scene.ply the median and worst distance of
the nearest splat (in thousandths of the scene's size), and the mean differences of its colour,
opacity and logarithm of scale.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from scenelift.formats import extra_file
from scenelift.io.splat_formats import write_splats
from scenelift.io.splat_reader import convert_splats, read_splats
from scenelift.types import SH_C0, Gaussians

TOOL = Path(__file__).parents[1] / "tests/interop/node_modules/.bin/splat-transform"
KINDS = ("spz", "spz3", "compressed.ply", "splat", "splats.glb", "sog")
THEIRS = {
    "spz": (),
    "spz3": ("--spz-version", "3"),
    "sog": (),
    "compressed.ply": (),
    "splats.glb": (),
}

THEIR_GLB = "scene.glb"
"""Turned about z to have y up, where we turn about x: half a turn about the way up apart."""


def errors(path: Path, scene: Gaussians) -> str:
    """A file's differences from the scene, as text."""
    read = read_splats(path)
    if path.name == THEIR_GLB:
        read = replace(read, means=read.means * np.array([-1, 1, -1], np.float32))
    size = float(np.ptp(scene.means, axis=0).max())
    distance, nearest = KDTree(read.means).query(scene.means)
    colour = SH_C0 * np.abs(read.sh0[nearest] - scene.sh0).mean()
    opacity = np.abs(read.opacities[nearest] - scene.opacities).mean()
    scale = np.abs(np.log(read.scales[nearest]) - np.log(scene.scales)).mean()
    far = 1000 * distance / size
    return (
        f"places {np.median(far):.4f} (worst {far.max():.3f})  colour {colour:.4f}"
        f"  opacity {opacity:.4f}  log scale {scale:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    source = parser.parse_args().folder / "scene.ply"
    scene = read_splats(source)
    print(f"{len(scene):,} splats, scene.ply {source.stat().st_size:,} bytes")
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            path = Path(name) / extra_file(kind)
            if kind == "splats.glb":  # with splats alone, as theirs; ours holds meshes too
                convert_splats(source, path)
            else:
                write_splats(path, scene, kind, frame="y-down")
            print(row(kind, "ours", path, scene), flush=True)
            if kind in THEIRS:
                other = (
                    Path(name)
                    / f"other_{kind}"
                    / (THEIR_GLB if kind == "splats.glb" else path.name)
                )
                other.parent.mkdir()
                pack(source, other, THEIRS[kind])
                print(row(kind, "theirs", other, scene), flush=True)


def row(kind: str, whose: str, path: Path, scene: Gaussians) -> str:
    return f"{kind:15} {whose:7} {path.stat().st_size:9,}  {errors(path, scene)}"


def pack(source: Path, target: Path, options: tuple[str, ...]) -> None:
    """Have splat-transform pack a file; its SOG takes minutes without a GPU."""
    command = [str(TOOL), "-q", "-w", "-g", "cpu", str(source), *options, str(target)]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()

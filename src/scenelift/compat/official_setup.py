"""Find out whether Meta's package can run on this machine, and which parts of it.

Nothing of it is imported here. Its texture baker and mesh clean-up draw triangles with extensions
that compile themselves when they are first used, and fail there in many ways: a missing compiler,
another CUDA, a crash that no `except` sees. So each rasteriser draws one triangle in a process of
its own, and what comes back as drawn can be used.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scenelift.lacks import Lack, lacking_weights_of
from scenelift.options import BackendOptions
from scenelift.weights.locate import places

__all__ = ["Abilities", "can_draw", "lacks", "probe", "published_folder"]

# The first use compiles for minutes; a compilation that waits for a dead one's lock never ends.
PROBE_SECONDS = 600

# In clip coordinates, large enough to cover the middle of the picture.
_TRIANGLE = "[[-3.0, -1.0, 0.0, 1.0], [3.0, -1.0, 0.0, 1.0], [0.0, 3.0, 0.0, 1.0]]"

_PROGRAMS = {
    "nvdiffrast": f"""
import torch, nvdiffrast.torch as dr
corners = torch.tensor([{_TRIANGLE}], device="cuda")
faces = torch.tensor([[0, 1, 2]], dtype=torch.int32, device="cuda")
drawn, _ = dr.rasterize(dr.RasterizeCudaContext(), corners, faces, resolution=[8, 8])
assert drawn[0, 4, 4, 3] == 1
""",
    "pytorch3d": f"""
import torch
from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
from pytorch3d.structures import Meshes
corners = torch.tensor({_TRIANGLE}, device="cuda")[:, :3] + torch.tensor([0, 0, 1], device="cuda")
faces = torch.tensor([[0, 1, 2]], device="cuda")
drawn = rasterize_meshes(Meshes([corners], [faces]), image_size=8)[0]
assert drawn[0, 4, 4, 0] == 0
""",
    # Its extension is compiled when it is installed, and loads or does not.
    "diff_gaussian_rasterization": "import diff_gaussian_rasterization",
}


def lacks(options: BackendOptions) -> list[Lack]:
    """List what is missing to run Meta's package, without importing it."""
    missing = []
    if find_spec("sam3d_objects") is None:
        missing.append(
            Lack(
                "Meta's sam3d_objects is not installed: "
                "https://github.com/facebookresearch/sam-3d-objects says how",
                packages=["sam3d_objects"],
            )
        )
    packages = [name for name in ("hydra", "omegaconf") if find_spec(name) is None]
    if packages and not missing:
        text = f"{', '.join(packages)} not installed, which it needs"
        missing.append(Lack(text, packages=packages))
    if published_folder(options.weights) is None:
        missing.append(lacking_weights_of("SAM 3D Objects", "scenelift models download full"))
    return missing


def published_folder(weights: Path | None) -> Path | None:
    """Return the folder with the published files: the package cannot read our conversion."""
    for folder in places("sam3d", weights):
        if all((folder / name).is_file() for name in ("pipeline.yaml", "ss_generator.ckpt")):
            return folder
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """Which of the package's optional steps work here.

    Attributes:
        texture: the rasteriser that textures are baked with, or None: colours of vertices.
        clean_up: decimate meshes and fill their holes.
        notes: what is left out and why, in plain sentences.
    """

    texture: str | None
    clean_up: bool
    notes: tuple[str, ...] = ()


def probe() -> Abilities:
    """Test whether texture baking and mesh clean-up can run."""
    rasteriser = next((name for name in ("nvdiffrast", "pytorch3d") if can_draw(name)), None)
    texture, notes = rasteriser, []
    if rasteriser is None:
        notes.append(
            "Meshes have coloured vertices instead of a texture: neither nvdiffrast nor pytorch3d "
            "can draw here."
        )
    elif missing := _missing("xatlas", "cv2"):
        texture = None
        notes.append(f"Meshes have coloured vertices instead of a texture: no {missing} here.")
    elif not can_draw("diff_gaussian_rasterization"):
        texture = None
        notes.append(
            "Meshes have coloured vertices instead of a texture: diff_gaussian_rasterization, "
            "which draws the splats that are baked, does not load here."
        )
    missing = _missing("igraph", "pyvista", "pymeshfix")
    clean_up = rasteriser == "nvdiffrast" and not missing
    if not clean_up:
        reason = f"no {missing} here" if missing else "it needs nvdiffrast, which cannot draw here"
        notes.append(f"Meshes are not cleaned up: {reason}.")
    return Abilities(texture=texture, clean_up=clean_up, notes=tuple(notes))


def can_draw(rasteriser: str, seconds: float = PROBE_SECONDS) -> bool:
    """Return whether a rasteriser can draw a triangle (or at least load), in its own process."""
    if find_spec(rasteriser) is None:
        return False
    try:
        process = subprocess.run(
            [sys.executable, "-c", _PROGRAMS[rasteriser]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return process.returncode == 0


def _missing(*packages: str) -> str:
    return ", ".join(name for name in packages if find_spec(name) is None)

"""Estimate how large a file of a scene will be, before it is made.

The constants of formats stand beside them in `formats.py`; `python -m benchmarks.format_sizes`
measures them all again.
"""

from __future__ import annotations

from scenelift.formats import EXTRA_FORMATS
from scenelift.output.export import Export, Format, Picture, SplatsInFrame
from scenelift.output.manifest import Manifest

__all__ = ["expected_bytes"]

# Bytes a pixel of all frames, with a background behind the objects; less without.
LOOPS = {"gif": 0.6, "webp": 0.1, "mp4": 0.1}
PNG = 1.4
PLY = 68  # bytes a splat


def expected_bytes(export: Export, manifest: Manifest) -> int:
    """Estimate the bytes of an export's files, within a factor of about two.

    Args:
        manifest: of the scene.
    """
    splats = sum(o.gaussians for o in manifest.objects)
    if isinstance(export, SplatsInFrame):
        return round(
            splats * (PLY if export.kind == "ply" else EXTRA_FORMATS[export.kind].per_splat)
        )
    if not isinstance(export, Format):
        camera = manifest.camera
        sides = camera.width, camera.height
        pixels = export.size**2 * min(sides) / max(sides)
        if isinstance(export, Picture):
            return round(PNG * pixels)
        return round(LOOPS[export.format] * export.frames * pixels)
    size = {file.path: file.bytes for file in manifest.files}
    faces = sum(o.faces for o in manifest.objects)
    meshes = sum(size.get(o.files.get("mesh", ""), 0) for o in manifest.objects)
    one = EXTRA_FORMATS[export.kind]
    return round(
        one.per_splat * splats
        + one.per_face * faces
        + one.of_meshes * meshes
        + one.of_room * size.get("background.glb", 0)
    )

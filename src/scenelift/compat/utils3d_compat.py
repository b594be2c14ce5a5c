"""Add the old names of `utils3d` to its newer versions, which renamed them.

SAM 3D Objects and MoGe 1 were written for an `utils3d` whose functions have other names today.
Importing this module gives the installed library its old names back:

    import scenelift.compat.utils3d_compat    # before the package that needs the old names

Nothing happens where `utils3d` is not installed, a name that exists is never replaced, and doing
it again changes nothing. `import scenelift` does not import this module: it would load `utils3d`,
and with it PyTorch, which nothing else here needs. `scenelift.compat.official` imports it before
it imports Meta's package.

The library is https://github.com/EasternJournalist/utils3d; the project of that name on PyPI is
another one, without `utils3d.numpy` and `utils3d.torch`, and is left alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from types import ModuleType

__all__ = ["NUMPY_NAMES", "TORCH_NAMES", "apply"]

NUMPY_NAMES: Mapping[str, str] = {
    "depth_edge": "depth_map_edge",
    "normals_edge": "normal_map_edge",
    "points_to_normals": "point_map_to_normal_map",
    "image_uv": "uv_map",
    "image_mesh": "build_mesh_from_map",
}
"""Old name of `utils3d.numpy` → the new one that does its work."""

TORCH_NAMES: Mapping[str, str] = {
    "perspective_from_fov_xy": "perspective_from_fov",
    "intrinsics_from_fov_xy": "intrinsics_from_fov",
    "rasterize_triangle_faces": "rasterize_triangles",
    "compute_edges": "mesh_edges",
    "compute_connected_components": "mesh_connected_components",
    "remove_unreferenced_vertices": "remove_unused_vertices",
}
"""Old name of `utils3d.torch` → the new one that does its work."""


def apply() -> tuple[str, ...]:
    """Add the old names that the installed `utils3d` lacks.

    Returns:
        What was added, as "numpy.depth_edge"; empty when there was nothing to do.
    """
    added: list[str] = []
    for part, names in (("numpy", NUMPY_NAMES), ("torch", TORCH_NAMES)):
        library = _part(part)
        if library is None:
            continue
        missing = [old for old, new in names.items() if _lacks(library, old, new)]
        if not missing:
            continue
        old_interface = importlib.import_module(f"scenelift.compat.utils3d_{part}")
        for name in missing:
            setattr(library, name, getattr(old_interface, name))
            added.append(f"{part}.{name}")
    return tuple(added)


def _part(part: str) -> ModuleType | None:
    """Import `utils3d.numpy` or `utils3d.torch`; None if it or what it needs is not installed."""
    if find_spec("utils3d") is None or find_spec(f"utils3d.{part}") is None:
        return None
    if find_spec(part) is None:
        return None
    return importlib.import_module(f"utils3d.{part}")


def _lacks(library: ModuleType, old: str, new: str) -> bool:
    """Return whether the old name is missing and the new function for it exists."""
    return not _has(library, old) and _has(library, new)


def _has(library: ModuleType, name: str) -> bool:
    # The library loads its parts when they are first asked for, and its rasteriser needs
    # nvdiffrast: a name behind a failing import is not there.
    try:
        getattr(library, name)
    except (AttributeError, ImportError):
        return False
    return True


apply()

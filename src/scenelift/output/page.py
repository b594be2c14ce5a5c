"""Make the viewer's page, either over a folder or with a whole scene inside.

`viewer.html` is built from `frontend/` (see docs/page.md) and comes with the package.
"""

from __future__ import annotations

import base64
import gzip
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from scenelift.errors import SetupError
from scenelift.io.files import write_bytes
from scenelift.output.manifest import Manifest, read_manifest

__all__ = ["export_page", "listed_files", "viewer_page"]

# Where a scene goes in the built page; empty, the page reads scene.json from beside it.
PLACE = '<script type="application/json" id="scene">'


def viewer_page(package: Traversable | None = None) -> str:
    """Return the viewer's page, which shows the `scene.json` that is served beside it.

    Args:
        package: where the package lies, if not where it was imported from.

    Raises:
        SetupError: the page was not built into this installation.
    """
    page = (package or files("scenelift")).joinpath("webapp", "viewer.html")
    try:
        return page.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise SetupError(
            "This installation comes without the viewer, which is built from its sources. "
            "Install a released wheel, or run `make page` in the checkout (needs Node 20.19)."
        ) from exc


def export_page(folder: Path, viewer: str, page: Path) -> Path:
    """Write one HTML file that holds the viewer and a folder's scene, and needs nothing else.

    It holds the photo, every object's splats and mesh, and the background as a mesh; not the joined
    files, which would repeat them.

    Args:
        folder: of a finished run.
        viewer: the viewer's page, see `viewer_page`.
        page: the file to write, replaced atomically.

    Raises:
        InputError: the folder holds no finished scene.
        OutputError: the page cannot be written.
    """
    manifest = read_manifest(folder)
    files_of_scene = listed_files(folder, manifest)
    scene = {
        "manifest": manifest.model_dump(mode="json"),
        "files": {
            name: base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()
            for name in _shown_files(manifest)
            if (path := files_of_scene.get(name)) and path.is_file()
        },
    }
    # A label may contain "</script>": inside JSON, < can be written as an escape.
    text = json.dumps(scene, ensure_ascii=False).replace("<", "\\u003c")
    before, after = viewer.split(PLACE)
    write_bytes(page, f"{before}{PLACE}{text}{after}".encode())
    return page


def listed_files(folder: Path, manifest: Manifest) -> dict[str, Path]:
    """Return the files that a manifest lists, by the names that it gives them.

    The manifest may have been edited by anyone: what would lead out of the folder is left out.
    """
    root = folder.resolve()
    paths = {f.path: (root / f.path).resolve() for f in manifest.files}
    return {name: path for name, path in paths.items() if path.is_relative_to(root)}


def _shown_files(manifest: Manifest) -> list[str]:
    """List the files that the viewer shows: photo, splats, meshes, and the background's mesh."""
    kinds = ("splats", "mesh")
    parts = [o.files[kind] for o in manifest.objects for kind in kinds if kind in o.files]
    room = [f.path for f in manifest.files if f.path == "background.glb"]
    return ["input.png", *parts, *room]

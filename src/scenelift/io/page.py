"""The viewer as a page: over a folder, or with a whole scene inside.

`viewer.html` is built from `frontend/` (see docs/frontend.md) and comes with the package.
"""

from __future__ import annotations

import base64
import gzip
import json
from importlib.resources import files
from pathlib import Path

from scenelift.errors import SetupError
from scenelift.io.files import write_bytes
from scenelift.io.manifest import Manifest, read_manifest

__all__ = ["export_page", "viewer_page"]

# Where a scene goes in the built page; empty, the page reads scene.json from beside it.
PLACE = '<script type="application/json" id="scene">'


def viewer_page() -> str:
    """The viewer, showing the `scene.json` that is served beside it.

    Raises:
        SetupError: the page was not built into this installation.
    """
    page = files("scenelift").joinpath("webapp", "viewer.html")
    try:
        return page.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise SetupError(
            "This installation comes without the viewer, which is built from its sources. "
            "Install a released wheel, or run `make page` in the checkout (needs Node 20.19)."
        ) from exc


def export_page(folder: Path, page: Path) -> Path:
    """Write one HTML file that holds the viewer and a folder's scene, and needs nothing else.

    It holds the photo and every object's splats and mesh; not the joined files, which would
    repeat them.

    Raises:
        InputError: the folder holds no finished scene.
        OutputError: the page cannot be written.
        SetupError: the viewer was not built into this installation.
    """
    manifest = read_manifest(folder)
    scene = {
        "manifest": manifest.model_dump(mode="json"),
        "files": {
            path: base64.b64encode(gzip.compress((folder / path).read_bytes(), mtime=0)).decode()
            for path in _shown(manifest)
        },
    }
    # A label may contain "</script>": inside JSON, < can be written as an escape.
    text = json.dumps(scene, ensure_ascii=False).replace("<", "\\u003c")
    before, after = viewer_page().split(PLACE)
    write_bytes(page, f"{before}{PLACE}{text}{after}".encode())
    return page


def _shown(manifest: Manifest) -> list[str]:
    """The photo and every object's splats and mesh."""
    kinds = ("splats", "mesh")
    parts = [o.files[kind] for o in manifest.objects for kind in kinds if kind in o.files]
    listed = {f.path for f in manifest.files}
    return [path for path in ("input.png", *parts) if path in listed]

"""A static page about one output folder: pictures, objects, files. No script, no request."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from scenelift.io.files import write_bytes
from scenelift.io.manifest import Manifest, ObjectModel, read_manifest

__all__ = ["write_page"]


def write_page(folder: Path) -> Path:
    """Write `index.html` into an output folder and return its path.

    Raises:
        InputError: the folder holds no finished scene.
        OutputError: it cannot be written.
    """
    manifest = read_manifest(folder)
    page = folder / "index.html"
    write_bytes(page, render(manifest).encode())
    return page


def render(manifest: Manifest) -> str:
    """The page as HTML. Every value from the manifest is escaped."""
    asked = ", ".join(
        [*manifest.prompt.phrases, *(b.label or "box" for b in manifest.prompt.boxes)]
    )
    failed = "".join(
        f'<tr class="failed"><td>{f.index}</td><td>{escape(f.label)}</td>'
        f'<td colspan="4">{escape(f.reason)}</td></tr>\n'
        for f in manifest.failed
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in manifest.notes)
    template = files("scenelift.io").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(asked or "given masks"),
        subtitle=escape(
            f"{len(manifest.objects)} objects · quality {manifest.quality} · seed {manifest.seed} "
            f"· {manifest.generator}"
        ),
        objects="".join(map(_object_row, manifest.objects)) + failed,
        notes=f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "",
        files="".join(
            f'<tr><td><a href="{escape(f.path)}">{escape(f.path)}</a></td>'
            f'<td class="number">{f.bytes / 1024:,.0f} KiB</td></tr>\n'
            for f in manifest.files
        ),
    )


def _object_row(o: ObjectModel) -> str:
    links = ", ".join(
        f'<a href="{escape(path)}">{escape(kind)}</a>' for kind, path in o.files.items()
    )
    return (
        f"<tr><td>{o.index}</td><td>{escape(o.label)}</td><td>{o.score:.2f}</td>"
        f'<td class="number">{o.gaussians:,}</td><td class="number">{o.faces:,}</td>'
        f"<td>{links}</td></tr>\n"
    )

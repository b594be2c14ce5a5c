"""How large files made on demand are, beside what is expected of them.

    python -m benchmarks.format_sizes FOLDER      an output folder

Makes every format that can be made here, a loop of 24 frames of 256 pixels as each kind of film,
and a picture, into a temporary folder. `expected` is what `output/sizes.py` says before.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from scenelift.errors import FormatError, SetupError
from scenelift.formats import EXTRA_FORMATS
from scenelift.output.export import Export, Format, Picture, Turntable
from scenelift.output.exporter import Exporter
from scenelift.output.manifest import read_manifest
from scenelift.output.sizes import expected_bytes
from scenelift.progress import silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    manifest = read_manifest(folder)
    splats, faces = (sum(getattr(o, n) for o in manifest.objects) for n in ("gaussians", "faces"))
    print(f"{splats:,} splats, {faces:,} faces")
    wanted: list[Export] = [Format(kind=kind) for kind in EXTRA_FORMATS]
    wanted += [
        Turntable(path="circle", format=f, frames=24, size=256) for f in ("gif", "webp", "mp4")
    ]
    wanted += [Picture(size=1024)]
    exporter = Exporter(folder)
    for export in wanted:
        with tempfile.TemporaryDirectory() as place:
            try:
                paths = exporter.write(export, Path(place), silent())
            except (SetupError, FormatError) as exc:
                print(f"{export.name:32} {exc}")
                continue
            size, expected = sum(p.stat().st_size for p in paths), expected_bytes(export, manifest)
            print(
                f"{export.name:32} {size:11,} B  expected {expected:11,} B  {size / expected:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

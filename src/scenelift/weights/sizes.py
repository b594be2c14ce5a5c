"""Writes the size of each bundle as the table of docs/weights.md, from catalogue and artefacts.

python -m scenelift.weights.sizes
"""

from __future__ import annotations

import sys

from scenelift.weights import embedded
from scenelift.weights.bundles import HUB_BUNDLES
from scenelift.weights.hub_models import spoken_size

__all__ = ["size_table", "sizes"]


def sizes() -> dict[str, tuple[str, str]]:
    """Map bundles to what is downloaded and stored, as people say it: "283 MB", "88 MB"."""
    packages = {p for artefact in embedded.ARTEFACTS.values() for p in artefact.packages}
    download_bytes = round(sum(package.megabytes for package in packages)) * 10**6
    hub = {name: spoken_size(bundle.size) for name, bundle in HUB_BUNDLES.items()}
    return {
        "embedded": (spoken_size(download_bytes), spoken_size(embedded.KEPT_BYTES)),
        **{name: (size, size) for name, size in hub.items()},
    }


def size_table() -> str:
    """Write a Markdown table with a row for each bundle."""
    rows = ["| bundle | models | fetched | kept |", "| --- | --- | --- | --- |"]
    for name, (download, on_disk) in sizes().items():
        models = HUB_BUNDLES[name].names if name in HUB_BUNDLES else tuple(embedded.ARTEFACTS)
        rows.append(f"| `{name}` | {', '.join(models)} | {download} | {on_disk} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(size_table())

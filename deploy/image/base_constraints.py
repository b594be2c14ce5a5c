"""Print constraints under which pip leaves the base image's PyTorch alone.

    python base_constraints.py constraints.txt > for-this-base.txt

Where the base brings PyTorch, its packages are pinned to what is installed: an install that would
need another one fails, instead of replacing a build that fits the base's CUDA. Everything else
keeps the project's pin.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

OF_THE_BASE = ("torch", "torchvision", "triton", "pytorch-triton")


def constraints(lines: Iterable[str], installed: dict[str, str]) -> Iterator[str]:
    """The project's pins, with the base's PyTorch in place of ours where it has one.

    Args:
        lines: of constraints.txt.
        installed: versions by package of those of `OF_THE_BASE` that the base has.
    """
    for line in lines:
        name = re.split(r"[=<>!~;\s#]", line.strip(), maxsplit=1)[0].lower().replace("_", "-")
        if name not in installed:
            yield line.rstrip("\n")
    for name, version in installed.items():
        yield f"{name}=={version}"


def main() -> None:
    installed = {}
    for name in OF_THE_BASE:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    with Path(sys.argv[1]).open() as file:
        sys.stdout.writelines(f"{line}\n" for line in constraints(file, installed))


if __name__ == "__main__":
    main()

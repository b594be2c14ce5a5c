"""What the commands that write made-up checkpoints share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["command_of", "show_sizes"]


def command_of(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Make the parser of `python -m scenelift.testing.MODULE FOLDER --size --seed`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m scenelift.testing.{module}", description=(doc or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where to write; made if need be")
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny", help="default tiny")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    return parser


def show_sizes(paths: Iterable[Path]) -> int:
    """Print each file as it is written, with its size; return the exit code."""
    for path in paths:
        sys.stdout.write(f"{path}  {path.stat().st_size / 1e6:.1f} MB\n")
    return 0

"""Compare this package with golden files of the published code.

    python -m scenelift.testing.parity FOLDER [--salt N]

prints one line a case, `case  max_abs_diff  ok|FAIL`, and exits with 1 when one fails. Weights
are made from the parameters' names (`golden`), sizes are read from the weights, and both go
through the loader that real checkpoints go through.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from scenelift.errors import SceneliftError
from scenelift.testing import (
    parity_latent,
    parity_moge,
    parity_pixal3d,
    parity_structure,
    parity_trellis,
    parity_trellis2,
)
from scenelift.testing.comparison import Check, Comparison
from scenelift.testing.golden import case_names, read_case

__all__ = ["CHECKS", "check_case", "main"]

# Of all models but TRELLIS, whose names others share; its cases are told apart by what they hold.
CHECKS: Mapping[str, Check] = {
    **parity_structure.CHECKS,
    **parity_moge.CHECKS,
    **parity_latent.CHECKS,
    **parity_trellis2.CHECKS,
    **parity_pixal3d.CHECKS,
}


def check_case(folder: Path, name: str, *, salt: int = 0) -> Comparison:
    """Run one case.

    The check is the one with the case's name, or else the longest name that the case's begins
    with, so that a folder may hold `ss_flow` and `ss_flow_wide`.
    """
    comparison = Comparison()
    try:
        with torch.inference_mode():
            case = read_case(folder, name, salt=salt)
            checks = CHECKS
            check = _known_problem(name, CHECKS)
            if check is None or (
                check in parity_trellis.CHECKS and parity_trellis.recognises(case)
            ):
                checks = parity_trellis.CHECKS
                check = _known_problem(name, checks)
            if check is None:
                every = sorted({*CHECKS, *parity_trellis.CHECKS})
                comparison.fail(f"no check has that name; known: {', '.join(every)}")
                return comparison
            checks[check](case, comparison)
    except (SceneliftError, KeyError, ValueError, RuntimeError, OSError) as exc:
        comparison.fail(f"{type(exc).__name__}: {exc}")
    return comparison


def _known_problem(name: str, checks: Mapping[str, Check]) -> str | None:
    """Return the check that a case's name stands for."""
    names = [check for check in checks if name == check or name.startswith(check + "_")]
    return max(names, key=len, default=None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scenelift.testing.parity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="folder with .json and .safetensors pairs")
    parser.add_argument("--salt", type=int, default=0, help="salt of the weights (default 0)")
    options = parser.parse_args(arguments)
    try:
        names = case_names(options.folder)
    except SceneliftError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code

    passed = True
    for name in names:
        comparison = check_case(options.folder, name, salt=options.salt)
        passed &= comparison.ok
        verdict = "ok" if comparison.ok else "FAIL"
        print(f"{name:24} {comparison.largest:10.2e}  {verdict}", flush=True)
        for failure in comparison.failures:
            print(f"{name}: {failure}", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

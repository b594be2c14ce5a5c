"""Writes the self-check as a page of Markdown, to attach to an issue. It has no user's photo."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping

from scenelift import __version__
from scenelift.selfcheck.finding import STAGES
from scenelift.selfcheck.run import SelfCheck

__all__ = ["document", "page", "verdict"]

_PACKAGES = ("torch", "transformers", "onnxruntime", "numpy", "scipy")


def verdict(check: SelfCheck) -> str:
    """Say in one sentence whether every stage is plausible, or which are not."""
    if check.ok:
        return f"{check.quality}: all {len(check.findings)} figures of the stages are plausible."
    bad = sum(not finding.ok for finding in check.findings)
    stages = ", ".join(check.failed_stages)
    return (
        f"{check.quality}: {bad} of {len(check.findings)} figures are not plausible; "
        f"stages at fault: {stages}."
    )


def page(check: SelfCheck) -> str:
    """Write the page, from the verdict down to what ran on what."""
    lines = [
        f"# Self-check of scenelift {__version__}: {'passed' if check.ok else 'FAILED'}",
        "",
        verdict(check),
        "",
        "The photo is scikit-image's `coffee`; every stage was run on sound input. Limits are wide",
        "(they tell weights that work from weights that do not, and not how good they are).",
    ]
    for stage in STAGES:
        rows = [finding for finding in check.findings if finding.stage == stage]
        if not rows:
            continue
        took = f", {check.seconds[stage]:.1f} s" if stage in check.seconds else ""
        state = "FAILED" if stage in check.failed_stages else "ok"
        lines += ["", f"## {stage}: {state}{took}", "", "| | figure | value | plausible |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [
            f"| {'ok' if f.ok else '**FAILED**'} | {f.name} | {f.value} | {f.expected} |"
            for f in rows
        ]
    lines += ["", "## What ran", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(check).items()]
    return "\n".join(lines) + "\n"


def document(check: SelfCheck) -> dict[str, object]:
    """Return the page's content as data for JSON."""
    return {
        "quality": check.quality,
        "passed": check.ok,
        "failed_stages": list(check.failed_stages),
        "findings": [
            {
                "stage": finding.stage,
                "figure": finding.name,
                "value": finding.value,
                "plausible": finding.expected,
                "ok": finding.ok,
            }
            for finding in check.findings
        ],
        "seconds": {stage: round(seconds, 2) for stage, seconds in check.seconds.items()},
        "ran": _facts(check),
    }


def _facts(check: SelfCheck) -> Mapping[str, str]:
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        **check.backends,
        "device": check.device,
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": sys.version.split()[0],
        **packages,
    }

"""The self-check of a bundle of weights, and the record of it."""

from __future__ import annotations

from pathlib import Path

from scenelift.errors import InputError
from scenelift.options import BackendOptions
from scenelift.pipeline import Pipeline
from scenelift.progress import Reporter
from scenelift.qualities import QUALITIES
from scenelift.selfcheck.record import remember
from scenelift.selfcheck.run import SelfCheck, self_check
from scenelift.weights.bundles import HUB_BUNDLES

__all__ = ["check_bundle"]


def check_bundle(
    bundle: str, weights: Path | None, device: str, report: Reporter | None = None
) -> SelfCheck:
    """Run a quality's stages with the weights that are here, and record the outcome.

    Args:
        bundle: its name, which is the quality's.
        weights: folder of all weights in place of the cache.
        device: where to run.
        report: progress; raises Cancelled.

    Raises:
        InputError: there is no quality of that name.
        SetupError: something that it needs is missing here.
        Cancelled: the user stopped it.
    """
    if bundle not in QUALITIES:
        raise InputError(
            f"Nothing to run: there is no quality {bundle!r}. Known: {', '.join(QUALITIES)}."
        )
    options = BackendOptions(weights=weights, device=device)
    pipeline = Pipeline.from_quality(bundle, options)
    check = self_check(pipeline, bundle, report, device=device)
    if bundle in HUB_BUNDLES:
        remember(bundle, HUB_BUNDLES[bundle].names, weights, passed=check.ok)
    return check

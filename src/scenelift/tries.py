"""Best of N: several samples of one object, each with its own seed, of which the best stays.

A reconstructor that can go a part of the way with all seeds at once (`SeveralSeedsReconstructor`)
does; any other is asked once for every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from scenelift.progress import Reporter
from scenelift.reconstruct import Reconstructor, SeveralSeedsReconstructor
from scenelift.stages import outcome_of
from scenelift.types import ObjectView, Reconstruction

__all__ = ["reconstruct_best"]

SEED_STEP = 100_003
"""Between the seeds of an object's tries: no other object of the run comes near."""


def reconstruct_best(
    reconstructor: Reconstructor,
    view: ObjectView,
    *,
    seed: int,
    count: int,
    report: Reporter,
) -> Reconstruction:
    """Reconstruct one object with several seeds, and keep what explains the photo best.

    A try that fails loses against all that do not, and is noted. Arguments as for
    `Reconstructor.reconstruct`.

    Args:
        seed: of the first try.
        count: how many; one is not judged.

    Raises:
        SceneliftError: every try failed; the first one's error.
    """
    if count == 1:
        return reconstructor.reconstruct(view, seed=seed, report=report)
    seeds = [seed + k * SEED_STEP for k in range(count)]
    steps = _start(reconstructor, view, seeds, report)
    outcomes = [
        outcome_of(step, f"seed {one} of {view.instance.label!r}")
        for one, step in zip(seeds, steps, strict=True)
    ]
    reconstructions = [
        (one, outcome)
        for one, outcome in zip(seeds, outcomes, strict=True)
        if not isinstance(outcome, Exception)
    ]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if not reconstructions:
        raise failed[0]

    from scenelift.compose.score import best_of

    best_seed, best = reconstructions[
        best_of([outcome for _, outcome in reconstructions], view, seed=seed)
    ]
    notes = [*best.notes, f"The best of {count} tries (seed {best_seed})."]
    if failed:
        notes.append(f"{len(failed)} of {count} tries failed, the first because: {failed[0]}")
    return replace(best, notes=tuple(notes))


def _start(
    reconstructor: Reconstructor,
    view: ObjectView,
    seeds: Sequence[int],
    report: Reporter,
) -> Sequence[Callable[[], Reconstruction]]:
    """Start all seeds, and return the rest of the work of each."""
    if isinstance(reconstructor, SeveralSeedsReconstructor):
        return reconstructor.start_samples(view, seeds=seeds, report=report)
    return [
        partial(
            reconstructor.reconstruct,
            view,
            seed=seed,
            report=report.part(k / len(seeds), (k + 1) / len(seeds)),
        )
        for k, seed in enumerate(seeds)
    ]

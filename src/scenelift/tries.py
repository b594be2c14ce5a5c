"""Best of N: several samples of one object, each with its own seed, of which the best stays.

A reconstructor that can go a part of the way with all seeds at once (`SeveralSeedsReconstructor`)
does; any other is asked once for every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from scenelift.progress import Reporter
from scenelift.reconstruct import Reconstructor, RoomyReconstructor, SeveralSeedsReconstructor
from scenelift.stages import outcome_of
from scenelift.types import ObjectView, Reconstruction

__all__ = ["start_best"]

SEED_STEP = 100_003
"""Between the seeds of an object's tries: no other object of the run comes near."""


def start_best(
    reconstructor: Reconstructor,
    view: ObjectView,
    *,
    seed: int,
    count: int,
    report: Reporter,
) -> Callable[[], Reconstruction]:
    """Reconstruct one object with several seeds, and keep what explains the photo best.

    A try that fails loses against all that do not, and is noted. Arguments as for
    `Reconstructor.reconstruct`.

    Args:
        seed: of the first try.
        count: how many; one is not judged.

    Returns:
        What remains when that is done which samples of an object share, to be called once, perhaps
        in another thread: everything, of a reconstructor that does not tell the two apart. It
        raises the first one's error where every try failed.
    """
    if count == 1 and not isinstance(reconstructor, RoomyReconstructor):
        return partial(reconstructor.reconstruct, view, seed=seed, report=report)
    seeds = [seed + k * SEED_STEP for k in range(count)]
    steps = _start(reconstructor, view, seeds, report)
    if count == 1:
        return steps[0]
    return partial(_best_of, steps, seeds, view)


def _best_of(
    steps: Sequence[Callable[[], Reconstruction]], seeds: Sequence[int], view: ObjectView
) -> Reconstruction:
    """Complete the tries, and choose one."""
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
        best_of([outcome for _, outcome in reconstructions], view, seed=seeds[0])
    ]
    notes = [*best.notes, f"The best of {len(seeds)} tries (seed {best_seed})."]
    if failed:
        notes.append(f"{len(failed)} of {len(seeds)} tries failed, the first because: {failed[0]}")
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

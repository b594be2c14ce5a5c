"""Estimates how far a job is and how long it will take, from what its stages took before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from scenelift.stage_names import STAGES

if TYPE_CHECKING:
    from scenelift.output.manifest import TimingModel
    from scenelift.types import StageTiming
    from scenelift.webapp.models import JobRequest, Selection

__all__ = ["PER_OBJECT", "Estimate", "expected_seconds", "learned", "stages_of"]

# Only their proportions matter, and only until the first job has been measured.
FIRST_GUESS = {stage.name: stage.seconds or 1.0 for stage in STAGES}
PER_OBJECT = frozenset(stage.name for stage in STAGES if stage.of_object)
USUAL_OBJECTS = 2
USUAL_STAGES = tuple(stage.name for stage in STAGES if stage.seconds)


def stages_of(request: JobRequest, selection: Selection | None) -> tuple[str, ...]:
    """List the stages of the current task: until the review, after it, or all."""
    if request.review and selection is None:
        return ("segment",)
    absent: set[str] = {"segment"} if selection is not None else set()
    if request.options().layout.background == "none":
        absent.add("background")
    return tuple(stage.name for stage in STAGES if stage.name not in absent)


def expected_seconds(
    stages: Iterable[str], typical: Mapping[str, float], objects: int = 0
) -> dict[str, float | None]:
    """Map each stage to what it takes here for so many objects; None: not known yet.

    Args:
        typical: see `Estimate`.
        objects: 0 where they are not known yet.
    """
    many = objects or USUAL_OBJECTS
    return {
        stage: typical[stage] * (many if stage in PER_OBJECT else 1) if stage in typical else None
        for stage in stages
    }


def learned(
    timings: Iterable[StageTiming | TimingModel], stages: Iterable[str]
) -> dict[str, float]:
    """Map each stage to its seconds, of one object for `PER_OBJECT`; resumed ones are left out.

    Args:
        stages: of the task at hand; what was only read back or chosen by hand is no measure.
    """
    times: dict[str, list[float]] = {}
    for timing in timings:
        if not timing.resumed and timing.stage in stages:
            times.setdefault(timing.stage, []).append(timing.seconds)
    return {stage: sum(values) / len(values) for stage, values in times.items()}


class Estimate:
    """Adds up the typical times of stages.

    Args:
        typical: stage -> seconds, of one object where the stage is `PER_OBJECT`. Missing ones are
            guessed.
        stages: those of the task at hand.
    """

    def __init__(self, typical: Mapping[str, float], stages: Iterable[str] = USUAL_STAGES) -> None:
        self._seconds = {stage: typical.get(stage, FIRST_GUESS[stage]) for stage in stages}
        self._measured = self._seconds.keys() <= typical.keys()
        self._objects = USUAL_OBJECTS
        self._fractions: dict[tuple[str, int | None], float] = {}
        self._fraction = 0.0

    def set_objects(self, objects: int) -> None:
        """Set the number of objects that will be reconstructed."""
        self._objects = objects

    def at(self, stage: str, object_index: int | None, fraction: float) -> None:
        """Record how far a stage (of an object) is."""
        if stage in self._seconds:
            key = (stage, object_index)
            self._fractions[key] = max(fraction, self._fractions.get(key, 0.0))

    def fraction(self) -> float:
        """Fraction of the whole job, 0…1; it never goes back."""
        seconds = sum(self._seconds[stage] * f for (stage, _), f in self._fractions.items())
        self._fraction = max(self._fraction, min(1.0, seconds / self._total()))
        return self._fraction

    def remaining(self, elapsed: float) -> float | None:
        """Estimate the seconds still to go; None while there is no basis.

        Args:
            elapsed: seconds since the job was started.
        """
        fraction = self.fraction()
        if self._measured:
            return (1 - fraction) * self._total()
        return elapsed * (1 - fraction) / fraction if fraction > 0.1 else None

    def _total(self) -> float:
        return sum(
            seconds * (self._objects if stage in PER_OBJECT else 1)
            for stage, seconds in self._seconds.items()
        )

"""How far a job is, and how long it will still take, from what its stages took before."""

from __future__ import annotations

from collections.abc import Mapping

from scenelift.stage_names import STAGES

__all__ = ["Estimate"]

# Only their proportions matter, and only until the first job has been measured.
FIRST_GUESS = {stage.name: stage.seconds for stage in STAGES if stage.seconds}
PER_OBJECT = frozenset(stage.name for stage in STAGES if stage.of_object)
USUAL_OBJECTS = 2


class Estimate:
    """Adds up stages by what they typically take.

    Args:
        typical: stage -> seconds, of one object where the stage is `PER_OBJECT`. Missing ones are
            guessed.
        only: the one stage that is run, where the job stops after it.
    """

    def __init__(self, typical: Mapping[str, float], *, only: str = "") -> None:
        self._seconds = FIRST_GUESS | dict(typical)
        if only:
            self._seconds = {only: self._seconds[only]}
        self._measured = FIRST_GUESS.keys() <= typical.keys()
        self._objects = USUAL_OBJECTS
        self._done: dict[tuple[str, int | None], float] = {}
        self._shown = 0.0

    def found(self, objects: int) -> None:
        """So many objects will be reconstructed."""
        self._objects = objects

    def at(self, stage: str, object_index: int | None, fraction: float) -> None:
        """A stage (of an object) has come so far."""
        if stage in self._seconds:
            key = (stage, object_index)
            self._done[key] = max(fraction, self._done.get(key, 0.0))

    def fraction(self) -> float:
        """Of the whole, 0…1; never goes back."""
        done = sum(self._seconds[stage] * f for (stage, _), f in self._done.items())
        self._shown = max(self._shown, min(1.0, done / self._total()))
        return self._shown

    def remaining(self, elapsed: float) -> float | None:
        """Seconds still to go, or None while nobody can tell.

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

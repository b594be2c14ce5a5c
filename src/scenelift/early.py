"""Parts of later stages that need no more than the photo, or one object of it.

They are begun while the other objects are made (`overlap.early_work`), so that after the last of
them little is left to do: its own place, and the background behind the objects as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scenelift.lifting import PhotoObjects
from scenelift.options import LayoutOptions
from scenelift.overlap import Begin
from scenelift.progress import Reporter
from scenelift.stages import Steps
from scenelift.types import FailedObject, Reconstruction, SceneObject

if TYPE_CHECKING:
    from scenelift.background.surroundings import Surroundings
    from scenelift.compose.placed_object import PlacedObject

__all__ = ["EarlyParts"]

# Objects come one by one: half of the cores for the place of each, the others for whoever feeds the
# GPU. After the last nobody does, and all that is left to do waits for its place: all cores for it.
CALLERS = 2


class EarlyParts:
    """What later stages need of single objects, and of what is around them.

    Where an earlier run has stored such a stage's result, nothing of it is begun: if it no longer
    fits, the stage does all of its work itself.

    Args:
        photo: whose objects.
        layout: how poses are improved, and whether there is a background.
        steps: of the run.
        report: where cancellation comes from; progress is that of the stages.
        begin: starts work beside what this thread does.
    """

    def __init__(
        self,
        photo: PhotoObjects,
        layout: LayoutOptions,
        steps: Steps,
        report: Reporter,
        begin: Begin,
    ) -> None:
        # Imported here, so that no two threads import the same libraries at once.
        from scenelift.background.surroundings import look_around
        from scenelift.compose.layout import find_place
        from scenelift.io.png import png_bytes

        self._photo, self._layout, self._begin = photo, layout, begin
        self._find_place, self._png_bytes = find_place, png_bytes
        self._places: dict[int, Callable[[], PlacedObject | str]] = {}
        self._are_placed = steps.is_stored("compose")
        self._to_come = len(photo.instances)

        def look() -> Surroundings:
            return look_around(
                photo.image, photo.points, photo.instances, seed=photo.seed, report=report.quiet()
            )

        needed = layout.background != "none" and not steps.is_stored("background")
        self.surroundings = begin(look) if needed else look

    def on_object(self, index: int, outcome: Reconstruction | FailedObject) -> None:
        """Begin to place an object that is done, and to pack its texture; for `Lifting`."""
        self._to_come -= 1
        if isinstance(outcome, FailedObject):
            return
        if not self._are_placed:
            self._begin_to_place(index, outcome)
        mesh = outcome.shape.mesh
        if mesh is not None and (texture := mesh.texture) is not None:
            self._begin(lambda: self._png_bytes(texture))  # several files will hold it

    def _begin_to_place(self, index: int, outcome: Reconstruction) -> None:
        photo, layout = self._photo, self._layout
        callers = CALLERS if self._to_come else 1
        o = photo.scene_object(index, outcome)
        self._places[index] = self._begin(
            lambda: self._find_place(
                o, photo.image, photo.points, layout, seed=photo.seed, callers=callers
            )
        )

    def place(self, o: SceneObject) -> PlacedObject | str | None:
        """Return where an object is, or None if that has not been begun; for `lay_out`."""
        place = self._places.get(o.index)
        return None if place is None else place()

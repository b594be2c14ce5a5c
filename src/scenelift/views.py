"""Makes one object of several photos: found in each, placed where the first shows it.

Nothing is known of the cameras, and nothing is asked: a reconstructor that can look at several
photos (`SeveralViewsReconstructor`) takes them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scenelift.errors import InputError
from scenelift.progress import Reporter
from scenelift.reconstruct import Reconstructor, SeveralViewsReconstructor, begin_photo, end_photo
from scenelift.segment import Segmenter
from scenelift.stages import digest
from scenelift.types import Image, ObjectView, PointMap, Prompt, Reconstruction, View

__all__ = ["SameObject"]


class SameObject:
    """A `Reconstructor` of one object that is seen in further photos too.

    Args:
        reconstructor: looks at all photos.
        segmenter: finds the object in the further ones.
        photos: the further ones.
        prompt: what it is to be found by; the best match in each photo is taken.

    Raises:
        InputError: the reconstructor looks at one photo only.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        segmenter: Segmenter,
        photos: Sequence[Image],
        prompt: Prompt,
    ) -> None:
        if not isinstance(reconstructor, SeveralViewsReconstructor):
            raise InputError(
                f"The reconstructor {reconstructor.name!r} makes an object of one photo. Several "
                f"photos of one object need TRELLIS: --quality open, or --reconstructor trellis."
            )
        self._reconstructor = reconstructor
        self._segmenter, self._photos = segmenter, tuple(photos)
        self._prompt = replace(prompt, boxes=(), max_objects=1)
        if self._photos and not self._prompt.phrases:
            raise InputError(
                "Boxes belong to the first photo: to find the object in the others, name it with "
                "--prompt."
            )
        self._other_views: tuple[list[View], list[int]] | None = None
        self.name = reconstructor.name
        inputs = digest(self._photos, self._prompt)[:12]
        self.version = f"{reconstructor.version}, {1 + len(self._photos)} photos {inputs}"

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo; the further ones stay the same."""
        begin_photo(self._reconstructor, image, points)

    def end(self) -> None:
        """Free what the photo's objects shared."""
        end_photo(self._reconstructor)

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        """Find the object in the further photos, and make it of all of them.

        A photo that does not show it is left out, and the result says so.
        """
        report.update(0, message="finding the object in the other photos")
        views, missing = self._find(report)
        reconstruction = self._reconstructor.reconstruct(
            replace(view, further=tuple(views)), seed=seed, report=report
        )
        notes = [f"Made of {1 + len(views)} photos, placed where the first shows it."]
        notes += [f"Photo {number} shows nothing like it, and was left out." for number in missing]
        return replace(
            reconstruction,
            quality={**reconstruction.quality, "photos": float(1 + len(views))},
            notes=(*reconstruction.notes, *notes),
        )

    def _find(self, report: Reporter) -> tuple[list[View], list[int]]:
        """Find the object in those photos that show it, and list the numbers of the others."""
        if self._other_views is not None:  # in an earlier try
            return self._other_views
        views: list[View] = []
        missing: list[int] = []
        for number, photo in enumerate(self._photos, start=2):
            report.check()
            # Silent, but it stops where the run is stopped.
            quiet = Reporter(lambda event: report.check())
            segmentation = self._segmenter.segment(photo, self._prompt, quiet)
            if segmentation.instances:
                views.append(View(image=photo, instance=segmentation.instances[0]))
            else:
                missing.append(number)
        self._other_views = views, missing
        return views, missing

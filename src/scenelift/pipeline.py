"""The whole story on one page: one photo and a phrase become a 3D scene.

    photo + "chair"
      read_image     Image            upright, checked
      segment        Segmentation     mask, label, score of every matching object
      estimate       PointMap         camera, and a point for every pixel
      reconstruct    Reconstruction   splats, mesh and pose, object by object
      finish         Reconstruction   the mesh closed, of few faces, textured
      compose        Layout           poses that agree with the photo and with each other
      background     Background       the room behind them, completed where they hid it

`docs/pipeline.md` walks through it. Command line, web app and batches call this and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from scenelift.contracts import check_backend, check_points, check_segmentation
from scenelift.crew import Crew, crew_of
from scenelift.early import EarlyParts
from scenelift.errors import InputError, NothingFound, ObjectFailed
from scenelift.inputs import (
    Photo,
    as_image,
    as_options,
    as_prompt,
    as_report,
    as_seed,
    as_store,
    working_prompt,
)
from scenelift.lifting import Lifting, PhotoObjects
from scenelift.options import (
    BackendOptions,
    BackendSelection,
    FinishOptions,
    InputOptions,
    LayoutOptions,
    SeedOptions,
)
from scenelift.overlap import early_work
from scenelift.pointmap import POINT_MAPPERS, PointMapper
from scenelift.progress import Reporter
from scenelift.qualities import FROM_FILES, Choice, choose_backends, uses_networks
from scenelift.reconstruct import RECONSTRUCTORS, Reconstructor
from scenelift.registry import Registry
from scenelift.runtime import Runtime
from scenelift.scene import Scene
from scenelift.segment import SEGMENTERS, Segmenter
from scenelift.segment.clicks import segment_prompt
from scenelift.stages import StageStore, Steps
from scenelift.types import (
    Background,
    Dropped,
    FailedObject,
    Image,
    Instance,
    Layout,
    PointMap,
    Prompt,
    Provenance,
    Reconstruction,
    SceneObject,
    Segmentation,
)
from scenelift.views import SameObject

if TYPE_CHECKING:
    from scenelift.segment.given import GivenObjects

__all__ = ["Pipeline", "SAM3SAM3DPipeline", "find_objects", "segment_photo"]

Masks: TypeAlias = Any
"""Files or folders with masks, arrays bool [H, W] or [N, H, W], pictures of Pillow's, instances, a
list or a dictionary (name: mask) of these."""
Depth: TypeAlias = Any
"""A file with depth or points; an array or a tensor [H, W] or [H, W, 3]; a picture of Pillow's."""
B = TypeVar("B")


class Pipeline:
    """Lifts objects out of photos with one backend for each stage.

    Backends stay loaded between photos. Any object with the protocol's methods can be a backend:
    `scenelift.testing` has small ones.

    Args:
        segmenter: finds the objects; it, as the others, may be the name of a registered one.
        pointmapper: estimates camera and points.
        reconstructor: gives each object its shape and pose.
        choice: how the backends were chosen; recorded with the scene.
        runtime: where meshes are finished and previews drawn; the backends were built with it. By
            default the CPU.
        crew: processes on several GPUs, which reconstruct and finish the objects in place of this
            one's reconstructor.
    """

    def __init__(
        self,
        segmenter: Segmenter | str,
        pointmapper: PointMapper | str,
        reconstructor: Reconstructor | str,
        *,
        choice: Choice | None = None,
        runtime: Runtime | None = None,
        crew: Crew | None = None,
    ) -> None:
        self.choice = choice
        self.runtime = runtime or Runtime()
        self.segmenter = _backend(segmenter, SEGMENTERS, self.runtime)
        self.pointmapper = _backend(pointmapper, POINT_MAPPERS, self.runtime)
        self.reconstructor = _backend(reconstructor, RECONSTRUCTORS, self.runtime)
        self.crew = crew

    @classmethod
    def from_quality(
        cls,
        quality: str = "auto",
        options: BackendOptions | None = None,
        *,
        segmenter: str | None = None,
    ) -> Pipeline:
        """Load the backends of a quality: "auto", "embedded", "open" or "full"; see `build`."""
        return cls.build(quality, options, segmenter=segmenter)

    @staticmethod
    def build(
        quality: str = "auto",
        options: BackendOptions | None = None,
        *,
        segmenter: str | None = None,
        pointmapper: str | None = None,
        reconstructor: str | None = None,
        masks: Masks = (),
        depth: Depth | None = None,
        depth_scale: float | None = None,
        photo: Photo | None = None,
        image: Image | None = None,
        prompt: str | Sequence[str] | Prompt | None = None,
    ) -> Pipeline:
        """Choose and load backends, or put what you have in their place.

            Pipeline.build("full", ReconstructionOptions(device="cuda:1", vram_bytes=8 * 10**9))
            Pipeline.build(masks="cup.png", photo="desk.jpg").run("desk.jpg", "cup")

        Args:
            quality: a set of backends: "embedded", "open", "full", or "auto" for the best that can
                run here.
            options: where models are, where they run and how; made one `Runtime` for all of them.
            segmenter, pointmapper, reconstructor: the name of one in place of the quality's own.
            masks: files or folders with masks (docs/segment-models.md), arrays bool [H, W] or
                [N, H, W], pictures of Pillow's, instances, or a list or a dictionary (name: mask)
                of these, in place of a segmenter.
            depth: a file with depth or points (docs/conventions.md), an array [H, W] or
                [H, W, 3], or a picture of Pillow's, in place of a point mapper.
            depth_scale: units per step of the depth; None for its form's own.
            photo: whose masks those are; needed with `masks`, which are checked against it.
            image: the photo, by a caller that has decoded it.
            prompt: its phrases name what the masks do not name; its boxes, and objects of which
                the files have boxes only, are cut out by the segmenter.

        Raises:
            InputError: masks or depth cannot be used.
            SetupError: something that is needed is missing here; the message says what.
        """
        options = as_options(options, BackendOptions, "options")
        inputs = InputOptions(depth_scale=depth_scale)
        BackendSelection(  # refuses what is no name
            quality=quality,
            segmenter=segmenter,
            pointmapper=pointmapper,
            reconstructor=reconstructor,
        )
        prompt = _maybe_prompt(prompt)
        objects = _given_masks(masks, photo, prompt, image) if _is_some(masks) else None
        choice = choose_backends(
            quality,
            options,
            segmenter=FROM_FILES if objects and not _needs_cutter(objects, prompt) else segmenter,
            pointmapper=FROM_FILES if depth is not None else pointmapper,
            reconstructor=reconstructor,
        )
        own_depth = None if depth is None else _given_depth(depth, inputs.depth_scale)
        names, runtime = choice.names, Runtime.of(options, networks=uses_networks(choice.names))
        model = None if names.segmenter == FROM_FILES else SEGMENTERS.load(names.segmenter, runtime)
        finder = _given_segmenter(objects, model) if objects else model
        assert finder is not None
        mapper = own_depth or POINT_MAPPERS.load(names.pointmapper, runtime)
        # It starts first, and loads while this process does, whose own networks stay on the host.
        crew = crew_of(names.reconstructor, runtime.options)
        maker = RECONSTRUCTORS.load(names.reconstructor, runtime)
        return Pipeline(finder, mapper, maker, choice=choice, runtime=runtime, crew=crew)

    def with_inputs(
        self,
        photo: Photo,
        *,
        masks: Masks = (),
        depth: Depth | None = None,
        depth_scale: float | None = None,
        prompt: str | Sequence[str] | Prompt | None = None,
    ) -> Pipeline:
        """Return this pipeline with one photo's masks or depth; arguments as for `build`."""
        prompt = _maybe_prompt(prompt)
        inputs = InputOptions(depth_scale=depth_scale)
        objects = _given_masks(masks, photo, prompt) if _is_some(masks) else None
        cutter = self.segmenter if objects and _needs_cutter(objects, prompt) else None
        return self.with_backends(
            segmenter=_given_segmenter(objects, cutter) if objects else None,
            pointmapper=None if depth is None else _given_depth(depth, inputs.depth_scale),
        )

    def with_backends(
        self,
        *,
        segmenter: Segmenter | str | None = None,
        pointmapper: PointMapper | str | None = None,
        reconstructor: Reconstructor | str | None = None,
    ) -> Pipeline:
        """Return this pipeline with some backends replaced; a reconstructor works alone.

        Raises:
            InputError: one is no backend.
            BackendUnavailable: there is none of a name, or it cannot run here.
        """
        return Pipeline(
            segmenter or self.segmenter,
            pointmapper or self.pointmapper,
            reconstructor or self.reconstructor,
            choice=self.choice,
            runtime=self.runtime,
            crew=None if reconstructor else self.crew,
        )

    def run(
        self,
        photo: Photo,
        prompt: str | Sequence[str] | Prompt,
        *,
        seed: int = 0,
        best_of: int = 1,
        same_seed: bool = False,
        layout: LayoutOptions | None = None,
        finish: FinishOptions | None = None,
        report: Reporter | None = None,
        store: StageStore | None = None,
    ) -> Scene:
        """Turn one photo and a prompt into a scene.

        Args:
            photo: path, `Image`, a picture of Pillow's, or uint8 in sRGB: [H, W, 3], grey [H, W],
                RGBA [H, W, 4].
            prompt: a phrase, several ("chair, table" or a list), or a `Prompt` with boxes.
            seed: makes the result repeatable; object k uses seed + k.
            best_of: reconstruct every object with so many seeds and take the best.
            same_seed: every object uses the seed itself.
            layout: how poses are improved.
            finish: faces and texture of the meshes.
            report: where progress goes and cancellation comes from.
            store: where stage results are kept and looked for.

        Raises:
            InputError: the photo or the prompt cannot be used.
            NothingFound: the prompt matched no object.
            ObjectFailed: objects were found, and not one could be reconstructed.
            Cancelled: the user stopped the run.
        """
        image, prompt = as_image(photo), as_prompt(prompt)
        seeds = SeedOptions(seed=as_seed(seed), best_of=best_of, same_seed=same_seed)
        seed, best_of, same_seed = seeds.seed, seeds.best_of, seeds.same_seed
        layout = as_options(layout, LayoutOptions, "layout")
        finish = as_options(finish, FinishOptions, "finish")
        report, store = as_report(report).from_threads(), as_store(store)
        steps = Steps(report, store, self.runtime, depends=(image, prompt))
        segmentation = segment_photo(self.segmenter, image, prompt, steps)
        points = self._estimate(image, segmentation.instances, steps)
        maker = self.reconstructor
        work = PhotoObjects(
            image=image,
            instances=segmentation.instances,
            points=points,
            seed=seed,
            best_of=best_of,
            same_seed=same_seed,
            finish=finish,
            key=steps.after(maker.name, maker.version, best_of, same_seed),
        )
        with early_work() as begin:
            early = EarlyParts(work, layout, steps, report, begin)
            outcomes = self._lift(work, steps, report, early.on_object)
            objects, failed = _sorted_out(work, outcomes)
            laid_out = _lay_out(objects, work, layout, steps, early)
            posed_objects = _with_layout(objects, laid_out)
            behind = _background(posed_objects, layout, laid_out, steps, early)
        scene = self._scene(work, prompt, segmentation, posed_objects, failed, laid_out, steps)
        return replace(scene, background=behind)

    def _estimate(self, image: Image, instances: Sequence[Instance], steps: Steps) -> PointMap:
        mapper = self.pointmapper
        return steps.then(
            "pointmap",
            PointMap,
            lambda r: check_points(
                mapper.estimate(image, instances, r), image, backend=mapper.name
            ),
            *(mapper.name, mapper.version),
        )

    def _lift(
        self,
        work: PhotoObjects,
        steps: Steps,
        report: Reporter,
        on_object: Callable[[int, Reconstruction | FailedObject], object],
    ) -> list[Reconstruction | FailedObject]:
        """Reconstruct and finish all objects, here or in the processes of a crew."""
        if self.crew:
            return self.crew.lift(work, steps, report, on_object)
        lifting = Lifting(
            photo=work,
            reconstructor=self.reconstructor,
            stages=steps,
            device=self.runtime.device,
            on_object=on_object,
        )
        return lifting.run(range(len(work.instances)))

    def _scene(
        self,
        work: PhotoObjects,
        prompt: Prompt,
        segmentation: Segmentation,
        objects: tuple[SceneObject, ...],
        failed: tuple[FailedObject, ...],
        laid_out: Layout,
        steps: Steps,
    ) -> Scene:
        image, points = work.image, work.points
        return Scene(
            image=image,
            objects=objects,
            camera=points.camera,
            units=laid_out.units,
            up=laid_out.up,
            levels=laid_out.levels,
            provenance=Provenance(
                prompt=prompt,
                seed=work.seed,
                backends=self.backends,
                licences=self.licences,
                failed=failed,
                dropped=segmentation.dropped,
                notes=(
                    *(self.choice.notes if self.choice else ()),
                    *image.notes,
                    *segmentation.notes,
                    *points.notes,
                    *laid_out.notes,
                ),
                timings=steps.timings,
                device=self.runtime.device,
            ),
        )

    def run_views(
        self,
        photos: Sequence[Photo],
        prompt: str | Sequence[str] | Prompt,
        *,
        seed: int = 0,
        best_of: int = 1,
        same_seed: bool = False,
        layout: LayoutOptions | None = None,
        finish: FinishOptions | None = None,
        report: Reporter | None = None,
        store: StageStore | None = None,
    ) -> Scene:
        """Turn several photos of one object into a scene, placed where the first shows it.

        Arguments and errors as for `run`. The best match in each photo is taken for the object.

        Raises:
            InputError: the reconstructor looks at one photo only, or there is no photo.
        """
        if isinstance(photos, str | Path):
            photos = [photos]
        if not photos:
            raise InputError("There is no photo. Give one, or several of the same object.")
        first, *further = photos
        prompt = replace(as_prompt(prompt), max_objects=1)
        return self.seeing(further, prompt).run(
            first,
            prompt,
            seed=seed,
            best_of=best_of,
            same_seed=same_seed,
            layout=layout,
            finish=finish,
            report=report,
            store=store,
        )

    def seeing(self, further: Sequence[Photo], prompt: Prompt) -> Pipeline:
        """Return this pipeline for one object that further photos show too: see `views.SameObject`.

        Raises:
            InputError: the reconstructor looks at one photo only, or a photo cannot be used.
        """
        reconstructor = SameObject(
            self.reconstructor, self.segmenter, [as_image(photo) for photo in further], prompt
        )
        return self.with_backends(reconstructor=reconstructor)

    @property
    def backends(self) -> dict[str, str]:
        """Role -> name and version of the backend."""
        return {
            "segmenter": f"{self.segmenter.name} {self.segmenter.version}",
            "pointmapper": f"{self.pointmapper.name} {self.pointmapper.version}",
            "reconstructor": f"{self.reconstructor.name} {self.reconstructor.version}",
        }

    @property
    def licences(self) -> dict[str, str]:
        """Role -> licences of the backend's code and weights, for those that are registered."""
        registries = {
            "segmenter": (SEGMENTERS, self.segmenter.name),
            "pointmapper": (POINT_MAPPERS, self.pointmapper.name),
            "reconstructor": (RECONSTRUCTORS, self.reconstructor.name),
        }
        return {
            role: registry.entry(name).licence
            for role, (registry, name) in registries.items()
            if name in registry.names()
        }


class SAM3SAM3DPipeline(Pipeline):
    """The pipeline of the published models: SAM 3, MoGe and SAM 3D Objects.

        scene = SAM3SAM3DPipeline().run("room.jpg", "chair")

    Args:
        options: where weights are, which device; `ReconstructionOptions` adds step counts and more.

    Raises:
        SetupError: something that they need is missing here; the message says what.
    """

    def __init__(self, options: BackendOptions | None = None) -> None:
        full = Pipeline.build("full", options)
        super().__init__(
            full.segmenter,
            full.pointmapper,
            full.reconstructor,
            choice=full.choice,
            runtime=full.runtime,
            crew=full.crew,
        )


def _sorted_out(
    work: PhotoObjects, outcomes: Sequence[Reconstruction | FailedObject]
) -> tuple[list[SceneObject], tuple[FailedObject, ...]]:
    """Separate the objects that were made from those that failed.

    Raises:
        ObjectFailed: all of them.
    """
    failed = tuple(o for o in outcomes if isinstance(o, FailedObject))
    if len(failed) == len(outcomes):
        raise ObjectFailed(failed[0].index, failed[0].instance.label, failed[0].reason)
    objects = [
        work.scene_object(index, outcome)
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Reconstruction)
    ]
    return objects, failed


def _with_layout(objects: Sequence[SceneObject], laid_out: Layout) -> tuple[SceneObject, ...]:
    """Place the objects where the layout has them."""
    return tuple(
        replace(o, pose=p.pose, quality={**o.quality, **p.quality}, notes=(*o.notes, *p.notes))
        for o, p in zip(objects, laid_out.placements, strict=True)
    )


def _background(
    objects: Sequence[SceneObject],
    layout: LayoutOptions,
    laid_out: Layout,
    steps: Steps,
    early: EarlyParts,
) -> Background | None:
    """Compute the background, where one is asked for."""
    mode = layout.background
    if mode == "none":
        return None
    from scenelift.background.stage import rebuild

    return steps.then(
        "background",
        Background,
        lambda r: rebuild(early.surroundings, objects, mode=mode, factor=laid_out.factor, report=r),
        mode,
        laid_out.factor,
    )


def _lay_out(
    objects: Sequence[SceneObject],
    work: PhotoObjects,
    layout: LayoutOptions,
    steps: Steps,
    early: EarlyParts,
) -> Layout:
    """Run the stage that puts the objects where the photo has them."""
    from scenelift.compose.layout import lay_out

    return steps.then(
        "compose",
        Layout,
        lambda r: lay_out(
            objects,
            work.image,
            work.points,
            layout,
            seed=work.seed,
            report=r,
            early_place=early.place,
        ),
        # The background comes after: another one leaves the objects where they are.
        *(work.finish, work.seed, replace(layout, background="none"), [o.index for o in objects]),
    )


def _given_masks(
    masks: Masks, photo: Photo | None, prompt: Prompt | None, image: Image | None = None
) -> GivenObjects:
    """Read the user's mask files for a photo.

    Raises:
        InputError: they cannot be used, or no photo is there to check them against.
    """
    from scenelift.segment.given import Canvas, mask_sources, read_given

    if photo is None:
        raise InputError("Masks belong to a photo: give Pipeline.build that photo too.")
    file = Path(photo) if isinstance(photo, str | Path) else None
    canvas = Canvas.of_image(as_image(photo) if image is None else image, file)
    return read_given(mask_sources(masks), canvas, prompt.phrases if prompt else ())


def _maybe_prompt(prompt: str | Sequence[str] | Prompt | None) -> Prompt | None:
    """Read a prompt, which may be empty beside masks."""
    return prompt if prompt is None or isinstance(prompt, Prompt) else as_prompt(prompt)


def _needs_cutter(objects: GivenObjects, prompt: Prompt | None) -> bool:
    """Whether there are boxes or points, which a segmenter has to cut out as masks."""
    if prompt and prompt.points:
        return True
    return bool(objects.boxes) or any(b.positive for b in (prompt.boxes if prompt else ()))


def _given_segmenter(objects: GivenObjects, cutter: Segmenter | None) -> Segmenter:
    from scenelift.segment.given import GivenSegmenter

    return GivenSegmenter(
        objects.instances, boxes=objects.boxes, cutter=cutter, notes=objects.notes
    )


def _given_depth(depth: Depth, scale: float | None) -> PointMapper:
    from scenelift.pointmap.given import GivenPointMapper

    if isinstance(depth, str | Path):
        return GivenPointMapper.from_file(Path(depth), scale=scale)
    return GivenPointMapper.from_array(depth, scale=scale)


def _is_some(masks: Masks) -> bool:
    """Whether masks were given: an empty list counts as none, an empty array is refused later."""
    return masks is not None and not (isinstance(masks, list | tuple | dict) and not masks)


def _backend(backend: B | str, registry: Registry[B], runtime: Runtime) -> B:
    """Return a caller's own backend, or load the one of a name.

    Raises:
        InputError: it is none.
        BackendUnavailable: there is none of that name, or it cannot run here.
    """
    if isinstance(backend, str):
        return registry.load(backend, runtime)
    check_backend(backend, registry.role)
    return backend


def segment_photo(segmenter: Segmenter, image: Image, prompt: Prompt, steps: Steps) -> Segmentation:
    """Run the first stage, or take its stored result; arguments and errors as for `find_objects`.

    Args:
        steps: of this photo and prompt.
    """
    return steps.then(
        "segment",
        Segmentation,
        lambda report: find_objects(segmenter, image, prompt, report),
        *(segmenter.name, segmenter.version),
    )


def find_objects(
    segmenter: Segmenter, image: Image, prompt: Prompt, report: Reporter
) -> Segmentation:
    """Run the first stage: find every object that the prompt names, at most as many as it allows.

    Boxes of the prompt are in the photo's own pixels; masks have the size that is worked at.

    Raises:
        NothingFound: there is none.
    """
    prompt, prompt_notes = working_prompt(image, prompt)
    segmentation = check_segmentation(
        segment_prompt(segmenter, image, prompt, report), image, backend=segmenter.name
    )
    if not segmentation.instances:
        raise NothingFound(
            prompt.phrases,
            reason=" ".join(segmentation.notes),
            suggestions=segmentation.suggestions,
        )
    # Each once: the web app runs this stage by itself, and again with what was chosen.
    notes = dict.fromkeys((*prompt_notes, *segmentation.notes, *_unmet(segmentation, prompt)))
    return limit_objects(replace(segmentation, notes=tuple(notes)), prompt.max_objects)


def _unmet(segmentation: Segmentation, prompt: Prompt) -> list[str]:
    """Write notes on phrases and boxes that gave no object of their own."""
    matched = {instance.label for instance in segmentation.instances}
    doubles = {d.label: d.double_of for d in segmentation.dropped if d.double_of}
    notes: list[str] = []
    for phrase in prompt.phrases:
        if phrase in matched or phrase in segmentation.answered:
            continue
        if phrase in doubles:
            notes.append(f"{phrase!r} names what {doubles[phrase]!r} names: it is lifted once.")
        else:
            notes.append(f"Nothing in the photo matches {phrase!r}.")
    if any(prompt_box.positive for prompt_box in prompt.boxes):
        for double in segmentation.dropped:
            if double.double_of and double.score == 1:
                box = ",".join(f"{edge:g}" for edge in double.box)
                notes.append(
                    f"The box {box} shows the same object as another box: it is lifted once, as "
                    f"{double.double_of!r}."
                )
    return notes


def limit_objects(segmentation: Segmentation, most: int | None) -> Segmentation:
    """Keep the `most` instances with the best scores, in the order they have, and say so."""
    if most is None or len(segmentation.instances) <= most:
        return segmentation
    scores = [instance.score for instance in segmentation.instances]
    best = set(sorted(range(len(scores)), key=lambda k: -scores[k])[:most])
    dropped = tuple(
        Dropped(
            label=i.label, score=i.score, box=i.box, reason=f"beyond the {most} objects asked for"
        )
        for k, i in enumerate(segmentation.instances)
        if k not in best
    )
    return replace(
        segmentation,
        instances=tuple(i for k, i in enumerate(segmentation.instances) if k in best),
        dropped=(*segmentation.dropped, *dropped),
    )

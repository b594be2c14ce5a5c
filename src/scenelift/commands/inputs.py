"""Check the user's input in commands, before the first model is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenelift.errors import InputError
from scenelift.options import Options
from scenelift.prompts import in_pixels
from scenelift.types import Prompt

if TYPE_CHECKING:
    from scenelift.types import Image

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]


def _folder(text: str) -> Path:
    """The folder of an option; "" is a variable of a shell that was not set, and no folder."""
    if not str(text):
        raise typer.BadParameter("it is empty; name a folder.")
    return Path(text)


OutOption = Annotated[
    Path,
    typer.Option("--out", "-o", help="Output folder.", metavar="PATH", parser=_folder),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")]


def check_prompt(options: Options, image: Image) -> Prompt:
    """Return the prompt of the options; refuse it if it does not fit the photo.

    Raises:
        InputError: it says nothing, a phrase cannot be read, or a box lies outside the photo.
    """
    prompt = options.search.to_prompt(optional=bool(options.inputs.masks))
    check_boxes(prompt, image)
    return prompt


def check_boxes(prompt: Prompt, image: Image) -> None:
    """Refuse boxes that lie outside the photo.

    Raises:
        InputError: one lies outside.
    """
    from scenelift.geometry.photo_size import photo_size

    in_pixels(prompt, *photo_size(image))


def check_photos(photos: list[Path], *, same_object: bool, masks: bool) -> None:
    """Refuse several photos unless they show one object, and files that are no photos.

    Raises:
        InputError: they are not said to be, or come with a mask of one of them.
    """
    from scenelift.io.image import read_image

    if len(photos) > 1 and not same_object:
        raise InputError(
            f"{len(photos)} photos were given. If they show one object from several sides, add "
            f"--same-object; to make a scene of each, use `scenelift batch`."
        )
    if len(photos) > 1 and masks:
        raise InputError(
            "--mask belongs to one photo, and --same-object finds the object in each: name it "
            "with --prompt."
        )
    for photo in photos[1:]:
        read_image(photo)


def check_backends(options: Options) -> None:
    """Refuse unknown backends, and another model without the segmenter that it belongs to.

    Raises:
        BackendUnavailable: there is no backend of that name.
        InputError: a model, but no segmenter was named.
    """
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    backends = options.backends
    for registry, name in (
        (SEGMENTERS, backends.segmenter),
        (POINT_MAPPERS, backends.pointmapper),
        (RECONSTRUCTORS, backends.reconstructor),
    ):
        if name:
            registry.entry(name)
    if options.models.model and not backends.segmenter:
        raise InputError(
            f"--segmenter-model {options.models.model} says which model, but not of which "
            f"segmenter: add --segmenter sam3 or --segmenter grounded-sam2."
        )


def several_photos(options: Options) -> Options:
    """Return the options of a run with several photos, which show at most one object.

    "auto" becomes "open", the only quality whose reconstructor looks at several photos.
    """
    backends = options.backends
    if backends.quality == "auto" and backends.reconstructor is None:
        backends = replace(backends, quality="open")
    return replace(options, backends=backends, search=replace(options.search, max_objects=1))

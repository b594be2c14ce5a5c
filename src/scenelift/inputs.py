"""Convert what Python callers pass for a photo, a prompt, options and a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import ImageError, InputError
from scenelift.options import MAX_SEED
from scenelift.progress import Event, Reporter, silent
from scenelift.prompts import check_phrases, in_pixels, parse_prompt_phrases
from scenelift.types import Image, Prompt, photo_advice

if TYPE_CHECKING:
    import PIL.Image

    from scenelift.stages import StageStore

T = TypeVar("T")

__all__ = [
    "Photo",
    "as_image",
    "as_options",
    "as_prompt",
    "as_report",
    "as_seed",
    "as_store",
    "working_prompt",
]

Photo: TypeAlias = "str | Path | Image | NDArray[np.uint8] | PIL.Image.Image"
"""A path, an `Image`, a picture of Pillow's, or uint8 in sRGB: [H, W, 3], grey [H, W], RGBA."""


def as_image(photo: Photo) -> Image:
    """Read a photo in any form that callers have it in.

    Raises:
        ImageError: a path that holds no usable photo, or pixels of another kind than uint8
            [H, W, 3], grey [H, W] or RGBA [H, W, 4].
    """
    if isinstance(photo, Image):
        return photo
    from scenelift.io.image import image_of_picture, read_image

    if isinstance(photo, str | Path):
        return read_image(photo)
    if hasattr(photo, "detach"):
        photo = _array_of_tensor(photo)
    if isinstance(photo, np.ndarray):
        return _image_of_array(photo)
    picture = image_of_picture(photo)
    if picture is None:
        raise ImageError(
            f"The photo is a {type(photo).__name__}; a path, an Image, a picture of Pillow's or an "
            "array uint8 [H, W, 3] (or grey, or RGBA) was expected."
        )
    return picture


def _array_of_tensor(tensor: Any) -> NDArray[Any]:
    """Convert a tensor of any device to an array [H, W, C]; torchvision's are [C, H, W]."""
    array = np.asarray(tensor.detach().cpu())
    channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] > 4
    return np.moveaxis(array, 0, -1) if channels_first else array


def _image_of_array(array: NDArray[Any]) -> Image:
    """Convert an array to RGB: RGB unchanged, grey and RGBA like a picture file of them."""
    from scenelift.io.image import image_of_picture

    if array.dtype == np.uint8 and array.size:
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, axis=2)
        if array.ndim == 3 and array.shape[2] == 4:
            import PIL.Image

            image = image_of_picture(PIL.Image.fromarray(np.ascontiguousarray(array)))
            assert image is not None
            return image
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ImageError(
            f"The photo is an array {array.dtype} {list(array.shape)}; uint8 [H, W, 3] in sRGB was "
            f"expected (255 for white, RGB and not BGR), or grey, or RGBA. {photo_advice(array)}"
        )
    return Image(pixels=np.ascontiguousarray(array))


def as_report(report: Any) -> Reporter:
    """Convert `report` to a `Reporter`: it may be a function of each event, or None.

    Raises:
        InputError: it is something else.
    """
    if report is None:
        return silent()
    if isinstance(report, Reporter):
        return report
    if callable(report):
        return Reporter(cast("Callable[[Event], None]", report))
    raise InputError(
        f"report is {str(report)[:60]!r}, a {type(report).__name__}; a Reporter or a function that "
        "takes each event was expected."
    )


def as_store(store: Any) -> StageStore | None:
    """Convert `store` to a `StageStore`: it may be a folder, or None to store nothing.

    Raises:
        InputError: it is something else.
    """
    from scenelift.stages import StageStore

    if store is None or (hasattr(store, "load") and hasattr(store, "save")):
        return store
    if isinstance(store, str | Path) and str(store):
        return StageStore(Path(store))
    raise InputError(
        f"store is {str(store)[:60]!r}, a {type(store).__name__}; a StageStore or a folder was "
        "expected."
    )


def as_prompt(prompt: str | Sequence[str] | Prompt) -> Prompt:
    """Read and check a prompt in any form that callers pass.

    Raises:
        InputError: it is not a prompt, empty, too long, or has too many phrases.
    """
    if isinstance(prompt, Prompt):
        if not (prompt.phrases or prompt.boxes or prompt.points):
            parse_prompt_phrases([""])
        return replace(prompt, phrases=check_phrases(prompt.phrases))
    if isinstance(prompt, np.ndarray):
        prompt = cast("list[str]", prompt.ravel().tolist())
    texts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise InputError(
            f"The prompt is {prompt!r}; a phrase ('cup'), several ('cup, spoon' or a list), or a "
            "Prompt was expected. For boxes: Prompt(boxes=[(x0, y0, x1, y1)])."
        )
    return Prompt(phrases=parse_prompt_phrases(list(texts) or [""]))


def as_options(value: Any, kind: type[T], name: str) -> T:
    """Return a caller's options, the defaults for None, or those of a dictionary.

    Raises:
        InputError: it is something else, or has a field that there is not.
    """
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    if isinstance(value, dict):
        try:
            return kind(**cast("dict[str, Any]", value))
        except TypeError as exc:
            raise InputError(f"{name} has no such option: {exc}.") from exc
    raise InputError(
        f"{name} is {str(value)[:60]!r}, a {type(value).__name__}; {kind.__name__}(…) was expected."
    )


def as_seed(seed: int) -> int:
    """Check a seed for random generators.

    Raises:
        InputError: it is negative, too large, or no whole number.
    """
    if (
        isinstance(seed, bool)
        or not isinstance(seed, int | np.integer)
        or not 0 <= seed <= MAX_SEED
    ):
        raise InputError(f"The seed is {seed!r}; a whole number from 0 to {MAX_SEED} was expected.")
    return int(seed)


def working_prompt(image: Image, prompt: Prompt) -> tuple[Prompt, tuple[str, ...]]:
    """Convert a prompt's boxes and points to the working picture; return it with notes.

    Raises:
        InputError: a box or a point lies outside the photo.
    """
    from scenelift.geometry.photo_size import photo_size, working_box, working_point

    prompt, notes = in_pixels(prompt, *photo_size(image))
    boxes = tuple(replace(box, box=working_box(image, box.box)) for box in prompt.boxes)
    points = tuple(replace(p, point=working_point(image, p.point)) for p in prompt.points)
    return replace(prompt, boxes=boxes, points=points), notes

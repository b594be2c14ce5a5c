"""What callers from Python may give for a photo, a prompt and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import ImageError, InputError
from scenelift.options import MAX_SEED, SearchOptions
from scenelift.prompts import check_phrases, in_pixels, parse_prompt_phrases
from scenelift.types import Image, Prompt

if TYPE_CHECKING:
    import PIL.Image

T = TypeVar("T")

__all__ = ["Photo", "as_image", "as_options", "as_prompt", "as_seed", "working_prompt"]

Photo: TypeAlias = "str | Path | Image | NDArray[np.uint8] | PIL.Image.Image"
"""A path, an `Image`, uint8 [H, W, 3] in sRGB, or a picture of Pillow's."""


def as_image(photo: Photo) -> Image:
    """Read a photo in any form that callers have it in.

    Raises:
        ImageError: a path that holds no usable photo, or pixels of another kind than uint8
            [H, W, 3].
    """
    if isinstance(photo, Image):
        return photo
    from scenelift.io.image import image_of_picture, read_image

    if isinstance(photo, str | Path):
        return read_image(photo)
    if isinstance(photo, np.ndarray):
        rgb = photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8
        if not rgb or not photo.size:
            raise ImageError(
                f"The photo is an array {photo.dtype} {list(photo.shape)}; uint8 [H, W, 3] in sRGB "
                "was expected (255 for white, RGB and not BGR)."
            )
        return Image(pixels=np.ascontiguousarray(photo))
    picture = image_of_picture(photo)
    if picture is None:
        raise ImageError(
            f"The photo is a {type(photo).__name__}; a path, an Image, a picture of Pillow's or an "
            "array uint8 [H, W, 3] was expected."
        )
    return picture


def as_prompt(prompt: str | Sequence[str] | Prompt) -> Prompt:
    """Read and check a prompt in any form that callers have it in.

    Raises:
        InputError: it is none, empty, too long, or has too many phrases.
    """
    if isinstance(prompt, Prompt):
        if not (prompt.phrases or prompt.boxes or prompt.points):
            parse_prompt_phrases([""])
        numbers = SearchOptions(
            min_score=prompt.min_score,
            mask_threshold=prompt.mask_threshold,
            max_objects=prompt.max_objects,
        )
        return replace(
            prompt,
            phrases=check_phrases(prompt.phrases),
            min_score=numbers.min_score,
            mask_threshold=numbers.mask_threshold,
            max_objects=numbers.max_objects,
        )
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
    """Options of a caller's, or the usual ones for None; a dictionary is its fields.

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
    """A seed that random generators take.

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
    """A prompt with boxes and points brought to the picture that is worked at, and notes.

    Raises:
        InputError: a box or a point lies outside the photo.
    """
    from scenelift.geometry.photo_size import photo_size, working_box, working_point

    prompt, notes = in_pixels(prompt, *photo_size(image))
    boxes = tuple(replace(box, box=working_box(image, box.box)) for box in prompt.boxes)
    points = tuple(replace(p, point=working_point(image, p.point)) for p in prompt.points)
    return replace(prompt, boxes=boxes, points=points), notes

"""Masks that the user has, in place of a model.

    folder with instances.json   what `scenelift segment` wrote, edited or not
    folder of PNGs               one object a file, in the order of their names
    .json                        COCO: polygons or run lengths
    .png                         one object, or a label image with one value an object

A picture is a label image when it has a palette, or one channel, and 2 to 255 distinct non-zero
values that do not look like the soft edge of one mask (many values of few pixels each). Otherwise
it is one mask: where it has an alpha channel that is not all opaque, the alpha, else its
brightness, both cut at one half; a picture of 0 and 1 means just that.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.image import MAX_FILE_BYTES, MAX_PIXELS
from scenelift.progress import Reporter
from scenelift.prompts import MAX_PHRASE_CHARACTERS
from scenelift.stages import digest
from scenelift.types import Dropped, Image, Instance, Prompt, Segmentation, Size

__all__ = ["INSTANCES_NAME", "GivenSegmenter", "load_masks"]

INSTANCES_NAME = "instances.json"
MAX_MASKS = 1000
MIN_LABEL_PIXELS = 16
PICTURES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")


class GivenSegmenter:
    """Returns masks that were loaded before; a prompt's boxes leave out what they exclude."""

    name = "given"

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = tuple(instances)
        self.version = digest(self._instances)[:16]

    @property
    def labels(self) -> tuple[str, ...]:
        """What the masks are called, each name once."""
        return tuple(dict.fromkeys(i.label for i in self._instances))

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """The given masks, in the given order.

        Raises:
            InputError: they are not of the photo's size.
        """
        report.check()
        kept: list[Instance] = []
        dropped: list[Dropped] = []
        for instance in self._instances:
            _check_size(instance.mask.shape, (image.height, image.width), instance.label)
            reason = None
            if prompt.min_score is not None and instance.score < prompt.min_score:
                reason = f"score {instance.score:.2f} is below {prompt.min_score:g}"
            elif any(_covers(b.box, instance) for b in prompt.boxes if not b.positive):
                reason = "in a box that was excluded"
            if reason is None:
                kept.append(instance)
            else:
                dropped.append(
                    Dropped(
                        label=instance.label,
                        score=instance.score,
                        box=instance.box,
                        reason=reason,
                    )
                )
        return Segmentation(instances=tuple(kept), dropped=tuple(dropped))


def load_masks(paths: Sequence[Path], size: Size, label: str = "object") -> tuple[Instance, ...]:
    """Read masks from files and folders.

    Args:
        paths: in any of the forms above.
        size: height and width of the photo; every mask must have them.
        label: name of objects that the files do not name.

    Raises:
        InputError: a file is missing, unreadable, of another size, empty of objects, or names
            files outside its folder.
    """
    found: list[Instance] = []
    for path in paths:
        for instance in _load(path, size, label):
            found.append(instance)
            if len(found) > MAX_MASKS:
                raise InputError(f"More than {MAX_MASKS} masks were given; use fewer.")
    if not found:
        given = ", ".join(str(p) for p in paths)
        raise InputError(f"No mask in {given}. Give PNGs that are white where the object is.")
    return tuple(found)


def _load(path: Path, size: Size, label: str) -> Iterator[Instance]:
    if not path.exists():
        raise InputError(f"There is no mask file or folder {path}.")
    if path.is_dir():
        if (path / INSTANCES_NAME).is_file():
            yield from _from_instances(path, size)
            return
        for file in sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES):
            yield from _from_picture(file, size, _label_of(file, label))
    elif path.suffix.lower() == ".json":
        if path.name == INSTANCES_NAME:
            yield from _from_instances(path.parent, size)
        else:
            yield from _from_coco(path, size, label)
    else:
        yield from _from_picture(path, size, label)


def _label_of(file: Path, label: str) -> str:
    """`03_red-mug.png` is a red mug; other names say nothing."""
    number, _, name = file.stem.partition("_")
    return name.replace("-", " ") if number.isdigit() and name else label


def _from_instances(folder: Path, size: Size) -> Iterator[Instance]:
    entries = _read_json(folder / INSTANCES_NAME)
    if not isinstance(entries, list):
        raise InputError(
            f"{folder / INSTANCES_NAME} must be a list of {{label, score, box, mask}} objects."
        )
    inside = folder.resolve()
    for number, entry in enumerate(entries):
        name = entry.get("mask") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise InputError(f"{folder / INSTANCES_NAME}: entry {number} names no mask file.")
        if "\0" in name or len(name) > 255:
            raise InputError(f"{folder / INSTANCES_NAME}: entry {number} names no mask file.")
        file = (folder / name).resolve()
        if not file.is_relative_to(inside):
            raise InputError(
                f"{folder / INSTANCES_NAME}: entry {number} points outside its folder ({name!r})."
            )
        if not file.exists():
            continue  # deleted by the user, who does not want this object
        mask = _binary(_open(file), file)
        _check_size(mask.shape, size, name)
        if mask.any():
            yield _instance(mask, str(entry.get("label") or "object"), _score(entry))


def _from_picture(file: Path, size: Size, label: str) -> Iterator[Instance]:
    picture = _open(file)
    _check_size((picture.height, picture.width), size, file.name)
    values = _labels(picture)
    masks = [_binary(picture, file)] if values is None else [values == v for v in _ids(values)]
    for mask in masks:
        if mask.any():
            yield _instance(mask, label)


def _from_coco(path: Path, size: Size, label: str) -> Iterator[Instance]:
    """COCO annotations (https://cocodataset.org/#format-data) of one photo."""
    document = _read_json(path)
    names: dict[int, str] = {}
    if isinstance(document, dict):
        categories = document.get("categories")
        for category in categories if isinstance(categories, list) else []:
            if isinstance(category, dict) and isinstance(category.get("id"), int):
                names[category["id"]] = str(category.get("name") or label)
        document = document.get("annotations")
    if not isinstance(document, list):
        raise InputError(f"{path.name} holds no COCO annotations (a list, or under 'annotations').")
    for number, entry in enumerate(document):
        if not isinstance(entry, dict) or "segmentation" not in entry:
            raise InputError(f"{path.name}: annotation {number} has no 'segmentation'.")
        try:
            mask = _coco_mask(entry["segmentation"], size)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as exc:
            raise InputError(f"{path.name}: annotation {number} cannot be read: {exc}") from exc
        if mask.any():
            category = entry.get("category_id")
            name = names.get(category) if isinstance(category, int) else None
            yield _instance(mask, name or str(entry.get("label") or label), _score(entry))


def _coco_mask(segmentation: Any, size: Size) -> NDArray[np.bool_]:
    height, width = size
    if isinstance(segmentation, list):
        picture = PIL.Image.new("1", (width, height))
        draw = PIL.ImageDraw.Draw(picture)
        for polygon in segmentation:
            xy = [float(v) for v in polygon]
            if len(xy) < 6 or len(xy) % 2 or not np.isfinite(xy).all():
                raise ValueError("a polygon needs three or more finite x, y pairs")
            # COCO's coordinates are continuous; Pillow's name pixel centres.
            draw.polygon([(x - 0.5, y - 0.5) for x, y in zip(xy[::2], xy[1::2], strict=True)], 1)
        return np.array(picture, np.bool_)
    if [int(v) for v in segmentation["size"]] != [height, width]:
        raise ValueError(
            f"it is {segmentation['size'][1]} × {segmentation['size'][0]}, "
            f"the photo is {width} × {height}"
        )
    counts = segmentation["counts"]
    lengths = _coco_lengths(counts) if isinstance(counts, str) else [int(c) for c in counts]
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"its run lengths sum to {sum(lengths)}, not {height * width}")
    runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return runs.reshape(width, height).T.copy()


def _coco_lengths(text: str) -> list[int]:
    """COCO's compressed run lengths: 5 bits a character, differences from the last but one."""
    lengths: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[position]) - 48
            if not 0 <= code < 64:
                raise ValueError(f"character {text[position]!r} is no run length")
            value |= (code & 31) << shift
            more = bool(code & 32)
            position += 1
            shift += 5
            if not more and code & 16:
                value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


def _open(file: Path) -> PIL.Image.Image:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{file.name} is larger than {MAX_FILE_BYTES // 2**20} MiB.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(file) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise InputError(f"{file.name} has more than {MAX_PIXELS // 10**6} megapixels.")
                picture.load()
                return picture.copy()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as exc:
        raise InputError(
            f"{file.name} cannot be read as a mask ({exc}). Give a PNG of the photo's size, white "
            "where the object is."
        ) from exc


def _labels(picture: PIL.Image.Image) -> NDArray[np.int64] | None:
    """Values of a label image, or None where the picture is a single mask.

    Raises:
        InputError: objects are told apart by colours, whose edges may be blended.
    """
    if picture.mode in ("RGB", "RGBA") and "A" not in picture.getbands():
        channels = np.asarray(picture).astype(np.int16)
        if (np.ptp(channels, axis=-1) > 8).any():
            raise InputError(
                "A mask has colours. Give one white-on-black PNG an object, or a palette or grey "
                "picture with one value an object."
            )
    if picture.mode not in ("L", "P", "I;16", "I"):
        return None
    values = np.asarray(picture).astype(np.int64)
    ids = _ids(values)
    few = 2 <= len(ids) <= 255
    return values if few and (picture.mode == "P" or not _looks_soft(values, ids)) else None


def _ids(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(values[values != 0])


def _looks_soft(values: NDArray[np.int64], ids: NDArray[np.int64]) -> bool:
    """Whether grey values are the soft edge of one mask, not numbers of objects.

    A soft edge has many values of few pixels each; objects are larger than that. Numbers start
    at 1 and leave few out; an edge goes up towards white.
    """
    if ids[-1] <= len(ids) + 1:
        return False
    typical = np.median(np.unique(values[values != 0], return_counts=True)[1])
    return bool(len(ids) > 8 or typical < MIN_LABEL_PIXELS)


def _binary(picture: PIL.Image.Image, file: Path) -> NDArray[np.bool_]:
    if "A" in picture.getbands():
        alpha = np.asarray(picture.getchannel("A"))
        if alpha.min() < 255:
            return alpha >= 128
    if picture.mode in ("P", "I;16", "I"):
        return np.asarray(picture) != 0  # numbers of objects, not brightness
    grey = np.asarray(picture.convert("L"))
    # A mask saved as 0 and 1 is meant as such; so is any other pair of values.
    return grey > 0 if len(np.unique(grey)) <= 2 and grey.max(initial=0) < 128 else grey >= 128


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path.name} is larger than {MAX_FILE_BYTES // 2**20} MiB.")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise InputError(f"{path} cannot be read as JSON: {exc}") from exc


def _score(entry: dict[str, Any]) -> float:
    score = entry.get("score", 1.0)
    return float(score) if isinstance(score, int | float) and 0 <= score <= 1 else 1.0


def _instance(mask: NDArray[np.bool_], label: str, score: float = 1.0) -> Instance:
    plain = "".join(c for c in label if c.isprintable() and c != ";")[:MAX_PHRASE_CHARACTERS]
    return Instance(
        mask=mask, label=plain.strip() or "object", score=score, box=Instance.box_of(mask)
    )


def _check_size(have: tuple[int, ...], want: Size, name: str) -> None:
    if tuple(have) != tuple(want):
        raise InputError(
            f"The mask {name!r} is {have[1]} × {have[0]} pixels, the photo is {want[1]} × "
            f"{want[0]}. Masks must have the photo's size (after its EXIF orientation)."
        )


def _covers(box: tuple[float, float, float, float], instance: Instance) -> bool:
    """Whether most of an object lies in a box."""
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    return instance.mask[y0:y1, x0:x1].sum() > 0.5 * instance.mask.sum()

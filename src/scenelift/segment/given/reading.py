"""Reads named masks and boxes from files and folders.

An object is called what its file of annotations calls it; else by the phrases, where one is given
for all, or as many as there are objects, in their order; else by the name of its file; else
"object".
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError, first_few
from scenelift.io.arrays import MAX_ARRAY_BYTES, read_arrays
from scenelift.io.image import MAX_FILE_BYTES, known_formats
from scenelift.io.regular import check_regular
from scenelift.io.tiff import read_channels
from scenelift.prompts import MAX_PHRASE_CHARACTERS
from scenelift.segment.given.annotations import (
    is_annotations,
    may_be_annotations,
    read_annotations,
    read_json,
)
from scenelift.segment.given.array_facts import with_facts
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.layers import Layer, Layers
from scenelift.segment.given.names import name_from_file, natural
from scenelift.segment.given.pages import layers_of_pages
from scenelift.segment.given.pixels import MaskSource, outlines_of
from scenelift.segment.given.segmenter import INSTANCES_NAME
from scenelift.segment.given.shapes import Outline, score_of, stem_of
from scenelift.segment.given.stacks import check_count, layers_of_array
from scenelift.segment.given.yolo import CLASS_FILES
from scenelift.types import BoxPrompt, Instance, Size

__all__ = ["GivenObjects", "load_masks", "read_given"]

MAX_MASKS = 1000
ARRAYS = (".npy", ".npz")
PACKED = (".gz", ".zip", ".bz2", ".xz", ".7z", ".tar", ".tgz", ".zst", ".rar")
# Names of the array of masks, SAM's and detectron2's among them, and of what lies beside it.
USUAL = ("masks", "mask", "labels", "segmentation", "pred_masks", "gt_masks", "segmentations")
PICTURES = frozenset(
    {
        *("image", "images", "img", "photo", "picture", "rgb", "bgr", "input", "frame", "gray"),
        *("grey", "depth", "disparity", "xyz", "points", "normals", "background"),
    }
)
# What names classes and colours beside them.
NAMING = ("labelmap.txt", *CLASS_FILES)
# What `scenelift segment` and `scenelift run` write beside masks.
NO_MASKS = ("overlay.png", "input.png", "preview.png", "preview.gif", "scene.json")
# What operating systems leave in folders.
LITTER = ("thumbs.db", "desktop.ini")
# What `labelmap.txt` calls colours that are no object.
NO_OBJECTS = ("background", "void", "ignore", "ignored", "unlabeled", "unlabelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenObjects:
    """The masks, boxes and notes of a user's files.

    Attributes:
        instances: objects with masks, in the files' order.
        boxes: objects of which only a box is known, for a segmenter to cut out.
        notes: what was ignored, in plain sentences.
    """

    instances: tuple[Instance, ...] = ()
    boxes: tuple[BoxPrompt, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pile:
    """The objects and notes that have been read so far."""

    canvas: Canvas
    outlines: list[Outline] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # what the file of each is called
    notes: list[str] = field(default_factory=list)

    def add(self, outline: Outline, file: Path, name: str = "") -> None:
        if outline.mask is not None and not outline.mask.any():
            name = outline.label or name or "an object"
            self.notes.append(f"{file.name}: {name} covers no pixel of the photo: ignored.")
            return
        if outline.mask is None and outline.box is None:
            self.notes.append(f"{file.name}: an object has neither outline nor box: ignored.")
            return
        if len(self.outlines) >= MAX_MASKS:
            raise InputError(f"More than {MAX_MASKS} masks were given; use fewer.")
        self.outlines.append(outline)
        self.names.append(name)


def load_masks(paths: Sequence[Path], size: Size, label: str = "") -> tuple[Instance, ...]:
    """Read masks of a photo that is worked at as it is; boxes without masks are refused.

    Args:
        paths: in any of the forms of `scenelift.segment.given`.
        size: height and width of the photo; every mask must have them.
        label: name of objects that the files do not name.

    Raises:
        InputError: as for `read_given`, or a file has boxes only.
    """
    objects = read_given(paths, Canvas.of_size(size), [label] if label else [])
    if objects.boxes:
        raise InputError(
            f"{paths[0].name} has boxes and no masks, and there is no segmenter to cut them out."
        )
    return objects.instances


def read_given(
    paths: Sequence[MaskSource], canvas: Canvas, phrases: Sequence[str] = ()
) -> GivenObjects:
    """Read masks and boxes from files and folders, or take those that are there.

    Args:
        paths: in any of the forms of `scenelift.segment.given`, or as `pixels.mask_sources`
            gives them.
        canvas: the photo they lie on.
        phrases: names for what the files do not name.

    Raises:
        InputError: a file is missing, unreadable, of another size, without any object, names
            files outside its folder, or is of several photos; or phrases fit no order.
    """
    pile = _Pile(canvas)
    for number, source in enumerate(paths):
        if isinstance(source, Path):
            _read(source, pile)
            continue
        outlines, notes = outlines_of(source, number, canvas)
        pile.notes += notes
        for outline in outlines:
            pile.add(outline, Path(f"mask {number}"))
    if not pile.outlines:
        names_text = ", ".join(str(p) for p in paths if isinstance(p, Path)) or "what was given"
        reason = " ".join(["", *pile.notes])
        raise InputError(
            f"No mask in {names_text}.{reason} Give PNGs that are white where the object is."
        )
    labels = _labels(pile, phrases)
    return GivenObjects(
        instances=tuple(
            Instance(mask=o.mask, label=label, score=o.score, box=Instance.box_of(o.mask))
            for o, label in zip(pile.outlines, labels, strict=True)
            if o.mask is not None
        ),
        boxes=tuple(
            BoxPrompt(box=o.box, label=label)
            for o, label in zip(pile.outlines, labels, strict=True)
            if o.box is not None
        ),
        notes=tuple(dict.fromkeys(pile.notes)),
    )


def _labels(pile: _Pile, phrases: Sequence[str]) -> list[str]:
    """Name every object, by the rule at the top of this file."""
    nameless = [k for k, outline in enumerate(pile.outlines) if not outline.label]
    names = {k: pile.names[k] for k in nameless}
    if len(phrases) == 1:
        names = dict.fromkeys(nameless, phrases[0])
    elif phrases and len(phrases) == len(nameless):
        names = dict(zip(nameless, phrases, strict=True))
    elif phrases and not all(names.values()):
        raise InputError(
            f"{len(phrases)} phrases and {len(nameless)} masks without a name: give one phrase for "
            "all of them, one for each in their order, or name the files (red-mug.png)."
        )
    return [plain_label(o.label or names[k]) for k, o in enumerate(pile.outlines)]


def plain_label(text: str) -> str:
    """Return a label that a prompt may hold: printable, short, no semicolon."""
    plain = "".join(c for c in text if c.isprintable() and c != ";")[:MAX_PHRASE_CHARACTERS]
    return " ".join(plain.split()) or "object"


def _read(path: Path, pile: _Pile) -> None:
    if path.is_dir():
        _read_folder(path, pile)
    elif not path.exists():
        raise InputError(f"There is no mask file or folder {path}.")
    elif path.name == INSTANCES_NAME:
        _read_folder(path.parent, pile)
    else:
        _read_file(path, pile)


def _read_folder(folder: Path, pile: _Pile) -> None:
    known_names = (
        _read_instances_file(folder, pile)
        if (folder / INSTANCES_NAME).is_file()
        else {INSTANCES_NAME}
    )
    aside: list[str] = []
    suffixes = (*_picture_suffixes(), *ARRAYS)
    others = _of_other_photos(folder, pile.canvas.photo)
    if others:
        pile.notes.append(
            f"{folder.name}: annotations in {len(others)} other files were ignored, since one "
            "has the name of the photo."
        )
    for file in sorted(folder.iterdir(), key=natural):
        name = file.name.casefold()
        if file.name in known_names or name in (*NO_MASKS, *LITTER) or name.startswith("."):
            continue
        photo = pile.canvas.photo
        if photo is not None and file.exists() and photo.exists() and file.samefile(photo):
            continue
        if file in others:
            continue
        if name in NAMING:
            continue
        if is_annotations(file) or (file.suffix.lower() in suffixes and file.is_file()):
            _read_file(file, pile, of_folder=True)
        else:
            aside.append(file.name)
    if aside:
        verb = "is" if len(aside) == 1 else "are"
        pile.notes.append(f"{folder.name}: {first_few(aside)} {verb} no mask.")


def _of_other_photos(folder: Path, photo: Path | None) -> set[Path]:
    """List annotation files of other names, if one has the photo's name."""
    files = [
        file
        for file in folder.iterdir()
        if is_annotations(file) and file.name.casefold() not in (*NO_MASKS, *NAMING, INSTANCES_NAME)
    ]
    own = photo and [file for file in files if stem_of(file) == stem_of(photo)]
    return {file for file in files if file not in own} if own else set()


def _read_instances_file(folder: Path, pile: _Pile) -> set[str]:
    """Read the masks that `instances.json` lists, and the names of its files."""
    entries = read_json(folder / INSTANCES_NAME)
    if not isinstance(entries, list):
        raise InputError(
            f"{folder / INSTANCES_NAME} must be a list of {{label, score, box, mask}} objects."
        )
    inside, names = folder.resolve(), {INSTANCES_NAME}
    for number, entry in enumerate(entries):
        name = entry.get("mask") if isinstance(entry, dict) else None
        if not isinstance(name, str) or "\0" in name or len(name) > 255:
            raise InputError(f"{folder / INSTANCES_NAME}: entry {number} names no mask file.")
        file = (folder / name).resolve()
        if not file.is_relative_to(inside):
            raise InputError(
                f"{folder / INSTANCES_NAME}: entry {number} points outside its folder ({name!r})."
            )
        names.add(name)
        if not file.exists():
            continue  # deleted by the user, who does not want this object
        layers = _layers(file, pile.canvas).layers
        if layers:
            mask = np.any([layer.mask for layer in layers], axis=0)
            pile.add(
                Outline(
                    label=str(entry.get("label") or "object"),
                    score=score_of(entry),
                    mask=pile.canvas.fitted(mask, name),
                ),
                file,
            )
    return names


def _read_file(file: Path, pile: _Pile, *, of_folder: bool = False) -> None:
    check_regular(file)
    if may_be_annotations(file):
        outlines, notes = read_annotations(file, pile.canvas)
        pile.notes += notes
        for outline in outlines:
            pile.add(outline, file)
        return
    layers = _layers(file, pile.canvas)
    if layers.is_photo:
        if not of_folder:
            raise InputError(
                f"{file.name} is the photo itself, not a mask. Give a picture that is white where "
                "the object is and black elsewhere, or the object cut out on a transparent ground."
            )
        pile.notes.append(f"{file.name} is a copy of the photo: passed over.")
        return
    pile.notes += [f"{file.name}: {note}" for note in layers.notes]
    called = _colour_names(file.parent)
    # The name of a file with several objects is that of none of them.
    name = name_from_file(file, pile.canvas.photo) if len(layers.layers) == 1 else ""
    for layer in layers.layers:
        label = called.get(layer.key, layer.name)
        if label.casefold() in NO_OBJECTS and layer.key in called:
            continue
        mask = pile.canvas.fitted(layer.mask, file.name)
        pile.add(Outline(label=label, score=layer.score, mask=mask), file, name)


def _picture_suffixes() -> tuple[str, ...]:
    formats = known_formats()
    return tuple(s for s, f in PIL.Image.registered_extensions().items() if f in formats)


def _layers(file: Path, canvas: Canvas) -> Layers:
    if file.suffix.lower() in ARRAYS:
        return _array_layers(file, canvas)
    try:
        _check_bytes(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(file, formats=known_formats()) as picture:
                return layers_of_pages(picture, file.name, canvas.image)
    except PIL.UnidentifiedImageError as exc:
        values = read_channels(file, MAX_ARRAY_BYTES)
        if values is None:
            raise _unreadable(file, exc) from exc
        return layers_of_array(values, file.name, (canvas.full, canvas.size), canvas.image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        MemoryError,
        EOFError,
        struct.error,
        PIL.Image.DecompressionBombError,
    ) as exc:
        raise _unreadable(file, exc) from exc


def _unreadable(file: Path, exc: Exception) -> InputError:
    if file.suffix.lower() in PACKED:
        return InputError(f"{file.name} is packed. Unpack it, and give what is inside.")
    return InputError(
        f"{file.name} cannot be read as a mask ({exc}). Give a PNG of the photo's size, white "
        "where the object is."
    )


def _array_layers(file: Path, canvas: Canvas) -> Layers:
    """Read the masks of an array, or of several by name: of those that have the photo's size."""
    sizes = (canvas.full, canvas.size)
    read = partial(read_arrays, check_shape=partial(check_count, name=file.name, sizes=sizes))
    try:
        names, stored = _names_of_masks(file)
        if len(names) == 1:
            (values,) = read(file, lambda _: names).values()
            stack = layers_of_array(values, file.name, sizes, canvas.image)
            beside = [n for n in stored if n != names[0]]
            return with_facts(stack, file, beside, _count_of_masks(values, canvas))
        layers: list[Layer] = []
        others: list[str] = []
        for name in names:  # one at a time: all together may be larger than the memory
            (values,) = read(file, lambda _, name=name: (name,)).values()
            if name.casefold() in PICTURES or values.squeeze().shape not in sizes:
                others.append(name)
                continue
            stack = layers_of_array(values, file.name, sizes, canvas.image)
            if stack.is_photo:
                others.append(name)
                continue
            parts = stack.layers
            label = "" if len(parts) > 1 else name_from_file(Path(name))
            layers += [replace(layer, key=None, name=label) for layer in parts]
    except OSError as exc:
        raise InputError(f"{file.name} cannot be read as masks: {exc}") from exc
    if not layers:
        raise InputError(
            f"{file.name} holds {', '.join(names) or 'nothing'}; an array 'masks', or masks of the "
            f"photo's {canvas.full[1]} × {canvas.full[0]}, were expected."
        )
    notes = (f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} no mask.",)
    return Layers(layers=tuple(layers), notes=notes if others else ())


def _names_of_masks(file: Path) -> tuple[tuple[str, ...], list[str]]:
    """Choose the array of the usual name in an .npz, else all; also returns all names."""
    names: list[str] = []

    def choose(stored: tuple[str, ...]) -> tuple[str, ...]:
        names.extend(stored)
        return ()

    read_arrays(file, choose)
    usual = [n for n in USUAL if n in names]
    return (usual[0],) if usual else tuple(names[:MAX_MASKS]), names


def _count_of_masks(values: NDArray[Any], canvas: Canvas) -> int | None:
    """Count the masks of a stack; None for an array of one picture's size."""
    shape, sizes = values.squeeze().shape, (canvas.full, canvas.size)
    if len(shape) == 3 and shape[1:] in sizes:
        return shape[0]
    is_stack = len(shape) == 3 and shape[:2] in sizes and values.dtype != np.uint8
    return shape[2] if is_stack else None


def _check_bytes(file: Path) -> None:
    check_regular(file)
    if file.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{file.name} is larger than {MAX_FILE_BYTES // 2**20} MiB.")


def _colour_names(folder: Path) -> dict[Any, str]:
    """Read colours' names from CVAT's `labelmap.txt`: "cup:250,50,83::" in the folder or above."""
    for file in (folder / "labelmap.txt", folder.parent / "labelmap.txt"):
        try:
            check_regular(file)
            text = file.read_text("utf-8") if file.stat().st_size < 2**20 else ""
        except (OSError, UnicodeDecodeError):
            continue
        rows = re.findall(r"^([^#:\n]+):(\d{1,3}),(\d{1,3}),(\d{1,3}):", text, re.MULTILINE)
        return {(int(r), int(g), int(b)): name.strip() for name, r, g, b in rows}
    return {}

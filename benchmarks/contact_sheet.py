"""Make the pictures of README and docs/embedded.md again: docs/images/.

    python -m benchmarks.contact_sheet [--out docs/images] [--photos out/photos [--shapes]]

Real photos that ship with scikit-image (CC0 or public domain), one row a photo and prompt, chosen
before the results were seen: what was found, then four frames of the preview. Nothing is
retouched; rows that went wrong stay.

With `--photos` (the folder of `python -m benchmarks.outlined fetch`) a second sheet, by a fixed
rule: the first ten of the photographs that may be looked at often, the first noun of each list,
three objects at most; where no detector knows the word, the boxes of the outlines. Each row is the
photo, its own view drawn again from splats (with its PSNR), and both ends of the preview's swing.
With `--shapes` beside it, a sheet of shapes: the first 24 photographs with outlines, the first noun
and its best object alone, seen from the photo's side, the right, behind and the left.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import skimage.data
from numpy.typing import NDArray

from benchmarks.outlined import LIST
from scenelift import Pipeline
from scenelift.errors import NothingFound
from scenelift.io.files import write_bytes
from scenelift.options import ExportOptions, LayoutOptions
from scenelift.pipeline import as_prompt
from scenelift.progress import silent
from scenelift.runs import RunSpec, run_job
from scenelift.types import BoxPrompt, Prompt

ROWS: list[tuple[str, str | Prompt]] = [
    ("coffee", "cup; spoon"),
    ("chelsea", "cat"),
    ("astronaut", "person"),
    ("camera", "man; camera"),
    ("rocket", Prompt(boxes=(BoxPrompt(box=(305, 95, 345, 365), label="rocket"),))),
    ("coffee", "table"),
]
# Of 36: the photo's side, one end of the swing, the photo's side, the other end.
FRAMES = (0, 9, 18, 27)
SPOON = BoxPrompt(box=(320, 190, 410, 335), label="spoon")
DEMO = Prompt(phrases=("cup",), boxes=(SPOON,))
TILE, CAPTION = 300, 26
ROOM_TILE = 200
SHAPE_TILE = 150


def photo(name: str) -> NDArray[np.uint8]:
    pixels = getattr(skimage.data, name)()
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)


def tile(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture, as large as fits into a column."""
    fitted = picture.convert("RGB")
    fitted.thumbnail((TILE - 8, TILE - 8), PIL.Image.Resampling.LANCZOS)
    return fitted


def frames(path: Path) -> list[PIL.Image.Image]:
    with PIL.Image.open(path) as animation:
        found = []
        for k in FRAMES:
            animation.seek(k)
            found.append(animation.convert("RGB"))
    return found


def row(name: str, prompt: str | Prompt, folder: Path, pipeline: Pipeline) -> PIL.Image.Image:
    source = folder / f"{name}.png"
    PIL.Image.fromarray(photo(name)).save(source)
    asked = as_prompt(prompt)
    words = "; ".join([*asked.phrases, *(f"box {b.label}" for b in asked.boxes)])
    out = folder / f"{name} {words}".replace("/", "-")
    spec = RunSpec(photo=source, prompt=asked, out=out, export=ExportOptions(preview_size=384))
    try:
        manifest = run_job(spec, pipeline, silent())
    except NothingFound as exc:
        pictures = [PIL.Image.open(source)]
        caption = f"{name}, “{words}”: nothing found. {' '.join(str(exc).split())[:110]}"
    else:
        pictures = [PIL.Image.open(out / "overlay.png"), *frames(out / "preview.gif")]
        found = ", ".join(f"{o.label} {o.score:.2f}" for o in manifest.objects)
        caption = f"{name}, “{words}”: {found}"
    tiles = [tile(picture) for picture in pictures]
    height = max(picture.height for picture in tiles) + CAPTION
    strip = PIL.Image.new("RGB", (TILE * (1 + len(FRAMES)), height), "white")
    font = PIL.ImageFont.load_default(15)
    PIL.ImageDraw.Draw(strip).text((8, 4), caption, fill="#222", font=font)
    for k, picture in enumerate(tiles):
        strip.paste(picture, (k * TILE, CAPTION))
    return strip


def readme_pictures(folder: Path, out: Path, pipeline: Pipeline) -> None:
    """What `make demo` makes: what was found, the photo's own view, and how it swings."""
    source = folder / "readme.png"
    PIL.Image.fromarray(photo("coffee")).save(source)
    small = ExportOptions(preview_size=320, preview_frames=20, preview_format="webp")
    run_job(
        RunSpec(photo=source, prompt=DEMO, out=folder / "readme", export=small), pipeline, silent()
    )
    overlay = PIL.Image.open(folder / "readme" / "overlay.png").convert("RGB")
    overlay.save(out / "coffee-overlay.jpg", quality=85, optimize=True)
    write_bytes(out / "coffee-preview.webp", (folder / "readme" / "preview.webp").read_bytes())


def outlined_sheet(photos: Path, folder: Path, pipeline: Pipeline) -> PIL.Image.Image:
    """The sheet of backgrounds, two photographs a row."""
    rows = [r for r in json.loads(LIST.read_text(encoding="utf-8")) if not r["once"]][:10]
    export = ExportOptions(preview_size=384, preview_frames=4)
    strips = []
    for about in rows:
        spec = RunSpec(
            photo=photos / about["file"], prompt=Prompt(max_objects=3), out=folder, export=export
        )
        out, title = _run_outlined(about, spec, pipeline)
        strips.append(_room_strip(out, title))
        print(strips[-1][1], flush=True)
    return _two_a_row(strips)


def shapes_sheet(photos: Path, folder: Path, pipeline: Pipeline) -> PIL.Image.Image:
    """The sheet of single objects from four sides, two photographs a row."""
    rows = [r for r in json.loads(LIST.read_text(encoding="utf-8")) if r["objects"]][:24]
    export = ExportOptions(preview_size=384, preview_frames=4, preview_path="circle")
    strips = []
    for about in rows:
        spec = RunSpec(
            photo=photos / about["file"],
            prompt=Prompt(max_objects=1),
            out=folder,
            layout=LayoutOptions(background="none"),
            export=export,
        )
        out, title = _run_outlined(about, spec, pipeline)
        strips.append(_shape_strip(out, title))
        print(strips[-1][1], flush=True)
    return _two_a_row(strips)


def _run_outlined(about: dict, spec: RunSpec, pipeline: Pipeline) -> tuple[Path, str]:
    """Run a photograph with its first noun, else with its outlines' boxes: the folder, a title."""
    out = spec.out / spec.photo.stem
    noun = next(iter(about["nouns"]))
    most = spec.prompt.max_objects
    title = f"{spec.photo.stem.removesuffix('_b')}, “{noun}”"
    by_noun = Prompt(phrases=(noun,), max_objects=most)
    try:
        run_job(replace(spec, out=out, prompt=by_noun), pipeline, silent())
    except NothingFound:
        named = [o for o in about["objects"] if o["name"] == noun] or about["objects"]
        boxes = tuple(_box_of(o, about) for o in named[:most])
        run_job(replace(spec, out=out, prompt=Prompt(boxes=boxes)), pipeline, silent())
        title += ", by its box"
    return out, title


def _two_a_row(strips: list[tuple[PIL.Image.Image, str]]) -> PIL.Image.Image:
    """Strips side by side in pairs, wide photographs before upright ones."""
    pictures = sorted((strip for strip, _ in strips), key=lambda strip: strip.height)
    pairs = [pictures[k : k + 2] for k in range(0, len(pictures), 2)]
    heights = [max(strip.height for strip in pair) for pair in pairs]
    width = max(strip.width for strip in pictures)
    sheet = PIL.Image.new("RGB", (2 * width, sum(heights)), "white")
    for row, pair in enumerate(pairs):
        for column, strip in enumerate(pair):
            sheet.paste(strip, (column * width, sum(heights[:row])))
    return sheet


def _box_of(thing: dict, about: dict) -> BoxPrompt:
    places = np.array(thing["outlines"][0]) * [about["width"], about["height"]]
    (x0, y0), (x1, y1) = places.min(0).tolist(), places.max(0).tolist()
    return BoxPrompt(box=(x0, y0, x1, y1), label=thing["name"])


def _room_strip(out: Path, title: str) -> tuple[PIL.Image.Image, str]:
    """A row of pictures in a folder that was written, and its caption."""
    photo = PIL.Image.open(out / "input.png").convert("RGB")
    with PIL.Image.open(out / "preview.gif") as animation:
        ends = []
        for k in (1, 3):
            animation.seek(k)
            ends.append(animation.convert("RGB"))
    own = PIL.Image.open(out / "preview.png").convert("RGB")
    as_large = photo.resize(own.size, PIL.Image.Resampling.BOX)
    error = ((np.asarray(own, float) - np.asarray(as_large, float)) ** 2).mean()
    caption = f"{title}: {10 * np.log10(255**2 / error):.1f} dB"
    small = (ROOM_TILE * own.width // max(own.size), ROOM_TILE * own.height // max(own.size))
    strip = PIL.Image.new("RGB", (4 * ROOM_TILE, small[1] + CAPTION), "white")
    font = PIL.ImageFont.load_default(13)
    PIL.ImageDraw.Draw(strip).text((4, 5), caption, fill="#222", font=font)
    for k, picture in enumerate((photo, own, *ends)):
        fitted = picture.resize(small, PIL.Image.Resampling.LANCZOS)
        strip.paste(fitted, (k * ROOM_TILE, CAPTION))
    return strip, caption


def _shape_strip(out: Path, title: str) -> tuple[PIL.Image.Image, str]:
    """A row of what was found and the object from four sides, and its caption."""
    pictures = [PIL.Image.open(out / "overlay.png").convert("RGB")]
    with PIL.Image.open(out / "preview.gif") as animation:
        for k in range(4):
            animation.seek(k)
            pictures.append(animation.convert("RGB"))
    for picture in pictures:
        picture.thumbnail((SHAPE_TILE - 4, SHAPE_TILE), PIL.Image.Resampling.LANCZOS)
    height = max(picture.height for picture in pictures) + CAPTION
    strip = PIL.Image.new("RGB", (SHAPE_TILE * len(pictures), height), "white")
    font = PIL.ImageFont.load_default(13)
    PIL.ImageDraw.Draw(strip).text((4, 5), title, fill="#222", font=font)
    for k, picture in enumerate(pictures):
        strip.paste(picture, (k * SHAPE_TILE, CAPTION))
    return strip, title


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--photos", type=Path, help="the outlined photographs: their sheet alone")
    parser.add_argument("--shapes", action="store_true", help="with --photos: the sheet of shapes")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline.from_quality("embedded")
    if options.photos:
        with tempfile.TemporaryDirectory() as folder:
            make, name = (
                (shapes_sheet, "shapes.webp")
                if options.shapes
                else (outlined_sheet, "backgrounds.webp")
            )
            make(options.photos, Path(folder), pipeline).save(out / name, quality=70, method=6)
        return
    with tempfile.TemporaryDirectory() as folder:
        strips = [row(name, prompt, Path(folder), pipeline) for name, prompt in ROWS]
        sheet = PIL.Image.new("RGB", (strips[0].width, sum(s.height for s in strips)), "white")
        top = 0
        for strip in strips:
            sheet.paste(strip, (0, top))
            top += strip.height
        sheet.save(out / "contact-sheet.webp", quality=75, method=6)
        readme_pictures(Path(folder), out, pipeline)


if __name__ == "__main__":
    main()

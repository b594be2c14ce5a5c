"""Make the pictures of README and docs/embedded.md again: docs/images/.

    python -m benchmarks.contact_sheet [--out docs/images] [--photos out/photos]

Real photos that ship with scikit-image (CC0 or public domain), one row a photo and prompt, chosen
before the results were seen: what was found, then four frames of the preview. Nothing is
retouched; rows that went wrong stay.

With `--photos` (the folder of `python -m benchmarks.outlined fetch`) a second sheet, by a fixed
rule: the first ten of the photographs that may be looked at often, the first noun of each list,
three objects at most; where no detector knows the word, the boxes of the outlines. Each row is the
photo, its own view drawn again from splats (with its PSNR), and both ends of the preview's swing.
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
from scenelift.options import ExportOptions
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


def photo(name: str) -> NDArray[np.uint8]:
    pixels = getattr(skimage.data, name)()
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)


def tile(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture inside a white square."""
    fitted = picture.convert("RGB")
    fitted.thumbnail((TILE - 8, TILE - 8), PIL.Image.Resampling.LANCZOS)
    square = PIL.Image.new("RGB", (TILE, TILE), "white")
    square.paste(fitted, ((TILE - fitted.width) // 2, (TILE - fitted.height) // 2))
    return square


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
        caption = f"{name}, “{words}”: {found} ({manifest.wall_seconds or 0:.1f} s)"
    strip = PIL.Image.new("RGB", (TILE * (1 + len(FRAMES)), TILE + CAPTION), "white")
    font = PIL.ImageFont.load_default(15)
    PIL.ImageDraw.Draw(strip).text((8, 4), caption, fill="#222", font=font)
    for k, picture in enumerate(pictures):
        strip.paste(tile(picture), (k * TILE, CAPTION))
    return strip


def readme_pictures(folder: Path, out: Path, pipeline: Pipeline) -> None:
    """What `make demo` makes: what was found, the photo's own view, and how it swings."""
    source = folder / "readme.png"
    PIL.Image.fromarray(photo("coffee")).save(source)
    small = ExportOptions(preview_size=320, preview_frames=20)
    run_job(
        RunSpec(photo=source, prompt=DEMO, out=folder / "readme", export=small), pipeline, silent()
    )
    overlay = PIL.Image.open(folder / "readme" / "overlay.png").convert("RGB")
    overlay.save(out / "coffee-overlay.jpg", quality=85, optimize=True)
    write_bytes(out / "coffee-preview.gif", (folder / "readme" / "preview.gif").read_bytes())


def outlined_sheet(photos: Path, folder: Path, pipeline: Pipeline) -> PIL.Image.Image:
    """The sheet of backgrounds, two photographs a row."""
    rows = [r for r in json.loads(LIST.read_text(encoding="utf-8")) if not r["once"]][:10]
    strips = []
    for about in rows:
        out = folder / Path(about["file"]).stem
        noun = next(iter(about["nouns"]))
        spec = RunSpec(
            photo=photos / about["file"],
            prompt=Prompt(phrases=(noun,), max_objects=3),
            out=out,
            export=ExportOptions(preview_size=384, preview_frames=4),
        )
        try:
            run_job(spec, pipeline, silent())
        except NothingFound:
            named = [o for o in about["objects"] if o["name"] == noun] or about["objects"]
            boxes = tuple(_box_of(o, about) for o in named[:3])
            run_job(replace(spec, prompt=Prompt(boxes=boxes)), pipeline, silent())
        strips.append(_room_strip(out, f"{Path(about['file']).stem}, “{noun}”"))
        print(strips[-1][1], flush=True)
    side = [strip.width for strip, _ in strips]
    height = max(strip.height for strip, _ in strips)
    sheet = PIL.Image.new("RGB", (2 * max(side), height * -(-len(strips) // 2)), "white")
    for k, (strip, _) in enumerate(strips):
        sheet.paste(strip, (k % 2 * max(side), k // 2 * height))
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
    strip = PIL.Image.new("RGB", (4 * ROOM_TILE, ROOM_TILE + CAPTION), "white")
    font = PIL.ImageFont.load_default(13)
    PIL.ImageDraw.Draw(strip).text((4, 5), caption, fill="#222", font=font)
    for k, picture in enumerate((photo, own, *ends)):
        fitted = picture.resize(small, PIL.Image.Resampling.LANCZOS)
        strip.paste(fitted, (k * ROOM_TILE, CAPTION))
    return strip, caption


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--photos", type=Path, help="the outlined photographs: their sheet alone")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline.from_quality("embedded")
    if options.photos:
        with tempfile.TemporaryDirectory() as folder:
            sheet = outlined_sheet(options.photos, Path(folder), pipeline)
            sheet.save(out / "backgrounds.jpg", quality=70, optimize=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        strips = [row(name, prompt, Path(folder), pipeline) for name, prompt in ROWS]
        sheet = PIL.Image.new("RGB", (strips[0].width, sum(s.height for s in strips)), "white")
        top = 0
        for strip in strips:
            sheet.paste(strip, (0, top))
            top += strip.height
        sheet.quantize(256, dither=PIL.Image.Dither.NONE).save(
            out / "contact-sheet.png", optimize=True
        )
        readme_pictures(Path(folder), out, pipeline)


if __name__ == "__main__":
    main()

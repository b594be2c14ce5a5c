"""Make the pictures of README and docs/embedded.md again: docs/images/.

    python benchmarks/contact_sheet.py [--out docs/images]

Real photos that ship with scikit-image (CC0 or public domain), one row a photo and prompt, chosen
before the results were seen: what was found, then four frames of the turntable. Nothing is
retouched; rows that went wrong stay.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import skimage.data
from numpy.typing import NDArray

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline.from_quality("embedded")
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
        # README's picture: what `make demo` makes, as it turns.
        source = Path(folder) / "coffee.png"
        spec = RunSpec(photo=source, prompt=DEMO, out=Path(folder) / "readme")
        run_job(spec, pipeline, silent())
        for name in ("overlay.png", "preview.gif"):
            write_bytes(out / f"coffee-{name}", (Path(folder) / "readme" / name).read_bytes())


if __name__ == "__main__":
    main()

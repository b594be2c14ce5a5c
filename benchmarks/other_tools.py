"""Files of other tools, made by them or from their documented formats, and read back.

    pip install pycocotools labelme label-studio-converter pandas scikit-image tifffile imageio
    pip install opencv-python-headless
    apt-get install imagemagick gimp libreoffice-calc
    python -m benchmarks.other_tools

What is not installed is said and passed over. Masks are compared pixel by pixel with what was put
in, tables row by row. "format" marks files that were written here from a tool's documentation.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (The tools are installed by those who want to try them.)

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import types
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks.documented_formats import documented_formats
from scenelift.batch.items import BatchItem
from scenelift.batch.manifest import read_items
from scenelift.errors import SceneliftError
from scenelift.options import Options
from scenelift.pointmap.depth_files import read_depth_file
from scenelift.segment.given import Canvas, read_given
from scenelift.types import Image

SIZE = (240, 320)
Maker = Callable[[Path], str]


def truth() -> NDArray[np.bool_]:
    """A ball and a box, [2, H, W]."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack(
        [(x - 95) ** 2 + (y - 125) ** 2 < 45**2, (abs(x - 235) < 35) & (abs(y - 135) < 45)]
    )


def numbers() -> NDArray[np.uint8]:
    ball, box = truth()
    return (ball + 2 * box).astype(np.uint8)


def pycocotools_dataset(folder: Path) -> str:
    from pycocotools import mask as coco

    entries: list[dict[str, Any]] = []
    for number, mask in enumerate(truth(), 1):
        runs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        runs["counts"] = runs["counts"].decode()
        entries.append({"id": number, "image_id": 7, "category_id": number, "segmentation": runs})
    document = {
        "images": [{"id": 7, "file_name": "photo.png"}, {"id": 8, "file_name": "other.png"}],
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}],
        "annotations": [*entries, {**entries[0], "id": 3, "image_id": 8}],
    }
    (folder / "coco.json").write_text(json.dumps(document))
    return "coco.json"


def labelme_polygons(folder: Path) -> str:
    """By labelme's own `LabelFile.save`, whose window system is not needed."""
    for name in ("qtpy", "qtpy.QtCore", "qtpy.QtGui", "qtpy.QtWidgets", "qtpy.QtPrintSupport"):
        stand_in: Any = types.ModuleType(name)
        stand_in.__getattr__ = lambda _: type("Stub", (), {})
        stand_in.QT_VERSION = "5.15"
        sys.modules.setdefault(name, stand_in)
    from labelme.label_file import LabelFile
    from skimage.measure import approximate_polygon, find_contours

    shapes = []
    for label, mask in zip(("ball", "box"), truth(), strict=True):
        outline = approximate_polygon(find_contours(mask.astype(float), 0.5)[0], 0.4)
        points = (outline[:-1, ::-1] + 0.5).tolist()
        shapes.append(
            {
                "label": label,
                "points": points,
                "shape_type": "polygon",
                "group_id": None,
                "flags": {},
            }
        )
    LabelFile().save(
        str(folder / "photo.json"), shapes, "photo.png", SIZE[0], SIZE[1], imageData=None, flags={}
    )
    return "photo.json"


def label_studio_brush(folder: Path) -> str:
    """Run lengths by Label Studio's own converter; the task around them as documented."""
    from label_studio_converter.brush import mask2rle

    results = []
    for label, mask in zip(("ball", "box"), truth(), strict=True):
        value = {
            "format": "rle",
            "rle": mask2rle(mask.astype(np.uint8) * 255),
            "brushlabels": [label],
        }
        results.append(
            {
                "type": "brushlabels",
                "original_width": SIZE[1],
                "original_height": SIZE[0],
                "value": value,
            }
        )
    tasks = [
        {
            "data": {"image": "/data/upload/1/1a2b3c4d-photo.png"},
            "annotations": [{"result": results}],
        },
        {"data": {"image": "/data/upload/1/5e6f7a8b-other.png"}, "annotations": [{"result": []}]},
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    return "tasks.json"


def label_studio_regions(folder: Path) -> str:
    polygon = [[62.5, 37.5], [84.375, 37.5], [84.375, 75], [62.5, 75]]
    rectangle = {"x": 15.625, "y": 33.333, "width": 28.125, "height": 37.5, "rotation": 0}
    results = [
        {"type": "polygonlabels", "value": {"points": polygon, "polygonlabels": ["box"]}},
        {"type": "rectanglelabels", "value": {**rectangle, "rectanglelabels": ["ball"]}},
    ]
    task = {"data": {"image": "photo.png"}, "annotations": [{"result": results}]}
    (folder / "task.json").write_text(json.dumps([task]))
    return "task.json"


def supervisely(folder: Path) -> str:
    objects = []
    for label, mask in zip(("ball", "box"), truth(), strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        buffer = io.BytesIO()
        PIL.Image.fromarray(part).save(buffer, "PNG")
        data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
        origin = [int(columns[0]), int(rows[0])]
        objects.append(
            {
                "classTitle": label,
                "geometryType": "bitmap",
                "bitmap": {"data": data, "origin": origin},
            }
        )
    size = {"height": SIZE[0], "width": SIZE[1]}
    (folder / "photo.png.json").write_text(
        json.dumps({"size": size, "objects": objects, "tags": []})
    )
    return "photo.png.json"


def cvat_xml(folder: Path) -> str:
    shapes = []
    for label, mask in zip(("ball", "box"), truth(), strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], part, [not part[-1]]])))
        lengths = np.diff(np.concatenate([[0], edges]))
        shapes.append(
            f'<mask label="{label}" rle="{", ".join(map(str, lengths))}" left="{columns[0]}" '
            f'top="{rows[0]}" width="{columns[-1] - columns[0] + 1}" '
            f'height="{rows[-1] - rows[0] + 1}"/>'
        )
    (folder / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        f'<image id="0" name="photo.png" width="{SIZE[1]}" height="{SIZE[0]}">{"".join(shapes)}'
        '</image><image id="1" name="other.png" width="9" height="9"/></annotations>'
    )
    return "annotations.xml"


def cvat_masks(folder: Path) -> str:
    (folder / "SegmentationObject").mkdir()
    colours = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)[numbers()]
    PIL.Image.fromarray(colours).save(folder / "SegmentationObject" / "photo.png")
    (folder / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nball:250,50,83::\nbox:61,61,245::\n"
    )
    return "SegmentationObject/photo.png"


def pillow_palette(folder: Path) -> str:
    picture = PIL.Image.fromarray(numbers())
    picture.putpalette([0, 0, 0, 250, 50, 83, 61, 61, 245])
    picture.save(folder / "palette.gif")
    return "palette.gif"


def pillow_quantized(folder: Path) -> str:
    colours = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)[numbers()]
    PIL.Image.fromarray(colours).quantize(8).save(folder / "quantized.png")
    return "quantized.png"


def pillow_webp(folder: Path) -> str:
    colours = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)[numbers()]
    PIL.Image.fromarray(colours).save(folder / "masks.webp", lossless=True)
    return "masks.webp"


def voc(folder: Path) -> str:
    from scipy import ndimage

    values = numbers()
    border = ndimage.grey_dilation(values, 5) != values
    picture = PIL.Image.fromarray(np.where(border & (values == 0), 255, values).astype(np.uint8))
    palette = np.zeros((256, 3), np.uint8)
    palette[[1, 2, 255]] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
    picture.putpalette(palette.ravel().tolist())
    picture.save(folder / "voc.png")
    return "voc.png"


def skimage_labels(folder: Path) -> str:
    import skimage.io
    import skimage.measure

    labels = skimage.measure.label(truth().any(0)).astype(np.uint16) * 1000
    skimage.io.imsave(str(folder / "labels.png"), labels, check_contrast=False)
    return "labels.png"


def tifffile_labels(folder: Path) -> str:
    import tifffile

    tifffile.imwrite(folder / "labels.tif", numbers().astype(np.uint16), compression="zlib")
    return "labels.tif"


def sam_stack(folder: Path) -> str:
    np.savez(folder / "sam.npz", masks=truth()[:, None], iou_predictions=np.ones(2))
    return "sam.npz"


COLOURS = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)
MAGICK = {
    "palette PNG": ("masks.png", "-colors", "3", "-type", "Palette"),
    "palette PNG of 2 bits": (
        "masks.png",
        "-define",
        "png:bit-depth=2",
        "-type",
        "Palette",
    ),
    "GIF": ("masks.gif",),
    "run-length BMP": ("masks.bmp", "-type", "Palette", "-compress", "RLE"),
    "TIFF, LZW": ("masks.tif", "-compress", "LZW"),
    "16-bit PNG": ("masks.png", "-depth", "16"),
    "PPM": ("masks.ppm",),
    "cut out by alpha": ("masks.png", "-transparent", "black"),
}


def imagemagick(target: str, *options: str) -> Maker:
    """Colour masks, converted by ImageMagick's command line."""

    def make(folder: Path) -> str:
        source = folder / "source.ppm"
        PIL.Image.fromarray(COLOURS[numbers()]).save(source)
        _program("convert-im6.q16", str(source), *options, str(folder / target))
        return target

    return make


def written(target: str, write: Callable[[Path], object]) -> Maker:
    """A file that one call of a tool writes."""

    def make(folder: Path) -> str:
        write(folder / target)
        return target

    return make


def _opencv(call: str, *arguments: Any) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        import cv2

        if not getattr(cv2, call)(str(path), *(a() if callable(a) else a for a in arguments)):
            raise ValueError(f"OpenCV did not write {path.name}")

    return write


def _jet() -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.applyColorMap(numbers() * np.uint8(100), cv2.COLORMAP_JET), np.uint8)


def _imageio(values: Callable[[], NDArray[Any]]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        import imageio.v3

        imageio.v3.imwrite(path, values())

    return write


def _skimage(values: Callable[[], NDArray[Any]]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        import skimage.io

        skimage.io.imsave(str(path), values(), check_contrast=False)

    return write


def _label2rgb() -> NDArray[np.uint8]:
    import skimage.color
    import skimage.util

    colours: Any = skimage.color.label2rgb(numbers(), bg_label=0)
    return np.asarray(skimage.util.img_as_ubyte(colours), np.uint8)


def _picture(**options: Any) -> Callable[[Path], object]:
    return lambda path: PIL.Image.fromarray(COLOURS[numbers()]).save(path, **options)


def _white(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return masks * np.uint8(255)


# Lossy formats keep an overlap of .95 and more, all else every pixel.
PICTURES: dict[str, Maker] = {
    "JPEG of quality 75 by Pillow": written("masks.jpg", _picture(quality=75)),
    "JPEG of quality 30 by Pillow": written("masks.jpg", _picture(quality=30)),
    "lossy WebP by Pillow": written("masks.webp", _picture(quality=50)),
    "AVIF by Pillow": written("masks.avif", _picture(quality=60)),
    "OpenCV, pages of a TIFF": written(
        "masks.tiff", _opencv("imwritemulti", lambda: list(_white(truth())))
    ),
    "OpenCV, float64 TIFF": written(
        "masks.tiff", _opencv("imwrite", lambda: numbers().astype(np.float64))
    ),
    "OpenCV, colour map JET as JPEG": written("masks.jpg", _opencv("imwrite", _jet)),
    "OpenCV, colour map JET as PNG": written("masks.png", _opencv("imwrite", _jet)),
    "imageio, animated GIF": written("masks.gif", _imageio(lambda: _white(truth()))),
    "imageio, TIFF of a bool stack": written("masks.tif", _imageio(truth)),
    "scikit-image, label2rgb": written("masks.png", _skimage(_label2rgb)),
    "scikit-image, int64 TIFF": written("masks.tif", _skimage(lambda: numbers().astype(np.int64))),
    "NumPy, logits": written(
        "masks.npy", lambda path: np.save(path, np.where(truth(), 3.5, -8.0).astype(np.float32))
    ),
    "NumPy, [H, W, N]": written(
        "masks.npy", lambda path: np.save(path, np.moveaxis(truth(), 0, -1))
    ),
    "NumPy, arrays by name": written(
        "masks.npz", lambda path: np.savez(path, ball=truth()[0], box=truth()[1])
    ),
}

INDEXED = '(gimp-image-convert-indexed image 0 0 8 FALSE FALSE "")'
GREY = "(gimp-image-convert-grayscale image)"


def gimp(target: str, *, convert: str = "") -> Maker:
    """Colour masks, opened and exported by GIMP's batch mode."""

    def make(folder: Path) -> str:
        source, file = folder / "source.png", folder / target
        PIL.Image.fromarray(COLOURS[numbers()]).save(source)
        steps = [
            f'(image (car (gimp-file-load RUN-NONINTERACTIVE "{source}" "{source}")))',
            "(layer (car (gimp-image-get-active-layer image)))",
        ]
        save = f'(gimp-file-save RUN-NONINTERACTIVE image layer "{file}" "{file}")'
        script = f"(let* ({' '.join(steps)}) {convert} {save})"
        _program("gimp", "-i", "-b", script, "-b", "(gimp-quit 0)")
        return target

    return make


def _program(*command: str) -> None:
    """Run another tool; where it is not installed, that is an ImportError as for a package."""
    if shutil.which(command[0]) is None:
        raise ImportError(name=command[0])
    subprocess.run(command, check=True, capture_output=True, timeout=180)


MASKS: dict[str, tuple[str, Maker]] = {
    "pycocotools, COCO of two photos": ("tool", pycocotools_dataset),
    "labelme, polygons": ("tool", labelme_polygons),
    "Label Studio, brushes": ("tool and format", label_studio_brush),
    "Label Studio, polygon and rectangle": ("format", label_studio_regions),
    "Supervisely, bitmaps": ("format", supervisely),
    "CVAT for images, masks": ("format", cvat_xml),
    "CVAT segmentation mask with labelmap.txt": ("format", cvat_masks),
    **{name: ("format", make) for name, make in documented_formats(truth).items()},
    "Pillow, GIF with a palette": ("tool", pillow_palette),
    "Pillow, quantized PNG": ("tool", pillow_quantized),
    "Pillow, lossless WebP": ("tool", pillow_webp),
    "PASCAL VOC, border 255": ("format", voc),
    "scikit-image, 16-bit labels": ("tool", skimage_labels),
    "tifffile, packed TIFF": ("tool", tifffile_labels),
    "NumPy, as SAM's predictors return them": ("tool", sam_stack),
    **{f"ImageMagick, {name}": ("tool", imagemagick(*args)) for name, args in MAGICK.items()},
    **{name: ("tool", make) for name, make in PICTURES.items()},
    "GIMP, PNG": ("tool", gimp("masks.png")),
    "GIMP, indexed PNG": ("tool", gimp("masks.png", convert=INDEXED)),
    "GIMP, indexed GIF": ("tool", gimp("masks.gif", convert=INDEXED)),
    "GIMP, grey PNG": (
        "tool",
        gimp("masks.png", convert=GREY),
    ),
    "GIMP, TIFF": ("tool", gimp("masks.tif")),
    "GIMP, XCF": ("tool", gimp("masks.xcf")),
}


def masks() -> Iterator[tuple[str, str, str]]:
    image = Image(pixels=np.zeros((*SIZE, 3), np.uint8))
    for name, (origin, make) in MASKS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                file = Path(folder) / make(Path(folder))
                given = read_given([file], Canvas.of_image(image, Path(folder) / "photo.png"))
            except ImportError as exc:
                yield name, origin, f"not tried: {exc.name} is not installed"
                continue
            except SceneliftError as exc:
                yield name, origin, f"REFUSED: {exc}"
                continue
        overlaps = [
            max(((i.mask & t).sum() / (i.mask | t).sum() for i in given.instances), default=0)
            for t in truth()[len(given.boxes) :]
        ]
        labels = ", ".join(i.label for i in (*given.instances, *given.boxes))
        kinds = f"{len(given.instances)} masks"
        kinds += f", IoU {min(overlaps):.3f}" if given.instances else ""
        boxes = f", {len(given.boxes)} box to cut out" if given.boxes else ""
        yield name, origin, f"{kinds}{boxes}; called {labels}"


def tables() -> Iterator[tuple[str, str, str]]:
    try:
        import pandas as pd
    except ImportError:
        yield "pandas", "tool", "not tried: pandas is not installed"
        return
    frame = pd.DataFrame(
        {
            "photo": ["a.png", "sub/b, c.png"],
            "prompt": ["cup; spoon", 'person "tall", café'],
            "seed": [7, None],
            "min_score": [0.5, None],
            "vertex_colors": [True, False],
        }
    )
    ways: dict[str, dict[str, Any]] = {
        "to_csv()": {},
        "to_csv(index=False, sep=';', decimal=',')": {"index": False, "sep": ";", "decimal": ","},
        "to_csv(sep='\\t', encoding='utf-16')": {"sep": "\t", "encoding": "utf-16"},
        "to_csv(encoding='cp1252', na_rep='nan')": {"encoding": "cp1252", "na_rep": "nan"},
        "to_csv(encoding='utf-8-sig', quoting=1)": {"encoding": "utf-8-sig", "quoting": 1},
        "to_json(orient='records')": {},
        "to_json(orient='records', lines=True)": {"lines": True},
    }
    for way, options in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            (base / "sub").mkdir()
            for photo in frame["photo"]:
                (base / photo).write_bytes(b"")
            if "json" in way:
                target = base / ("m.jsonl" if options else "m.json")
                frame.to_json(target, orient="records", **options)
            else:
                target = base / "m.csv"
                frame.to_csv(target, **options)
            try:
                items = read_items(target, Options.from_plain({"prompt": ["x"]}))
            except SceneliftError as exc:
                yield f"pandas, {way}", "tool", f"REFUSED: {exc}"
                continue
        yield f"pandas, {way}", "tool", _verdict(items)


def _verdict(items: Sequence[BatchItem]) -> str:
    right = [i.prompt.phrases for i in items] == [("cup", "spoon"), ('person "tall"', "café")]
    right &= [i.seed for i in items] == [7, 0] and items[0].prompt.min_score == 0.5
    return "2 rows, all values" if right else f"WRONG: {items}"


# Field separator, text delimiter, character set, as LibreOffice numbers them.
CALC = {
    "commas, UTF-8": "44,34,76",
    "semicolons, Windows-1252": "59,34,1",
    "tabs, UTF-16": "9,34,UNICODE",
}


def spreadsheets() -> Iterator[tuple[str, str, str]]:
    """A table that LibreOffice Calc opened and stored."""
    text = (
        "photo,prompt,seed,min_score,vertex_colors\n"
        "a.png,cup; spoon,7,0.5,TRUE\n"
        '"sub/b, c.png","person ""tall"", café",,,FALSE\n'
    )
    ways = {f"csv, {name}": f"csv:Text - txt - csv (StarCalc):{f}" for name, f in CALC.items()}
    for way, target in {**ways, "xlsx": "xlsx", "ods": "ods"}.items():
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            (base / "sub").mkdir()
            (base / "out").mkdir()
            for photo in ("a.png", "sub/b, c.png"):
                (base / photo).write_bytes(b"")
            (base / "m.csv").write_text(text, encoding="utf-8")
            command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless"]
            opened = ["--infilter=Text - txt - csv (StarCalc):44,34,76,1"]
            try:
                _program(
                    *command,
                    *opened,
                    "--convert-to",
                    target,
                    "--outdir",
                    f"{folder}/out",
                    f"{folder}/m.csv",
                )
                result = next((base / "out").iterdir())
                result = result.rename(base / f"stored{result.suffix}")
                verdict = _verdict(read_items(result, Options.from_plain({"prompt": ["x"]})))
            except ImportError as exc:
                verdict = f"not tried: {exc.name} is not installed"
            except SceneliftError as exc:
                verdict = f"REFUSED: {exc}"
        yield f"LibreOffice Calc, {way}", "tool", verdict


def depths() -> Iterator[tuple[str, str, str]]:
    depth = np.tile(np.linspace(1, 3, 60, dtype=np.float32), (40, 1))

    def exr(path: Path) -> None:
        import OpenEXR

        with OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Z": depth}) as file:
            file.write(str(path))

    def tiff(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, depth)

    def png(path: Path) -> None:
        import skimage.io

        skimage.io.imsave(str(path), np.round(depth * 1000).astype(np.uint16), check_contrast=False)

    makers = {"OpenEXR, channel Z": ("d.exr", exr), "tifffile, float32": ("d.tiff", tiff)}
    makers["scikit-image, 16-bit millimetres"] = ("d.png", png)
    for name, (file, make) in makers.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                make(Path(folder) / file)
                found = read_depth_file(Path(folder) / file).values
            except ImportError as exc:
                yield name, "tool", f"not tried: {exc.name} is not installed"
                continue
        yield name, "tool", f"metres, off by {abs(found - depth).max() * 1000:.2f} mm at most"


def main() -> None:
    print("| file | made by | verdict |\n| --- | --- | --- |")
    for rows in (masks(), tables(), spreadsheets(), depths()):
        for name, origin, verdict in rows:
            print(f"| {name} | {origin} | {verdict} |")


if __name__ == "__main__":
    main()

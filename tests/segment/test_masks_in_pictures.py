"""Cut-out photos, lossy labels, pages, logits and trimaps: the object's pixels, nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL import ImageOps
from scipy import ndimage

from scenelift.errors import InputError
from scenelift.segment.given import Canvas, read_given
from scenelift.types import Image

SIZE = (160, 240)
MAROON, GREEN, CREAM = (128, 0, 0), (0, 128, 0), (224, 224, 192)


def blob(x: int, y: int, radius: int) -> np.ndarray:
    """A round thing with a wavy outline."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    angle = np.arctan2(rows - y, columns - x)
    return np.hypot(columns - x, rows - y) < radius * (1 + 0.12 * np.cos(5 * angle))


LEFT = blob(80, 80, 50)
RIGHT = blob(150, 85, 45) & ~LEFT  # they touch
NUMBERS = LEFT + 2 * RIGHT.astype(np.uint8)
INNER = np.asarray(ndimage.binary_erosion(LEFT, iterations=4), bool)
BAND = np.asarray(ndimage.binary_dilation(LEFT, iterations=4), bool) & ~INNER
RIM = (ndimage.grey_dilation(NUMBERS, 11) != NUMBERS) & (NUMBERS == 0)


@pytest.fixture(scope="module")
def photo() -> PIL.Image.Image:
    import skimage.data

    return ImageOps.fit(PIL.Image.fromarray(skimage.data.coffee()), (SIZE[1], SIZE[0]))


def read(path: Path, photo: PIL.Image.Image):
    canvas = Canvas.of_image(Image(pixels=np.asarray(photo)), path.parent / "photo.png")
    return read_given([path], canvas)


def check(path: Path, photo: PIL.Image.Image, *masks: np.ndarray, least: float = 1.0) -> None:
    """The file holds these masks, in this order, but for so little."""
    instances = read(path, photo).instances
    assert len(instances) == len(masks)
    for instance, mask in zip(instances, masks, strict=True):
        overlap = (instance.mask & mask).sum() / (instance.mask | mask).sum()
        assert overlap >= least


def cut(photo: PIL.Image.Image, ground: int | None = None) -> PIL.Image.Image:
    """The left blob cut out: on black (0), on white (255) or transparent."""
    pixels = np.asarray(photo)
    if ground is None:
        return PIL.Image.fromarray(np.dstack([pixels, LEFT * np.uint8(255)]))
    return PIL.Image.fromarray(np.where(LEFT[..., None], pixels, np.uint8(ground)))


def with_alpha(colours: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.merge("RGBA", (*colours.convert("RGB").split(), cut(colours).getchannel("A")))


WHERE = PIL.Image.fromarray(LEFT)
Maker = Callable[[PIL.Image.Image], PIL.Image.Image]
CUT_OUTS: dict[str, tuple[Maker, str, float]] = {
    "16 colours": (lambda p: with_alpha(p.quantize(16)), "a.png", 1),
    "6 colours": (lambda p: with_alpha(p.quantize(6)), "a.png", 1),
    "12 colours, not dithered": (
        lambda p: with_alpha(p.quantize(12, dither=PIL.Image.Dither.NONE)),
        "a.png",
        1,
    ),
    "GIF": (cut, "a.gif", 1),
    "grey": (lambda p: cut(p).convert("LA"), "a.png", 1),
    "grey of 8 steps": (lambda p: with_alpha(ImageOps.posterize(p.convert("L"), 3)), "a.png", 1),
    "lossy WebP": (cut, "a.webp", 1),
    "AVIF": (cut, "a.avif", 1),
    "on black, 16 colours": (lambda p: cut(p, 0).quantize(16), "a.png", 0.97),
    "on white, 16 colours": (lambda p: cut(p, 255).quantize(16), "a.png", 0.95),
    "on black": (lambda p: cut(p, 0), "a.png", 0.99),
    "on white": (lambda p: cut(p, 255), "a.png", 0.98),
    "on black, JPEG": (lambda p: cut(p, 0), "a.jpg", 0.95),
    "on white, JPEG": (lambda p: cut(p, 255), "a.jpg", 0.95),
    "on green, JPEG": (
        lambda p: PIL.Image.composite(p, PIL.Image.new("RGB", p.size, (0, 177, 64)), WHERE),
        "a.jpg",
        0.95,
    ),
    "on black, grey": (lambda p: cut(p, 0).convert("L"), "a.png", 0.97),
    "on white, grey JPEG": (lambda p: cut(p, 255).convert("L"), "a.jpg", 0.94),
}


@pytest.mark.parametrize("kind", CUT_OUTS)
def test_a_cut_out_photo_is_one_object_whatever_its_colours(tmp_path, photo, kind):
    make, name, least = CUT_OUTS[kind]
    make(photo).save(tmp_path / name)
    check(tmp_path / name, photo, LEFT, least=least)


@pytest.mark.parametrize("ground", [None, 0])
def test_a_cut_out_of_another_photo_is_told_by_its_form(tmp_path, photo, ground):
    picture = ImageOps.mirror(photo)  # it looks like nothing at its place
    made = with_alpha(picture.quantize(24)) if ground is None else cut(picture, ground)
    made.save(tmp_path / "a.png")
    check(tmp_path / "a.png", photo, LEFT, least=0.98)


def test_labels_of_the_objects_own_colours_stay_labels(tmp_path):
    """A photo of two plain things, and labels that are nearly as they look."""
    colours = np.array([(150, 150, 140), (220, 30, 30), (30, 60, 210)], np.uint8)
    plain = PIL.Image.fromarray(colours[NUMBERS])
    labels = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)[NUMBERS]
    PIL.Image.fromarray(labels).save(tmp_path / "a.png")
    check(tmp_path / "a.png", plain, LEFT, RIGHT)


def test_the_photo_itself_is_no_mask(tmp_path, photo):
    photo.save(tmp_path / "copy.png")
    photo.save(tmp_path / "again.jpg", quality=85)
    photo.convert("L").save(tmp_path / "grey.png")
    PIL.Image.fromarray(LEFT).save(tmp_path / "cup.png")
    (tmp_path / "photo.png").write_bytes((tmp_path / "copy.png").read_bytes())
    given = read(tmp_path, photo)
    assert [i.label for i in given.instances] == ["cup"]
    assert sorted(note.split()[0] for note in given.notes) == [
        "again.jpg",
        "copy.png",
        "grey.png",
        "photo.png",
    ]
    with pytest.raises(InputError, match=r"copy\.png is the photo itself.*white where"):
        read(tmp_path / "copy.png", photo)


COLOURS = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)[NUMBERS]


@pytest.mark.parametrize(
    ("values", "name", "quality"),
    [
        (COLOURS, "a.jpg", 90),
        (COLOURS, "a.jpg", 50),
        (np.where(COLOURS.any(-1, keepdims=True), COLOURS, 255).astype(np.uint8), "a.jpg", 75),
        (COLOURS, "a.webp", 60),
        (COLOURS, "a.avif", 60),
        (np.dstack([COLOURS, (NUMBERS > 0) * np.uint8(255)]), "a.webp", 60),
        (np.array([0, 100, 200], np.uint8)[NUMBERS], "a.jpg", 75),
        (np.array([0, 100, 200], np.uint8)[NUMBERS], "a.webp", 90),
    ],
)
def test_labels_in_a_lossy_format_are_their_objects_without_halos(
    tmp_path, photo, values, name, quality
):
    PIL.Image.fromarray(values).save(tmp_path / name, quality=quality)
    check(tmp_path / name, photo, LEFT, RIGHT, least=0.94)


def test_small_numbers_as_jpeg_are_refused_with_what_to_do(tmp_path, photo):
    PIL.Image.fromarray(NUMBERS * np.uint8(3)).save(tmp_path / "n.jpg", quality=75)
    with pytest.raises(InputError, match=r"n\.jpg has numbers up to .*Save the labels as PNG"):
        read(tmp_path / "n.jpg", photo)


@pytest.mark.parametrize(("name", "least"), [("a.png", 1), ("a.jpg", 0.93)])
def test_the_rim_of_voc_in_rgb_is_no_object(tmp_path, photo, name, least):
    colours = np.array([(0, 0, 0), MAROON, GREEN], np.uint8)[NUMBERS]
    colours[RIM] = CREAM
    PIL.Image.fromarray(colours).save(tmp_path / name, quality=95)
    check(tmp_path / name, photo, LEFT, RIGHT, least=least)
    (note,) = read(tmp_path / name, photo).notes
    assert "(224, 224, 192) was taken to mark pixels of no object" in note
    colours[RIM], colours[RIGHT] = 0, CREAM  # of other colours it is an object like any
    colours[LEFT] = (10, 200, 30)
    PIL.Image.fromarray(colours).save(tmp_path / "b.png")
    check(tmp_path / "b.png", photo, LEFT, RIGHT)


def test_what_a_label_map_calls_ground_is_no_object(tmp_path, photo):
    PIL.Image.fromarray(COLOURS).save(tmp_path / "a.png")
    (tmp_path / "labelmap.txt").write_text("cup:250,50,83::\nignore:61,61,245::\n")
    (cup,) = read(tmp_path / "a.png", photo).instances
    assert cup.label == "cup"


BOTH = [PIL.Image.fromarray(mask * np.uint8(255)) for mask in (LEFT, RIGHT)]
STACK = np.stack([LEFT, RIGHT])


def thumbnails(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for mask in STACK:
            file.write(mask * np.uint8(255), photometric="minisblack")
            file.write(mask[::4, ::4] * np.uint8(255), photometric="minisblack", subfiletype=1)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tif", lambda p: BOTH[0].save(p, save_all=True, append_images=BOTH[1:])),
        ("a.gif", lambda p: BOTH[0].save(p, save_all=True, append_images=BOTH[1:])),
        ("a.png", lambda p: BOTH[0].save(p, save_all=True, append_images=BOTH[1:])),
        ("a.webp", lambda p: BOTH[0].save(p, save_all=True, append_images=BOTH[1:], quality=80)),
        ("a.avif", lambda p: BOTH[0].save(p, save_all=True, append_images=BOTH[1:])),
        ("a.tif", lambda p: tifffile.imwrite(p, STACK)),
        ("a.tif", lambda p: tifffile.imwrite(p, np.moveaxis(STACK, 0, -1)[..., 0] * np.uint8(1) + 2
         * RIGHT.astype(np.uint8), bigtiff=True, compression="zlib")),
        ("a.tif", lambda p: tifffile.imwrite(p, STACK * np.uint8(255), imagej=True)),
        ("a.tif", thumbnails),
        ("a.tif", lambda p: tifffile.imwrite(p, NUMBERS.astype(np.float64))),
        ("a.tif", lambda p: tifffile.imwrite(p, STACK.astype(np.float16))),
        ("a.tif", lambda p: tifffile.imwrite(p, NUMBERS.astype(np.int64))),
        ("a.tif", lambda p: tifffile.imwrite(p, STACK.astype(np.uint64))),
        ("a.pgm", lambda p: PIL.Image.fromarray(NUMBERS).save(p)),
    ],
)  # fmt: skip
def test_pages_are_masks_as_in_a_stack(tmp_path, photo, name, write):
    write(tmp_path / name)
    check(tmp_path / name, photo, LEFT, RIGHT, least=0.97 if name[2:] in ("webp", "avif") else 1)


def test_a_stack_of_three_masks_by_tifffile_is_no_colour_picture(tmp_path, photo):
    masks = (LEFT, RIGHT, LEFT | RIGHT)
    stack = np.stack(masks) * np.uint8(255)
    # What tifffile chooses for three masks unless it is told otherwise, until a later version.
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb", planarconfig="separate")
    check(tmp_path / "a.tif", photo, *masks)


def test_pages_are_called_as_they_are_named(tmp_path, photo):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for mask, name in zip(STACK, ("cup", "red spoon"), strict=True):
            file.write(mask * np.uint8(255), extratags=[(285, 2, 0, name, True)])
    assert [i.label for i in read(tmp_path / "a.tif", photo).instances] == ["cup", "red spoon"]


def test_too_many_pages_are_refused(tmp_path, photo, monkeypatch):
    monkeypatch.setattr("scenelift.segment.given.pages.MOST_LAYERS", 2)
    BOTH[0].save(tmp_path / "many.tif", save_all=True, append_images=BOTH * 2)
    with pytest.raises(InputError, match=r"many\.tif has more pages than are read"):
        read(tmp_path / "many.tif", photo)


NOISE = np.random.default_rng(0).normal(0, 0.5, SIZE)
IGNORED = np.where(RIM, -100, NUMBERS.astype(np.int64))


@pytest.mark.parametrize(
    ("values", "masks"),
    [
        (np.where(LEFT, 3.0, -9.0) + NOISE, [LEFT]),
        (np.where(STACK, 2.0, -30.0).astype(np.float16)[None], [LEFT, RIGHT]),
        (np.where(LEFT, np.inf, -np.inf), [LEFT]),
        (np.where(LEFT, 5.0, -5.0), [LEFT]),
        (IGNORED, [LEFT, RIGHT]),
        (NUMBERS.astype(np.int16) - 1, [LEFT, RIGHT]),
        (np.moveaxis(STACK, 0, -1), [LEFT, RIGHT]),
        (np.stack([LEFT, RIGHT, LEFT], -1).astype(np.uint8), [LEFT, RIGHT, LEFT]),
        (LEFT[..., None], [LEFT]),
        (STACK[..., None], [LEFT, RIGHT]),
        (COLOURS, [LEFT, RIGHT]),
        (np.repeat((LEFT * np.uint8(255))[..., None], 3, -1), [LEFT]),
        (np.where(BAND, 0.5, LEFT), [INNER]),
        (np.stack([0.8 - 0.6 * LEFT, 0.2 + 0.6 * LEFT]), [LEFT]),
    ],
)
def test_arrays_are_cut_and_turned_as_they_are_meant(tmp_path, photo, values, masks):
    np.save(tmp_path / "a.npy", values)
    check(tmp_path / "a.npy", photo, *masks)


@pytest.mark.parametrize(("name", "least"), [("a.png", 1), ("a.jpg", 0.95)])
@pytest.mark.parametrize("values", [(0, 128, 255), (0, 127, 254), (2, 3, 1)])
def test_the_unknown_of_a_trimap_is_not_the_object(tmp_path, photo, name, least, values):
    trimap = np.array(values, np.uint8)[INNER * 2 + (BAND & ~INNER)]
    if name == "a.jpg" and max(values) < 9:
        name, least = "a.tif", 1
    PIL.Image.fromarray(trimap).save(tmp_path / name, quality=90)
    check(tmp_path / name, photo, INNER, least=least)
    assert "read as a trimap" in read(tmp_path / name, photo).notes[0]


def test_two_objects_of_128_and_255_are_no_trimap(tmp_path, photo):
    values = np.array([0, 128, 255], np.uint8)[NUMBERS]
    PIL.Image.fromarray(values).save(tmp_path / "a.png")
    check(tmp_path / "a.png", photo, LEFT, RIGHT)


def test_a_mask_is_turned_as_its_exif_says(tmp_path, photo):
    exif = PIL.Image.Exif()
    exif[274] = 6
    turned = PIL.Image.fromarray(LEFT * np.uint8(255)).transpose(PIL.Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "a.png", exif=exif)
    check(tmp_path / "a.png", photo, LEFT)


def test_a_page_that_ends_early_is_refused_by_its_name(tmp_path, photo):
    BOTH[0].save(tmp_path / "a.tif", save_all=True, append_images=BOTH[1:], compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (tmp_path / "b.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"b\.tif"):
        read(tmp_path / "b.tif", photo)
    struct.pack_into("<I", data, 4, 2**31)
    (tmp_path / "c.tif").write_bytes(data)
    with pytest.raises(InputError, match=r"c\.tif"):
        read(tmp_path / "c.tif", photo)


def test_arrays_of_one_file_are_masks_by_their_names(tmp_path, photo):
    np.savez(tmp_path / "a.npz", cup=LEFT, red_spoon=RIGHT, scores=np.ones(2))
    given = read(tmp_path / "a.npz", photo)
    assert [i.label for i in given.instances] == ["cup", "red spoon"]
    assert given.notes == ("a.npz: scores is no mask.",)
    np.savez(tmp_path / "b.npz", LEFT, RIGHT)
    check(tmp_path / "b.npz", photo, LEFT, RIGHT)
    assert [i.label for i in read(tmp_path / "b.npz", photo).instances] == ["object"] * 2
    np.savez(tmp_path / "c.npz", a=np.ones(3), b=np.ones((9, 9)))
    with pytest.raises(InputError, match=r"c\.npz holds a, b; .*masks of the photo's 240 × 160"):
        read(tmp_path / "c.npz", photo)


def test_a_mask_on_its_side_is_refused_with_what_to_do(tmp_path, photo):
    np.save(tmp_path / "a.npy", LEFT.T)
    with pytest.raises(InputError, match=r"160 × 240 pixels.*sides are swapped: turn it"):
        read(tmp_path / "a.npy", photo)

"""Photos of every odd kind are read as they look, or refused with a sentence that helps."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL import ExifTags, ImageCms, PngImagePlugin
from tests.drivers.pictures import png_of_16_bits

from scenelift.errors import ImageError
from scenelift.io.image import MAX_PIXELS, read_image


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.fixture
def gradient():
    """64 × 48, red grows to the right, green downwards."""
    x, y = np.linspace(0, 255, 64), np.linspace(0, 255, 48)[:, None]
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = x, y
    return PIL.Image.fromarray(pixels)


def test_png_comes_back_exactly(tmp_path, gradient):
    image = read_image(save(tmp_path / "a.png", gradient))
    np.testing.assert_array_equal(image.pixels, np.asarray(gradient))
    assert image.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, gradient, orientation):
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = read_image(save(tmp_path / "a.png", gradient, exif=exif))
    flips = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # names of Pillow's transposes
    expected = gradient
    if orientation > 1:
        expected = gradient.transpose(PIL.Image.Transpose(flips[orientation]))
    np.testing.assert_array_equal(image.pixels, np.asarray(expected))


def test_the_focal_length_of_exif_becomes_pixels(tmp_path, gradient):
    exif = PIL.Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 43
    image = read_image(save(tmp_path / "a.jpg", gradient, exif=exif))
    # 43 mm is about the diagonal of a full frame, so about the picture's diagonal in pixels.
    assert image.focal_px == pytest.approx(80 * 43 / 43.2666, rel=1e-3)


def test_cmyk_palette_grey_alpha_and_16_bit_become_rgb(tmp_path, gradient):
    cases = {
        "cmyk.jpg": gradient.convert("CMYK"),
        "palette.png": gradient.quantize(64),
        "palette.gif": gradient.quantize(64),
        "grey.png": gradient.convert("L"),
        "bits.png": gradient.convert("1"),
        "grey-alpha.png": gradient.convert("LA"),
    }
    for name, picture in cases.items():
        image = read_image(save(tmp_path / name, picture))
        assert image.pixels.shape == (48, 64, 3), name
        expected = np.asarray(picture.convert("RGB"), int)
        assert abs(image.pixels - expected).mean() < 12, name


def test_16_bit_grey_keeps_its_brightness(tmp_path):
    values = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    image = read_image(save(tmp_path / "a.png", PIL.Image.fromarray(values)))
    assert image.pixels[0, -1, 0] == 255
    assert int(image.pixels[0, 32, 0]) == pytest.approx(130, abs=1)


PICTURES = Path(__file__).parent / "pictures"


def colours_of(path):
    """The four colours of the pictures: ground, wall, ball and box."""
    pixels = read_image(path).pixels
    return [pixels[y, x].tolist() for x, y in ((5, 235), (5, 5), (95, 125), (235, 135))]


def test_a_profile_counts_under_alpha_and_in_palettes(tmp_path):
    expected = colours_of(PICTURES / "p3_rgb.png")
    # Display P3 (220, 30, 30) is a red that sRGB has not: its red is cut at 255, its green at 0.
    assert expected[2][0] > 235
    assert expected[2][1] < 15
    assert colours_of(PICTURES / "p3_rgba_opaque.png") == expected
    picture = PIL.Image.open(PICTURES / "p3_rgb.png")
    profile = picture.info["icc_profile"]
    palette = picture.quantize(16)
    palette.save(tmp_path / "palette.png", icc_profile=profile)
    palette.save(tmp_path / "clear.png", icc_profile=profile, transparency=255)
    for name in ("palette.png", "clear.png"):
        assert colours_of(tmp_path / name) == expected, name


def test_twelve_bits_in_sixteen_are_as_bright_as_they_were(tmp_path):
    image = read_image(PICTURES / "grey12in16.png")
    values = np.asarray(PIL.Image.open(PICTURES / "grey12in16.png")).astype(float)
    np.testing.assert_allclose(image.pixels[..., 0], values * 255 / 4095, atol=0.51)
    assert "12 bits" in image.notes[0]
    tiff = PIL.Image.fromarray(np.asarray(values, np.int32) * 70000)
    tiff.save(tmp_path / "a.tif")  # 32 bits
    assert read_image(tmp_path / "a.tif").pixels.max() == 255


# Values of a sensor's 12 bits that are told apart only by all their bits.
TWELVE = np.array([0, 1, 16, 17, 1000, 2047, 4000, 4095], np.uint16).repeat(2)


@pytest.mark.parametrize(
    ("suffix", "channels"),
    [("png", 2), ("png", 3), ("png", 4), ("tif", 3), ("packed.tif", 4), ("motorola.tif", 3)],
)
def test_twelve_bits_of_a_colour_are_as_bright_as_they_were(tmp_path, suffix, channels):
    values = np.tile(TWELVE[None, :, None], (16, 1, channels))
    if channels in (2, 4):
        values[..., -1] = 65535
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        path.write_bytes(png_of_16_bits(values))
    else:
        tifffile.imwrite(
            path,
            values,
            photometric="rgb",
            extrasamples=["unassalpha"] if channels == 4 else None,
            compression="zlib" if "packed" in suffix else None,
            byteorder=">" if "motorola" in suffix else "<",
        )
    image = read_image(path)
    expected = np.round(TWELVE * (255 / 4095)).astype(int)
    np.testing.assert_array_equal(image.pixels[3], np.repeat(expected[:, None], 3, 1))
    assert "4095: they were read as 12 bits" in image.notes[0]


def test_sixteen_bits_of_a_bright_colour_are_as_before(tmp_path):
    values = np.tile(np.linspace(0, 65535, 48).astype(np.uint16)[:, None, None], (1, 16, 3))
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels[:, 0, 0], values[:, 0, 0] / 257, atol=1)
    assert not image.notes


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_gamma_of_sixteen_bits_is_applied_to_all_of_them(tmp_path, channels):
    """1/10 000 of white is 0.33 of 255 in sRGB, 1 % is 25.4, and 21.4 % its middle."""
    light = np.array([0.0001, 0.01, 0.214, 1.0])
    values = np.tile((light * 65535).round()[:, None, None].repeat(8, 0), (1, 16, channels))
    if channels == 2:
        values[..., 1] = 65535
    png = png_of_16_bits(values, gAMA=struct.pack(">I", 100_000))
    (tmp_path / "a.png").write_bytes(png)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels[::8, 0, 0], [0, 25, 127, 255], atol=0.6)
    assert "gamma of 1" in image.notes[0]


def stated(colour, *, primaries, transfer, full=1):
    """A PNG of one colour (parts of 1) with a cICP chunk."""
    values = np.tile(np.array(colour) * 65535, (32, 32, 1)).round()
    return png_of_16_bits(values, cICP=bytes([primaries, transfer, 0, full]))


# Display P3 as its profile has it (see above); 26 and 203 cd/m² as BT.2408 lists them in PQ and
# HLG, the latter white, the former 12.8 % of it; red of BT.2020 that sRGB has not.
@pytest.mark.parametrize(
    ("numbers", "colour", "expected"),
    [
        ((1, 13), (0.2, 0.5, 0.8), (51, 128, 204)),
        ((2, 2), (0.2, 0.5, 0.8), (51, 128, 204)),
        ((12, 13), (190 / 255, 150 / 255, 130 / 255), (199, 149, 128)),
        ((1, 8), (0.214, 0.01, 1), (127, 25, 255)),
        ((1, 13, 0), (16 / 256, 126 / 256, 235 / 256), (0, 128, 255)),
        ((9, 16), (0.5807,) * 3, (255, 255, 255)),
        ((9, 16), (0.3803,) * 3, (101, 101, 101)),
        ((9, 18), (0.75,) * 3, (255, 255, 255)),
        ((9, 18), (0.3768,) * 3, (101, 101, 101)),
        ((9, 13), (1, 0, 0), (255, 0, 0)),
    ],
)
def test_code_points_of_a_png_count(tmp_path, numbers, colour, expected):
    primaries, transfer, *full = numbers
    full = full[0] if full else 1
    png = stated(colour, primaries=primaries, transfer=transfer, full=full)
    (tmp_path / "a.png").write_bytes(png)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels[3, 3], expected, atol=1)
    assert any("HDR" in note for note in image.notes) == (transfer in (16, 18))


def test_highlights_beyond_white_keep_their_order_and_hue(tmp_path):
    """Greys up to 1000 cd/m² (PQ 0.75) stay apart; what is darker than half of white stays."""
    values = np.tile(np.linspace(0.3, 0.7518, 32)[:, None, None] * 65535, (1, 16, 3)).round()
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, cICP=bytes([9, 16, 0, 1])))
    greys = read_image(tmp_path / "a.png").pixels[:, 0].astype(int)
    assert (np.diff(greys[:, 0]) > 0).all()
    assert greys[-1].tolist() == [255, 255, 255]
    white = greys[np.argmin(abs(np.linspace(0.3, 0.7518, 32) - 0.5807))]
    assert 200 < white[0] < 250
    orange = np.tile(np.array([0.75, 0.7, 0.5]) * 65535, (32, 32, 1)).round()
    (tmp_path / "b.png").write_bytes(png_of_16_bits(orange, cICP=bytes([1, 16, 0, 1])))
    red, green, blue = read_image(tmp_path / "b.png").pixels[0, 0].astype(int)
    assert red > green > blue > 50


def test_code_points_of_an_avif_count(tmp_path):
    flat = PIL.Image.new("RGB", (32, 32), (190, 150, 130))
    flat.save(tmp_path / "a.avif", quality=95)
    plain = (tmp_path / "a.avif").read_bytes()
    at = plain.index(b"colrnclx") + 8
    (tmp_path / "p3.avif").write_bytes(plain[:at] + struct.pack(">HH", 12, 13) + plain[at + 4 :])
    for name, expected in (("a", (190, 150, 130)), ("p3", (199, 149, 128))):
        pixels = read_image(tmp_path / f"{name}.avif").pixels
        np.testing.assert_allclose(pixels[16, 16], expected, atol=3)


def stated_by_exif(path, picture):
    exif = PIL.Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.ColorSpace: 0xFFFF, ExifTags.IFD.Interop: {1: "R03"}}
    )
    picture.save(path, exif=exif.tobytes())


def stated_by_png(path, picture):
    primaries = [31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000]
    info = PngImagePlugin.PngInfo()
    info.add(b"cHRM", struct.pack(">8I", *primaries))
    info.add(b"gAMA", struct.pack(">I", 45471))
    picture.save(path, pnginfo=info)


@pytest.mark.parametrize("state", [stated_by_exif, stated_by_png])
def test_adobe_rgb_without_a_profile_is_read_as_that(tmp_path, state):
    """A green that sRGB has not, a dark grey and a skin tone."""
    colours = np.array([(144, 255, 60), (6, 6, 6), (190, 150, 130), (255, 255, 255)], np.uint8)
    state(tmp_path / "a.png", PIL.Image.fromarray(np.repeat(colours[None], 16, 0).repeat(4, 1)))
    image = read_image(tmp_path / "a.png")
    # By the rounded matrices that both standards print, applied by hand.
    expected = [(0, 255, 1), (1, 1, 1), (205, 151, 130), (255, 255, 255)]
    np.testing.assert_allclose(image.pixels[0, ::4], expected, atol=1)
    assert len(image.notes) == 1


def test_the_gamma_of_a_png_is_applied(tmp_path):
    # The same scene as photo.png, in light: 220, 30, 30 is what its 184, 2, 2 of light looks like.
    found = colours_of(PICTURES / "gama_linear.png")
    expected = [[120, 95, 70], [200, 120, 100], [220, 30, 30], [30, 60, 210]]
    # Steps of 1/255 of light are up to 13 of 255 apart in the dark.
    np.testing.assert_allclose(found, expected, atol=13)
    assert "gamma of 1" in read_image(PICTURES / "gama_linear.png").notes[0]


def test_a_heic_photo_is_read_or_says_what_it_needs(tmp_path, monkeypatch):
    path = PICTURES / "phone.heic"
    image = read_image(path)
    assert image.pixels.shape == (48, 64, 3)
    assert abs(image.pixels[24, 60].astype(int) - [240, 128, 0]).max() < 20
    monkeypatch.setattr("scenelift.io.image.known_formats", lambda: ["JPEG"])
    with pytest.raises(ImageError, match=r"scenelift\[heic\]"):
        read_image(path)


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, 16:] = (10, 20, 30, 255)
    image = read_image(save(tmp_path / "a.png", PIL.Image.fromarray(rgba)))
    assert image.pixels[0, 0].tolist() == [255, 255, 255]
    assert image.pixels[0, 31].tolist() == [10, 20, 30]


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path, gradient):
    second = PIL.Image.new("RGB", gradient.size, "white")
    path = tmp_path / "a.webp"
    gradient.save(path, save_all=True, append_images=[second], lossless=True)
    image = read_image(path)
    assert abs(image.pixels.astype(int) - np.asarray(gradient)).max() <= 2
    assert "its first frame was used" in image.notes[0]


def test_an_embedded_profile_is_converted_and_a_damaged_one_ignored(tmp_path, gradient):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = read_image(save(tmp_path / "a.png", gradient, icc_profile=profile))
    assert abs(image.pixels.astype(int) - np.asarray(gradient)).max() <= 2
    image = read_image(save(tmp_path / "b.png", gradient, icc_profile=b"not a profile"))
    assert "colour profile" in image.notes[0]


def test_a_large_photo_is_reduced_and_says_so(tmp_path):
    path = save(tmp_path / "a.jpg", PIL.Image.new("RGB", (600, 300), "red"))
    image = read_image(path, max_side=100)
    assert image.pixels.shape == (50, 100, 3)
    assert "100 × 50" in image.notes[0]


def png_that_claims(width, height):
    """A PNG header for a huge picture with next to no data: a decompression bomb."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is a text file", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture|damaged"),
        (png_that_claims(20_000, 10_000), "megapixels"),
        (png_that_claims(60_000, 60_000), "megapixels"),
        (png_that_claims(1, 1), "1 × 1"),
        (png_that_claims(1, 5000), "at least 16"),
        (png_that_claims(500, 500), "damaged or truncated"),
    ],
    ids=["empty", "text", "header", "200 MP", "bomb", "1x1", "1x5000", "no data"],
)
def test_what_is_no_usable_photo_is_refused_before_decoding(tmp_path, content, message):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(path)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif", "tiff", "bmp"])
def test_a_truncated_photo_is_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, format={"jpg": "jpeg"}.get(kind, kind))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 3])
    with pytest.raises(ImageError, match="a\\."):
        read_image(path)


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(ImageError, match="no file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_floating_point_pixels_are_refused(tmp_path):
    path = save(tmp_path / "a.tiff", PIL.Image.fromarray(np.zeros((32, 32), np.float32)))
    with pytest.raises(ImageError, match="floating-point"):
        read_image(path)


def test_the_pixel_limit_holds_at_its_edge():
    assert MAX_PIXELS >= 12_000 * 9_000


# A photo's own size, and the pixels objects are cut out of


def striped(width, height):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[::2, :, 0] = 200
    pixels[:, : width // 2, 1] = 99
    return PIL.Image.fromarray(pixels)


def test_a_reduced_photo_keeps_its_own_size_and_pixels(tmp_path):
    picture = striped(300, 200)
    image = read_image(save(tmp_path / "a.png", picture), max_side=150)
    assert (image.width, image.height) == (150, 100)
    assert image.own_size == (300, 200)
    np.testing.assert_array_equal(image.detail, np.asarray(picture))
    assert "out of its own 300 × 200 pixels." in image.notes[0]


def test_a_photo_of_working_size_has_one_size_only(tmp_path):
    image = read_image(save(tmp_path / "a.png", striped(150, 100)), max_side=150)
    assert image.own_size is None
    assert image.detail is None
    assert image.notes == ()


def test_the_own_size_is_that_of_the_upright_photo(tmp_path):
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = read_image(save(tmp_path / "a.jpg", striped(300, 200), exif=exif), max_side=150)
    assert image.own_size == (200, 300)
    assert image.detail.shape == (300, 200, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_detail_of_an_enormous_photo_is_half_its_size(tmp_path, monkeypatch, name):
    monkeypatch.setattr("scenelift.io.image.MAX_DETAIL_PIXELS", 50_000)
    image = read_image(save(tmp_path / name, striped(300, 200)), max_side=100)
    assert image.detail.shape == (100, 150, 3)
    assert image.own_size == (300, 200)
    assert "300 × 200 pixels at half that size" in image.notes[0]


@pytest.mark.parametrize("limit", [50_000, 100_000])
def test_whoever_does_not_reconstruct_need_not_keep_them(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("scenelift.io.image.MAX_DETAIL_PIXELS", limit)
    path = save(tmp_path / "a.jpg", striped(300, 200))
    image = read_image(path, max_side=100, detail=False)
    assert image.detail is None
    assert image.own_size == (300, 200)
    assert "cut out" not in image.notes[0]
    np.testing.assert_array_equal(image.pixels, read_image(path, max_side=100).pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_netpbm_is_a_photo(tmp_path, mode):
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    if mode == "RGB":
        picture, expected = PIL.Image.fromarray(values), values
    else:
        grey = values[..., 0]
        grey[0, 0] = 255
        wide = grey.astype(np.uint16) * 257
        picture = PIL.Image.fromarray(wide if mode == "I;16" else grey)
        expected = np.repeat(grey[..., None], 3, -1)
    picture.save(tmp_path / "a.ppm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.ppm").pixels, expected)


def test_what_cannot_be_worked_at_or_decoded_is_refused_with_the_reason(tmp_path):
    PIL.Image.new("RGB", (9000, 20)).save(tmp_path / "pano.png")
    with pytest.raises(ImageError, match=r"9000 × 20 pixels, and 4096 × 9 when reduced"):
        read_image(tmp_path / "pano.png")
    file = tmp_path / "a.tif"
    PIL.Image.new("L", (5, 320)).save(file)
    with pytest.raises(ImageError, match="If those are its channels, export three of them"):
        read_image(file)
    PIL.Image.new("RGB", (20, 20)).save(file, compression="raw")
    data = file.read_bytes()
    tag = (259).to_bytes(2, "little") + (3).to_bytes(2, "little") + (1).to_bytes(4, "little")
    at = data.index(tag) + len(tag)
    file.write_bytes(data[:at] + (50001).to_bytes(2, "little") + data[at + 2 :])
    with pytest.raises(ImageError, match="a TIFF compressed as WebP, which is not read"):
        read_image(file)

"""Loops play for ever, keep their background and show no bands."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image as PillowImage

from scenelift.errors import SetupError
from scenelift.io.animation import write_animation, write_gif, write_mp4, write_png, write_webp


def ramps(count: int = 4) -> list[np.ndarray]:
    """A smooth coloured square that moves over white."""
    frames = []
    for k in range(count):
        frame = np.full((48, 64, 3), 255, np.uint8)
        x, y = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32))
        ramp = np.stack([60 + 120 * x, 80 + 100 * y, 200 - 100 * x], -1)
        frame[8:40, 8 + k : 40 + k] = np.rint(ramp)
        frames.append(frame)
    return frames


def decoded(path) -> list[np.ndarray]:
    with PillowImage.open(path) as gif:
        frames = []
        for k in range(gif.n_frames):
            gif.seek(k)
            frames.append(np.asarray(gif.convert("RGB")))
        return frames


def test_gif_shows_the_frames_for_ever(tmp_path):
    path = tmp_path / "loop.gif"
    write_gif(path, ramps(), fps=20)
    with PillowImage.open(path) as gif:
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == 50
    for shown, frame in zip(decoded(path), ramps(), strict=True):
        background = (frame == 255).all(-1)
        assert (shown[background] == 255).all()
        difference = np.abs(shown.astype(int) - frame)
        assert difference.max() < 40
        # Dithering is right on average: blocks of its pattern, 8 × 8, keep their mean colour.
        error = (shown.astype(float) - frame).reshape(6, 8, 8, 8, 3).mean((1, 3))
        assert np.abs(error).max() < 8


def palettes(data: bytes) -> list[int]:
    """Lengths of the palettes of a GIF's frames, 0 where a frame has that of the file."""
    at, lengths = 13 + 3 * 2 ** ((data[10] & 7) + 1), []
    while data[at] != ord(";"):
        if data[at] == ord(","):
            flags = data[at + 9]
            lengths.append(3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
            at += 10 + lengths[-1] + 1
        else:
            at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    return lengths


def test_gif_has_one_palette_and_a_frame_of_its_own_for_every_picture(tmp_path):
    first, second = ramps(2)
    write_gif(tmp_path / "loop.gif", [first, second, second, first])
    assert palettes((tmp_path / "loop.gif").read_bytes()) == [0, 0, 0, 0]
    shown = decoded(tmp_path / "loop.gif")
    assert len(shown) == 4
    assert (shown[1] == shown[2]).all()
    assert (shown[0] == shown[3]).all()


@pytest.mark.parametrize("frame", [np.zeros((1, 1, 3), np.uint8), np.full((5, 9, 3), 7, np.uint8)])
def test_gif_of_one_plain_frame(tmp_path, frame):
    write_gif(tmp_path / "still.gif", [frame])
    (shown,) = decoded(tmp_path / "still.gif")
    assert (shown == frame).all()


def test_webp_shows_the_frames_for_ever(tmp_path):
    path = tmp_path / "loop.webp"
    write_webp(path, ramps(), fps=20)
    with PillowImage.open(path) as webp:
        webp.load()
        assert webp.info["loop"] == 0
        assert webp.info["duration"] == 50
    for shown, frame in zip(decoded(path), ramps(), strict=True):
        # Lossy, and with half the resolution of colour: edges differ, surfaces hardly.
        assert np.median(np.abs(shown.astype(int) - frame)) <= 2


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_mp4_is_a_film_of_the_frames(tmp_path, size):
    frames = [frame[: size[0], : size[1]] for frame in ramps()]
    write_mp4(tmp_path / "loop.mp4", frames, fps=20)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "loop.mp4")]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    shown = np.frombuffer(raw, np.uint8).reshape(-1, 48, 64, 3)
    assert len(shown) == 3 * len(frames)
    for film, frame in zip(shown, frames * 3, strict=True):
        difference = film[: size[0], : size[1]].astype(int) - frame
        assert np.median(np.abs(difference)) <= 3  # studio range and a lossy code
    assert list(tmp_path.iterdir()) == [tmp_path / "loop.mp4"]


def test_mp4_without_ffmpeg_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="apt install ffmpeg"):
        write_mp4(tmp_path / "loop.mp4", ramps())
    assert not list(tmp_path.iterdir())


def test_the_ending_chooses_the_format(tmp_path):
    for name, magic in (("a.gif", b"GIF89a"), ("a.webp", b"RIFF")):
        write_animation(tmp_path / name, ramps())
        assert (tmp_path / name).read_bytes().startswith(magic)
    with pytest.raises(ValueError, match="avi"):
        write_animation(tmp_path / "a.avi", ramps())


def test_gif_refuses_no_frames_and_mixed_sizes(tmp_path):
    with pytest.raises(ValueError, match="one size"):
        write_gif(tmp_path / "none.gif", [])
    with pytest.raises(ValueError, match="one size"):
        write_gif(tmp_path / "mixed.gif", [np.zeros((2, 2, 3), np.uint8), ramps()[0]])
    assert not list(tmp_path.iterdir())


def test_png_is_lossless(tmp_path):
    write_png(tmp_path / "a.png", ramps()[0])
    with PillowImage.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == ramps()[0]).all()


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_gif(tmp_path / f"{name}.gif", ramps())
        write_png(tmp_path / f"{name}.png", ramps()[0])
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

"""Compact splat files, read back by decoders written from each format's description."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import PIL.Image
import pytest
from scipy.spatial import cKDTree

from scenelift.errors import FormatError
from scenelift.geometry.transforms import take_gaussians
from scenelift.io.splat_formats import SPLAT_FORMATS, morton_order, write_splats
from scenelift.io.splat_reader import read_splats
from scenelift.types import SH_C0, Gaussians

COUNT = 700  # more than two chunks of 256


@pytest.fixture
def gaussians(rng):
    rotations = rng.normal(size=(COUNT, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=rng.uniform(-0.5, 0.5, (COUNT, 3)).astype(np.float32),
        scales=rng.uniform(0.002, 0.02, (COUNT, 3)).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0.05, 0.99, COUNT).astype(np.float32),
        sh0=Gaussians.sh0_of(rng.uniform(0, 1, (COUNT, 3))),
    )


def gaussians_from(means, scales, rotations, opacities, rgb) -> Gaussians:
    return Gaussians(
        means=np.asarray(means, np.float32),
        scales=np.asarray(scales, np.float32),
        rotations=np.asarray(rotations, np.float32),
        opacities=np.asarray(opacities, np.float32),
        sh0=Gaussians.sh0_of(rgb),
    )


def smallest_three(index, parts, bound) -> np.ndarray:
    """Quaternions of which the largest part was left out; `parts` in −1…1."""
    rest = parts * bound
    largest = np.sqrt(np.maximum(0, 1 - (rest**2).sum(1)))
    out = np.zeros((len(rest), 4))
    for k in range(4):
        chosen = index == k
        out[np.ix_(chosen, [i for i in range(4) if i != k])] = rest[chosen]
        out[chosen, k] = largest[chosen]
    return out


def read_spz(data: bytes) -> Gaussians:
    raw = gzip.decompress(data)
    magic, version, n, degree, fraction, _, _ = struct.unpack_from("<IIIBBBB", raw)
    assert (magic, version, degree) == (0x5053474E, 3, 0)
    at = 16

    def take(width):
        nonlocal at
        part = np.frombuffer(raw, np.uint8, n * width, at).reshape(n, width)
        at += n * width
        return part.astype(np.int64)

    b = take(9)
    fixed = b[:, 0::3] | b[:, 1::3] << 8 | b[:, 2::3] << 16
    means = np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed) / 2**fraction
    opacities = take(1)[:, 0] / 255
    rgb = 0.5 + SH_C0 * (take(3) / 255 - 0.5) / 0.15
    scales = np.exp(take(3) / 16 - 10)
    q = take(4)
    word = q[:, 0] | q[:, 1] << 8 | q[:, 2] << 16 | q[:, 3] << 24
    fields = np.stack([word >> 20 & 0x3FF, word >> 10 & 0x3FF, word & 0x3FF], 1)
    values = np.where(fields & 0x200, -1, 1) * (fields & 0x1FF) / 511
    xyzw = smallest_three(word >> 30, values, np.sqrt(0.5))
    assert at == len(raw)
    return gaussians_from(means, scales, np.roll(xyzw, 1, axis=1), opacities, rgb)


def read_splat(data: bytes) -> Gaussians:
    row = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
    rows = np.frombuffer(data, row)
    rotations = (rows["quat"].astype(float) - 128) / 128
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    rgba = rows["rgba"] / 255
    return gaussians_from(rows["mean"], rows["scale"], rotations, rgba[:, 3], rgba[:, :3])


def read_compressed_ply(data: bytes) -> Gaussians:
    header, body = data.split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    counts = dict(line.split()[1:] for line in lines if line.startswith("element"))
    n, chunks = int(counts["vertex"]), int(counts["chunk"])
    names: list[str] = []
    for line in lines[lines.index(f"element chunk {chunks}") + 1 :]:
        if line.startswith("element"):
            break
        names.append(line.split()[-1])
    table = np.frombuffer(body, "<f4", chunks * len(names)).reshape(chunks, len(names))
    column = {name: table[:, k][np.arange(n) // 256] for k, name in enumerate(names)}
    packed = np.frombuffer(body, "<u4", n * 4, table.nbytes).reshape(n, 4).astype(np.int64)

    def unpack(word, bits):
        out, shift = [], 32
        for b in bits:
            shift -= b
            out.append((word >> shift & (1 << b) - 1) / ((1 << b) - 1))
        return np.stack(out, 1)

    def between(unit, suffixes, prefix=""):
        return np.stack(
            [
                column[f"min_{prefix}{s}"] * (1 - unit[:, k])
                + column[f"max_{prefix}{s}"] * unit[:, k]
                for k, s in enumerate(suffixes)
            ],
            1,
        )

    means = between(unpack(packed[:, 0], (11, 10, 11)), "xyz")
    scales = np.exp(between(unpack(packed[:, 2], (11, 10, 11)), "xyz", "scale_"))
    rest = (unpack(packed[:, 1], (2, 10, 10, 10))[:, 1:] - 0.5) * 2
    rotations = smallest_three(packed[:, 1] >> 30, rest, np.sqrt(0.5))
    rgba = unpack(packed[:, 3], (8, 8, 8, 8))
    rgb = between(rgba, "rgb") if "min_r" in column else rgba[:, :3]
    return gaussians_from(means, scales, rotations, rgba[:, 3], rgb)


def read_sog(data: bytes) -> Gaussians:
    archive = zipfile.ZipFile(io.BytesIO(data))
    meta = json.loads(archive.read("meta.json"))
    n = meta["count"]

    def picture(name):
        with PIL.Image.open(io.BytesIO(archive.read(name))) as image:
            return np.asarray(image.convert("RGBA")).reshape(-1, 4)[:n].astype(np.int64)

    low, high = (picture(name)[:, :3] for name in meta["means"]["files"])
    unit = (high << 8 | low) / 65535
    mins, maxs = np.array(meta["means"]["mins"]), np.array(meta["means"]["maxs"])
    logs = mins + (maxs - mins) * unit
    means = np.sign(logs) * np.expm1(np.abs(logs))
    scales = np.exp(
        np.array(meta["scales"]["codebook"])[picture(meta["scales"]["files"][0])[:, :3]]
    )
    quats = picture(meta["quats"]["files"][0])
    rest = (quats[:, :3] / 255 - 0.5) * 2
    rotations = smallest_three(quats[:, 3] - 252, rest, np.sqrt(0.5))
    colour = picture(meta["sh0"]["files"][0])
    sh0 = np.array(meta["sh0"]["codebook"])[colour[:, :3]]
    return gaussians_from(means, scales, rotations, colour[:, 3] / 255, 0.5 + SH_C0 * sh0)


# Version 4 of SPZ is read by splat-transform and PlayCanvas' own library in `make test-interop`.
DECODED = ("spz3", "sog", "splat", "compressed.ply")
READERS = dict(zip(DECODED, (read_spz, read_sog, read_splat, read_compressed_ply), strict=True))

# What each format's steps allow: position, relative scale, 1 − |cosine| of half the angle between
# rotations, opacity, colour.
LIMITS = {
    "spz3": (2.0**-12, 0.032, 1e-5, 0.003, 0.006),
    "sog": (1e-4, 0.03, 1e-4, 0.005, 0.01),
    "splat": (1e-6, 1e-5, 1e-4, 0.005, 0.005),
    "compressed.ply": (1e-3, 0.01, 1e-5, 0.003, 0.006),
}


@pytest.mark.parametrize("kind", DECODED)
def test_splats_come_back_as_near_as_the_format_allows(kind, gaussians, tmp_path):
    path = tmp_path / f"scene.{kind}"
    write_splats(path, gaussians, kind)
    back = READERS[kind](path.read_bytes())
    assert len(back) == COUNT
    _, match = cKDTree(back.means).query(gaussians.means)
    assert len(set(match.tolist())) == COUNT
    back = take_gaussians(back, match)
    position, scale, rotation, opacity, colour = LIMITS[kind]
    assert np.abs(back.means - gaussians.means).max() <= position
    assert np.abs(back.scales / gaussians.scales - 1).max() <= scale
    cosine = np.abs((back.rotations * gaussians.rotations).sum(1))
    assert (1 - cosine).max() <= rotation
    assert np.abs(back.opacities - gaussians.opacities).max() <= opacity
    assert np.abs(back.rgb - gaussians.rgb).max() <= colour


def test_the_same_splats_give_the_same_bytes(gaussians, tmp_path):
    for name in ("a", "b"):
        write_splats(tmp_path / name, gaussians, "compressed.ply")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("kind", SPLAT_FORMATS)
def test_nothing_to_write_is_said(kind, gaussians, tmp_path):
    none = take_gaussians(gaussians, np.arange(0))
    with pytest.raises(FormatError, match="no splats"):
        write_splats(tmp_path / "scene", none, kind)
    assert not list(tmp_path.iterdir())


def test_neighbours_on_the_curve_are_neighbours_in_space(rng):
    points = rng.uniform(size=(4096, 3)).astype(np.float32)
    order = morton_order(points)
    assert sorted(order) == list(range(4096))

    def step(p):
        return np.linalg.norm(np.diff(p, axis=0), axis=1).mean()

    # A random order walks 0.66 a step; cells of a 16³ grid are 1/16 wide.
    assert step(points[order]) < 0.15 < 0.6 < step(points)


def test_spz_is_version_4_with_the_numbers_of_version_3(gaussians, tmp_path):
    for kind, name in (("spz", "four.spz"), ("spz3", "three.spz")):
        write_splats(tmp_path / name, gaussians, kind)
    assert (tmp_path / "four.spz").read_bytes()[:8] == struct.pack("<II", 0x5053474E, 4)
    four, three = (read_splats(tmp_path / name) for name in ("four.spz", "three.spz"))
    for field in ("means", "scales", "rotations", "opacities", "sh0"):
        np.testing.assert_array_equal(getattr(four, field), getattr(three, field))


@pytest.mark.parametrize("kind", SPLAT_FORMATS)
def test_y_down_turns_every_kind_but_spz(kind, gaussians, tmp_path):
    path = tmp_path / f"scene.{'spz' if kind == 'spz3' else kind}"
    write_splats(path, gaussians, kind, frame="y-down")
    back = read_splats(path)  # which knows what axes each kind has
    distance, _ = cKDTree(back.means).query(gaussians.means)
    assert distance.max() < 2e-3

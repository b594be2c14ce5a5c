"""Other programs' splats are read, and converted with the axes that each kind has."""

import gzip
import struct
import zipfile

import numpy as np
import pytest
from scipy.spatial import KDTree
from tests.io.test_glb_splats import some_splats

from scenelift.errors import InputError
from scenelift.geometry.transforms import transform_gaussians
from scenelift.io.ply import ply_bytes
from scenelift.io.splat_reader import HALF_TURN, convert_splats, kind_of, read_splats
from scenelift.types import SH_C0, Gaussians

# How far what is packed may be from what it was: 8 and 11 bits, and 24 of positions.
TOLERANCE = {"scales": 0.02, "opacities": 0.02, "sh0": 0.06 / SH_C0}


@pytest.fixture
def source(tmp_path):
    """A PLY as viewers expect it: y down."""
    path = tmp_path / "in.ply"
    path.write_bytes(ply_bytes(transform_gaussians(some_splats(200), HALF_TURN)))
    return path


def assert_alike(read: Gaussians, expected: Gaussians) -> None:
    """Every splat is the other's nearest, and looks like it."""
    assert len(read) == len(expected)
    distance, nearest = KDTree(read.means).query(expected.means)
    assert len(set(nearest)) == len(expected)
    assert distance.max() < 0.01
    for name, tolerance in TOLERANCE.items():
        values = getattr(expected, name)
        if name == "sh0":
            values = np.clip(values, -0.5 / SH_C0, 0.5 / SH_C0)  # bytes of colour end there
        got = np.clip(getattr(read, name)[nearest], values.min(), values.max())
        np.testing.assert_allclose(got, values, atol=tolerance, err_msg=name)
    dots = np.abs((read.rotations[nearest] * expected.rotations).sum(1))
    assert dots.min() > 0.99


@pytest.mark.parametrize("kind", ["ply", "compressed.ply", "splat", "sog", "spz", "glb"])
def test_every_kind_is_read_into_our_axes(source, tmp_path, kind):
    target = tmp_path / f"out.{kind}"
    assert convert_splats(source, target) == 200
    assert_alike(read_splats(target), some_splats(200))


@pytest.mark.parametrize("version", [3, 4])
def test_both_versions_of_spz_are_written_and_read(source, tmp_path, version):
    target = tmp_path / "out.spz"
    convert_splats(source, target, spz_version=version)
    assert (target.read_bytes()[:2] == b"\x1f\x8b") == (version == 3)  # gzip
    assert_alike(read_splats(target), some_splats(200))


def test_spz_2_of_older_tools_is_read(tmp_path):
    """Version 2 has quaternions of three bytes: x, y, z, for a positive w."""
    places = np.array([[0.5, -0.25, 1.0], [-1.5, 2.0, -0.125]])
    turns = np.array([[0.8, 0.6, 0, 0], [0.5, 0.5, -0.5, 0.5]])  # w, x, y, z
    fixed = np.round(places * 2**12).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
    raw = struct.pack("<IIIBBBB", 0x5053474E, 2, 2, 0, 12, 0, 0)
    raw += fixed.tobytes() + bytes([128, 255]) + bytes([128, 166, 89] * 2)
    raw += bytes([96, 112, 128] * 2)  # (logarithm of the scale + 10) · 16
    raw += np.round(turns[:, 1:] * 127.5 + 127.5).astype(np.uint8).tobytes()
    (tmp_path / "old.spz").write_bytes(gzip.compress(raw))
    splats = read_splats(tmp_path / "old.spz")
    np.testing.assert_allclose(splats.means, places, atol=1e-3)
    same = np.abs((splats.rotations * turns).sum(1))
    np.testing.assert_allclose(same, 1, atol=1e-3)
    np.testing.assert_allclose(np.log(splats.scales), [[-4, -3, -2]] * 2, atol=1e-3)
    np.testing.assert_allclose(splats.sh0[0], [0, 1, -1], atol=0.03)


def test_a_frame_that_is_named_wins(source):
    upside_down = read_splats(source, frame="y-up")
    np.testing.assert_allclose(
        upside_down.means, some_splats(200).means * np.float32([1, -1, -1]), atol=1e-6
    )


def harmonics(direction: np.ndarray) -> np.ndarray:
    """Real spherical harmonics of degree 1 to 3 as polynomials, [15], without their factors."""
    x, y, z = direction
    return np.array(
        [
            *(y, z, x),
            *(x * y, y * z, 2 * z * z - x * x - y * y, x * z, x * x - y * y),
            y * (3 * x * x - y * y),
            x * y * z,
            y * (4 * z * z - x * x - y * y),
            z * (2 * z * z - 3 * x * x - 3 * y * y),
            x * (4 * z * z - x * x - y * y),
            z * (x * x - y * y),
            x * (x * x - 3 * y * y),
        ]
    )


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_turn_with_the_splats(tmp_path, degree):
    """A colour seen from a direction is seen from the turned direction afterwards."""
    rng = np.random.default_rng(degree)
    per_channel = (degree + 1) ** 2 - 1
    rest = rng.normal(size=3 * per_channel).astype("<f4")
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{k}" for k in range(3 * per_channel)]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    row = np.array([1, 2, 3, 0, 0, 0, *rest, 0, -4, -4, -4, 1, 0, 0, 0], "<f4")
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 1\n"
    head += "".join(f"property float {n}\n" for n in names) + "end_header\n"
    (tmp_path / "in.ply").write_bytes(head.encode() + row.tobytes())
    convert_splats(tmp_path / "in.ply", tmp_path / "out.ply", target_frame="y-up")
    data = (tmp_path / "out.ply").read_bytes()
    turned = np.frombuffer(data[data.index(b"end_header\n") + 11 :], "<f4")
    np.testing.assert_allclose(turned[:3], [1, -2, -3])
    first = names.index("f_rest_0")
    after = turned[first : first + 3 * per_channel].reshape(3, per_channel)
    direction = rng.normal(size=3)
    for channel in range(3):
        before = rest.reshape(3, per_channel)[channel] @ harmonics(direction)[:per_channel]
        now = after[channel] @ harmonics(direction * [1, -1, -1])[:per_channel]
        assert now == pytest.approx(before, rel=1e-4)


def test_what_is_no_splat_file_is_refused_with_the_endings_that_are(tmp_path):
    with pytest.raises(InputError, match=r"compressed\.ply"):
        kind_of(tmp_path / "scene.obj")


@pytest.mark.parametrize("kind", ["compressed.ply", "splat", "sog", "spz", "glb", "ply"])
@pytest.mark.parametrize("cut", [0, 40, -7])
def test_damage_is_our_error(source, tmp_path, kind, cut):
    whole, damaged = tmp_path / f"whole.{kind}", tmp_path / f"damaged.{kind}"
    convert_splats(source, whole)
    damaged.write_bytes(whole.read_bytes()[:cut] if cut else b"")
    with pytest.raises(InputError, match=damaged.name.replace(".", r"\.")):
        read_splats(damaged)


def test_what_breaks_the_native_reader_is_an_error_like_any_other(source, tmp_path):
    """A picture in a SOG that ends early made the whole process end."""
    whole, broken = tmp_path / "whole.sog", tmp_path / "broken.sog"
    convert_splats(source, whole)
    with zipfile.ZipFile(whole) as before, zipfile.ZipFile(broken, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, content[:40] if name == "means_l.webp" else content)
    with pytest.raises(InputError, match=r"cannot be read as \.sog"):
        read_splats(broken)


@pytest.mark.parametrize("kind", ["spz", "sog", "glb"])
def test_what_only_has_the_ending_is_told_in_terms_of_that_kind(tmp_path, kind):
    file = tmp_path / f"a.{kind}"
    for content in (b"", bytes(range(1, 200)) * 20):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"is no \.{kind}|no glTF 2.0 binary, or cut short"):
            read_splats(file)

"""Splats survive the file; hostile files are refused with a reason."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scenelift.errors import InputError
from scenelift.io.ply import PROPERTIES, read_ply, write_ply
from scenelift.types import Gaussians


def some_splats(count: int = 5) -> Gaussians:
    rng = np.random.default_rng(count)
    rotations = rng.normal(size=(count, 4))
    return Gaussians(
        means=rng.normal(size=(count, 3)).astype(np.float32),
        scales=rng.uniform(0.01, 1, (count, 3)).astype(np.float32),
        rotations=(rotations / np.linalg.norm(rotations, axis=1, keepdims=True)).astype(np.float32),
        opacities=rng.uniform(0.01, 0.99, count).astype(np.float32),
        sh0=rng.normal(size=(count, 3)).astype(np.float32),
    )


def floats(low: float, high: float):
    return st.floats(low, high, width=32, allow_subnormal=False)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), count=st.integers(0, 8))
def test_round_trip(tmp_path_factory, data, count):
    def draw(shape, low, high):
        return data.draw(hnp.arrays(np.float32, shape, elements=floats(low, high)))

    rotations = draw((count, 4), -1, 1) + np.float32([2, 0, 0, 0])
    splats = Gaussians(
        means=draw((count, 3), -1e6, 1e6),
        scales=draw((count, 3), 2**-30, 2**20),
        rotations=rotations / np.linalg.norm(rotations, axis=1, keepdims=True),
        opacities=draw(count, 0, 1),
        sh0=draw((count, 3), -4, 4),
    )
    path = tmp_path_factory.mktemp("ply") / "scene.ply"
    write_ply(path, splats)
    back = read_ply(path)
    np.testing.assert_array_equal(back.means, splats.means)
    np.testing.assert_array_equal(back.sh0, splats.sh0)
    np.testing.assert_allclose(back.rotations, splats.rotations, atol=1e-6)
    # The log of a float32 near 20 is known to 1e-6, hence the scale to as many parts.
    np.testing.assert_allclose(back.scales, splats.scales, rtol=4e-6)
    # Opacities are kept 1e-6 away from 0 and 1.
    np.testing.assert_allclose(back.opacities, splats.opacities, atol=2e-6)


def test_the_file_is_what_inria_code_reads(tmp_path):
    path = tmp_path / "scene.ply"
    splats = some_splats(1)
    write_ply(path, splats)
    header, body = path.read_bytes().split(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 1"]
    assert lines[3:] == [
        f"property float {name}"
        for name in (
            *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
            *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
        )
    ]
    row = struct.unpack("<17f", body)
    assert row[:3] == tuple(splats.means[0].tolist())
    assert row[3:6] == (0, 0, 0)
    assert 1 / (1 + np.exp(-row[9])) == pytest.approx(splats.opacities[0])
    assert np.exp(row[10:13]) == pytest.approx(splats.scales[0])
    assert row[13:] == tuple(splats.rotations[0].tolist())


def test_colmap_frame_has_y_down_and_z_forward(tmp_path):
    splats = some_splats()
    write_ply(tmp_path / "colmap.ply", splats, frame="colmap")
    turned = read_ply(tmp_path / "colmap.ply")
    np.testing.assert_allclose(turned.means, splats.means * [1, -1, -1], atol=1e-6)
    write_ply(tmp_path / "back.ply", turned, frame="colmap")
    back = read_ply(tmp_path / "back.ply")
    same = np.abs((back.rotations * splats.rotations).sum(1))  # q and −q are one rotation
    np.testing.assert_allclose(same, 1, atol=1e-6)


def test_the_same_splats_give_the_same_bytes(tmp_path):
    for name in ("a.ply", "b.ply"):
        write_ply(tmp_path / name, some_splats())
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def ply_bytes(names=PROPERTIES, *, rows=2, kind="float", value=0.5, before="", after="") -> bytes:
    header = f"ply\nformat binary_little_endian 1.0\ncomment made by hand\n{before}"
    header += f"element vertex {rows}\n" + "".join(f"property {kind} {n}\n" for n in names)
    header += f"{after}end_header\n"
    code = {"float": "f", "double": "d"}[kind]
    return header.encode() + struct.pack(
        f"<{len(names) * rows}{code}", *[value] * len(names) * rows
    )


@pytest.mark.parametrize(
    "data",
    [
        ply_bytes(tuple(reversed(PROPERTIES))),
        ply_bytes((*PROPERTIES[:9], *(f"f_rest_{i}" for i in range(45)), *PROPERTIES[9:])),
        ply_bytes(tuple(n for n in PROPERTIES if n not in ("nx", "ny", "nz"))),
        ply_bytes(kind="double"),
        ply_bytes(after="element face 0\nproperty list uchar int vertex_indices\n"),
        ply_bytes().replace(b"\n", b"\r\n", 21),
    ],
    ids=["other order", "degree 3", "no normals", "double", "faces after", "windows lines"],
)
def test_reads_what_other_programs_write(tmp_path, data):
    path = tmp_path / "other.ply"
    path.write_bytes(data)
    splats = read_ply(path)
    assert splats.means.tolist() == [[0.5] * 3] * 2
    np.testing.assert_allclose(splats.scales, np.exp(0.5), rtol=1e-6)
    np.testing.assert_allclose(splats.rotations, 0.5)


GOOD = ply_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not start"),
        (b"solid cube", "does not start"),
        (b"ply\n", "does not end"),
        (b"ply\n" + b"comment " + b"x" * 100_000 + b"\nend_header\n", "does not end"),
        (b"ply\n" + b"comment x\n" * 100_000, "does not end"),
        (GOOD[:-1], "cut short"),
        (GOOD.replace(b"vertex 2", b"vertex 999999999999"), "cut short"),
        (GOOD.replace(b"vertex 2", b"vertex -2"), "number of splats"),
        (GOOD.replace(b"vertex 2", b"vertex " + b"9" * 5000), "number of splats"),
        (GOOD.replace(b"binary_little_endian", b"ascii"), "format is ascii"),
        (GOOD.replace(b"float opacity", b"float opacitx"), "no opacity"),
        (GOOD.replace(b"float opacity", b"half opacity"), "type 'half'"),
        (GOOD.replace(b"float nx", b"list uchar int nx"), "list"),
        (GOOD.replace(b"float nx", b"float x"), "twice"),
        (GOOD.replace(b"element vertex 2\n", b""), "no x"),
        (ply_bytes(before="element face 0\nproperty float q\n"), "before the vertices"),
        (ply_bytes(value=float("nan")), "not finite"),
        (ply_bytes(value=1e30), "not finite"),
    ],
)
def test_refuses_what_it_cannot_trust(tmp_path, data, reason):
    path = tmp_path / "bad.ply"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason):
        read_ply(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.ply"):
        read_ply(tmp_path / "none.ply")

"""Depth of the user's is used as it is: at the photo's size, with the camera that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from tests.drivers.pictures import png_of_16_bits

from scenelift.errors import InputError
from scenelift.pointmap.given import GivenPointMapper
from scenelift.progress import silent
from scenelift.types import Image

PHOTO = Image(pixels=np.zeros((40, 60, 3), np.uint8))


def estimate(path, photo=PHOTO, **options):
    return GivenPointMapper.from_file(path, **options).estimate(photo, [], silent())


def ramp(height=40, width=60):
    return np.tile(np.linspace(1, 3, width, dtype=np.float32), (height, 1))


def test_depth_becomes_points_along_the_rays(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    result = estimate(tmp_path / "d.npy")
    np.testing.assert_allclose(-result.points[..., 2], ramp())
    pixels = result.camera.project(result.points)
    np.testing.assert_allclose(pixels[3, 7], [7.5, 3.5], atol=1e-3)
    assert result.scale == "measured"


def test_a_png_counts_in_millimetres_unless_told_otherwise(tmp_path):
    values = np.full((40, 60), 1500, np.uint16)
    values[0, 0] = 0
    PIL.Image.fromarray(values).save(tmp_path / "d.png")
    points = estimate(tmp_path / "d.png").points
    assert points[5, 5, 2] == pytest.approx(-1.5)
    assert np.isnan(points[0, 0]).all()
    assert estimate(tmp_path / "d.png", scale=0.01).points[5, 5, 2] == pytest.approx(-15)


def test_intrinsics_are_scaled_with_the_photo(tmp_path):
    k = np.array([[50.0, 0, 14], [0, 55.0, 11], [0, 0, 1]])
    np.savez(tmp_path / "d.npz", depth=ramp(20, 30), intrinsics=k)
    camera = estimate(tmp_path / "d.npz").camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (100, 110, 28, 22)


def test_exif_gives_the_focal_length_where_nothing_else_does(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    photo = Image(pixels=PHOTO.pixels, focal_px=77.0)
    assert estimate(tmp_path / "d.npy", photo).camera.fx == pytest.approx(77)


def test_points_are_kept_and_those_behind_the_camera_are_none(tmp_path):
    points = np.dstack([ramp(), ramp(), -ramp()])
    points[1, 1, 2] = 2.0
    np.savez(tmp_path / "p.npz", points=points)
    result = estimate(tmp_path / "p.npz").points
    np.testing.assert_array_equal(result[5, 5], points[5, 5])
    assert np.isnan(result[1, 1]).all()


def test_resampling_never_mixes_near_and_far(tmp_path):
    depth = np.where(np.arange(30) < 15, 1.0, 9.0) * np.ones((20, 1))
    np.save(tmp_path / "d.npy", depth)
    assert set(np.unique(-estimate(tmp_path / "d.npy").points[..., 2])) == {1.0, 9.0}


def test_holes_of_every_kind_are_nan(tmp_path):
    depth = ramp()
    depth[0, :4] = [np.nan, np.inf, -1, 0]
    np.save(tmp_path / "d.npy", depth)
    points = estimate(tmp_path / "d.npy").points
    assert np.isnan(points[0, :4]).all()
    assert np.isfinite(points[1:]).all()


def huge_claim():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2000000, 2000000), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.npy", None, "no depth file"),
        ("a.npy", lambda p: p.write_bytes(b""), "cannot be read"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY"), "cannot be read"),
        ("a.npz", lambda p: p.write_bytes(b"PK\x03\x04"), "cannot be read"),
        ("a.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True), "cannot be read"),
        ("a.npy", lambda p: np.save(p, np.zeros(5)), r"float64 \[5\]"),
        ("a.npy", lambda p: np.save(p, np.zeros((0, 5))), "expected"),
        ("a.npy", lambda p: p.write_bytes(huge_claim()), "more than any photo"),
        ("a.npy", lambda p: np.save(p, np.zeros((4, 6))), "no point in front"),
        ("a.npz", lambda p: np.savez(p, a=ramp(), b=ramp()), "holds a, b"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), intrinsics=np.eye(2)), "3×3"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), intrinsics=np.zeros((3, 3))), "positive"),
        ("a.png", lambda p: PIL.Image.new("RGB", (60, 40)).save(p), "16-bit grey"),
        ("a.exr", lambda p: p.write_bytes(b"v/1"), "cannot be read"),
        ("a.tiff", lambda p: p.write_bytes(b"II*"), "cannot be read"),
        ("a.jpg", lambda p: p.write_bytes(b""), "not a depth file"),
        ("a.png", lambda p: PIL.Image.new("L", (60, 40), 9).save(p), "8-bit grey.*--depth-scale"),
        ("a.npy", lambda p: np.save(p, ramp() * 1000), "median depth of 2000.*0.001"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), K=np.ones((4, 4))), "4×4.*Give its 3×3"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), K=np.eye(3)[[1, 2, 0]]), "turns or mirrors"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), focal=1.2), "focal 1.2 is not a focal"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), cx=30, cy=20), "no focal length. Add fx"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), fx=np.ones(2)), "'fx' must be one finite"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), fov_x=170.0), "an angle of view in degrees"),
        ("a.npy", lambda p: np.save(p, ramp().astype(np.uint8)), "8-bit numbers.*--depth-scale"),
        ("a.npy", lambda p: np.save(p, ramp().round().astype(int)), "median of 2, .*--depth-scale"),
        ("a.npy", lambda p: np.save(p, (ramp() - 1) / 2), "0 to 1 exactly.*metres are lost"),
        ("a.npy", lambda p: np.save(p, np.full((40, 60), -1.0)), "no point in front"),
        ("a.npz", lambda p: np.savez(p, depth=ramp(), depth_scale=-1.0), "one positive number"),
        ("a.npz", lambda p: np.savez(p, disparity=-ramp()), "no positive disparity"),
        ("a.tif", lambda p: tifffile.imwrite(p, np.stack([ramp()] * 2)), "has several pages"),
    ],
)
def test_what_is_no_depth_is_refused(tmp_path, name, make, message):
    if make:
        make(tmp_path / name)
    with pytest.raises(InputError, match=message):
        GivenPointMapper.from_file(tmp_path / name)


def test_other_proportions_than_the_photos_are_refused(tmp_path):
    np.save(tmp_path / "d.npy", ramp(30, 30))
    with pytest.raises(InputError, match="proportions differ"):
        estimate(tmp_path / "d.npy")


def test_a_scale_must_be_positive(tmp_path):
    np.save(tmp_path / "d.npy", ramp())
    with pytest.raises(InputError, match="positive number"):
        GivenPointMapper.from_file(tmp_path / "d.npy", scale=-1)


def write_exr(path, **channels):
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


def halves(depth):
    """Rounded to steps that 16 bits of floating point have exactly, up to 4 m."""
    return (np.round(depth * 512) / 512).astype(np.float16)


WRITERS = {
    "exr-z": ("d.exr", lambda p, d: write_exr(p, Z=d)),
    "exr-blender": ("d.exr", lambda p, d: write_exr(p, **{"ViewLayer.Depth.Z": d})),
    "exr-beside-colours": (
        "d.exr",
        lambda p, d: write_exr(p, Z=d, **{c: d * k for k, c in enumerate("RGB")}),
    ),
    "exr-grey": ("d.exr", lambda p, d: write_exr(p, **dict.fromkeys("RGB", d))),
    "tiff-float": ("d.tiff", lambda p, d: PIL.Image.fromarray(d).save(p)),
    "tiff-16": (
        "d.tif",
        lambda p, d: PIL.Image.fromarray(np.round(d * 1000).astype(np.uint16)).save(p),
    ),
    "tiff-float64": ("d.tif", lambda p, d: tifffile.imwrite(p, d.astype(np.float64))),
    "tiff-float64-big-packed": (
        "d.tif",
        lambda p, d: tifffile.imwrite(p, d.astype(">f8"), bigtiff=True, compression="zlib"),
    ),
    "tiff-float16": ("d.tif", lambda p, d: tifffile.imwrite(p, halves(d), tile=(16, 16))),
    "tiff-float16-motorola": (
        "d.tif",
        lambda p, d: tifffile.imwrite(p, halves(d), byteorder=">", compression="zlib"),
    ),
    "tiff-points": (
        "d.tiff",
        lambda p, d: tifffile.imwrite(p, np.dstack([d * 2, d * 3, d]), photometric="rgb"),
    ),
    "tiff-grey-as-colour": (
        "d.tiff",
        lambda p, d: tifffile.imwrite(p, np.dstack([d] * 3), photometric="rgb"),
    ),
    "png-48-bits": (
        "d.png",
        lambda p, d: p.write_bytes(png_of_16_bits(np.dstack([np.round(d * 1000)] * 3))),
    ),
    "pgm-16": (
        "d.pgm",
        lambda p, d: PIL.Image.fromarray(np.round(d * 1000).astype(np.uint16)).save(p),
    ),
    "npy-16": ("d.npy", lambda p, d: np.save(p, np.round(d * 1000).astype(np.uint16))),
    "npy-batch": ("d.npy", lambda p, d: np.save(p, d[None])),
    "npy-channel": ("d.npy", lambda p, d: np.save(p, d[None, ..., None])),
    "npz-arr_0": ("d.npz", lambda p, d: np.savez(p, d)),
    "npz-only": ("d.npz", lambda p, d: np.savez(p, prediction=d)),
    "opencv-points": ("d.npz", lambda p, d: np.savez(p, points=np.dstack([d, d, d]))),
    "points-first": ("d.npy", lambda p, d: np.save(p, np.stack([d, d, -d]))),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_depth_is_in_metres_whatever_wrote_it(tmp_path, kind):
    name, write = WRITERS[kind]
    write(tmp_path / name, ramp())
    result = estimate(tmp_path / name)
    # Whole millimetres are half a millimetre off at most, 512 steps a metre one.
    atol = 1e-3 if "float16" in kind else 5.1e-4
    np.testing.assert_allclose(-result.points[..., 2], ramp(), atol=atol)


def test_points_of_opencv_are_turned_into_our_frame(tmp_path):
    np.savez(tmp_path / "p.npz", points=np.dstack([ramp(), 2 * ramp(), 3 * ramp()]))
    expected = np.dstack([ramp(), -2 * ramp(), -3 * ramp()])
    np.testing.assert_array_equal(estimate(tmp_path / "p.npz").points, expected)


K = np.array([[72.0, 0, 30], [0, 72.0, 20], [0, 0, 1]])  # of the photo's 60 × 40


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("intrinsics", K / [[60], [40], [1]]),  # as MoGe writes them
        ("K", K),
        ("cam_K", K[None]),
        ("camera_matrix", K.T),
        ("intrinsics", [72.0, 72.0, 30.0, 20.0]),
        ("intrinsics", K / [[2], [2], [1]]),  # of the depth's 30 × 20
        ("K", np.pad(K, (0, 1)) + np.diag([0, 0, 0, 1])),
        ("K", np.pad(K, [(0, 0), (0, 1)]) * 2),  # a projection, of any scale
        ("fx fy cx cy", [72.0, 72.0, 30.0, 20.0]),
        ("fx fy cx cy", [1.2, 1.8, 0.5, 0.5]),
        ("fx fy", [36.0, 36.0]),  # without a middle: pixels of the depth's 30 × 20
        ("focal", [36.0]),
        ("fov_x", [np.rad2deg(2 * np.arctan(30 / 72))]),
        ("fov_y", [2 * np.arctan(20 / 72)]),  # radians
        ("cameraMatrix", K),
        ("Intrinsics", K),
        ("cam_intrinsics", K),
        ("intrinsic_matrix", K),
        ("mtx", K),
        ("k", K),
        ("focallength_px", [[36.0]]),
    ],
)
def test_intrinsics_are_understood_as_they_come(tmp_path, name, value):
    numbers = dict(zip(name.split(), value, strict=True)) if name[0] == "f" else {name: value}
    np.savez(tmp_path / "d.npz", depth=ramp(20, 30), **numbers)
    camera = estimate(tmp_path / "d.npz").camera
    np.testing.assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], [72, 72, 30, 20])


def test_intrinsics_of_another_picture_are_refused_with_its_size(tmp_path):
    np.savez(tmp_path / "d.npz", depth=ramp(), K=K * [[8], [8], [1]])
    with pytest.raises(InputError, match=r"about 480 × 320 pixels\. The depth is 60 × 40"):
        estimate(tmp_path / "d.npz")


def test_what_a_mask_leaves_out_and_what_lies_at_infinity_is_no_point(tmp_path):
    depth, mask = ramp(), np.ones((40, 60), bool)
    depth[0, 0], mask[5, 5] = 1e10, False
    np.savez(tmp_path / "d.npz", depth=depth, mask=mask)
    points = estimate(tmp_path / "d.npz").points
    assert np.isnan(points[[0, 5], [0, 5]]).all()
    assert np.isfinite(points).all(-1).sum() == 40 * 60 - 2


def test_what_a_file_has_beside_the_depth_is_told(tmp_path):
    np.savez(tmp_path / "d.npz", depth=ramp(), pose=np.eye(4), mask=np.ones((40, 60), np.uint8))
    assert estimate(tmp_path / "d.npz").notes == ("d.npz: pose was not used.",)


@pytest.mark.parametrize("name", ["disparity", "disp", "inv_depth", "inverseDepth"])
def test_disparity_is_one_over_depth_without_metres_unless_a_scale_gives_them(tmp_path, name):
    arrays: dict[str, Any] = {name: 40 / ramp()}
    np.savez(tmp_path / "d.npz", **arrays)
    result = estimate(tmp_path / "d.npz")
    assert result.scale == "relative"
    assert "disparity was read as 1/depth" in result.notes[0]
    depth = -result.points[..., 2]
    np.testing.assert_allclose(depth / depth[0, 0], ramp(), rtol=1e-5)
    result = estimate(tmp_path / "d.npz", scale=40)  # focal length × baseline
    assert (result.scale, result.notes) == ("measured", ())
    np.testing.assert_allclose(-result.points[..., 2], ramp(), rtol=1e-5)


@pytest.mark.parametrize(("scale", "steps"), [(5000, 5000), (0.001, 1000), (0.0002, 5000)])
def test_the_unit_that_a_file_states_is_used_either_way_round(tmp_path, scale, steps):
    whole = (ramp() * steps).astype(np.uint16)
    np.savez(tmp_path / "d.npz", depth=whole, Depth_Scale=scale)
    np.testing.assert_allclose(-estimate(tmp_path / "d.npz").points[..., 2], ramp(), atol=1e-3)
    assert estimate(tmp_path / "d.npz", scale=0.01).points[0, 0, 2] == pytest.approx(-steps / 100)


def test_the_highest_number_of_16_bits_is_no_depth(tmp_path):
    values = np.full((40, 60), 1500, np.uint16)
    values[:5] = 65535
    np.save(tmp_path / "d.npy", values)
    PIL.Image.fromarray(values).save(tmp_path / "d.png")
    for name in ("d.npy", "d.png"):
        points = estimate(tmp_path / name).points
        assert np.isnan(points[:5]).all()
        np.testing.assert_allclose(points[5:, :, 2], -1.5, rtol=1e-6)


def test_depth_of_opengl_is_turned_and_what_may_be_normalised_is_told(tmp_path):
    np.save(tmp_path / "d.npy", -ramp())
    result = estimate(tmp_path / "d.npy")
    np.testing.assert_array_equal(-result.points[..., 2], ramp())
    assert "its sign was turned" in result.notes[0]
    np.save(tmp_path / "d.npy", ramp() / 4)
    assert "0.25 to 0.75 was taken for metres" in estimate(tmp_path / "d.npy").notes[0]
    np.save(tmp_path / "d.npy", ramp() * 200)
    assert "save them in an .npz as 'disparity'" in estimate(tmp_path / "d.npy").notes[0]


def test_a_crops_axis_is_taken_skew_is_told_and_half_in_parts_is_refused(tmp_path):
    np.savez(tmp_path / "d.npz", depth=ramp(), K=np.add(K, [[0, 5, 20], [0, 0, -10], [0] * 3]))
    result = estimate(tmp_path / "d.npz")
    assert (result.camera.fx, result.camera.cx, result.camera.cy) == (72, 50, 10)
    assert result.notes == ("d.npz: the skew in 'K' (5) was left out.",)
    np.savez(tmp_path / "d.npz", depth=ramp(), fx=300.0, cx=0.5, cy=0.5)
    with pytest.raises(InputError, match="focal lengths in pixels"):
        estimate(tmp_path / "d.npz")


def room(height=40, width=60):
    """Depth of a floor under a far wall: near below."""
    rows = np.arange(height)[:, None] + 0.5
    depth = np.where(rows > height / 2, 40.0 / np.maximum(rows - height / 2, 0.1), 8.0)
    return np.minimum(depth, 8.0).repeat(width, 1).astype(np.float32)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pfm", ".tiff", ".exr"])
def test_inverse_depth_that_does_not_say_so_is_refused_and_depth_is_not(tmp_path, suffix):
    def write(path, values):
        if suffix == ".pfm":
            path.write_bytes(b"Pf\n60 40\n-1.0\n" + values[::-1].tobytes())
        else:
            {
                ".npy": lambda: np.save(path, values),
                ".npz": lambda: np.savez(path, predicted_depth=values),
                ".tiff": lambda: tifffile.imwrite(path, values),
                ".exr": lambda: write_exr(path, Z=values),
            }[suffix]()

    path = tmp_path / f"d{suffix}"
    write(path, room())
    result = estimate(path)
    assert result.notes == ()
    np.testing.assert_allclose(-result.points[..., 2], room(), rtol=1e-5)
    inverse = 300 / room() + 5  # its zero is open
    write(path, inverse)
    with pytest.raises(InputError, match=r"relative inverse depth, as MiDaS.*--depth-scale 1"):
        estimate(path)
    assert -estimate(path, scale=1).points[5, 5, 2] == pytest.approx(inverse[5, 5])


@pytest.mark.parametrize(
    "name", ["desk_disparity.npy", "desk-dpt_beit_large_512.pfm", "Desk.MiDaS.npy", "invdepth.npy"]
)
def test_a_files_name_may_say_that_it_is_inverse_depth(tmp_path, name):
    values = (40 / ramp()).astype(np.float32)
    if name.endswith(".pfm"):
        (tmp_path / name).write_bytes(b"Pf\n60 40\n-1.0\n" + values[::-1].tobytes())
    else:
        np.save(tmp_path / name, values)
    result = estimate(tmp_path / name)
    assert result.scale == "relative"
    depth = -result.points[..., 2]
    np.testing.assert_allclose(depth / depth[0, 0], ramp(), rtol=1e-5)


def test_16_bits_that_are_filled_from_end_to_end_are_refused(tmp_path):
    full = np.linspace(0, 65535, 60).astype(np.uint16).repeat(40).reshape(60, 40).T.copy()
    PIL.Image.fromarray(full).save(tmp_path / "d.png")
    with pytest.raises(InputError, match=r"from 0 to 65535, like depth .*stretched"):
        estimate(tmp_path / "d.png")
    camera = np.where(full > 9000, 1500, full)  # 0 and 65535 where it saw nothing
    camera[0, 0], camera[5, 5] = 0, 65535
    PIL.Image.fromarray(camera.astype(np.uint16)).save(tmp_path / "d.png")
    assert np.isnan(estimate(tmp_path / "d.png").points[5, 5]).all()


NORMAL = {
    f"Normal.{c}": np.full((40, 60), v, np.float32)
    for c, v in zip("XYZ", (0, 0.1, 0.7), strict=True)
}


@pytest.mark.parametrize(
    "channels",
    [
        {**NORMAL, "Depth.Z": ramp()},
        {**{n.replace("Normal", "View Layer.Position"): v for n, v in NORMAL.items()}, "Z": ramp()},
        {**{n.removeprefix("Normal."): v for n, v in NORMAL.items()}, "View.Depth.V": ramp()},
        {"ViewLayer.Mist.Z": ramp() / 9, "ViewLayer.Depth.Z": ramp()},
    ],
)
def test_of_a_renderers_passes_depth_is_taken_and_no_vector(tmp_path, channels):
    write_exr(tmp_path / "d.exr", **channels)
    np.testing.assert_allclose(-estimate(tmp_path / "d.exr").points[..., 2], ramp(), rtol=1e-6)


def test_an_exr_without_depth_or_with_two_is_refused_and_inverse_or_whole_ones_are_known(tmp_path):
    path = tmp_path / "d.exr"
    write_exr(path, **NORMAL)
    with pytest.raises(InputError, match="depth was expected in Z"):
        estimate(path)
    write_exr(path, **{"A.Depth.Z": ramp(), "B.Depth.Z": 2 * ramp()})
    with pytest.raises(InputError, match=r"A.Depth.Z and in B.Depth.Z, which differ"):
        estimate(path)
    write_exr(path, disparity=40 / ramp())
    assert estimate(path).scale == "relative"
    write_exr(path, Z=np.round(ramp() * 1000).astype(np.uint32))
    np.testing.assert_allclose(-estimate(path).points[..., 2], ramp(), atol=6e-4)


def test_depth_in_a_part_of_its_own_is_read(tmp_path):
    import OpenEXR

    kind = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    colours = {c: np.ones((40, 60), np.float32) for c in "RGBA"}
    parts = [
        OpenEXR.Part({**kind, "name": "rgba"}, colours),
        OpenEXR.Part({**kind, "name": "depth"}, {"Z": ramp()}),
    ]
    with OpenEXR.File(parts) as file:
        file.write(str(tmp_path / "d.exr"))
    np.testing.assert_allclose(-estimate(tmp_path / "d.exr").points[..., 2], ramp(), rtol=1e-6)


@pytest.mark.parametrize("data", [(20, 10, 49, 29), (-8, -4, 67, 43)])
def test_a_data_window_lies_where_the_display_window_has_it(tmp_path, data):
    import OpenEXR

    x0, y0, x1, y1 = data
    wide = np.pad(ramp(), 16, mode="edge") + 0.01 * np.arange(72)[:, None]
    values = wide[y0 + 16 : y1 + 17, x0 + 16 : x1 + 17].astype(np.float32)
    window = (np.array([x0, y0], np.int32), np.array([x1, y1], np.int32))
    display = (np.zeros(2, np.int32), np.array([59, 39], np.int32))
    header = {"type": OpenEXR.scanlineimage, "dataWindow": window, "displayWindow": display}
    with OpenEXR.File({**header, "compression": OpenEXR.ZIP_COMPRESSION}, {"Z": values}) as file:
        file.write(str(tmp_path / "d.exr"))
    depth = -estimate(tmp_path / "d.exr").points[..., 2]
    inside = np.zeros((40, 60), bool)
    inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
    np.testing.assert_array_equal(np.isfinite(depth), inside)
    np.testing.assert_allclose(depth[inside], wide[16:56, 16:76][inside], rtol=1e-6)


@pytest.mark.parametrize("most", [4095, 9999, 65535])
def test_numbers_of_netpbm_are_taken_as_they_are(tmp_path, most):
    values = np.round(ramp() * 1000).astype(">u2")
    (tmp_path / "d.pgm").write_bytes(b"P5\n60 40\n%d\n" % most + values.tobytes())
    np.testing.assert_allclose(-estimate(tmp_path / "d.pgm").points[..., 2], ramp(), atol=6e-4)


def test_white_may_be_zero_in_16_bits(tmp_path):
    values = np.round(ramp() * 1000).astype(np.uint16)
    for name, more in (("a.tif", {}), ("b.tif", {"compression": "zlib", "bigtiff": True})):
        tifffile.imwrite(tmp_path / name, 65535 - values, photometric="miniswhite", **more)
        depth = -estimate(tmp_path / name).points[..., 2]
        np.testing.assert_allclose(depth, ramp(), atol=6e-4)


def test_nine_numbers_are_a_matrix_and_pts3d_are_points(tmp_path):
    np.savez(tmp_path / "d.npz", depth=ramp(), cam_K=np.ravel(K))
    camera = estimate(tmp_path / "d.npz").camera
    assert (camera.fx, camera.cx) == (K[0][0], K[0][2])
    points = np.dstack([ramp() * 2, ramp() * 3, ramp()])
    np.savez(tmp_path / "d.npz", pts3d=points, conf=np.ones((40, 60)))
    result = estimate(tmp_path / "d.npz")
    np.testing.assert_allclose(result.points, points * (1, -1, -1), rtol=1e-6)


def test_a_depth_camera_may_look_up(tmp_path):
    millimetres = (1000 * room()[::-1]).astype(np.uint16)  # a ceiling, nearer towards the top
    PIL.Image.fromarray(millimetres).save(tmp_path / "d.png")
    result = estimate(tmp_path / "d.png")
    np.testing.assert_allclose(-result.points[..., 2], millimetres / 1000, rtol=1e-5)
    assert any("grow towards the lower edge" in note for note in result.notes)

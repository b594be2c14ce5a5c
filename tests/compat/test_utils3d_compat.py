"""Every old name of utils3d works on the newer library as it did on the old one.

`stand_ins/utils3d` has the newer library's signatures and quirks; what is expected here follows
from the old functions' documentation.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

STAND_INS = Path(__file__).parent / "stand_ins"
OURS = ("utils3d", "scenelift.compat.utils3d")


def _forget():
    for name in [n for n in sys.modules if n.startswith(OURS)]:
        del sys.modules[name]


@pytest.fixture
def utils3d(monkeypatch):
    """The newer library, with the old names put back."""
    monkeypatch.syspath_prepend(STAND_INS)
    _forget()
    importlib.import_module("scenelift.compat.utils3d_compat")
    import utils3d.numpy
    import utils3d.torch

    yield utils3d
    _forget()


# Two triangles that share an edge, one that touches them in a corner, one by itself.
FACES = [[0, 1, 2], [2, 1, 3], [3, 4, 5], [7, 8, 9]]


def faces():
    return torch.tensor(FACES)


class TestWhenItApplies:
    def test_every_row_of_both_tables_is_there(self, utils3d):
        from scenelift.compat.utils3d_compat import NUMPY_NAMES, TORCH_NAMES

        assert all(callable(getattr(utils3d.numpy, name)) for name in NUMPY_NAMES)
        assert all(callable(getattr(utils3d.torch, name)) for name in TORCH_NAMES)

    def test_again_changes_nothing(self, utils3d):
        from scenelift.compat import utils3d_compat

        before = utils3d.numpy.depth_edge
        assert utils3d_compat.apply() == ()
        assert utils3d.numpy.depth_edge is before

    def test_a_name_that_exists_is_kept(self, utils3d):
        from scenelift.compat import utils3d_compat

        utils3d.numpy.image_uv = own = object()
        del utils3d.numpy.depth_edge
        assert utils3d_compat.apply() == ("numpy.depth_edge",)
        assert utils3d.numpy.image_uv is own

    def test_no_old_name_without_the_new_one_behind_it(self, utils3d, monkeypatch):
        from scenelift.compat import utils3d_compat

        monkeypatch.delattr(utils3d.torch, "rasterize_triangle_faces")
        monkeypatch.delattr(utils3d.torch, "rasterize_triangles")
        assert utils3d_compat.apply() == ()
        assert not hasattr(utils3d.torch, "rasterize_triangle_faces")

    def test_a_name_behind_a_failing_import_is_not_there(self, utils3d, monkeypatch):
        from scenelift.compat import utils3d_compat

        def without_nvdiffrast(name):
            raise ModuleNotFoundError("nvdiffrast")

        monkeypatch.delattr(utils3d.torch, "rasterize_triangle_faces")
        monkeypatch.delattr(utils3d.torch, "rasterize_triangles")
        monkeypatch.setattr(utils3d.torch, "__getattr__", without_nvdiffrast, raising=False)
        assert utils3d_compat.apply() == ()

    def test_without_the_library_nothing_happens(self):
        code = "from scenelift.compat.utils3d_compat import apply; assert apply() == ()"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_the_namesake_on_pypi_is_left_alone(self, monkeypatch, tmp_path):
        (tmp_path / "utils3d").mkdir()
        (tmp_path / "utils3d" / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path)
        _forget()
        from scenelift.compat.utils3d_compat import apply

        assert apply() == ()
        _forget()

    def test_importing_scenelift_loads_neither_it_nor_torch(self):
        code = (
            "import sys, scenelift, scenelift.pipeline, scenelift.reconstruct;"
            "assert not {'torch', 'utils3d', 'scenelift.compat'} & set(sys.modules)"
        )
        subprocess.run(
            [sys.executable, "-c", code], check=True, timeout=60, env={"PYTHONPATH": str(STAND_INS)}
        )


def test_the_documentation_has_every_row():
    from scenelift.compat.utils3d_compat import NUMPY_NAMES, TORCH_NAMES

    doc = (Path(__file__).parents[2] / "docs" / "compat.md").read_text()
    for old, new in {**NUMPY_NAMES, **TORCH_NAMES}.items():
        assert re.search(rf"^\| `{old}\(.*` \| `{new}` \|", doc, re.M), old


class TestNumpy:
    def test_depth_edge_takes_tolerances_in_the_old_order(self, utils3d):
        depth = np.ones((5, 6))
        depth[:, 3:] = 2
        expected = np.zeros((5, 6), bool)
        expected[:, 2:4] = True
        np.testing.assert_array_equal(utils3d.numpy.depth_edge(depth, 0.5), expected)
        expected[:, 3] = False  # the step is half of the larger depth
        np.testing.assert_array_equal(utils3d.numpy.depth_edge(depth, None, 0.6), expected)

    def test_depth_edge_does_not_look_outside_the_mask(self, utils3d):
        depth = np.ones((5, 6))
        depth[:, 3:] = 2
        mask = depth == 1
        assert not utils3d.numpy.depth_edge(depth, 0.5, None, 3, mask)[mask].any()

    def test_normals_edge_measures_in_degrees(self, utils3d):
        normals = np.zeros((4, 6, 3))
        normals[:, :3] = [0, 0, 1]
        normals[:, 3:] = [0, np.sin(np.deg2rad(10)), np.cos(np.deg2rad(10))]
        assert utils3d.numpy.normals_edge(normals, 9).any()
        assert not utils3d.numpy.normals_edge(normals, 11).any()

    def test_points_to_normals_answers_with_a_mask_only_when_given_one(self, utils3d):
        points = np.dstack([*np.meshgrid(np.arange(5.0), np.arange(4.0)), np.full((4, 5), 2.0)])
        normals = utils3d.numpy.points_to_normals(points)
        assert normals.shape == (4, 5, 3)
        np.testing.assert_allclose(np.abs(normals[..., 2]), 1)
        mask = np.ones((4, 5), bool)
        normals, there = utils3d.numpy.points_to_normals(points, mask)
        assert (normals.shape, there.shape, there.dtype) == ((4, 5, 3), (4, 5), bool)

    def test_image_uv_is_pixel_centres_and_height_comes_first(self, utils3d):
        uv = utils3d.numpy.image_uv(2, 4)
        assert uv.shape == (2, 4, 2)
        assert uv.dtype == np.float32
        np.testing.assert_allclose(uv[1, 3], [3.5 / 4, 1.5 / 2])
        np.testing.assert_array_equal(uv, utils3d.numpy.image_uv(width=4, height=2))

    def test_image_uv_of_a_window_is_cut_out_of_the_whole(self, utils3d):
        window = utils3d.numpy.image_uv(8, 10, 2, 1, 7, 5)
        assert window.shape == (4, 5, 2)
        np.testing.assert_array_equal(window, utils3d.numpy.image_uv(8, 10)[1:5, 2:7])
        np.testing.assert_allclose(window[0, 0], [2.5 / 10, 1.5 / 8])

    def test_image_mesh_gives_faces_then_attributes_then_indices(self, utils3d):
        mask = np.ones((3, 4), bool)
        mask[:, 3] = False
        colors = np.random.default_rng(0).random((3, 4, 3))
        uv = utils3d.numpy.image_uv(3, 4)
        quads, color, coordinates, pixels = utils3d.numpy.image_mesh(
            colors, uv, mask=mask, return_indices=True
        )
        assert quads.shape == (4, 4)
        np.testing.assert_array_equal(pixels, np.flatnonzero(mask))
        np.testing.assert_array_equal(color, colors.reshape(-1, 3)[pixels])
        np.testing.assert_array_equal(coordinates, uv.reshape(-1, 2)[pixels])
        triangles, _ = utils3d.numpy.image_mesh(colors, mask=mask, tri=True)
        assert triangles.shape == (8, 3)

    def test_image_mesh_of_a_mask_alone(self, utils3d):
        quads, pixels = utils3d.numpy.image_mesh(mask=np.ones((3, 3), bool), return_indices=True)
        assert quads.shape == (4, 4)
        np.testing.assert_array_equal(pixels, np.arange(9))


class TestTorch:
    def test_perspective_takes_four_values_in_order(self, utils3d):
        got = utils3d.torch.perspective_from_fov_xy(0.8, 0.6, 1.0, 3.0)
        assert got[0, 0].item() == pytest.approx(1 / np.tan(0.4))
        assert got[1, 1].item() == pytest.approx(1 / np.tan(0.3))
        for distance, ndc in ((1.0, -1.0), (3.0, 1.0)):  # near and far plane
            clip = got @ torch.tensor([0.0, 0, -distance, 1])
            assert (clip[2] / clip[3]).item() == pytest.approx(ndc)

    def test_intrinsics_are_in_units_of_the_image(self, utils3d):
        got = utils3d.torch.intrinsics_from_fov_xy(0.8, 0.6)
        fx, fy = 0.5 / np.tan(0.4), 0.5 / np.tan(0.3)
        expected = torch.tensor([[fx, 0, 0.5], [0, fy, 0.5], [0, 0, 1]], dtype=got.dtype)
        torch.testing.assert_close(got, expected)

    def test_compute_edges_gives_edges_faces_and_degrees(self, utils3d):
        edges, face2edge, degrees = utils3d.torch.compute_edges(faces())
        pairs = [tuple(e) for e in edges.tolist()]
        assert all(a < b for a, b in pairs)
        assert len(set(pairs)) == len(pairs) == 11
        assert face2edge.shape == (4, 3)
        for face, own in zip(FACES, face2edge.tolist(), strict=True):
            for k, edge in enumerate(own):
                assert pairs[edge] == tuple(sorted((face[k], face[(k + 1) % 3])))
        shared = pairs.index((1, 2))
        assert [i for i, d in enumerate(degrees.tolist()) if d == 2] == [shared]

    def test_pieces_are_of_faces_that_share_edges_not_corners(self, utils3d):
        pieces = utils3d.torch.compute_connected_components(faces())
        assert [p.tolist() for p in pieces] == [[0, 1], [2], [3]]

    def test_pieces_from_edges_that_are_known(self, utils3d):
        edges, face2edge, _ = utils3d.torch.compute_edges(faces())
        pieces = utils3d.torch.compute_connected_components(faces(), edges, face2edge)
        assert [p.tolist() for p in pieces] == [[0, 1], [2], [3]]

    @pytest.fixture(params=["faces first", "vertices first"])
    def order(self, request, utils3d, monkeypatch):
        """Either order of the new function's arguments."""
        if request.param == "vertices first":
            new = utils3d.torch.remove_unused_vertices

            def swapped(vertices, faces):
                return new(faces, vertices)[::-1]

            monkeypatch.setattr(utils3d.torch, "remove_unused_vertices", swapped)
        return request.param

    def test_remove_unreferenced_vertices_takes_and_gives_faces_first(self, utils3d, order):
        vertices = torch.rand(11, 3)  # 6 and 10 are in no face
        colors = torch.rand(11, 4)
        got, v, c, kept = utils3d.torch.remove_unreferenced_vertices(
            faces(), vertices, colors, return_indices=True
        )
        assert kept.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
        torch.testing.assert_close(v[got.long()], vertices[faces()])
        torch.testing.assert_close(c, colors[kept])
        assert len(utils3d.torch.remove_unreferenced_vertices(faces(), vertices)) == 2


class TestRasterize:
    """A near small triangle in front of a far large one, by perspective."""

    WIDTH, HEIGHT = 9, 7
    NEAR, FAR = 1.0, 10.0

    def draw(self, utils3d, **options):
        vertices = torch.tensor(
            [[[-9.0, -9, -8], [9, -9, -8], [0, 12, -8], [-0.4, 0, -2], [0.4, 0, -2], [0, 0.8, -2]]]
        )
        triangles = torch.tensor([[0, 1, 2], [3, 4, 5]])
        projection = utils3d.torch.perspective_from_fov_xy(1.0, 1.0, self.NEAR, self.FAR)
        return utils3d.torch.rasterize_triangle_faces(
            utils3d.torch.RastContext(backend="cuda"),
            vertices,
            triangles,
            self.WIDTH,
            self.HEIGHT,
            projection=projection,
            **options,
        )

    def test_faces_count_from_one_and_the_mask_is_a_number(self, utils3d):
        drawn = self.draw(utils3d)
        shape = (1, self.HEIGHT, self.WIDTH)
        assert drawn["face_id"].shape == drawn["mask"].shape == drawn["depth"].shape == shape
        assert set(drawn["face_id"].unique().tolist()) == {0, 1, 2}
        torch.testing.assert_close(drawn["mask"], (drawn["face_id"] > 0).float())
        assert drawn["face_id"][0, self.HEIGHT // 2 - 1, self.WIDTH // 2] == 2  # above the middle
        # What SAM 3D Objects does with it: no face beyond the last, none before the first.
        numbers = drawn["face_id"][0][drawn["mask"][0] > 0.95] - 1
        assert set(numbers.long().tolist()) == {0, 1}

    def test_depth_is_the_depth_buffers_and_one_where_nothing_is(self, utils3d):
        drawn = self.draw(utils3d)
        for face, distance in ((1, 8.0), (2, 2.0)):
            here = drawn["depth"][drawn["face_id"] == face]
            a, b = self.NEAR, self.FAR
            buffer = (b / (b - a)) * (1 - a / distance)
            torch.testing.assert_close(here, torch.full_like(here, buffer), rtol=0, atol=1e-5)
        empty = drawn["depth"][drawn["mask"] == 0]
        assert len(empty)
        assert (empty == 1).all()

    def test_channels_come_before_rows(self, utils3d):
        attr = torch.rand(1, 6, 4)
        image = self.draw(utils3d, attr=attr, antialiasing=False)["image"]
        assert image.shape == (1, 4, self.HEIGHT, self.WIDTH)

    def test_only_the_listed_channels_are_smoothed(self, utils3d):
        attr = torch.rand(1, 6, 3)
        plain = self.draw(utils3d, attr=attr, antialiasing=False)["image"]
        some = self.draw(utils3d, attr=attr, antialiasing=[0, 2])["image"]
        every = self.draw(utils3d, attr=attr)["image"]
        torch.testing.assert_close(some[:, 1], plain[:, 1])
        torch.testing.assert_close(some[:, [0, 2]], every[:, [0, 2]])
        assert (every - plain).abs().min() > 1

    def test_derivatives_are_of_the_chosen_channels(self, utils3d):
        attr = torch.rand(1, 6, 3)
        one = self.draw(utils3d, attr=attr, diff_attrs=[2])["image_dr"]
        every = self.draw(utils3d, attr=attr, diff_attrs=[0, 1, 2])["image_dr"]
        assert one.shape == (1, 2, self.HEIGHT, self.WIDTH)
        torch.testing.assert_close(one, every[:, 4:])

    def test_uv_rows_start_at_the_bottom(self, utils3d):
        uv = torch.rand(1, 6, 2)
        drawn = self.draw(utils3d, uv=uv)
        assert drawn["uv"].shape == (1, self.HEIGHT, self.WIDTH, 2)
        assert drawn["uv_dr"].shape == (1, self.HEIGHT, self.WIDTH, 4)
        as_image = self.draw(utils3d, attr=uv, antialiasing=False)["image"]
        torch.testing.assert_close(drawn["uv"].flip(1), as_image.movedim(1, -1))

    def test_a_model_matrix_moves_the_vertices(self, utils3d):
        away = torch.eye(4)
        away[2, 3] = 100  # behind the camera
        assert not torch.equal(self.draw(utils3d, model=away)["mask"], self.draw(utils3d)["mask"])

    def test_a_texture_is_refused_with_the_way_out(self, utils3d):
        with pytest.raises(ValueError, match="look it up at the returned `uv`"):
            self.draw(utils3d, uv=torch.rand(1, 6, 2), texture=torch.rand(1, 3, 4, 4))

    def test_a_tuple_becomes_the_same_dictionary(self, utils3d, monkeypatch):
        expected = self.draw(utils3d, attr=torch.ones(1, 6, 3))
        new = utils3d.torch.rasterize_triangles
        names = ("image", "image_dr", "depth", "mask", "interpolation_id", "interpolation_uv")

        def as_tuple(size, **options):
            drawn = new(size, **options)
            return tuple(drawn.get(name) for name in names)

        monkeypatch.setattr(utils3d.torch, "rasterize_triangles", as_tuple)
        got = self.draw(utils3d, attr=torch.ones(1, 6, 3))
        torch.testing.assert_close(got, expected)

    def test_interface_1_5_gets_its_own_arguments(self, utils3d, monkeypatch):
        asked = {}

        def version_1_5(ctx, width, height, *, vertices, faces, attr=None, **options):
            asked.update(options, width=width, height=height, attr=attr)
            return {"mask": torch.ones(1, height, width)}

        monkeypatch.setattr(utils3d.torch, "rasterize_triangles", version_1_5)
        assert self.draw(utils3d, diff_attrs=[0])["mask"].shape == (1, self.HEIGHT, self.WIDTH)
        assert (asked["width"], asked["height"]) == (self.WIDTH, self.HEIGHT)
        assert (asked["antialiasing"], asked["diff_attrs"]) == (True, [0])

"""Solids made from outlines look like their photo from its own camera, and are solids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from scenelift.errors import InputError
from scenelift.geometry.transforms import pose_matrix, transform_gaussians
from scenelift.options import BackendOptions
from scenelift.pointmap.embedded import EmbeddedPointMapper
from scenelift.pointmap.given import GivenPointMapper
from scenelift.progress import silent
from scenelift.reconstruct.embedded import EmbeddedReconstructor
from scenelift.reconstruct.embedded.colour import BACK_SHADE, colours_of
from scenelift.reconstruct.embedded.objectron import BoxFinder
from scenelift.render.meshes import render_mesh
from scenelift.render.splats import render_splats
from scenelift.types import Image, Instance, ObjectView, View

H, W = 120, 160
OPTIONS = BackendOptions()


def disc(cx=80, cy=60, r=35):
    v, u = np.mgrid[:H, :W] + 0.5
    return (u - cx) ** 2 + (v - cy) ** 2 <= r * r


def ring():
    return disc(r=40) & ~disc(r=20)


def l_shape():
    mask = np.zeros((H, W), bool)
    mask[20:100, 40:65] = mask[75:100, 40:120] = True
    return mask


def bar():
    mask = np.zeros((H, W), bool)
    mask[58:62, 20:140] = True
    return mask


def line():
    mask = np.zeros((H, W), bool)
    mask[60, 20:140] = True
    return mask


def slanted():
    v, u = np.mgrid[:H, :W] + 0.5
    return (np.abs(u - v - 20) < 3) & (v > 10) & (v < 110)


def person():
    mask = disc(80, 25, 12)
    mask[35:80, 66:94] = True
    mask[80:115, 66:76] = mask[80:115, 84:94] = True
    return mask


MASKS = {
    "disc": disc(),
    "ring": ring(),
    "L": l_shape(),
    "bar": bar(),
    "line": line(),
    "slanted bar": slanted(),
    "person": person(),
    "off centre": disc(20, 95, 18),
    "at the border": disc(0, 60, 40),
    "whole photo": np.ones((H, W), bool),
    "two islands": disc(40, 60, 20) | disc(115, 60, 20),
}


@pytest.fixture(scope="module")
def photo():
    """Smooth colours, so that the render can be compared with them."""
    v, u = np.mgrid[:H, :W]
    pixels = np.stack([60 + u, 200 - v, 128 + 60 * np.sin(u / 15) * np.cos(v / 12)], -1)
    return Image(pixels=pixels.astype(np.uint8))


def inflating():
    """The reconstructor without the trained head: most claims here are about inflated solids."""
    return EmbeddedReconstructor(BoxFinder.load(None, 0))


def reconstruct(photo, mask, label="thing", points=None, reconstructor=None):
    instance = Instance(mask=mask, label=label, score=1.0, box=Instance.box_of(mask))
    if points is None:
        points = EmbeddedPointMapper().estimate(photo, [instance], silent())
    found = (reconstructor or inflating()).reconstruct(
        ObjectView(image=photo, instance=instance, points=points), seed=3, report=silent()
    )
    return found, points


def as_solid(mesh):
    """The mesh with vertices at one place joined: a texture's seam cuts them apart."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    solid.merge_vertices(merge_tex=True, merge_norm=True)
    return solid


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.weights
@pytest.mark.parametrize("name", ["disc", "ring", "line", "person", "at the border"])
def test_the_trained_head_keeps_the_silhouette_and_closes_the_solid(photo, name):
    trained = EmbeddedReconstructor.load(OPTIONS)
    found, points = reconstruct(photo, MASKS[name], reconstructor=trained)
    mesh = render_mesh(found.shape.mesh, points.camera, np.linalg.inv(pose_matrix(found.pose)))
    # A ray of the head is a few pixels wide here; the outline is followed to a fraction of one.
    assert iou(mesh.alpha > 0.5, MASKS[name]) >= 0.97
    assert as_solid(found.shape.mesh).is_watertight


@pytest.mark.parametrize("name", MASKS)
def test_the_silhouette_of_mesh_and_splats_is_the_mask(photo, name):
    mask = MASKS[name]
    found, points = reconstruct(photo, mask)
    mesh = render_mesh(found.shape.mesh, points.camera, np.linalg.inv(pose_matrix(found.pose)))
    splats = render_splats(transform_gaussians(found.shape.gaussians, found.pose), points.camera)
    assert iou(mesh.alpha > 0.5, mask) >= 0.9
    assert iou(splats.alpha > 0.5, mask) >= 0.9
    assert found.quality["silhouette_iou"] >= 0.9


@pytest.mark.parametrize("name", MASKS)
def test_the_mesh_is_a_closed_solid_inside_the_unit_box(photo, name):
    mesh = reconstruct(photo, MASKS[name])[0].shape.mesh
    solid = as_solid(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0
    assert np.abs(mesh.vertices).max() <= 0.5
    # No spikes: the solid is no deeper than its outline is large.
    assert np.ptp(mesh.vertices[:, 2]) <= 1.3 * np.ptp(mesh.vertices[:, :2], axis=0).max()


def test_a_ring_keeps_its_hole(photo):
    mesh = reconstruct(photo, ring())[0].shape.mesh
    assert as_solid(mesh).euler_number == 0


def test_splats_and_mesh_coincide(photo):
    found, _ = reconstruct(photo, person())
    mesh, means = found.shape.mesh, found.shape.gaussians.means
    size = np.ptp(mesh.vertices, axis=0)
    np.testing.assert_allclose(means.min(0), mesh.vertices.min(0), atol=0.02 * size.max())
    np.testing.assert_allclose(means.max(0), mesh.vertices.max(0), atol=0.02 * size.max())


def test_from_the_photos_camera_splats_and_mesh_look_like_the_photo(photo):
    mask = disc()
    found, points = reconstruct(photo, mask)
    scene_from_object = pose_matrix(found.pose)
    splats = render_splats(transform_gaussians(found.shape.gaussians, found.pose), points.camera)
    mesh = render_mesh(
        found.shape.mesh, points.camera, np.linalg.inv(scene_from_object), shading="none"
    )
    # Away from the rim, where the background is left out on purpose.
    inner = disc(r=30)
    for seen in (splats, mesh):
        error = seen.color[inner] - photo.pixels[inner] / 255
        psnr = -10 * np.log10(np.mean(error**2))
        assert psnr >= 30


def test_background_colours_do_not_bleed_onto_the_object():
    pixels = np.full((H, W, 3), (0, 255, 0), np.uint8)
    pixels[disc()] = (200, 30, 30)
    found, _ = reconstruct(Image(pixels=pixels), disc())
    mesh = found.shape.mesh
    assert (found.shape.gaussians.rgb[:, 1] < 0.3).all()
    # The picture's margins repeat the object's own colours, so any of its pixels may be sampled.
    assert (mesh.texture[..., 1] < 0.3 * 255).all()


def test_from_beside_no_seam_shows_between_front_and_back(photo):
    """Where the rim is, a plain object's shade changes no faster than anywhere else."""
    found, points = reconstruct(Image(pixels=np.full((H, W, 3), 128, np.uint8)), disc())
    half = np.sqrt(0.5)
    beside = pose_matrix(replace(found.pose, rotation=(half, 0.0, half, 0.0)))
    seen = render_mesh(
        found.shape.mesh, points.camera, np.linalg.inv(beside), shading="none", supersample=2
    )
    row = seen.color[60, :, 0][seen.alpha[60] == 1]
    change = np.abs(np.diff(row))
    assert np.ptp(row) > 0.04  # the back is darker
    assert change.max() < 0.25 * np.ptp(row)


def test_the_back_hides_the_front(photo):
    """Seen from behind, no colour of the front shines through and nothing is open."""
    pixels = np.full((H, W, 3), 30, np.uint8)
    pixels[::4] = 220  # stripes: the front's detail, blurred away at the back
    found, points = reconstruct(Image(pixels=pixels), disc())
    turned = transform_gaussians(
        found.shape.gaussians,
        replace(found.pose, rotation=(0.0, 0.0, 1.0, 0.0)),  # half a turn about the vertical
    )
    seen = render_splats(turned, points.camera)
    inner = disc(r=22)
    assert seen.alpha[inner].min() > 0.95
    assert seen.color[inner].std() < 0.03


def test_a_cup_is_round_and_a_screen_is_flat(photo):
    mask = np.zeros((H, W), bool)
    mask[30:100, 50:110] = True

    def depth_over_width(label):
        size = np.ptp(reconstruct(photo, mask, label)[0].shape.mesh.vertices, axis=0)
        return size[2] / size[0]

    assert depth_over_width("cup") == pytest.approx(1, abs=0.25)
    assert depth_over_width("tv") < 0.25


def test_a_given_depth_shapes_the_front_and_places_the_object(photo, tmp_path):
    """A plane that leans back: the top is farther away than the bottom."""
    depth = np.linspace(3.4, 2.6, H)[:, None] * np.ones((1, W))
    np.save(tmp_path / "d.npy", depth)
    points = GivenPointMapper.from_file(tmp_path / "d.npy").estimate(photo, [], silent())
    mask = disc()
    found, _ = reconstruct(photo, mask, points=points)
    assert -found.pose.translation[2] == pytest.approx(3.0, abs=0.5)
    seen = render_splats(transform_gaussians(found.shape.gaussians, found.pose), points.camera)
    upper, lower = seen.depth[40, 80], seen.depth[80, 80]
    assert upper - lower == pytest.approx(depth[40, 0] - depth[80, 0], abs=0.12)


def test_same_seed_same_splats_and_another_seed_others(photo):
    mask = disc()
    instance = Instance(mask=mask, label="x", score=1.0, box=Instance.box_of(mask))
    points = EmbeddedPointMapper().estimate(photo, [instance], silent())

    def means(seed):
        result = EmbeddedReconstructor.load(OPTIONS).reconstruct(
            ObjectView(image=photo, instance=instance, points=points), seed=seed, report=silent()
        )
        return result.shape.gaussians.means

    np.testing.assert_array_equal(means(1), means(1))
    assert not np.array_equal(means(1), means(2))


@pytest.mark.parametrize("pixels", [1, 9])
def test_a_mask_of_a_few_pixels_is_refused_with_what_would_help(photo, pixels):
    mask = np.zeros((H, W), bool)
    mask.flat[:pixels] = True
    with pytest.raises(InputError, match="too small"):
        reconstruct(photo, mask)


def test_depth_without_a_value_on_the_object_is_refused(photo, tmp_path):
    depth = np.ones((H, W))
    depth[disc()] = np.nan
    np.save(tmp_path / "d.npy", depth)
    points = GivenPointMapper.from_file(tmp_path / "d.npy").estimate(photo, [], silent())
    with pytest.raises(InputError, match="no valid value on the object"):
        reconstruct(photo, disc(r=20), points=points)


def test_an_object_behind_another_ends_in_a_face_and_not_in_an_edge(photo):
    """The hidden side is a cut: the solid keeps its thickness there."""
    whole = np.zeros((H, W), bool)
    whole[30:90, 30:130] = True
    visible, front = whole.copy(), np.zeros_like(whole)
    front[20:110, 90:150] = True
    visible &= ~front
    behind, before = (
        Instance(mask=m, label="box", score=1.0, box=Instance.box_of(m)) for m in (visible, front)
    )
    points = EmbeddedPointMapper().estimate(photo, [behind, before], silent())

    def thickness_at_cut(others):
        view = ObjectView(image=photo, instance=behind, points=points, others=others)
        mesh = inflating().reconstruct(view, seed=0, report=silent()).shape.mesh
        right = mesh.vertices[mesh.vertices[:, 0] > mesh.vertices[:, 0].max() - 0.03]
        return np.ptp(right[:, 2])

    assert thickness_at_cut((before,)) > 1.5 * thickness_at_cut(())


def test_a_mask_of_dots_is_refused_and_not_made_into_dust(photo):
    mask = np.zeros((H, W), bool)
    mask[::2, ::2] = True
    with pytest.raises(InputError, match="scattered"):
        reconstruct(photo, mask)


def test_a_side_shows_the_photos_colours_without_their_detail():
    """All of a side lies on a few pixels of the photo: their detail would be streaks on it."""
    pixels = np.full((H, W, 3), 60, np.uint8)
    pixels[:, ::2] = 180
    image = Image(pixels=pixels)
    instance = Instance(mask=disc(), label="cup", score=1.0, box=Instance.box_of(disc()))
    colours = colours_of(View(image=image, instance=instance))
    u = np.arange(60.0, 100.0) + 0.5
    ahead, beside = (
        colours.at(u, np.full(len(u), H / 2), np.full(len(u), cosine))[:, 0] * 255
        for cosine in (1.0, 0.0)
    )
    np.testing.assert_allclose(ahead, pixels[H // 2, 60:100, 0], atol=2)
    assert np.ptp(beside) < 0.1 * np.ptp(ahead)
    assert 100 < beside.mean() < 125


def test_the_back_takes_half_of_its_colour_from_the_heads_guess():
    image = Image(pixels=np.full((H, W, 3), 200, np.uint8))
    instance = Instance(mask=disc(), label="cup", score=1.0, box=Instance.box_of(disc()))
    guess = np.zeros((10, 10, 3), np.float32)
    guess[..., 2] = 1  # blue
    x0, y0, x1, y1 = instance.box
    with_it = colours_of(
        View(image=image, instance=instance), guess, (x0 - 5, y0 - 5, x1 + 5, y1 + 5)
    )
    middle = np.array([(x0 + x1) / 2]), np.array([(y0 + y1) / 2])
    behind, ahead = (with_it.at(*middle, np.array([cosine]))[0] for cosine in (-1.0, 1.0))
    blur = 200 / 255 * BACK_SHADE
    np.testing.assert_allclose(behind, [blur / 2, blur / 2, (blur + 1) / 2], atol=0.01)
    np.testing.assert_allclose(ahead, 200 / 255, atol=0.01)

"""Textures of planted volumes hold what was planted, and normal maps bring the fine shape back."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from scenelift.finish.materials import alpha_mode_of
from scenelift.finish.nearest import nearest
from scenelift.finish.normals import face_normals
from scenelift.finish.orient import oriented
from scenelift.finish.stage import finish_mesh
from scenelift.geometry.sampling import sample_surface
from scenelift.models.trellis2.dual_grid import dual_grid_mesh
from scenelift.options import FinishOptions
from scenelift.testing.planted_surface import ball, plant, striped, torus
from scenelift.types import MaterialVolume, Mesh

RESOLUTION = 96
SHAPES = {"ball": ball(), "torus": torus()}


def planted(solid, paint=striped) -> tuple[Mesh, MaterialVolume]:
    surface = plant(solid, paint, RESOLUTION)
    cells = surface.voxels.coords[:, 1:]
    vertices, faces = dual_grid_mesh(cells, surface.grid, RESOLUTION)
    used, faces = torch.unique(faces, return_inverse=True)
    points, corners = vertices[used].numpy(), faces.numpy().astype(np.int32)
    volume = MaterialVolume(
        cells=cells.numpy(),
        values=surface.attributes.numpy().astype(np.float16),
        resolution=RESOLUTION,
    )
    return Mesh(vertices=points, faces=oriented(points, corners)), volume


@pytest.fixture(scope="module", params=SHAPES)
def finished(request):
    """A planted shape, finished: what was there, and what came out."""
    mesh, volume = planted(SHAPES[request.param])
    options = FinishOptions(faces=3000, texture_size=256)
    return mesh, finish_mesh(mesh, None, options, materials=volume).mesh


def read_map(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear, as renderers read a map: values in 0…1."""
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0
    for i in range(2):
        for j in range(2):
            weight = (1 - np.abs(x - column - i)) * (1 - np.abs(y - row - j))
            at = picture[(row + j).clip(0, height - 1), (column + i).clip(0, width - 1)]
            total = total + weight[:, None] * at / 255
    return total


def on_surface(mesh: Mesh, count=20_000):
    on = sample_surface(mesh.vertices, mesh.faces, count, np.random.default_rng(0))
    assert on is not None
    return on, on.at(mesh.vertices, mesh.faces)


def test_base_colour_metal_and_roughness_are_those_of_the_volume(finished):
    _, mesh = finished
    on, points = on_surface(mesh)
    uv = on.at(mesh.uv, mesh.faces)
    truth = striped(torch.from_numpy(points)).numpy()
    error = read_map(mesh.texture, uv) - truth[:, :3]
    assert 10 * np.log10(1 / (error**2).mean()) >= 35
    surface = read_map(mesh.material.surface, uv)
    assert np.abs(surface - truth[:, 3:5]).mean() <= 0.02
    assert mesh.material.alpha_mode == "opaque"


def test_no_texel_of_a_seam_shows(finished):
    """Points on the edges between charts read the same from either side."""
    _, mesh = finished
    on_edges = np.unique(np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, 1)], -1), -1))
    place, twins = np.unique(mesh.vertices[on_edges], axis=0, return_inverse=True)
    assert len(place) < len(on_edges)  # there are seams
    colour = read_map(mesh.texture, mesh.uv[on_edges])
    low = np.full((len(place), 3), np.inf)
    high = -low
    np.minimum.at(low, twins.ravel(), colour)
    np.maximum.at(high, twins.ravel(), colour)
    assert (high - low).max() <= 0.04  # the paint itself changes by 0.02 a texel


def shading_normals(mesh: Mesh, on) -> np.ndarray:
    """Normals as a renderer finds them: by the map, in the frame of the vertices' tangents."""
    n = on.at(mesh.normals, mesh.faces)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    if mesh.material is None or mesh.material.normal is None:
        return n
    t = on.at(mesh.tangents[:, :3], mesh.faces)
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    b = np.cross(n, t) * on.at(mesh.tangents[:, 3:], mesh.faces)
    x, y, z = (read_map(mesh.material.normal, on.at(mesh.uv, mesh.faces)) * 2 - 1).T[..., None]
    bent = x * t + y * b + z * n
    return bent / np.linalg.norm(bent, axis=1, keepdims=True)


def test_a_normal_map_shades_a_light_mesh_as_the_fine_one():
    """Bumps that decimation has taken away are in the map."""

    def bumpy(p):
        return (ball(0.36)(p) - 0.012 * torch.sin(40 * p).prod(1)) / 1.5

    mesh, volume = planted(bumpy)
    options = FinishOptions(faces=800, texture_size=512)
    light = finish_mesh(mesh, None, options, materials=volume).mesh
    on, points = on_surface(light)
    e = 1e-4
    p = torch.from_numpy(points).double()
    slope = [bumpy(p + e * o) - bumpy(p - e * o) for o in torch.eye(3, dtype=torch.double)]
    truth = torch.nn.functional.normalize(torch.stack(slope, 1), dim=1).numpy()
    plain = dataclasses.replace(light, material=None)
    angle = [
        np.degrees(np.arccos(np.clip((shading_normals(m, on) * truth).sum(1), -1, 1))).mean()
        for m in (plain, light)
    ]
    assert angle[1] < 0.5 * angle[0]


def test_vertices_take_colours_where_no_texture_is_wanted():
    mesh, volume = planted(ball())
    options = FinishOptions(faces=2000, vertex_colors=True)
    done = finish_mesh(mesh, None, options, materials=volume).mesh
    truth = striped(torch.from_numpy(done.vertices)).numpy()
    assert np.abs(done.colors / 255 - truth[:, :3]).mean() < 0.02
    assert done.material.metallic == pytest.approx(truth[:, 3].mean(), abs=0.03)


def test_glass_and_lattices_are_told_from_what_is_opaque():
    opaque, glass = np.full((32, 32), 255, np.uint8), np.full((32, 32), 120, np.uint8)
    lattice = np.where(np.indices((32, 32)).sum(0) % 4 < 2, 255, 0).astype(np.uint8)
    assert [alpha_mode_of(a) for a in (opaque, glass, lattice)] == ["opaque", "blend", "mask"]


def test_a_glass_ball_has_its_alpha_in_the_texture():
    def glass(p):
        return torch.cat([striped(p)[:, :5], torch.full_like(p[:, :1], 0.3)], 1)

    mesh, volume = planted(ball(), glass)
    done = finish_mesh(
        mesh, None, FinishOptions(faces=1000, texture_size=128), materials=volume
    ).mesh
    assert done.material.alpha_mode == "blend"
    assert np.abs(done.material.alpha / 255 - 0.3).max() < 0.02


@pytest.mark.parametrize("name", SHAPES)
def test_faces_of_any_winding_come_to_look_outwards(name):
    mesh, _ = planted(SHAPES[name])
    turned = mesh.faces.copy()
    some = np.random.default_rng(0).random(len(turned)) < 0.5
    turned[some] = turned[some][:, ::-1]
    again = oriented(mesh.vertices, turned)
    np.testing.assert_array_equal(np.sort(again, 1), np.sort(mesh.faces, 1))
    body = trimesh.Trimesh(mesh.vertices, again, process=False)
    assert body.is_winding_consistent
    assert body.volume > 0


def test_the_wall_of_a_cavity_looks_into_it_and_a_sheet_to_its_open_side():
    outer, inner = (trimesh.creation.icosphere(subdivisions=2, radius=r) for r in (0.4, 0.3))
    vertices = np.concatenate([outer.vertices, inner.vertices]).astype(np.float32)
    faces = np.concatenate([outer.faces, inner.faces + len(outer.vertices)]).astype(np.int32)
    again = oriented(vertices, faces)
    radial = (face_normals(vertices, again) * vertices[again[:, 0]]).sum(1) > 0
    assert radial[: len(outer.faces)].all()
    assert not radial[len(outer.faces) :].any()


def test_no_point_of_any_face_is_nearer():
    rng = np.random.default_rng(0)
    body = trimesh.creation.torus(0.3, 0.1)
    points = rng.uniform(-0.7, 0.7, (200, 3)).astype(np.float32)
    ours = nearest(body.vertices.astype(np.float32), body.faces.astype(np.int32), points)
    corners = body.triangles
    every = [
        trimesh.triangles.closest_point(corners, np.repeat(p[None], len(corners), 0)) - p
        for p in points.astype(np.float64)
    ]
    distance = np.linalg.norm(every, axis=-1).min(1)
    np.testing.assert_allclose(np.linalg.norm(ours.points - points, axis=1), distance, atol=1e-5)
    with pytest.raises(ValueError, match="without faces"):
        nearest(body.vertices.astype(np.float32), np.zeros((0, 3), np.int32), points)

"""On a torch device meshes are thinned and textures baked with the same contract as on the CPU."""

import os
from importlib.util import find_spec

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.finish.bake import bake_gaussians
from scenelift.finish.clean import clean
from scenelift.finish.normals import vertex_normals
from scenelift.finish.stage import finish_mesh
from scenelift.finish.topology import is_closed, twins
from scenelift.options import FinishOptions
from scenelift.types import Gaussians, Mesh

torch = pytest.importorskip("torch")

from scenelift.finish.thinning import thin  # noqa: E402

CPU = torch.device("cpu")
TORCH = "cpu:0"  # the CPU by torch's name: there torch computes, and numba on "cpu"
KERNEL_RUNS = find_spec("triton") is not None and (
    torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
)


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(
        vertices=np.asarray(shape.vertices, np.float32), faces=np.asarray(shape.faces, np.int32)
    )


def ball(subdivisions: int = 4) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4))


def ring() -> Mesh:
    return mesh_of(trimesh.creation.torus(0.35, 0.12, major_sections=64, minor_sections=32))


def noisy_splats(count: int, seed: int = 0) -> Gaussians:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points *= (0.4 + rng.normal(0, 0.006, (count, 1))) / np.linalg.norm(points, axis=1)[:, None]
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=points.astype(np.float32),
        scales=(0.015 * np.exp(rng.normal(0, 0.4, (count, 3)))).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0, 1, count).astype(np.float32),
        sh0=Gaussians.sh0_of(rng.uniform(0, 1, (count, 3))),
    )


def off_ball(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points, axis=1) - 0.4


def off_ring(points: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.35, points[:, 2]) - 0.12


def holes_of(mesh: Mesh) -> int:
    return int((twins(mesh.vertices, mesh.faces) < 0).sum())


@pytest.mark.parametrize(("made", "off"), [(ball, off_ball), (ring, off_ring)])
def test_thinning_keeps_a_surface_closed_in_place_and_of_its_genus(made, off):
    mesh = made()
    target = len(mesh.faces) // 5
    thinned = thin(mesh, target, CPU)
    assert target <= len(thinned.faces) <= target + 1
    assert is_closed(thinned.faces)
    before, after = (len(m.vertices) - len(m.faces) // 2 for m in (mesh, thinned))
    assert after == before  # Euler's characteristic
    # 800 faces on 1.7 of area have edges of 0.07, whose sagitta about a radius of 0.12 is 5e-3.
    assert np.abs(off(thinned.vertices)).max() < 5e-3


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_thinning_leaves_the_edges_of_holes_alone(seed, missing):
    mesh = ball()
    kept = np.random.default_rng(seed).permutation(len(mesh.faces))[missing:]
    holed = Mesh(vertices=mesh.vertices, faces=mesh.faces[kept])
    thinned = thin(holed, 1500, CPU)
    assert len(thinned.faces) < 2000
    assert holes_of(thinned) == holes_of(holed)


def test_thinning_leaves_what_is_broken_for_cleaning_to_count():
    mesh = ball()
    vertices = np.concatenate([mesh.vertices, np.full((1, 3), np.nan, np.float32)])
    n = len(mesh.vertices)
    broken = np.array([[0, 1, n], [5, 5, 9], [0, 1, n + 7], [-1, 2, 3]], np.int32)
    thinned = thin(Mesh(vertices=vertices, faces=np.concatenate([mesh.faces, broken])), 1000, CPU)
    cleaned = clean(thinned)
    assert cleaned.broken == len(broken)
    assert is_closed(cleaned.mesh.faces)


def test_thinning_twice_gives_the_same_mesh():
    first, second = thin(ring(), 1000, CPU), thin(ring(), 1000, CPU)
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.faces, second.faces)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 400, 3000]))
def test_torch_bakes_what_the_cpu_bakes(seed, count):
    mesh = ball(3)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    across = np.random.default_rng(seed).uniform(0.01, 0.2)  # from one point each to many
    cell = np.floor((mesh.vertices + 0.5) / across).astype(np.int64)
    patch = cell @ [10_000, 100, 1]
    arguments = noisy_splats(count, seed), mesh.vertices, normals, patch, 0.006
    here, there = (bake_gaussians(*arguments, device) for device in ("cpu", TORCH))
    # Single precision against double. Two splats at one depth to the last bit, or one at the edge
    # of being seen (1/255), change a texel by that; such ties must stay rare.
    difference = np.abs(here.rgb - there.rgb)[~(here.unseen | there.unseen)]
    assert (difference > 1e-3).mean() < 0.01 if difference.size else True
    assert (here.unseen != there.unseen).mean() < 0.005


def arguments_of_a_bake(large: bool) -> tuple:
    mesh = ball(3)
    splats = noisy_splats(2000)
    if large:
        splats.scales[::50] *= 20  # half as wide as the object
    patch = np.floor((mesh.vertices + 0.5) / 0.25).astype(np.int64) @ [10_000, 100, 1]
    return splats, mesh.vertices, vertex_normals(mesh.vertices, mesh.faces), patch, 0.006


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("most", [1, 8000])
def test_colours_do_not_depend_on_the_pieces_that_are_baked_together(monkeypatch, large, most):
    arguments = arguments_of_a_bake(large)
    whole = bake_gaussians(*arguments, TORCH)
    monkeypatch.setattr("scenelift.finish.bake_torch.PAIRS_AT_ONCE", most)
    in_pieces = bake_gaussians(*arguments, TORCH)
    np.testing.assert_array_equal(in_pieces.rgb, whole.rgb)
    np.testing.assert_array_equal(in_pieces.unseen, whole.unseen)


def test_large_splats_among_small_ones_are_baked_as_on_the_cpu():
    arguments = arguments_of_a_bake(large=True)
    here, there = (bake_gaussians(*arguments, device) for device in ("cpu", TORCH))
    assert (np.abs(here.rgb - there.rgb).max(1) > 1e-3).mean() < 0.01


def test_pieces_become_smaller_where_memory_runs_out(monkeypatch):
    from scenelift.finish import bake_torch

    arguments, inner, tried = arguments_of_a_bake(large=False), bake_torch._Near.table, []

    def scarce(near, *rest):
        *_, first, end, _ = rest
        tried.append(int(near.bounds[end] - near.bounds[first]))
        if tried[-1] > 10_000:
            raise torch.OutOfMemoryError("no room")
        return inner(near, *rest)

    whole = bake_gaussians(*arguments, TORCH)
    monkeypatch.setattr(bake_torch._Near, "table", scarce)
    np.testing.assert_array_equal(bake_gaussians(*arguments, TORCH).rgb, whole.rgb)
    assert max(tried) > 10_000 > tried[-1]


def test_the_cpu_bakes_where_a_device_has_no_room(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no room")

    arguments = arguments_of_a_bake(large=False)
    monkeypatch.setattr("scenelift.finish.bake_torch._Near.table", full)
    there, here = (bake_gaussians(*arguments, device) for device in (TORCH, "cpu"))
    np.testing.assert_array_equal(there.rgb, here.rgb)


def test_thinning_in_pieces_gives_the_same_mesh(monkeypatch):
    whole = thin(ring(), 1000, CPU)
    monkeypatch.setattr("scenelift.finish.thinning.ROWS_AT_ONCE", 700)
    in_pieces = thin(ring(), 1000, CPU)
    np.testing.assert_allclose(in_pieces.vertices, whole.vertices, atol=1e-6)
    np.testing.assert_array_equal(in_pieces.faces, whole.faces)


@pytest.mark.skipif(not KERNEL_RUNS, reason="needs CUDA, or triton with TRITON_INTERPRET=1")
def test_the_kernel_blends_as_plain_tensors_do():
    from scenelift.finish.bake_torch import blend_patches
    from scenelift.finish.bake_triton import blend_patches_triton

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = torch.Generator().manual_seed(0)
    counts = torch.tensor([0, 1, 15, 16, 17, 60])
    starts = torch.cat([torch.zeros(1), counts.cumsum(0)]).to(torch.int32)
    random = torch.rand((int(counts.sum()), 9), generator=rng)
    table = random * torch.tensor([1, 1, -9, 4, -9, 1, 1, 1, 1.0])
    at = torch.rand((len(counts), 23, 2), generator=rng)
    there = torch.rand((len(counts), 23), generator=rng) < 0.8
    arguments = [x.to(device) for x in (table, starts, at, there)]
    torch.testing.assert_close(
        blend_patches_triton(*arguments), blend_patches(*arguments), atol=1e-5, rtol=1e-5
    )


def test_a_mesh_finished_by_torch_is_closed_textured_and_says_what_it_cost():
    splats = noisy_splats(4000)
    done = finish_mesh(ball(), splats, FinishOptions(faces=300, texture_size=128), device=TORCH)
    assert done.quality["mesh_watertight"] == 1
    assert done.quality["mesh_faces_decoded"] == len(ball().faces)
    assert len(done.mesh.faces) <= 300
    assert done.mesh.texture is not None
    assert done.seconds["thin"] > 0


@pytest.mark.skipif(not KERNEL_RUNS, reason="needs a CUDA device, or TRITON_INTERPRET=1")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets it
def test_kernels_take_the_steps_of_thinning_that_plain_tensors_take():
    from scenelift.finish import thinning
    from scenelift.finish import thinning_triton as kernels

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mesh = ball(4)
    points = torch.from_numpy(mesh.vertices.astype(np.float64)).to(device)
    points += 0.003 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1)).to(
        points
    )
    faces = torch.from_numpy(mesh.faces.astype(np.int64)).to(device)
    quadrics = thinning._quadrics(points, faces)
    ends = thinning._edges(faces, len(points)).ends
    at, cost = thinning.best_points(points, quadrics, ends)
    own_at, own_cost = kernels.best_points_triton(points, quadrics, ends)
    torch.testing.assert_close(own_at, at, rtol=0, atol=1e-9)
    torch.testing.assert_close(own_cost, cost, rtol=1e-9, atol=1e-15)

    lots = torch.randperm(len(ends), generator=torch.Generator().manual_seed(2)).to(device)
    lots[cost > cost.median()] = len(ends)
    chosen = thinning.apart_by_lot(lots, ends, faces, len(points))
    assert 100 < int(chosen.sum()) < len(ends) // 2
    assert torch.equal(kernels.apart_by_lot_triton(lots, ends, faces, len(points)), chosen)

    collapses = chosen.nonzero()[:, 0]
    of_vertex = torch.full((len(points),), -1, device=device)
    for k in range(2):
        of_vertex[ends[collapses, k]] = torch.arange(len(collapses), device=device)
    far = at[collapses] * 1.04  # where some faces turn
    fine = thinning.shape_stays(points, faces, of_vertex, far)
    assert 0 < int(fine.sum()) < len(fine)
    assert torch.equal(kernels.shape_stays_triton(points, faces, of_vertex, far), fine)


@pytest.mark.skipif(not KERNEL_RUNS, reason="needs a CUDA device, or TRITON_INTERPRET=1")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets it
def test_kernels_see_splats_as_plain_tensors_do():
    from scenelift.finish import bake_torch, bake_triton
    from scenelift.render.splats_torch import SplatTensors

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    splats = bake_torch._Cells.of(
        SplatTensors.from_gaussians(noisy_splats(3000), device), 0.01, 0.06
    )
    points = torch.from_numpy(noisy_splats(800, seed=5).means).to(device)
    patches = bake_torch._Patches.of(
        points, points / points.norm(dim=1, keepdim=True), torch.arange(800, device=device) // 2
    )
    frames = bake_torch._lines_of_sight(patches)
    rng = torch.Generator().manual_seed(3)
    patch, _ = torch.randint(0, 400, (5000,), generator=rng).sort()
    splat = torch.randint(0, 3000, (5000,), generator=rng)
    arguments = (splats, patches, frames)
    pairs = (patch.to(device), splat.to(device))
    met, own = bake_torch.meet(*arguments, *pairs), bake_triton.meet_triton(*arguments, *pairs)
    assert 100 < int(met.sum()) < met.numel()
    assert int((met != own).sum()) <= 1  # at a threshold
    pair, sight = met.nonzero().unbind(1)
    rows = (pairs[0][pair], pairs[1][pair], sight)
    table, key = bake_torch.look(*arguments, 1e-4, *rows)
    own_table, own_key = bake_triton.look_triton(*arguments, 1e-4, *rows)
    torch.testing.assert_close(own_table, table, rtol=1e-3, atol=1e-4)
    lines, own_lines = (k + (1 << 31) >> 32 for k in (key, own_key))
    assert torch.equal(own_lines, lines)
    # Of depths near 0, whose bits are many, some differ by more.
    assert float(((own_key - key).abs() < 1 << 10).float().mean()) > 0.99

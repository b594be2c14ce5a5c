"""Views of an object from all around agree with themselves, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality.views import compare_views, surface_of, thin_points, thin_recall

from scenelift.training.scenes import props
from scenelift.training.scenes.meshes import join
from scenelift.types import Mesh

EYE = np.array([0.6, 0.9, 2.5])


def cube(colour=(0.8, 0.3, 0.2), deep=0.4):
    return props.box((-0.4, -0.4, -deep), (0.4, 0.4, deep), color=colour)


def test_the_truth_is_seen_as_itself_from_everywhere():
    figures, pictures = compare_views(cube(), cube(), EYE)
    assert list(figures) == [0, 50, -50, 90, -90, 180]
    for iou, psnr, ssim in figures.values():
        assert iou == 1
        assert psnr > 50
        assert ssim > 0.999
    inside = pictures[0][0].inside
    assert 0.1 < inside.mean() < 0.6


def test_size_place_and_light_are_not_judged():
    away = np.diag([3.0, 3, 3, 1])
    away[:3, 3] = (1, 2, 3)
    dim = props.box((-0.4, -0.4, -0.4), (0.4, 0.4, 0.4), color=(0.4, 0.15, 0.1))
    figures, _ = compare_views(dim.moved(away), cube(), EYE)
    assert figures[90][0] > 0.98
    assert figures[90][1] > 25


def test_a_flat_back_is_seen_from_beside():
    figures, _ = compare_views(cube(deep=0.05), cube(), EYE)
    assert figures[90][0] < 0.4
    assert figures[0][0] > figures[90][0] + 0.2


def test_a_back_of_another_colour_lowers_the_back_alone():
    def sheets(back):
        fronts = ((0.4, (0.8, 0.3, 0.2)), (-0.4, back))
        return join(
            [props.quad((-0.4, -0.4, z), (0.8, 0, 0), (0, 0.8, 0), color=c) for z, c in fronts]
        )

    half, same = sheets((0.1, 0.2, 0.8)), sheets((0.8, 0.3, 0.2))
    figures, _ = compare_views(half, same, np.array([0, 0.01, 2.5]))
    assert figures[0][1] > 40
    assert figures[180][1] < 15


def test_legs_are_thin_parts_and_a_table_without_them_keeps_none():
    top = props.box((-0.5, 0.2, -0.4), (0.5, 0.4, 0.4))
    leg = props.box((-0.47, -0.5, -0.37), (-0.44, 0.2, -0.34))
    points = thin_points(join([top, leg]), np.random.default_rng(0))
    assert len(points) > 60
    assert (points[:, 1] < 0.25).all()
    assert thin_recall(join([top, leg]), join([top, leg])) == 1.0
    block = props.box((-0.5, -0.5, -0.4), (0.5, 0.4, 0.4))
    kept = thin_recall(join([top, leg.moved(np.diag([-1.0, 1, -1, 1]))]), join([top, leg]))
    assert kept is not None
    assert kept < 0.1
    assert thin_recall(block, block) is None


def test_a_mesh_brings_its_texture_or_its_colours():
    square = Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        colors=np.array([[200, 0, 0]] * 4, np.uint8),
    )
    moved = np.eye(4)
    moved[:3, 3] = (0, 0, -5)
    surface = surface_of(square, moved)
    assert surface.vertices[:, 2] == pytest.approx(-5)
    assert surface.face_color[0] == pytest.approx([200 / 255, 0, 0])
    np.testing.assert_allclose(np.abs(surface.normals), [[0, 0, 1]] * 4)

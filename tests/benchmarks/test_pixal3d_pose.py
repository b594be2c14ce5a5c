"""Pixal3D's recipe of a pose puts a planted true shape where it is, with nothing to search for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.pixal3d_pose import measure_condition
from benchmarks.synthetic import scenes

from benchmarks import pixal3d_pose
from scenelift.training.scenes.plans import PLANS

KITCHEN = next(k for k, plan in enumerate(PLANS) if plan.name == "kitchen")


@pytest.fixture
def scene(models):
    scene = scenes.make_scene(0, KITCHEN, width=160, height=120, samples=1)
    return replace(scene, objects=scene.objects[:2])


def test_with_true_points_an_object_is_where_it_is(scene):
    by_view, refined = measure_condition([scene], "true points", paths=["view"]).rows
    assert by_view.count == refined.count == 2
    assert by_view.figures["3D IoU"] > 0.95
    assert by_view.figures["ADD-S"] < 0.02
    assert not by_view.figures["rotation °, median"] > 0.01
    assert refined.figures["ADD-S@.1"] == 1


def test_a_wrong_view_of_the_crop_shows_in_the_figures(scene, monkeypatch):
    given = pixal3d_pose.cut_out

    def wider(view):
        picture, crop = given(view)
        return picture, replace(crop, fov=1.3 * crop.fov)

    monkeypatch.setattr("scenelift.reconstruct.pixal3d.cut_out", wider)
    by_view, _ = measure_condition([scene], "true points", paths=["view"]).rows
    assert by_view.figures["3D IoU"] < 0.8

"""Parts of later stages are done while objects are made, and nothing else changes by that."""

from __future__ import annotations

import threading

import pytest

import scenelift.background.surroundings as surroundings
import scenelift.compose.layout as layout
import scenelift.io.png as png
import scenelift.pipeline
from scenelift.errors import Cancelled
from scenelift.options import LayoutOptions
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter
from scenelift.stages import StageStore, digest
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)
from tests.drivers.patience import patient

PATIENCE = patient(10.0)


class Waiting(BallReconstructor):
    """Makes an object when something else has happened."""

    def __init__(self, happened: dict[int, threading.Event]) -> None:
        super().__init__()
        self._happened = happened

    def reconstruct(self, view, *, seed, report):
        assert self._happened[view.index].wait(PATIENCE)
        return super().reconstruct(view, seed=seed, report=report)


def pipeline_of(reconstructor=None) -> Pipeline:
    return Pipeline(ColorSegmenter(), PlanePointMapper(), reconstructor or BallReconstructor())


def test_surroundings_and_the_place_of_an_object_are_found_while_another_is_made(monkeypatch):
    looked, placed, callers = threading.Event(), threading.Event(), []
    look_around, find_place = surroundings.look_around, layout.find_place

    def look(*args, **kwargs):
        around = look_around(*args, **kwargs)
        looked.set()
        return around

    def find(o, *args, **kwargs):
        place = find_place(o, *args, **kwargs)
        callers.append(kwargs["callers"])
        placed.set()
        return place

    monkeypatch.setattr(surroundings, "look_around", look)
    monkeypatch.setattr(layout, "find_place", find)
    made = pipeline_of(Waiting({0: looked, 1: placed})).run(disc_photo(), "red; blue", seed=3)
    assert callers == [2, 1]  # all cores for the last, for which everything waits

    # As when every stage does all of its own work.
    monkeypatch.setattr(scenelift.pipeline, "early_work", _Late)
    again = pipeline_of().run(disc_photo(), "red; blue", seed=3)
    assert digest(made.background) == digest(again.background)
    assert digest(made.objects) == digest(again.objects)


def test_textures_are_packed_for_files_while_another_object_is_made(monkeypatch):
    packed, textures = threading.Event(), []

    def pack(pixels):
        textures.append(pixels)
        packed.set()

    monkeypatch.setattr(png, "png_bytes", pack)
    at_once = threading.Event()
    at_once.set()
    made = pipeline_of(Waiting({0: at_once, 1: packed})).run(disc_photo(), "red; blue", seed=3)
    mesh = made.objects[0].shape.mesh
    assert mesh is not None
    assert textures[0] is mesh.texture


class _Late:
    """Stands in for `early_work`, and begins nothing."""

    def __enter__(self):
        return lambda work: work

    def __exit__(self, *error):
        return None


def test_a_bug_around_the_objects_fails_the_background_and_keeps_what_came_before(
    monkeypatch, tmp_path
):
    def look(*args, **kwargs):
        raise ZeroDivisionError

    store, quick = StageStore(tmp_path), LayoutOptions(refine=False)
    with monkeypatch.context() as patch:
        patch.setattr(surroundings, "look_around", look)
        with pytest.raises(ZeroDivisionError):
            pipeline_of().run(disc_photo(), "red", store=store, layout=quick)
    assert store.has("compose")
    assert not store.has("background")
    scene = pipeline_of().run(disc_photo(), "red", store=store, layout=quick)
    assert [t.stage for t in scene.provenance.timings if not t.resumed] == ["background"]


def test_nothing_is_begun_that_an_earlier_run_has_stored(monkeypatch, tmp_path):
    store = StageStore(tmp_path)
    before = pipeline_of().run(disc_photo(), "red; blue", store=store)

    def never(*args, **kwargs):
        raise AssertionError("done again")

    monkeypatch.setattr(surroundings, "look_around", never)
    monkeypatch.setattr(layout, "find_place", never)
    again = pipeline_of().run(disc_photo(), "red; blue", store=store)
    assert all(t.resumed for t in again.provenance.timings)
    assert digest(again.objects) == digest(before.objects)
    # What is stored no longer fits: the stages do all of it.
    monkeypatch.undo()
    other = LayoutOptions(background="planes", refine=False)
    changed = pipeline_of().run(disc_photo(), "red; blue", store=store, layout=other)
    fresh = pipeline_of().run(disc_photo(), "red; blue", layout=other)
    assert digest(changed.background, changed.objects) == digest(fresh.background, fresh.objects)


def test_a_run_that_is_stopped_stops_what_was_begun_early(monkeypatch):
    token, stopped = CancelToken(), threading.Event()

    def look(*args, report, **kwargs):
        try:
            for _ in range(int(PATIENCE / 0.01)):
                report.check()
                threading.Event().wait(0.01)
        except Cancelled:
            stopped.set()
            raise

    monkeypatch.setattr(surroundings, "look_around", look)

    def listen(event):
        if event.stage == "finish":
            token.cancel()

    with pytest.raises(Cancelled):
        pipeline_of().run(disc_photo(), "red; blue", report=Reporter(listen, token=token))
    assert stopped.is_set()
    assert not [t for t in threading.enumerate() if t.name.startswith("early")]


def test_without_a_background_nobody_looks_around(monkeypatch):
    monkeypatch.setattr(surroundings, "look_around", None)
    scene = pipeline_of().run(
        disc_photo(), "red", layout=LayoutOptions(background="none", refine=False)
    )
    assert scene.background is None

"""Results are used again only where nothing they depend on has changed: walked option by option.

An option that is added is walked too: `changes` says which stage depends on it first.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenelift.io.animation import write_png
from scenelift.io.image import read_image
from scenelift.options import OPTIONS, Options
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.reconstruct.trellis import TrellisReconstructor
from scenelift.reconstruct.trellis2 import Trellis2Reconstructor
from scenelift.runs import RunSpec, fingerprint_of
from scenelift.runtime import Runtime
from scenelift.stages import StageStore
from scenelift.testing.fakes import disc_photo
from scenelift.types import Image

ORDER = ("segment", "pointmap", "reconstruct", "finish", "compose", "background", "write")
BASE = {"prompt": ["red", "blue"], "device": "cpu", "faces": 40, "texture_size": 64}
FIELDS = {f.name: f for f in OPTIONS}
IN_KEYS = {
    "quality": "names backends; their names and versions are in every key",
    "segmenter": "its name and version are in every key",
    "pointmapper": "likewise",
    "reconstructor": "likewise",
    "published": "stands for others that are walked",
    "exif_focal": "in the version of those that heed it: tests/pointmap",
    "precision": "in the version of every model, where a device has a choice: not on a CPU",
    "segmenter_model": "in the version of those that take one: tests/segment",
}
OF_MODELS = [
    f.name
    for f in OPTIONS
    if f.group == "models" and f.option.changes == "reconstruct" and f.name not in IN_KEYS
]
WALKED = [
    f.name
    for f in OPTIONS
    if f.option.changes and f.name not in {*IN_KEYS, *OF_MODELS, "masks", "depth", "depth_scale"}
]


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_png(path, disc_photo().pixels)
    return path


def test_every_option_that_changes_results_is_walked_or_is_in_a_version():
    walked = {*WALKED, *OF_MODELS, *IN_KEYS, "masks", "depth", "depth_scale"}
    assert walked == {f.name for f in OPTIONS if f.option.changes}


@pytest.mark.parametrize("name", WALKED)
def test_a_changed_option_runs_its_stages_again_and_none_before(name, photo, pipeline, tmp_path):
    def stages(options: Options) -> dict[str, bool]:
        """Stage -> whether all of its results were used again."""
        scene = pipeline.run(
            photo,
            options.search.to_prompt(),
            seed=options.seeds.seed,
            best_of=options.seeds.best_of,
            same_seed=options.seeds.same_seed,
            layout=options.layout,
            finish=options.finish,
            store=StageStore(tmp_path / "stages"),
        )
        resumed: dict[str, bool] = {}
        for timing in scene.provenance.timings:
            resumed[timing.stage] = resumed.get(timing.stage, True) and timing.resumed
        return resumed

    usual = Options.from_plain(BASE)
    changed = Options.from_plain({**BASE, name: other_value(name)})
    assert not any(stages(usual).values())
    assert all(stages(usual).values())
    first = ORDER.index(FIELDS[name].option.changes)
    again = {stage for stage, resumed in stages(changed).items() if not resumed}
    assert again == set(ORDER[first:-1])


@pytest.mark.parametrize("name", WALKED)
def test_a_changed_option_is_another_run(name, photo, pipeline, tmp_path):
    def fingerprint(plain: dict) -> str:
        options = Options.from_plain(plain)
        prompt = options.search.to_prompt()
        spec = RunSpec.of(photo, prompt, tmp_path, options)
        return fingerprint_of(spec, read_image(photo), prompt, pipeline)

    assert fingerprint(BASE) == fingerprint({**BASE, "threads": 2})
    assert fingerprint(BASE) != fingerprint({**BASE, name: other_value(name)})


def other_value(name: str) -> object:
    """A value that is not that of `BASE`."""
    example = FIELDS[name].option.example
    return ["red"] if example == BASE.get(name) else example


@pytest.mark.parametrize("name", OF_MODELS)
def test_what_a_model_is_told_is_in_its_version(name, versions):
    assert versions({name: FIELDS[name].option.example}) != versions({"threads": 1})


@pytest.fixture(scope="module")
def versions(tiny_checkpoints, tiny_open, tiny_pbr):
    """Plain values of options -> versions of the models that they are for."""

    def of(plain: dict) -> tuple[str, ...]:
        base = {"device": "cpu", **plain}
        loaders = (
            (SAM3DReconstructor, tiny_checkpoints),
            (TrellisReconstructor, tiny_open),
            (Trellis2Reconstructor, tiny_pbr),
        )
        made = []
        for kind, weights in loaders:
            options = Options.from_plain({**base, "weights": str(weights)}).models
            made.append(kind.load(Runtime.of(options)).version)
        return tuple(made)

    return of


def test_another_mask_or_depth_is_another_version(photo, pipeline, tmp_path):
    def backends(**given: object) -> dict[str, str]:
        prompt = Options.from_plain({"prompt": ["red"]}).search.to_prompt()
        return pipeline.with_inputs(photo, prompt=prompt, **given).backends

    image = read_image(photo)
    mask, depth = tmp_path / "mask.png", tmp_path / "depth.npy"
    seen = set()
    for size in (20, 30):
        drawn = np.zeros((*image.pixels.shape[:2], 3), np.uint8)
        drawn[10 : 10 + size, 10:40] = 255
        write_png(mask, drawn)
        seen.add(backends(masks=mask)["segmenter"])
        np.save(depth, np.full(image.pixels.shape[:2], size / 10, np.float32))
        seen |= {backends(depth=depth, depth_scale=k)["pointmapper"] for k in (1.0, 0.5)}
    assert len(seen) == 6


def another_photo(image: Image) -> Image:
    """The photo with one number off by one."""
    pixels = image.pixels.copy()
    pixels[0, 0, 0] ^= 1
    return replace(image, pixels=pixels)


def test_another_photo_backend_or_release_is_another_run(photo, pipeline, tmp_path, monkeypatch):
    options, image = Options.from_plain(BASE), read_image(photo)
    prompt = options.search.to_prompt()
    spec = RunSpec.of(photo, prompt, tmp_path, options)
    runs = [
        fingerprint_of(spec, picture, prompt, pipeline) for picture in (image, another_photo(image))
    ]
    for role in ("segmenter", "pointmapper", "reconstructor"):
        getattr(pipeline, role).version = "another"
        runs.append(fingerprint_of(spec, image, prompt, pipeline))
    monkeypatch.setattr("scenelift.runs.__version__", "another")
    runs.append(fingerprint_of(spec, image, prompt, pipeline))
    assert len(set(runs)) == 6


def test_another_photo_or_release_uses_no_stored_result(photo, pipeline, tmp_path, monkeypatch):
    def resumed(image: Image) -> list[bool]:
        scene = pipeline.run(image, ["red"], store=StageStore(tmp_path / "stages"))
        return [timing.resumed for timing in scene.provenance.timings]

    image = read_image(photo)
    assert not any(resumed(image))
    assert not any(resumed(another_photo(image)))
    assert all(resumed(another_photo(image)))
    monkeypatch.setattr("scenelift.stages.__version__", "another")
    assert not any(resumed(another_photo(image)))


def test_another_version_of_any_backend_runs_its_stage_and_all_after_it(photo, pipeline, tmp_path):
    store = StageStore(tmp_path / "stages")
    pipeline.run(photo, ["red"], store=store)
    stage_of = {"reconstructor": "reconstruct", "pointmapper": "pointmap", "segmenter": "segment"}
    for role, stage in stage_of.items():
        getattr(pipeline, role).version = "another"
        scene = pipeline.run(photo, ["red"], store=store)
        again = {t.stage for t in scene.provenance.timings if not t.resumed}
        assert again == set(ORDER[ORDER.index(stage) : -1])

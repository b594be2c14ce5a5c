"""The full quality's own code, with tiny made-up weights, from a photo to a finished folder."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.errors import BackendUnavailable, Cancelled, WeightsError
from scenelift.io.image import MAX_SIDE, read_image
from scenelift.options import BackendOptions, ExportOptions, ReconstructionOptions, option_named
from scenelift.pipeline import Pipeline, SAM3SAM3DPipeline
from scenelift.pointmap.moge import MoGePointMapper
from scenelift.progress import CancelToken, Event, Reporter, silent
from scenelift.qualities import FROM_FILES, QUALITIES, choose_backends
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.runs import RunSpec, run_job
from scenelift.testing.fakes import ColorSegmenter, disc_photo
from scenelift.types import Instance, Prompt

EXPORT = ExportOptions(preview_frames=2, preview_size=64)


@pytest.fixture(scope="module")
def pipeline(tiny_checkpoints) -> Pipeline:
    options = ReconstructionOptions(
        weights=tiny_checkpoints, device="cpu", structure_steps=3, latent_steps=2
    )
    return Pipeline(
        ColorSegmenter(),
        MoGePointMapper.from_options(options),
        SAM3DReconstructor.load(options),
    )


def spec(photo: Path, out: Path, seed: int = 1) -> RunSpec:
    prompt = Prompt(phrases=("red", "blue"))
    return RunSpec(photo=photo, prompt=prompt, out=out, seed=seed, export=EXPORT)


def test_a_photo_becomes_a_folder(pipeline, photo, tmp_path):
    manifest = run_job(spec(photo, tmp_path / "out"), pipeline, silent())
    assert manifest.complete
    assert [o.label for o in manifest.objects] == ["red", "blue"]
    for o in manifest.objects:
        assert o.gaussians == 32 * o.quality["voxels"]
        assert o.faces > 100
    assert all((tmp_path / "out" / f.path).is_file() for f in manifest.files)
    names = {Path(f.path).name for f in manifest.files}
    assert {"scene.ply", "scene.glb", "scene.obj", "preview.gif", "splats.ply"} <= names
    assert manifest.backends["reconstructor"].startswith("sam3d sam-3d-objects")
    assert manifest.backends["pointmapper"].startswith("moge moge-1")


def test_a_run_that_was_stopped_in_the_second_object_goes_on_from_there(pipeline, photo, tmp_path):
    token = CancelToken()

    def stop(event: Event) -> None:
        if event.object_index == 1 and event.message == "adding detail":
            token.cancel()

    with pytest.raises(Cancelled):
        run_job(spec(photo, tmp_path / "out"), pipeline, Reporter(stop, token=token))

    events: list[Event] = []
    manifest = run_job(spec(photo, tmp_path / "out"), pipeline, Reporter(events.append))
    assert manifest.complete
    resumed = {(e.stage, e.object_index) for e in events if e.kind == "stage_resumed"}
    # The first object may have been finished meanwhile, or not.
    assert resumed - {("finish", 0)} == {("segment", None), ("pointmap", None), ("reconstruct", 0)}

    again = run_job(spec(photo, tmp_path / "other"), pipeline, silent())
    sums = [{f.path: f.sha256 for f in m.files} for m in (manifest, again)]
    assert sums[0] == sums[1]


def test_an_object_that_cannot_be_made_leaves_the_others(pipeline, tmp_path):
    class AndASpeck(ColorSegmenter):
        def segment(self, image, prompt, report):
            found = super().segment(image, prompt, report)
            mask = np.zeros((image.height, image.width), bool)
            mask[5, 5] = True
            speck = Instance(mask=mask, label="speck", score=0.5, box=Instance.box_of(mask))
            return type(found)(instances=(speck, *found.instances[:1]))

    mixed = Pipeline(AndASpeck(), pipeline.pointmapper, pipeline.reconstructor)
    scene = mixed.run(disc_photo(), "red", seed=1)
    assert [o.instance.label for o in scene.objects] == ["red"]
    (failed,) = scene.provenance.failed
    assert failed.error == "bad-input"
    assert "at least 3×3" in failed.reason


def test_a_photo_of_12000_by_9000_pixels_is_read_at_a_size_that_fits(tmp_path):
    path = tmp_path / "huge.png"
    PIL.Image.new("1", (12_000, 9_000)).save(path)
    image = read_image(path)
    assert (image.width, image.height) == (MAX_SIDE, MAX_SIDE * 3 // 4)
    assert str(MAX_SIDE) in image.notes[0]


@pytest.fixture
def mask(tmp_path) -> Path:
    found = ColorSegmenter().segment(disc_photo(), Prompt(phrases=("red",)), silent())
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(found.instances[0].mask).save(path)
    return path


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_line_runs_it_on_given_masks(tiny_checkpoints, photo, mask, tmp_path):
    """SAM 3 is not asked for where masks are given."""
    out = tmp_path / "out"
    result = invoke(
        *("run", photo, "--quality", "full", "--mask", mask, "--weights", tiny_checkpoints),
        *("--device", "cpu", "--steps", 2, "--few-splats", "--faces", 200, "--seed", 1),
        *("--vram", "8GB", "--out", out),
        *("--texture-size", 64, "--preview-frames", 2, "--preview-size", 32),
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "scene.json").read_text())
    (found,) = manifest["objects"]
    assert found["gaussians"] == 4 * found["quality"]["voxels"]
    assert 0 < found["faces"] <= 200
    assert "2 + 2 steps" in manifest["backends"]["reconstructor"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vram", "lots"), "not an amount of memory"),
        (("--precision", "double"), "precision is 'double'; expected one of auto, float16"),
        (("--steps", "0"), "--steps"),
    ],
)
def test_options_that_make_no_sense_are_refused(photo, mask, tmp_path, options, message):
    result = invoke("run", photo, "--mask", mask, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output


def test_auto_takes_full_where_it_can_run(tiny_checkpoints):
    choice = choose_backends("auto", BackendOptions(weights=tiny_checkpoints), segmenter=FROM_FILES)
    assert choice.quality == "full"
    (note,) = choice.notes
    assert note == "Quality 'full': SAM 3, MoGe and SAM 3D Objects are all here."


def test_auto_goes_on_to_embedded_and_says_in_a_sentence_what_full_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    choice = choose_backends("auto", BackendOptions(), segmenter=FROM_FILES)
    assert choice.quality == "embedded"
    (note,) = choice.notes
    assert "`scenelift models download full`" in note
    assert "`scenelift models download open`" in note
    assert len(note) < 300


def test_what_is_missing_is_found_without_loading_anything_heavy(tmp_path):
    code = (
        "import sys\n"
        "from scenelift.qualities import QUALITIES, lacking\n"
        "from scenelift.options import BackendOptions, option_named\n"
        "assert lacking(QUALITIES['full'], BackendOptions())\n"
        "heavy = {'torch', 'transformers', 'numba', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"SCENELIFT_HOME": str(tmp_path), "PATH": "", "HF_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_published_pipeline_says_what_it_lacks(tmp_path):
    with pytest.raises(BackendUnavailable, match="scenelift models download full"):
        SAM3SAM3DPipeline(BackendOptions(weights=tmp_path))
    assert QUALITIES["full"].reconstructor == "sam3d"


def test_what_is_missing_is_blamed_on_what_was_asked_for(tmp_path):
    options = BackendOptions(weights=tmp_path)
    with pytest.raises(BackendUnavailable) as quality:
        choose_backends("pbr", options)
    assert str(quality.value).count("scenelift models download") == 1
    for quality_name in ("auto", "embedded"):
        with pytest.raises(BackendUnavailable, match="The reconstructor 'trellis2' cannot be used"):
            choose_backends(quality_name, options, reconstructor="trellis2")
    assert all(name in option_named("quality").option.help for name in QUALITIES)


def test_options_that_a_reconstructor_has_no_use_for_are_named():
    said = ReconstructionOptions(fast=True, voxel_kind="512", threads=2)
    for quality in ("auto", "embedded"):
        notes = choose_backends(quality, said, segmenter=FROM_FILES, reconstructor="embedded").notes
        assert "Not used: --fast, --voxel-kind." in notes[-1]
    assert not choose_backends("embedded", ReconstructionOptions(threads=2)).notes


def test_damaged_weights_of_moge_are_named(tiny_checkpoints, tmp_path):
    content = (tiny_checkpoints / "moge" / "model.pt").read_bytes()
    (tmp_path / "moge").mkdir()
    (tmp_path / "moge" / "model.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"model\.pt"):
        MoGePointMapper.from_options(BackendOptions(weights=tmp_path, device="cpu"))

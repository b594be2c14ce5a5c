"""Stored results come back equal, only for their own key, and never execute anything."""

from __future__ import annotations

import errno
import io
import pickle
import weakref
from types import FunctionType

import numpy as np
import pytest

from scenelift.errors import OutputError, ReconstructionError
from scenelift.jit import compiled
from scenelift.progress import Reporter
from scenelift.stages import COMPILING, StageStore, Steps, digest, outcome_of
from scenelift.testing.fakes import ball_shape, disc_photo
from scenelift.types import Camera, Dropped, Instance, PointMap, Pose, Reconstruction, Segmentation


def equal(a, b):
    return digest(a) == digest(b)


@pytest.fixture
def results():
    mask = np.zeros((7, 13), bool)
    mask[2:5, 3:9] = True
    instance = Instance(
        mask=mask,
        label="a cup; näh",
        score=0.5,
        box=Instance.box_of(mask),
        alpha=mask.astype(np.float32) / 2,
    )
    camera = Camera.from_fov(13, 7, fov_deg=50)
    return [
        Segmentation(
            instances=(instance,),
            dropped=(Dropped(label="x", score=0.1, box=(0, 0, 1, 1), reason="low"),),
            notes=("a note",),
        ),
        PointMap(points=camera.unproject(np.full((7, 13), np.nan)), camera=camera, scale="metric"),
        PointMap(
            points=camera.unproject(np.ones((7, 13))),
            camera=camera,
            confidence=np.linspace(0, 1, 91, dtype=np.float32).reshape(7, 13),
            scale="measured",
            metres_per_unit=0.5,
            scale_note="good to a tenth",
            normals=np.linspace(-1, 1, 273, dtype=np.float32).reshape(7, 13, 3),
            notes=("a note",),
        ),
        Reconstruction(
            shape=ball_shape(np.array([10, 20, 30]), splats=20),
            pose=Pose(translation=(1, 2, 3), scale=0.5),
            quality={"silhouette_iou": 0.93},
        ),
    ]


def test_what_is_saved_is_loaded(tmp_path, results):
    store = StageStore(tmp_path / "work")
    for k, value in enumerate(results):
        store.save(f"stage-{k}", "key", value)
        assert equal(store.load(f"stage-{k}", "key", type(value)), value)


def test_another_key_or_kind_or_stage_is_not_found(tmp_path, results):
    store = StageStore(tmp_path)
    store.save("a", "key", results[0])
    assert store.load("a", "other", Segmentation) is None
    assert store.load("b", "key", Segmentation) is None
    assert store.load("a", "key", PointMap) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense", None])
def test_a_damaged_file_counts_as_missing(tmp_path, results, damage):
    store = StageStore(tmp_path)
    store.save("a", "key", results[0])
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    assert store.load("a", "key", Segmentation) is None


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a stage file executed code",))


def test_a_pickle_in_a_stage_file_is_not_run(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, description=np.array([Explosive()], object), allow_pickle=True)
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    assert StageStore(tmp_path).load("a", "key", Segmentation) is None
    (tmp_path / "a.npz").write_bytes(pickle.dumps(Explosive()))
    assert StageStore(tmp_path).load("a", "key", Segmentation) is None


def test_clearing_removes_everything_stored(tmp_path, results):
    store = StageStore(tmp_path / "work")
    store.save("a", "key", results[0])
    store.clear()
    assert not (tmp_path / "work").exists()


def test_digests_tell_values_types_and_order_apart():
    image = disc_photo()
    changed = image.pixels.copy()
    changed[0, 0, 0] += 1
    values = [1, 1.0, "1", (1,), (1, 2), (2, 1), image, type(image)(pixels=changed), None, {"a": 1}]
    assert len({digest(v) for v in values}) == len(values)
    assert digest(disc_photo()) == digest(disc_photo())
    assert digest(np.zeros((2, 3))) != digest(np.zeros((3, 2)))


def test_a_kept_error_holds_nothing_of_what_failed():
    class Tensor:
        pass

    held = []

    def fail():
        large = Tensor()
        held.append(weakref.ref(large))
        try:
            raise KeyError("the cause")
        except KeyError as exc:
            raise ReconstructionError("no shape") from exc

    error = outcome_of(fail, "it")
    assert isinstance(error, ReconstructionError)
    assert held[0]() is None


def test_a_run_says_once_that_it_compiles():
    source = (lambda x: x).__code__.replace(co_filename="<nowhere>")  # never cached
    said = []
    stages = Steps(Reporter(lambda event: said.append((event.kind, event.message))))
    for stage in ("finish", "compose"):
        kernel = compiled(FunctionType(source, {}))
        assert stages.run(stage, "", int, lambda report, kernel=kernel: kernel(3)) == 3
    assert [message for kind, message in said if kind == "note"] == [COMPILING]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_that_the_system_tells_of_is_no_fault_of_one_step(code):
    def fail():
        raise OSError(code, "full", "a.npz")

    with pytest.raises(OutputError, match=r"a\.npz.*free some space"):
        outcome_of(fail, "it")


def test_another_error_of_the_system_is_one_steps():
    def fail():
        raise OSError(errno.EIO, "broken")

    assert isinstance(outcome_of(fail, "it"), OSError)

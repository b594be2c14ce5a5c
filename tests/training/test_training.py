"""Scenes are true, heads learn, runs go on where they stopped, exports say the same."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from scenelift.errors import InputError
from scenelift.training.backbone import Backbone
from scenelift.training.export import blended, export_head
from scenelift.training.loop import LoopOptions, train
from scenelift.training.network import CELLS, Head, HeadParams
from scenelift.training.scenes import props
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.generate import SceneMaker, Scenes, make_shards
from scenelift.training.scenes.pack import MeshPack, Model, write_pack
from scenelift.training.scenes.volumes import outside_filled, volume_of
from scenelift.training.store import SceneStore
from scenelift.training.tasks.mask import MaskTask
from scenelift.training.tasks.shape import (
    BINS,
    BLURRED,
    FAR,
    NEAR,
    WITHOUT_DEPTH,
    ShapeTask,
    Volumes,
    _disturbed,
)

SIZE = (96, 64)
CPU = torch.device("cpu")


def box_model(number, split, label="chair"):
    side = np.array([0.5, 0.3 + 0.1 * (number % 3), 0.25])
    entry = Entry(
        id=f"box{number}",
        name="Box",
        author="nobody",
        licence="CC0-1.0",
        size=(0.9, 0.9, 0.9),
        rotation=None,
        top=None,
        archive=None,
        path="",
    )
    texture = props.tiles(np.random.default_rng(number), (0.8, 0.4, 0.2))
    surface = props.box(-side, side, texture=texture)
    return Model(entry=entry, label=label, split=split, surface=surface)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    models = [box_model(k, "train") for k in range(4)] + [box_model(9, "val")]
    assert write_pack(models, folder / "meshes.npz") == 5
    return folder


@pytest.fixture(scope="module")
def pack(folder):
    return MeshPack.read(folder / "meshes.npz")


@pytest.fixture(scope="module")
def store(folder, pack):
    make_shards(pack, folder, seed=0, worker=0, workers=1, count=4, per_shard=4, size=SIZE)
    store = SceneStore(8, SIZE, CPU, least_visible=0.0, least_side=8)
    store.fill(sorted(folder.glob("train-*.npz")))
    return store


class FlatFeatures(nn.Module):
    """A backbone that sees nothing, quickly."""

    def forward(self, image):
        tokens = 1 + image.shape[2] // 14 * (image.shape[3] // 14)
        return [torch.zeros(len(image), tokens, 384)] * 4


def test_a_pack_gives_back_its_models(pack):
    before, after = box_model(0, "train").surface, pack.models[0].surface
    # Vertices are stored in steps of 1 / 65535.
    np.testing.assert_allclose(after.vertices, before.vertices, atol=1e-5)
    np.testing.assert_array_equal(after.faces, before.faces)
    assert [m.split for m in pack.models] == ["train"] * 4 + ["val"]


def test_no_pack_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="train pack"):
        MeshPack.read(tmp_path / "meshes.npz")


def test_the_same_seed_gives_the_same_scene(pack):
    maker = SceneMaker(pack, size=SIZE)
    once, again = maker.scene((3, 1)), maker.scene((3, 1))
    np.testing.assert_array_equal(once.pixels, again.pixels)
    np.testing.assert_array_equal(once.depth, again.depth)


@pytest.mark.parametrize(("split", "stretched"), [("train", True), ("val", False)])
def test_only_training_stretches_models(pack, split, stretched):
    maker = SceneMaker(pack, split, SIZE)
    poses = np.concatenate([maker.scene((8, s)).pose[:, :, :3] for s in range(8)])
    sizes = np.linalg.norm(poses, axis=1)  # of the three axes; poses are float32
    assert (np.ptp(sizes, axis=1) > 1e-4 * sizes.max(1)).any() == stretched


def test_held_out_models_are_never_shown(pack):
    maker = SceneMaker(pack, size=SIZE)
    models = {pack.models[int(k)].split for s in range(4) for k in maker.scene((5, s)).model}
    assert models == {"train"}


def test_boxes_of_joined_scenes_belong_to_their_scene(store):
    for scene in range(store.scenes):
        for number in torch.nonzero(store.boxes[scene, :, 2])[:, 0]:
            rows, columns = torch.nonzero(store.numbers[scene] == number, as_tuple=True)
            x0, y0, x1, y1 = store.boxes[scene, number].tolist()
            assert (columns.min(), rows.min()) == (x0, y0)
            assert (columns.max() + 1, rows.max() + 1) == (x1, y1)


def test_a_box_fills_its_volume():
    volume = volume_of(box_model(0, "train").surface)
    # 1 × 0.6 × 0.5 of a unit cube, and half a voxel more on every side.
    assert volume.mean() == pytest.approx(0.3, rel=0.1)


def test_a_closed_surface_is_filled_and_a_table_is_not():
    shell = np.zeros((8, 8, 8), bool)
    shell[1:7, 1:7, 1:7] = True
    full = shell.copy()
    shell[2:6, 2:6, 2:6] = False
    np.testing.assert_array_equal(outside_filled(shell), full)

    table = np.zeros((8, 8, 8), bool)
    table[1:7, 6, 1:7] = True
    table[1, 1:6, 1] = table[6, 1:6, 6] = True
    np.testing.assert_array_equal(outside_filled(table), table)


def test_furniture_without_an_underside_is_filled_down_to_the_floor():
    sofa = np.zeros((8, 8, 8), bool)
    sofa[1:7, 2:6, 1:7] = True
    full = sofa.copy()
    sofa[2:6, 2:5, 2:6] = False
    np.testing.assert_array_equal(outside_filled(sofa), full)


def test_a_cupboard_whose_doors_leave_a_gap_is_full():
    cupboard = np.zeros((16, 16, 16), bool)
    cupboard[2:14, 1:14, 2:14] = True
    full = cupboard.copy()
    cupboard[3:13, 2:13, 3:13] = False
    full[8, 2:13, 13] = cupboard[8, 2:13, 13] = False  # between the doors
    assert not outside_filled(cupboard)[8, 8, 8]
    np.testing.assert_array_equal(outside_filled(cupboard, crack=1), full)


@pytest.fixture(scope="module")
def volumes(pack):
    filled = np.stack([volume_of(m.surface) for m in pack.models]).transpose(0, 3, 2, 1)
    return Volumes(
        filled=torch.from_numpy(np.ascontiguousarray(filled).astype(np.uint8)),
        colours=torch.full((len(pack.models), 3, 32, 32, 32), 128, dtype=torch.uint8),
    )


def test_shapes_are_judged_with_depth_and_without_also_by_an_adapted_head(folder, volumes, store):
    torch.manual_seed(0)
    few = SceneStore(1, SIZE, CPU, least_visible=0.3, least_side=12)
    few.fill(sorted(folder.glob("train-*.npz"))[:1])
    task = ShapeTask(Backbone().eval(), store, few, volumes, adapt=2)
    loss, _ = task.loss(task.network, task.batch(1, torch.Generator().manual_seed(0)))
    loss.backward()
    assert all(up.grad.any() for up in task.network.adapters.up.values())
    with torch.no_grad():
        figures = task.evaluate(task.network.eval())
    assert set(figures) == {"IoU", "IoU untold", "up deg"}
    assert 0 < figures["IoU"] != figures["IoU untold"]


def test_the_true_volume_begins_where_the_object_is_seen(store, volumes):
    task = ShapeTask(FlatFeatures(), store, None, volumes)
    clear = torch.argsort(store.these_objects(torch.arange(store.objects)).visible)[-2:]
    batch = task._view(store, store.these_objects(clear), None)
    mask = nn.functional.avg_pool2d(batch.hints[:, :1], 2)[:, 0] == 1
    both = mask & batch.coverage
    assert both.sum() / mask.sum() > 0.9
    first = (batch.filled > 0.5).float().argmax(1)
    depth = NEAR + (first + 0.5) / BINS * (FAR - NEAR)
    relief = batch.hints[:, 2, ::2, ::2]
    # Two bins: those of the volume's voxels and of the rays do not coincide.
    assert (depth - relief)[both].abs().median() < 2 * (FAR - NEAR) / BINS


def test_training_sees_true_depth_other_depth_and_none():
    relief = torch.rand((400, 16, 16), generator=torch.Generator().manual_seed(0)) - 0.5
    told, known = _disturbed(relief, torch.ones_like(relief), torch.Generator().manual_seed(1))
    true = (told == relief).flatten(1).all(1)
    gone = (known == 0).flatten(1).all(1)
    assert true.float().mean() == pytest.approx(0.5 * (1 - BLURRED), abs=0.08)
    assert gone.float().mean() == pytest.approx(WITHOUT_DEPTH, abs=0.08)
    assert (true & ~gone).any()
    assert (~true & ~gone).any()


@pytest.mark.parametrize("bfloat16", [None, True])
def test_a_run_learns_and_goes_on_where_it_stopped(store, tmp_path, bfloat16):
    torch.manual_seed(0)
    task = MaskTask(FlatFeatures(), store, None)
    task.network = Head(HeadParams(hints=5, pixels=1, globals=1, blocks=1, width=64,
                                   channels=(16, 16, 8)))  # fmt: skip
    checkpoint = tmp_path / "mask.pt"
    lines = []
    options = {"batch": 2, "every": 2, "warmup": 2, "rate": 3e-3, "bfloat16": bfloat16}
    first = train(task, LoopOptions(steps=4, **options), checkpoint, lines.append)
    second = train(task, LoopOptions(steps=24, **options), checkpoint, lines.append)
    assert (first.steps, second.steps) == (4, 24)
    assert "resumed at step 4" in lines
    assert second.losses[-1] < 0.9 * first.losses[0]


def test_a_checkpoint_of_another_network_is_refused(store, tmp_path):
    options = LoopOptions(steps=1, batch=1)
    task = MaskTask(FlatFeatures(), store, None)
    small = HeadParams(hints=5, pixels=1, globals=1, blocks=1, width=64, channels=(16, 16, 8))
    task.network = Head(small)
    train(task, options, tmp_path / "run.pt")
    task.network = nn.Linear(2, 2)
    with pytest.raises(InputError, match="not written by a run of this network"):
        train(task, options, tmp_path / "run.pt")


@pytest.mark.parametrize("scale", [4, 8])
def test_an_exported_head_answers_as_the_trained_one(scale):
    torch.manual_seed(1)
    params = HeadParams(
        hints=2, pixels=3, globals=4, scale=scale, blocks=1, width=64, channels=(16, 16, 8)
    )
    head = Head(params).eval()
    # Another number of patches than it was traced with.
    levels = [torch.randn(1, 1 + 5 * 3, 384) for _ in range(4)]
    photo, hints = torch.randn(1, 3, 5 * CELLS, 3 * CELLS), torch.randn(1, 2, 40, 24)
    with torch.no_grad():
        wanted = head(levels, photo, hints)
    feeds = {name: x.numpy() for name, x in zip(("h2", "h5", "h8", "feat"), levels, strict=True)}
    feeds |= {"photo": photo.numpy(), "hints": hints.numpy()}
    for quantised, tolerance in ((False, 1e-5), (True, 0.05)):  # float32; seven bits
        session = onnxruntime.InferenceSession(
            export_head(params, head.state_dict(), quantised=quantised)
        )
        for found, true in zip(session.run(["pixels", "picture"], feeds), wanted, strict=True):
            error = np.abs(found - true.numpy()).mean() / np.abs(true.numpy()).mean()
            assert error < tolerance


def test_shards_that_are_there_are_left_alone(folder, pack, store):
    path = next(folder.glob("train-*.npz"))
    before = path.stat().st_mtime_ns
    make_shards(pack, folder, seed=0, worker=0, workers=1, count=4, per_shard=4, size=SIZE)
    assert path.stat().st_mtime_ns == before
    assert len(Scenes.load(path).pixels) == 4


def test_blended_weights_lie_between_those_of_two_runs_of_one_head():
    first, second = {"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([2.0, 0.0])}
    torch.testing.assert_close(blended(first, second, 0.25)["w"], torch.tensor([0.5, 3.0]))
    with pytest.raises(InputError, match="different heads"):
        blended(first, {"w": torch.zeros(3)}, 0.5)

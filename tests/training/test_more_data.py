"""Packs are joined, photographs surround scenes, trainings begin from heads that ship."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image as Pillow
from torch.distributed.run import parse_args
from typer.main import get_command

from scenelift.commands.train import app
from scenelift.errors import InputError, SetupError
from scenelift.models.embedded import shipped
from scenelift.training import export, run
from scenelift.training import store as store_module
from scenelift.training.export import export_head
from scenelift.training.network import Head, HeadParams
from scenelift.training.processes import own_device
from scenelift.training.run import THREADS, _single_threads
from scenelift.training.scenes import props
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.generate import SceneMaker
from scenelift.training.scenes.layout import Plan, Slot, arrange
from scenelift.training.scenes.pack import MeshPack, Model, join_packs, write_pack
from scenelift.training.scenes.photo import worn
from scenelift.training.scenes.pictures import Pictures, gather_pictures
from scenelift.training.scenes.raycast import Light, Sky, Tracer, View
from scenelift.training.scenes.weights import share_of_models, weight_of
from scenelift.training.start import begin, read_weights
from scenelift.training.store import SceneStore
from scenelift.training.tasks import HEADS
from scenelift.types import Camera

SIZE = (96, 64)
RED, GREEN = (200, 30, 30), (30, 180, 30)


def box_model(name, split="train", seed=0, textured=True):
    entry = Entry(
        id=name, name="Box", author="nobody", licence="CC0-1.0", size=(0.9, 0.9, 0.9),
        rotation=None, top=None, archive=Path(), path="",
    )  # fmt: skip
    texture = props.tiles(np.random.default_rng(seed), (0.8, 0.4, 0.2)) if textured else None
    side = np.array([0.5, 0.3 + 0.02 * seed, 0.25])
    surface = props.box(-side, side, texture=texture)
    return Model(entry=entry, label="chair", split=split, surface=surface)


def test_models_of_one_name_in_a_pack_are_told_apart(tmp_path):
    write_pack([box_model("a#1", seed=1), box_model("a#1", seed=2)], tmp_path / "one.npz")
    join_packs([tmp_path / "one.npz"], tmp_path / "out.npz")
    assert [m.entry.id for m in MeshPack.read(tmp_path / "out.npz").models] == ["a#1", "a#1~2"]


def picture_of(colour, size=(40, 30)):
    return np.full((size[1], size[0], 3), colour, np.uint8)


def test_joined_packs_hold_the_models_of_each_in_turn(tmp_path):
    one = [box_model("a#1", seed=1), box_model("a#2", "val", seed=2)]
    other = [box_model("b#1", seed=3, textured=False), box_model("b#2", seed=4)]
    write_pack(one, tmp_path / "one.npz")
    write_pack(other, tmp_path / "other.npz")
    out = tmp_path / "both.npz"
    assert join_packs([tmp_path / "one.npz", tmp_path / "other.npz"], out) == 4
    joined = MeshPack.read(out).models
    apart = [
        *MeshPack.read(tmp_path / "one.npz").models,
        *MeshPack.read(tmp_path / "other.npz").models,
    ]
    for a, b in zip(joined, apart, strict=True):
        assert (a.entry.id, a.split, a.label) == (b.entry.id, b.split, b.label)
        np.testing.assert_array_equal(a.surface.vertices, b.surface.vertices)
        np.testing.assert_array_equal(a.surface.face_color, b.surface.face_color)
        for s, t in zip(a.surface.textures, b.surface.textures, strict=True):
            np.testing.assert_array_equal(s, t)

    assert join_packs([tmp_path / "one.npz", tmp_path / "other.npz"], out, split="train") == 3
    assert [m.entry.id for m in MeshPack.read(out).models] == ["a#1", "b#1", "b#2"]


def test_what_is_no_pack_or_given_twice_is_refused(tmp_path):
    write_pack([box_model("a#1")], tmp_path / "one.npz")
    with pytest.raises(InputError, match="'a#1': give each pack once"):
        join_packs([tmp_path / "one.npz"] * 2, tmp_path / "out.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(InputError, match="is not a mesh pack"):
        MeshPack.read(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", v=np.zeros(3))
    with pytest.raises(InputError, match="it has no array 'about'"):
        MeshPack.read(tmp_path / "other.npz")


def test_pictures_are_gathered_by_kind(tmp_path):
    source, out = tmp_path / "data", tmp_path / "out"
    source.mkdir()
    rows = [
        {"file": "pano.jpg", "kind": "panorama (equirectangular, tone-mapped)"},
        {"file": "shop.jpg", "kind": "photo"},
    ]
    for name, size in (
        ("pano.jpg", (2048, 1024)),
        ("shop.jpg", (800, 600)),
        ("wood.jpg", (64, 64)),
    ):
        Pillow.fromarray(picture_of(RED, size)).save(source / name)
    (source / "photos.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (source / "textures.jsonl").write_text(json.dumps({"file": "wood.jpg"}))
    assert gather_pictures(source, out) == {"panoramas": 1, "photos": 1, "textures": 1}
    pictures = Pictures.read(out)
    assert [p.shape for p in (*pictures.panoramas, *pictures.photos, *pictures.textures)] == [
        (512, 1024, 3), (336, 448, 3), (64, 64, 3),
    ]  # fmt: skip
    with pytest.raises(InputError, match="names pictures"):
        gather_pictures(out, tmp_path / "none")


def test_a_panorama_is_seen_where_it_lies():
    half = np.concatenate([picture_of(RED), picture_of(GREEN)], 1)  # right of −z, then left
    ahead, right, left = np.array([[0.1, 0, -1], [1, 0, 0], [-1, 0.0, 0]])
    sky = Sky(horizon=np.ones(3), zenith=np.ones(3), panorama=half)
    seen = sky.linear(np.stack([ahead, right, left]))
    assert (seen[:2, 0] > seen[:2, 1]).all()
    assert seen[2, 1] > seen[2, 0]
    turned = Sky(horizon=np.ones(3), zenith=np.ones(3), panorama=half, turn=np.pi)
    np.testing.assert_allclose(turned.linear(left[None]), seen[:1], atol=1e-6)


def test_photographs_lie_behind_objects_and_have_no_depth(tmp_path):
    write_pack([box_model(f"a#{k}", seed=k) for k in range(5)], tmp_path / "pack.npz")
    pack = MeshPack.read(tmp_path / "pack.npz")
    pictures = Pictures(photos=(picture_of(GREEN, (200, 150)),))
    maker = SceneMaker(pack, "train", SIZE, pictures)
    scenes = [maker.scene((1, k)) for k in range(24)]
    composites = [s for s in scenes if (s.depth < 0).any()]
    assert 1 <= len(composites) <= 12
    for scene in composites:
        behind = scene.depth[0] < 0
        np.testing.assert_array_equal(behind, scene.numbers[0] == 0)
        # Green but for blur, sharpening and JPEG.
        assert np.median(np.abs(scene.pixels[0][behind].astype(int) - GREEN)) < 12
    again = SceneMaker(pack, "train", SIZE, pictures).scene((1, 3))
    np.testing.assert_array_equal(again.pixels, scenes[3].pixels)


def test_what_is_kept_out_has_no_photographs(tmp_path):
    models = [box_model(f"a#{k}", split, seed=k) for k, split in enumerate(["train"] + ["val"] * 4)]
    write_pack(models, tmp_path / "pack.npz")
    pack = MeshPack.read(tmp_path / "pack.npz")
    pictures = Pictures(photos=(picture_of(GREEN, (200, 150)),), panoramas=(picture_of(RED),))
    with_them, without = (SceneMaker(pack, "val", SIZE, p) for p in (pictures, Pictures()))
    for k in range(6):
        a, b = with_them.scene((2, k)), without.scene((2, k))
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert (a.depth >= 0).all()


def test_glossy_surfaces_mirror_the_sky():
    wall = props.quad((-1, -1, -2), (2, 0, 0), (0, 2, 0), color=(0.02, 0.02, 0.02))
    view = View(camera=Camera.from_fov(32, 32, fov_deg=40), world_from_camera=np.eye(4))
    sky = Sky(horizon=np.ones(3), zenith=np.ones(3), panorama=picture_of(GREEN))
    light = Light(
        center=np.array([0, 0, 0.0]), edge_a=np.array([0.1, 0, 0]), edge_b=np.array([0, 0.1, 0]),
        color=np.ones(3), reference=2.0, ambient=np.ones(3), reach=0.1,
    )  # fmt: skip
    matt, glossy = (
        Tracer([wall], [1], gloss).shot(view, light, sky, np.random.default_rng(0))[0]
        for gloss in (None, np.array([[0.5, 64.0]]))
    )
    assert (glossy >= matt - 1e-9).all()
    corner = (glossy - matt)[2, 2]
    assert corner[1] > 5 * corner[0] > 0
    assert (glossy - matt)[16, 16].mean() > 3 * corner.mean()  # the lamp's highlight


def test_worn_photos_stay_alike():
    rng = np.random.default_rng(0)
    photo = np.repeat(np.linspace(20, 220, 96).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    errors = [np.abs(worn(photo, rng).astype(int) - photo).mean() for _ in range(20)]
    assert max(errors) < 8
    assert len({round(e, 3) for e in errors}) > 5


def test_scans_and_furniture_are_shown_more_often_than_toys():
    models = [box_model(name) for name in ("ycb#1", "eTeks#chair", "kenney#1")]
    shares = share_of_models(models)
    assert shares.sum() == pytest.approx(1)
    assert list(np.argsort(-shares)) == [0, 1, 2]
    pack, rng = MeshPack(tuple(models)), np.random.default_rng(0)
    names = [pack.draw("chair", "train", rng, weight_of)[0].id for _ in range(300)]
    for model, share in zip(models, shares, strict=True):
        assert names.count(model.entry.id) / 300 == pytest.approx(share, abs=0.08)


def test_a_training_begins_where_an_exported_head_stands(tmp_path):
    torch.manual_seed(0)
    sizes = {"globals": 2, "blocks": 1, "width": 64, "channels": (16, 16, 8)}
    params = HeadParams(hints=2, pixels=3, **sizes)
    head = Head(params).eval()
    (tmp_path / "head.onnx").write_bytes(export_head(params, head.state_dict()))
    weights = read_weights(tmp_path / "head.onnx")
    assert set(weights) == set(head.state_dict())

    wider = Head(HeadParams(hints=4, pixels=5, **sizes)).eval()
    begin(wider, weights)
    levels = [torch.randn(1, 1 + 4 * 3, 384) for _ in range(4)]
    photo, hints = torch.randn(1, 3, 32, 24), torch.randn(1, 2, 32, 24)
    more = torch.cat([hints, torch.randn(1, 2, 32, 24)], 1)  # what it does not know yet
    with torch.no_grad():
        pixels, numbers = head(levels, photo, hints)
        said, other = wider(levels, photo, more)
    for a, b in ((pixels, said[:, :3]), (numbers, other)):
        assert (a - b).abs().mean() < 0.1 * a.abs().mean()  # seven bits

    with pytest.raises(InputError, match="of another network"):
        begin(Head(HeadParams(hints=1, pixels=3, **sizes)), weights)
    with pytest.raises(InputError, match="no weights at"):
        read_weights(tmp_path / "none.onnx")
    for name in ("junk.onnx", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"\xff" * 40)
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_weights(tmp_path / name)


def test_the_points_that_ship_come_back_whole():
    weights = read_weights(shipped("mask"))
    again = export.export_points(HEADS["points"][0], weights, shipped("mask"))
    rng = np.random.default_rng(0)
    session, other = (onnxruntime.InferenceSession(m) for m in (shipped("mask"), again))
    feeds = {
        k: rng.normal(size=(1, 25, 384)).astype(np.float32) for k in ("h2", "h5", "h8", "feat")
    }
    feeds["photo"] = rng.normal(size=(1, 3, 32, 48)).astype(np.float32)
    hints = HEADS["points"][0].hints
    feeds["hints"] = rng.random((1, hints, 32, 48)).astype(np.float32)
    for a, b in zip(session.run(None, feeds), other.run(None, feeds), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_an_older_head_is_stored_in_fewer_bits_and_its_matrices_stay(tmp_path, monkeypatch):
    torch.manual_seed(0)
    params = HeadParams(
        hints=2, pixels=3, globals=2, scale=4, blocks=1, width=64, channels=(24, 64, 8)
    )
    head = Head(params)
    with monkeypatch.context() as older:
        older.setattr(export, "LARGE", 10**9)
        data = export_head(params, head.state_dict())
    again = export.stored_again(data)
    assert len(again) < len(data) - 50_000
    for name, stored in (("old.onnx", data), ("new.onnx", again)):
        (tmp_path / name).write_bytes(stored)
    old, new = (read_weights(tmp_path / name) for name in ("old.onnx", "new.onnx"))
    changed = {name for name, value in old.items() if not torch.equal(value, new[name])}
    assert changed
    for name in changed:
        assert old[name].dim() == 4
        assert old[name].numel() >= export.LARGE
        step = old[name].abs().amax((1, 2, 3), keepdim=True) / 127
        assert ((new[name] - old[name]).abs() <= 0.51 * step).all()
    onnxruntime.InferenceSession(again)  # a graph that runs


def test_workers_use_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with _single_threads():
        assert [os.environ[name] for name in THREADS] == ["1"] * 3
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_gpu_has_a_number(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert own_device("cuda") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cuda") == torch.device("cuda:3")
    assert own_device("cpu").type == "cpu"
    assert chosen == [torch.device("cuda:0"), torch.device("cuda:3")]
    monkeypatch.undo()
    with pytest.raises(SetupError, match="--device cpu"):
        own_device("cuda:99")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_room_for_scenes_on_a_cpu_takes_memory_as_they_come():
    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    store = SceneStore(1000, (512, 384), torch.device("cpu"))
    assert store.pixels.nbytes > 500e6
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 100e6


def test_no_option_is_taken_by_torchrun():
    """It parses what follows the program too, and refuses what could be one of its own."""
    command = get_command(app).commands["head"]
    names = [max(p.opts, key=len) for p in command.params if p.opts[0].startswith("--")]
    assert "--initial" in names
    own = ["train", "head", "shape", *(x for name in names for x in (name, "1"))]
    seen = parse_args(["--nproc-per-node", "2", "-m", "scenelift", *own])
    assert seen.training_script_args == own


def test_what_is_wider_than_a_room_is_left_out():
    model = box_model("huge")
    huge = replace(model.entry, size=(9.0, 3.0, 2.0))
    plan = Plan(
        name="a room", width=(3, 4), depth=(2, 3), slots=(Slot(labels=("couch",), spot="wall"),)
    )
    rng = np.random.default_rng(0)
    for _ in range(3):  # each tries all three walls
        assert arrange(plan, "val", rng, lambda *_: (huge, model.surface))[0] == []


def test_a_training_that_waits_says_for_what(monkeypatch, tmp_path):
    monkeypatch.setattr(store_module, "PATIENCE", 0.0)
    lines = []

    def say(line):
        lines.append(line)
        store.scenes = 4

    store = SceneStore(8, (96, 64), torch.device("cpu"))
    store.follow(tmp_path, "val-*.npz", at_least=4, say=say)
    assert lines[0] == f"waiting for val-*.npz in {tmp_path}: 0 of 4 scenes"


def test_a_worker_that_fails_ends_the_others(monkeypatch, tmp_path):
    """A training would wait for its scenes, and an error that comes last comes never."""
    write_pack([box_model("a"), box_model("b", "val")], tmp_path / "meshes.npz")
    (tmp_path / "volumes.npz").touch()
    others = threading.Event()

    def shards(folder, worker, *, workers, options):
        if worker == 1:
            raise ValueError("a scene went wrong")
        others.wait(20)

    monkeypatch.setattr(run, "_shards", shards)
    monkeypatch.setattr(
        run.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool)
    )
    begun = threading.Timer(15, others.set)
    begun.start()
    with pytest.raises(ValueError, match="a scene went wrong"):
        run.make_scenes(tmp_path, run.SceneOptions(count=1, workers=2), lambda line: None)
    assert not others.is_set()
    begun.cancel()
    others.set()


def test_scenes_for_other_heads_than_the_shapes_need_no_volumes(tmp_path, monkeypatch):
    write_pack([box_model("a"), box_model("b", "val")], tmp_path / "meshes.npz")
    monkeypatch.setattr(run, "_shards", lambda folder, worker, *, workers, options: None)
    monkeypatch.setattr(
        run.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool)
    )
    options = run.SceneOptions(count=1, workers=1, volumes=False)
    run.make_scenes(tmp_path, options, lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["meshes.npz"]

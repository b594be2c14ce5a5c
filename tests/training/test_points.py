"""Points are learned beside boxes: boxes are answered as before, and clicks as users give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from scenelift.models.embedded.point_head import point_hints
from scenelift.training.clicks import RADIUS, Session, next_clicks
from scenelift.training.export import export_head
from scenelift.training.loop import LoopOptions, train
from scenelift.training.network import CELLS, Head, HeadParams
from scenelift.training.points import POINT_HINTS
from scenelift.training.scenes.generate import Scenes
from scenelift.training.start import begin
from scenelift.training.store import SceneStore
from scenelift.training.tasks import mask
from scenelift.training.tasks.points import PointsTask

SMALL = HeadParams(hints=5, pixels=1, globals=1, blocks=1, width=64, channels=(16, 16, 8))
POINTED = replace(SMALL, hints=SMALL.hints + POINT_HINTS, points=True)
PATCHES = (5, 3)


@pytest.fixture(scope="module")
def heads():
    """A head, and one with points that began as it, whose points then learned something."""
    torch.manual_seed(0)
    without = Head(SMALL).eval()
    pointed = Head(POINTED).eval()
    begin(pointed, without.state_dict())
    for name, parameter in pointed.named_parameters():
        if name.startswith("points."):
            nn.init.normal_(parameter, std=0.3)
    return without, pointed


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    rows, columns = PATCHES
    levels = [torch.randn(2, 1 + rows * columns, 384) for _ in range(4)]
    return levels, torch.randn(2, 3, rows * CELLS, columns * CELLS), torch.rand(2, 5, 40, 24)


def clicked(levels, *, second=()):
    """Hints after clicks, (row, column, positive), in the second picture."""
    session = Session(levels, (40, 24))
    for row, column, positive in second:
        both = [torch.tensor([value, value]) for value in (row, column, positive)]
        session.click(*both, torch.tensor([False, True]))
    return session.hints


@torch.no_grad()
def test_boxes_alone_are_answered_as_by_the_head_without_points(heads, inputs):
    without, pointed = heads
    levels, photo, hints = inputs
    wanted = without(levels, photo, hints)
    of_zeros = pointed(levels, photo, torch.cat([hints, torch.zeros(2, POINT_HINTS, 40, 24)], 1))
    click = clicked(levels, second=[(12, 12, True)])
    answer = pointed(levels, photo, torch.cat([hints, click], 1))
    for a, b, c in zip(wanted, of_zeros, answer, strict=True):
        assert torch.equal(a, b)
        # What is clicked in one picture of a batch is nothing to the others.
        torch.testing.assert_close(c[0], a[0])
        assert (c[1] - a[1]).abs().max() > 1e-3


def test_hints_say_what_is_alike_wherever_it_lies(inputs):
    levels = [level.clone() for level in inputs[0]]
    levels[3][1, 15] = levels[3][1, 1]  # the last patch looks as the first one does
    hints = clicked(levels, second=[(4, 4, True), (20, 12, False)])
    assert (hints[0, :3] == 0).all()
    assert (hints[0, 3:] == -1).all()
    alike = hints[1, 4, ::CELLS, ::CELLS]
    assert alike[0, 0] == pytest.approx(1)
    assert alike[4, 2] == pytest.approx(1)
    assert (alike > 0.5).sum() == 2
    assert hints[1, 6, 16:24, 8:16].min() == pytest.approx(1)
    for channel, (row, column) in enumerate([(4, 4), (20, 12)]):
        disc = hints[1, channel].nonzero() - torch.tensor([row, column])
        assert len(disc) == 29
        assert disc.float().norm(dim=1).max() == RADIUS


def test_points_at_home_are_the_hints_of_training():
    torch.manual_seed(2)
    levels = [torch.randn(1, 785, 384) for _ in range(4)]
    session = Session(levels, (224, 224))
    places = [(100, 31, True), (3, 220, True), (57, 60, False)]
    for place in places:
        session.click(*(torch.tensor([value]) for value in place), torch.tensor([True]))
    logits = torch.randn(1, 224, 224)
    session.show(logits)
    tokens = dict(zip(("h2", "h5", "h8", "feat"), (x.numpy() for x in levels), strict=True))
    hints = point_hints(tokens, places, logits[0].sigmoid().numpy())
    np.testing.assert_allclose(hints, session.hints[0].numpy(), atol=1e-5)


def test_an_exported_head_takes_points(heads, inputs):
    _, pointed = heads
    levels, photo, hints = inputs
    session = onnxruntime.InferenceSession(
        export_head(pointed.params, pointed.state_dict(), quantised=False)
    )
    hint = torch.cat([hints, clicked(levels, second=[(6, 6, True), (30, 20, False)])], 1)
    feeds = {n: x.numpy() for n, x in zip(("h2", "h5", "h8", "feat"), levels, strict=True)}
    feeds |= {"photo": photo.numpy(), "hints": hint.numpy()}
    with torch.no_grad():
        wanted = pointed(levels, photo, hint)
    for answer, true in zip(session.run(["pixels", "picture"], feeds), wanted, strict=True):
        np.testing.assert_allclose(answer, true.numpy(), rtol=1e-3, atol=1e-3)


def test_a_click_is_in_the_middle_of_the_largest_error():
    truth, mask = torch.zeros(3, 40, 60, dtype=bool), torch.zeros(3, 40, 60, dtype=bool)
    truth[:, 4:26, 4:26] = True
    mask[0, 4:26, 4:16] = True  # a half of it is missing
    mask[0, 28:34, 40:46] = True  # and a little is too much
    mask[1] = truth[1]
    mask[1, 28:38, 40:50] = True
    mask[2] = truth[2]
    row, column, positive, valid = next_clicks(truth, mask, 1.0, torch.Generator().manual_seed(0))
    assert positive[:2].tolist() == [True, False]
    assert valid.tolist() == [True, True, False]
    assert abs(column[0] - 20) <= 2
    assert 8 <= row[0] <= 22
    assert (row[1], column[1]) == (32, 44)


class ColoursOfPatches(nn.Module):
    """A backbone that sees the mean colour of each patch."""

    def forward(self, image):
        colours = nn.functional.avg_pool2d(image, 14).flatten(2).transpose(1, 2)
        tokens = nn.functional.pad(colours, (0, 381, 1, 0))
        return [tokens] * 4


def test_points_learn_and_the_head_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(mask, "GRIDS", ((6, 6),))
    rng = np.random.default_rng(0)
    numbers = np.zeros((4, 64, 96), np.uint8)
    numbers[:, 10:40, 8:40], numbers[:, 20:60, 50:90] = 1, 2
    colours = rng.integers(0, 256, (4, 3, 3), dtype=np.uint8)
    store = SceneStore(4, (96, 64), torch.device("cpu"), least_visible=0, least_side=8)
    eight = np.repeat(np.arange(4), 2).astype(np.int32)
    store.add(
        Scenes(
            pixels=colours[np.arange(4)[:, None, None], numbers],
            depth=np.ones((4, 64, 96), np.float16),
            numbers=numbers,
            focal=np.ones(4, np.float32),
            up=np.ones((4, 3), np.float32),
            metric=np.ones(4, bool),
            scene=eight,
            number=np.tile([1, 2], 4).astype(np.int32),
            model=eight,
            pose=np.zeros((8, 3, 4), np.float32),
            visible=np.ones(8, np.float32),
            box=np.tile([[8, 10, 40, 40], [50, 20, 90, 60]], (4, 1)).astype(np.int32),
        )
    )
    torch.manual_seed(0)
    task = PointsTask(ColoursOfPatches(), store, None)  # pyright: ignore[reportArgumentType]
    task.network = Head(POINTED)
    task.freeze()
    before = {k: v.clone() for k, v in task.network.state_dict().items()}
    trained = train(
        task, LoopOptions(steps=16, batch=4, rate=1e-2, warmup=2, every=4, bfloat16=True)
    )
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("points."), name
    assert min(trained.losses[1:]) < trained.losses[0]

"""People stand, sit and lie as their poses say, and wear what covers them: on a body of tubes."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scenelift.errors import SetupError
from scenelift.training.scenes import people as module
from scenelift.training.scenes.people import people
from scenelift.training.scenes.poses import POSES
from scenelift.training.scenes.solids import tube

LEFT = {  # bone -> parent, head, end: the left half of a body in metres, z up
    "pelvis.L": ("root", (0.02, 0, 0.0), (0.1, 0, 0.0)),
    "upperleg01.L": ("pelvis.L", (0.1, 0, 0.0), (0.1, 0, -0.4)),
    "lowerleg01.L": ("upperleg01.L", (0.1, 0, -0.4), (0.1, 0, -0.8)),
    "foot.L": ("lowerleg01.L", (0.1, 0.03, -0.82), (0.1, -0.15, -0.82)),
    "upperarm01.L": ("spine01", (0.2, 0, 0.5), (0.4, 0, 0.3)),
    "lowerarm01.L": ("upperarm01.L", (0.4, 0, 0.3), (0.6, 0, 0.1)),
    "wrist.L": ("lowerarm01.L", (0.6, 0, 0.1), (0.65, 0, 0.05)),
}
MIDDLE = {
    "root": (None, (0, 0, 0), (0, 0, 0.02)),
    **{
        f"spine0{5 - k}": (
            f"spine0{6 - k}" if k else "root",
            (0, 0, 0.1 * k),
            (0, 0, 0.1 * k + 0.1),
        )
        for k in range(5)
    },
    "neck01": ("spine01", (0, 0, 0.5), (0, 0, 0.6)),
    "head": ("neck01", (0, 0, 0.6), (0, 0, 0.85)),
    "eye.L": ("head", (0.03, -0.1, 0.75), (0.03, -0.12, 0.75)),
}


def mirrored(point):
    return -point[0], *point[1:]


BONES = MIDDLE | LEFT
BONES |= {
    name.replace(".L", ".R"): (parent.replace(".L", ".R"), mirrored(head), mirrored(end))
    for name, (parent, head, end) in BONES.items()
    if name.endswith(".L")
}
FINGERS = {
    f"finger{k}-{j}.{s}": (f"wrist.{s}", BONES[f"wrist.{s}"][2], BONES[f"wrist.{s}"][2])
    for s in "LR" for k in range(2, 6) for j in range(1, 4)
}  # fmt: skip
BONES |= FINGERS


class TubeBody:
    """Stands for `anny.Anny`: a tube around each bone, which moves with that bone alone."""

    phenotype_labels = ("gender", "age", "height")
    bone_labels = tuple(BONES)

    def __init__(self):
        parts, owner, faces, count = [], [], [], 0
        for k, (_, head, end) in enumerate(BONES.values()):
            if head == end:
                continue
            path = np.linspace(head, end, 5)
            part = tube(path, np.full(5, 0.05), (1, 1, 1), side=(0.3, 1, 0.2))
            parts.append(part.vertices.astype(float))
            owner += [k] * len(part.vertices)
            faces.append(part.faces + count)
            count += len(part.vertices)
        self._rest, self._owner = np.concatenate(parts), np.array(owner)
        self.faces = torch.from_numpy(np.concatenate(faces).astype(np.int64))
        self.vertex_bone_indices = torch.from_numpy(self._owner[:, None])
        self.vertex_bone_weights = torch.ones((count, 1), dtype=torch.float64)

    def __call__(self, pose_parameters, phenotype_kwargs):
        heads = np.array([head for _, head, _ in BONES.values()], float)
        moves = {}
        for k, (name, (parent, *_)) in enumerate(BONES.items()):
            own = np.eye(4)
            if pose_parameters is not None:
                own = pose_parameters[0, k].numpy().copy()
                own[:3, 3] = heads[k] - own[:3, :3] @ heads[k]
            moves[name] = (moves[parent] if parent else np.eye(4)) @ own
        every = np.stack(list(moves.values()))[self._owner]
        posed = np.einsum("vij,vj->vi", every[:, :3, :3], self._rest) + every[:, :3, 3]
        return {
            "rest_vertices": torch.from_numpy(self._rest[None]),
            "vertices": torch.from_numpy(posed[None]),
            "rest_bone_heads": torch.from_numpy(heads[None]),
        }


@pytest.fixture(scope="module")
def some():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "anny", SimpleNamespace(Anny=TubeBody))
        return {m.entry.name.removeprefix("Person who "): m for m in people(2 * len(POSES))}


def test_each_pose_comes_in_turn_and_fills_the_cube(some):
    assert list(some) == list(POSES)
    for model in some.values():
        low, high = model.surface.vertices.min(0), model.surface.vertices.max(0)
        np.testing.assert_allclose((high - low).max(), 1, atol=1e-5)
        assert (model.label, model.split, model.entry.licence) == ("person", "train", "CC0-1.0")


def test_sizes_are_metres_and_follow_the_pose(some):
    width, height, depth = np.array(
        [some[name].entry.size for name in ("stands", "sits", "lies")]
    ).T
    assert 1.6 < height[0] < 1.85
    assert height[1] < height[0] - 0.25  # by about a thigh
    assert depth[1] > depth[0] + 0.2  # knees in front
    assert height[2] < 0.9 < 1.5 < depth[2]
    assert width.max() < 1.2


def test_knees_and_toes_point_forward(some):
    sitting = some["sits"].surface.vertices
    low, high = np.quantile(sitting[:, 1], (0.15, 0.85))
    feet, head = sitting[sitting[:, 1] < low], sitting[sitting[:, 1] > high]
    assert feet[:, 2].mean() > head[:, 2].mean() + 0.1


def test_clothes_cover_trunk_and_legs_but_not_the_hands(some):
    model = some["stands"].surface
    middle = model.vertices[model.faces].mean(1)
    bands = {"shoe": (-0.5, -0.47), "leg": (-0.25, -0.15), "top": (0.1, 0.2)}
    parts = {
        part: (middle[:, 1] > low) & (middle[:, 1] < high) & (np.abs(middle[:, 0]) < 0.1)
        for part, (low, high) in bands.items()
    }
    parts["hand"] = np.abs(middle[:, 0]) > 0.95 * np.abs(middle[:, 0]).max()
    palette = {}
    for part, here in parts.items():
        colours, count = np.unique(model.face_color[here], axis=0, return_counts=True)
        palette[part] = tuple(colours[count.argmax()].round(3))
    assert len(set(palette.values())) == 4, palette


def test_without_anny_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(SetupError, match="pip install --no-deps anny roma"):
        next(people(1))
    assert module.PREFIX.startswith("people#")

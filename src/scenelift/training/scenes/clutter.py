"""Disorderly scenes: any models, any sizes, any grounds, so that networks rely on nothing tidy.

World frame as in `layout`; the camera stands near the origin and looks towards −z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.training.scenes import props
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.pictures import Pictures
from scenelift.training.scenes.raycast import Light, Sky, View
from scenelift.types import Camera

__all__ = ["Clutter", "clutter", "restyled"]

Texture = NDArray[np.uint8]

NO_PICTURES = Pictures()

STRETCHED, STRETCH = 0.7, 0.22
"""Share of objects stretched along their axes, and the deviation of the logarithms of the factors:
of a few hundred models they make many more shapes."""

PAINTED = 0.12
"""Share of objects that are painted in bands of plain colours: an object does not end where its
colour does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clutter:
    """A scene before it is rendered.

    Attributes:
        models: what stands where: a model, and world_from_object of its canonical frame, which may
            stretch it along its axes.
        surfaces: each model's surface as it is to be drawn.
        behind: floor, walls, boxes.
        view, light, sky: how it is seen.
        metric: sizes are the catalogue's.
    """

    models: list[tuple[Model, NDArray[np.float64]]]
    surfaces: list[Surface]
    behind: list[Surface]
    view: View
    light: Light
    sky: Sky
    metric: bool


def clutter(
    models: Sequence[Model],
    textures: Sequence[Texture],
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    varied: bool,
    shares: NDArray[np.float64] | None = None,
    pictures: Pictures = NO_PICTURES,
) -> Clutter:
    """Lay out a scene at random.

    Args:
        models: to choose from.
        shares: the chance of each; None: all alike.
        pictures: real places to be seen behind.
        textures: for floors, walls and boxes.
        size: width and height of the photo.
        varied: whether most models are stretched along their axes, and some are painted; else
            poses are similarities.
    """
    kind = rng.choice(["room", "open", "close"], p=[0.5, 0.22, 0.28])
    metric = bool(kind != "close" and rng.random() < 0.6)
    reach = {"room": rng.uniform(2.2, 8), "open": rng.uniform(5, 25), "close": rng.uniform(0.5, 2)}
    depth = float(reach[kind])
    camera = Camera.from_fov(*size, fov_deg=rng.uniform(35, 80))
    # Outdoors photographers stand, at a table they bend over it.
    height = {
        "room": rng.uniform(0.5, 1.9),
        "open": rng.uniform(0.7, 3.5),
        "close": depth * rng.uniform(0.05, 0.7),
    }[kind]
    aim = math.atan2(height, depth * rng.uniform(0.5, 1.2))
    pitch = max(-0.15, rng.normal(0.7 * aim, 0.12))
    view = View(
        camera=camera,
        world_from_camera=_camera_pose(height, pitch, math.radians(rng.normal(0, 3.5))),
    )
    half = depth * math.tan(math.radians(30))
    panorama = None
    if varied and pictures.panoramas and rng.random() < (0.7 if kind == "open" else 0.2):
        panorama = pictures.panoramas[int(rng.integers(len(pictures.panoramas)))]
    if panorama is not None:
        behind = _open_ground(depth, textures, rng, built=0.3)
    elif kind == "open":
        behind = _open_ground(depth, textures, rng)
    else:
        behind = _walls(kind == "close", depth, half, textures, rng)

    positions: list[tuple[Model, NDArray[np.float64]]] = []
    occupied: list[tuple[float, float, float]] = []
    floating = rng.random() < 0.2
    # Things touch, hide each other, and people sit on what they ride.
    apart = rng.uniform(0.12, 0.65) if varied else 0.6
    joined = 0.3 if varied and rng.random() < 0.6 else 0.0
    for _ in range(int(rng.integers(4, 26))):
        pieces = rng.integers(len(models)) if shares is None else rng.choice(len(models), p=shares)
        model = models[int(pieces)]
        z = -depth * rng.uniform(0.18, 1.0) ** 0.8
        x = -z * camera.width / (2 * camera.fx) * rng.uniform(-1.05, 1.05)
        true_size = max(model.entry.size)
        side = true_size if metric else -z * rng.uniform(0.08, 0.75)
        if not 0.03 * -z < side < 0.9 * -z:
            continue
        stretch = _stretch(rng) if varied else np.ones(3)
        extent = np.ptp(model.surface.vertices, axis=0) * side * stretch
        radius = float(np.hypot(extent[0], extent[2])) / 2
        if np.hypot(x, z) < 0.7 * radius + 0.15 * depth * 0.2:
            continue
        base = 0.0
        near = bool(positions) and joined > 0 and rng.random() < joined
        if near:
            x, z, base = _joined(positions[int(rng.integers(len(positions)))], extent, rng)
            if z > -0.12 * depth:
                continue
        elif any(math.hypot(x - a, z - b) < apart * (radius + r) for a, b, r in occupied):
            continue
        occupied.append((x, z, radius))
        if not near and (side < 0.25 * height or rng.random() < 0.15):
            base = rng.uniform(0.1, 0.75) * height
            half_x, half_z = radius * rng.uniform(1, 2.2), radius * rng.uniform(1, 1.6)
            behind.append(
                _box((x - half_x, 0, z - half_z), (x + half_x, base, z + half_z), textures, rng)
            )
        rotation = _yaw(rng.uniform(0, 2 * math.pi))
        centre = np.array([x, base + extent[1] / 2, z])
        if not near and (floating or rng.random() < 0.06):
            rotation = _any_rotation(rng)
            centre[1] = rng.uniform(0.3, 1.5) * height + (0 if floating else side / 2)
        world_from_object = np.eye(4)
        world_from_object[:3, :3] = side * rotation * stretch
        world_from_object[:3, 3] = centre
        positions.append((model, world_from_object))
    surfaces = [restyled(model.surface, textures, rng, painted=varied) for model, _ in positions]
    return Clutter(
        models=positions,
        surfaces=surfaces,
        behind=behind,
        view=view,
        light=_light(kind, depth, height, rng),
        sky=_sky(rng, panorama),
        metric=metric,
    )


def restyled(
    surface: Surface, textures: Sequence[Texture], rng: np.random.Generator, *, painted: bool
) -> Surface:
    """Return the model as it is, tinted, or (seldom) with a texture of something else.

    Args:
        painted: some are painted in a few plain colours instead.
    """
    if painted and rng.random() < PAINTED:
        axes = rng.permutation(3)[:2]
        return _wrapped(surface, props.bands(rng), surface.vertices[:, axes] + 0.5)
    chance = rng.random()
    if chance < 0.55:
        return surface
    if chance < 0.85:
        tint = rng.uniform(0.55, 1.35, 3)
        dyed = tuple(np.clip(t * tint, 0, 255).astype(np.uint8) for t in surface.textures)
        colour = np.clip(surface.face_color * tint, 0, 1).astype(np.float32)
        return replace(surface, face_color=colour, textures=dyed)
    texture = textures[int(rng.integers(len(textures)))]
    axes = rng.permutation(3)[:2]
    return _wrapped(surface, texture, surface.vertices[:, axes] * rng.uniform(0.7, 4))


def _wrapped(surface: Surface, texture: Texture, uv: NDArray[np.float32]) -> Surface:
    """Cover the model with one texture, at these coordinates [V, 2]."""
    return replace(
        surface,
        uv=uv.astype(np.float32),
        face_texture=np.zeros(len(surface.faces), np.int32),
        textures=(texture,),
    )


def _camera_pose(height: float, pitch: float, roll: float) -> NDArray[np.float64]:
    back = np.array([0, math.sin(pitch), math.cos(pitch)])
    right = np.array([1.0, 0, 0])
    rotation = np.stack([right, np.cross(back, right), back], 1)
    c, s = math.cos(roll), math.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = rotation @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    pose[1, 3] = height
    return pose


def _stretch(rng: np.random.Generator) -> NDArray[np.float64]:  # [3], of width, height and depth
    if rng.random() >= STRETCHED:
        return np.ones(3)
    factors = np.exp(np.clip(rng.normal(0, STRETCH, 3), -2 * STRETCH, 2 * STRETCH))
    return factors / np.cbrt(factors.prod())  # as large as before


def _yaw(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _any_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def _style(textures: Sequence[Texture], rng: np.random.Generator, textured: float = 0.7) -> dict:
    """Choose colour or texture of a piece of background."""
    if rng.random() < textured:
        return {"texture": textures[int(rng.integers(len(textures)))]}
    return {"color": rng.uniform(0.15, 0.95, 3)}


def _box(low, high, textures: Sequence[Texture], rng: np.random.Generator) -> Surface:
    metres = float(np.max(np.subtract(high, low))) * rng.uniform(0.3, 1.5)
    return props.box(low, high, metres=metres, **_style(textures, rng, 0.6))


def _walls(
    close: bool, depth: float, half: float, textures: Sequence[Texture], rng: np.random.Generator
) -> list[Surface]:
    """Make a room that is turned about the vertical, the camera inside."""
    width, far = half * rng.uniform(0.9, 2.2), depth * rng.uniform(1.0, 1.6)
    top = depth * rng.uniform(0.9, 2) if close else rng.uniform(2.3, 3.6)
    near = max(0.6, 0.6 * depth)
    metres = depth * rng.uniform(0.15, 0.7)
    wall = _style(textures, rng, 0.75 if close else 0.5)
    surfaces = [
        props.quad(
            (-width, 0, near), (2 * width, 0, 0), (0, 0, -far - near),
            metres=metres, **_style(textures, rng, 0.8),
        ),
        props.quad((-width, 0, -far), (2 * width, 0, 0), (0, top, 0), metres=metres, **wall),
    ]  # fmt: skip
    for side in (-1, 1):
        if rng.random() < 0.85:
            surfaces.append(
                props.quad(
                    (side * width, 0, near), (0, 0, -far - near), (0, top, 0),
                    metres=metres, **wall,
                )
            )  # fmt: skip
    if rng.random() < 0.8:
        surfaces.append(
            props.quad(
                (-width, top, near), (2 * width, 0, 0), (0, 0, -far - near),
                color=rng.uniform(0.6, 1, 3),
            )
        )  # fmt: skip
    for _ in range(int(rng.integers(0, 4))):  # pictures, shelves, posters
        w, h = rng.uniform(0.1, 0.5, 2) * (width, top)
        x, y = rng.uniform(-width, width - w), rng.uniform(0.2, 0.8) * top
        out = depth * rng.choice([0.004, rng.uniform(0.02, 0.12)])
        surfaces.append(_box((x, y, -far), (x + w, y + h, -far + out), textures, rng))
    turn = np.eye(4)
    turn[:3, :3] = _yaw(rng.normal(0, 0.35))
    return [surface.moved(turn) for surface in surfaces]


def _open_ground(
    depth: float, textures: Sequence[Texture], rng: np.random.Generator, *, built: float = 1
) -> list[Surface]:
    surfaces = [
        props.quad(
            (-150, 0, 30), (300, 0, 0), (0, 0, -300),
            metres=rng.uniform(0.8, 5), **_style(textures, rng, 0.85),
        )
    ]  # fmt: skip
    for _ in range(int(rng.integers(0, 6)) if built == 1 or rng.random() < built else 0):
        w, h, d = rng.uniform(2, 14), rng.uniform(1, 12), rng.uniform(1, 8)
        x, z = rng.uniform(-1.2, 1.2) * depth, -depth - rng.uniform(0, 2) * depth
        surfaces.append(_box((x - w / 2, 0, z - d), (x + w / 2, h, z), textures, rng))
    return surfaces


def _light(kind: str, depth: float, height: float, rng: np.random.Generator) -> Light:
    tint = np.clip(rng.normal(1, 0.08, 3), 0.7, 1.3)
    ambient = rng.uniform(0.25, 0.9) * np.clip(rng.normal(1, 0.06, 3), 0.7, 1.3)
    if kind == "open" or rng.random() < 0.25:
        towards = rng.standard_normal(3)
        towards[1] = abs(towards[1]) + 0.4
        towards /= np.linalg.norm(towards)
        across = np.cross(towards, [0.3, 0.1, 1])
        across /= np.linalg.norm(across)
        spread = rng.uniform(4, 60)
        return Light(
            center=towards * 500,
            edge_a=across * spread,
            edge_b=np.cross(across, towards) * spread,
            color=tint * rng.uniform(0.7, 2.2),
            reference=math.inf,
            ambient=ambient,
            reach=depth * 0.4,
        )
    centre = np.array(
        [
            rng.uniform(-0.5, 0.5) * depth,
            height * rng.uniform(1.0, 2.0),
            -depth * rng.uniform(0, 0.7),
        ]
    )
    side = depth * rng.uniform(0.05, 0.4)
    return Light(
        center=centre,
        edge_a=np.array([side, 0, 0]),
        edge_b=np.array([0, 0, side]),
        color=tint * rng.uniform(0.5, 1.3),
        reference=depth * rng.uniform(0.5, 0.9),
        ambient=ambient,
        reach=depth * 0.25,
    )


def _sky(rng: np.random.Generator, panorama: Texture | None) -> Sky:
    horizon = rng.uniform(0.6, 1, 3)
    return Sky(
        horizon=horizon,
        zenith=np.clip(horizon * rng.uniform(0.4, 1, 3), 0, 1),
        panorama=panorama,
        turn=0.0 if panorama is None else float(rng.uniform(0, 2 * math.pi)),
    )


def _joined(
    other: tuple[Model, NDArray[np.float64]], extent: NDArray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Choose a place for what sits on another thing, holds it, or is right before or behind it.

    Args:
        extent: of what is placed.

    Returns:
        x and z of its middle, and the height of its underside.
    """
    model, pose = other
    points = model.surface.vertices[::7] @ pose[:3, :3].T + pose[:3, 3]
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    if rng.random() < 0.45:  # on it, or partly in it, as one rides or sits
        x, z = middle[[0, 2]] + rng.uniform(-0.3, 0.3, 2) * half[[0, 2]]
        return float(x), float(z), float(max(0, low[1] + rng.uniform(0.35, 1.0) * 2 * half[1]))
    angle = rng.uniform(0, 2 * math.pi)
    reach = rng.uniform(0.7, 1.05) * (half[[0, 2]] + extent[[0, 2]] / 2)
    x, z = middle[[0, 2]] + reach * (math.cos(angle), math.sin(angle))
    return float(x), float(z), float(max(0, low[1] if rng.random() < 0.5 else 0))

"""Renders scenes with known truth: what each pixel sees exactly, and a lit photo of it.

The photo has soft shadows of one area light, ambient occlusion and no reflections. Light is
computed per ray, smoothed along surfaces and multiplied by colours, as a filtered light map would
be; so a few rays a pixel give a picture without grain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from scenelift.srgb import srgb_decode
from scenelift.training.scenes.meshes import Surface, join
from scenelift.types import Camera

__all__ = ["Light", "Sky", "Tracer", "View"]

BIAS = 1e-3
"""Metres that a secondary ray starts off its surface: float32 hits are good to 1e-5 at 20 m."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Light:
    """A rectangle that shines, and light from everywhere.

    Attributes:
        center, edge_a, edge_b: the rectangle, scene metres; far away and large for a sun.
        color: linear, brightness where it falls straight on a surface at `reference` metres.
        reference: where the brightness holds; it falls with the square of distance. inf: sun.
        ambient: linear, from above; from below it is half of it.
        reach: metres within which a surface hides the ambient light.
    """

    center: NDArray[np.float64]
    edge_a: NDArray[np.float64]
    edge_b: NDArray[np.float64]
    color: NDArray[np.float64]
    reference: float
    ambient: NDArray[np.float64]
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sky:
    """The sky's colours (sRGB, 0…1), seen where a ray hits nothing.

    Attributes:
        horizon, zenith: of a plain sky.
        panorama: uint8 [h, w, 3], equirectangular, in its place.
        turn: radians that the panorama is turned about the vertical.
    """

    horizon: NDArray[np.float64]
    zenith: NDArray[np.float64]
    panorama: NDArray[np.uint8] | None = None
    turn: float = 0.0

    def linear(self, directions: NDArray) -> NDArray[np.float64]:  # [N, 3] -> [N, 3]
        """Return linear colours in these unit directions."""
        if self.panorama is None:
            up = np.clip(directions[:, 1:2] * 2, 0, 1)
            return srgb_decode(self.horizon * (1 - up) + self.zenith * up)
        height, width = self.panorama.shape[:2]
        along = (np.arctan2(directions[:, 0], -directions[:, 2]) + self.turn) / (2 * np.pi)
        down = np.arccos(directions[:, 1].clip(-1, 1)) / np.pi
        column = (along % 1 * width).astype(int).clip(0, width - 1)
        row = (down * height).astype(int).clip(0, height - 1)
        return srgb_decode(self.panorama[row, column] / 255.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Where the camera stands: `world_from_camera` is rigid; the camera looks along its −z."""

    camera: Camera
    world_from_camera: NDArray[np.float64]

    def rays(self, samples: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return origins and unit directions, both [N, 3], rows first; `samples`² per pixel."""
        finer = self.camera.resized(self.camera.width * samples, self.camera.height * samples)
        directions = finer.unproject(np.ones((finer.height, finer.width))).reshape(-1, 3)
        directions = directions.astype(np.float64) @ self.world_from_camera[:3, :3].T
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = np.broadcast_to(self.world_from_camera[:3, 3], directions.shape)
        return np.ascontiguousarray(origins, np.float32), directions.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Hits:
    is_hit: NDArray[np.bool_]  # [N]; the rest has one row for each that is True
    face: NDArray[np.int32]
    distance: NDArray[np.float32]
    weights: NDArray[np.float32]  # barycentric [M, 3]


class Tracer:
    """Casts rays at surfaces with a number each. Number 0 is background.

    Args:
        gloss: of each surface, how much it mirrors (0…1) and how sharp its highlight is (Phong's
            exponent); None: everything is matt.
    """

    def __init__(
        self,
        surfaces: Sequence[Surface],
        numbers: Sequence[int],
        gloss: NDArray[np.float64] | None = None,  # [S, 2]
    ) -> None:
        self._surface = join(surfaces)
        self._gloss = (
            None if gloss is None else np.repeat(gloss, [len(s.faces) for s in surfaces], axis=0)
        )
        self._numbers = np.repeat(numbers, [len(s.faces) for s in surfaces])
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, self._surface.vertices, self._surface.faces)

    def truth(self, view: View) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Find numbers and depths [H, W] at pixel centres; −1 and NaN where nothing is hit.

        Depth is the distance along the viewing axis, in metres.
        """
        origins, directions = view.rays(1)
        return self._truth(self._cast(origins, directions), view, directions)

    def distances(
        self, origins: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> NDArray[np.float32]:  # 2 × [N, 3] -> [N]
        """Measure how far rays go until they meet a surface; inf where they do not."""
        rays = (np.ascontiguousarray(x, np.float32) for x in (origins, directions))
        hits = self._cast(*rays)
        distance = np.full(len(origins), np.inf, np.float32)
        distance[hits.is_hit] = hits.distance
        return distance

    def _truth(
        self, hits: _Hits, view: View, directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        numbers = np.full(len(directions), -1, np.int32)
        numbers[hits.is_hit] = self._numbers[hits.face]
        depth = np.full(len(directions), np.nan, np.float32)
        forward = -view.world_from_camera[:3, 2]
        depth[hits.is_hit] = hits.distance * (directions[hits.is_hit] @ forward)
        shape = (view.camera.height, view.camera.width)
        return numbers.reshape(shape), depth.reshape(shape)

    def shot(
        self, view: View, light: Light, sky: Sky, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32]]:
        """Make `photo` with one ray a pixel and `truth` from the same rays, to train on.

        Returns:
            Linear colours [H, W, 3], numbers and depths [H, W].
        """
        origins, directions = view.rays(1)
        hits = self._cast(origins, directions)
        numbers, depth = self._truth(hits, view, directions)
        return self._lit(hits, view, origins, directions, light, sky, rng, 1, 1), numbers, depth

    def photo(
        self,
        view: View,
        light: Light,
        sky: Sky,
        rng: np.random.Generator,
        *,
        samples: int = 2,
        light_rays: int = 2,
    ) -> NDArray[np.float64]:  # [H, W, 3]
        """Compute linear colours, not yet exposed."""
        origins, directions = view.rays(samples)
        hits = self._cast(origins, directions)
        return self._lit(hits, view, origins, directions, light, sky, rng, samples, light_rays)

    def _lit(
        self,
        hits: _Hits,
        view: View,
        origins: NDArray[np.float32],
        directions: NDArray[np.float32],
        light: Light,
        sky: Sky,
        rng: np.random.Generator,
        samples: int,
        light_rays: int,
    ) -> NDArray[np.float64]:
        shape = (view.camera.height * samples, view.camera.width * samples)
        points, geometric, smooth = self._surface_at(hits, origins, directions)

        irradiance = np.zeros((len(origins), 3), np.float32)
        irradiance[hits.is_hit] = self._irradiance(
            points, geometric, smooth, light, rng, light_rays
        )
        normals = np.zeros((len(origins), 3), np.float32)
        normals[hits.is_hit] = geometric
        distance = np.full(len(origins), 1e3, np.float32)
        distance[hits.is_hit] = hits.distance
        irradiance = _smooth_along_surfaces(
            irradiance.reshape(*shape, 3), normals.reshape(*shape, 3), distance.reshape(shape)
        ).reshape(-1, 3)

        color = sky.linear(directions)
        color[hits.is_hit] = self._albedo(hits) * irradiance[hits.is_hit]
        if self._gloss is not None:
            shine = self._shine(hits, points, smooth, directions[hits.is_hit], light, sky)
            # Where little light arrives, little of it is mirrored.
            brightness = irradiance[hits.is_hit].mean(1, keepdims=True).clip(0, 1)
            color[hits.is_hit] += shine * brightness
        height, width = view.camera.height, view.camera.width
        if samples == 1:
            return color.reshape(height, width, 3)
        return color.reshape(height, samples, width, samples, 3).mean((1, 3))

    def _cast(self, origins: NDArray[np.float32], directions: NDArray[np.float32]) -> _Hits:
        result = self._scene.run(origins, directions, output=1)
        hit = result["primID"] >= 0
        u, v = result["u"][hit], result["v"][hit]
        return _Hits(
            is_hit=hit,
            face=result["primID"][hit],
            distance=result["tfar"][hit],
            weights=np.stack([1 - u - v, u, v], 1),
        )

    def _hidden(self, origins: NDArray, directions: NDArray, reach: NDArray) -> NDArray[np.bool_]:
        result = self._scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            np.ascontiguousarray(reach, np.float32),
            query="OCCLUDED",
        )
        return result >= 0

    def _surface_at(
        self, hits: _Hits, origins: NDArray[np.float32], directions: NDArray[np.float32]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Find points, geometric and smooth normals [M, 3], both turned towards the camera."""
        ahead = directions[hits.is_hit]
        points = origins[hits.is_hit] + ahead * hits.distance[:, None]
        corners = self._surface.faces[hits.face]
        a, b, c = (self._surface.vertices[corners[:, k]] for k in range(3))
        geometric = _unit(np.cross(b - a, c - a))
        smooth = _unit(_mixed(self._surface.normals[corners], hits.weights))
        geometric *= -np.sign(_dot(geometric, ahead))
        smooth *= np.sign(_dot(smooth, geometric))
        return points, geometric, smooth

    def _irradiance(
        self,
        points: NDArray,
        geometric: NDArray,
        smooth: NDArray,
        light: Light,
        rng: np.random.Generator,
        rays: int,
    ) -> NDArray[np.float32]:
        start = points + geometric * BIAS
        total = np.zeros((len(points), 3))
        for _ in range(rays):
            a, b = rng.uniform(-0.5, 0.5, (2, len(points), 1))
            towards = light.center + a * light.edge_a + b * light.edge_b - points
            distance = np.sqrt(_dot(towards, towards))
            towards /= distance
            facing = np.clip(_dot(smooth, towards), 0, None)
            lit = ~self._hidden(start, towards, distance[:, 0] * 0.999)[:, None]
            falloff = 1.0 if np.isinf(light.reference) else (light.reference / distance) ** 2
            total += facing * lit * np.minimum(falloff, 4.0) * light.color

            # Directions spread by the cosine law about the normal: a unit normal plus a point on
            # the unit sphere.
            spread = _unit(geometric + 0.999 * _unit(rng.standard_normal(points.shape)))
            reach = np.full(len(points), light.reach)
            open_sky = ~self._hidden(start, spread, reach)[:, None]
            hemisphere = 0.75 + 0.25 * smooth[:, 1:2]
            # What hides the ambient light also reflects some of it.
            total += (0.3 + 0.7 * open_sky) * hemisphere * light.ambient
        return (total / rays).astype(np.float32)

    def _shine(
        self,
        hits: _Hits,
        points: NDArray,
        normals: NDArray,
        ahead: NDArray,
        light: Light,
        sky: Sky,
    ) -> NDArray[np.float64]:  # [M, 3]
        """Compute highlights of the light's middle and a mirrored sky, after Schlick and Blinn."""
        assert self._gloss is not None
        strength, exponent = self._gloss[hits.face].T[..., None]
        facing = np.clip(-_dot(normals, ahead), 0, 1)
        fresnel = strength + (1 - strength) * (1 - facing) ** 5 * (strength > 0)
        towards = _unit(light.center - points)
        peak = np.clip(_dot(normals, _unit(towards - ahead)), 0, 1) ** exponent
        mirrored = sky.linear(ahead + 2 * facing * normals)
        shine = fresnel * mirrored + 2 * strength * peak * light.color
        return np.where(strength > 0, shine, 0)

    def _albedo(self, hits: _Hits) -> NDArray[np.float64]:
        color = self._surface.face_color[hits.face].astype(np.float64)
        texture = self._surface.face_texture[hits.face]
        corners = self._surface.faces[hits.face]
        uv = _mixed(self._surface.uv[corners], hits.weights)
        for index in np.unique(texture[texture >= 0]):
            image, here = self._surface.textures[index], texture == index
            height, width = image.shape[:2]
            row = ((1 - uv[here, 1]) % 1 * height).astype(int).clip(0, height - 1)
            column = (uv[here, 0] % 1 * width).astype(int).clip(0, width - 1)
            color[here] = image[row, column] / 255.0
        return srgb_decode(np.clip(color, 0.02, 0.95))


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-12)


def _dot(a: NDArray, b: NDArray) -> NDArray:  # 2 × [N, 3] -> [N, 1]
    # A sum over rows of three numbers takes NumPy several times as long.
    return np.einsum("ij,ij->i", a, b)[:, None]


def _mixed(corners: NDArray, weights: NDArray) -> NDArray:  # [M, 3, C], [M, 3] -> [M, C]
    return np.einsum("ijk,ij->ik", corners, weights)


def _smooth_along_surfaces(
    light: NDArray[np.float32],  # [H, W, 3]
    normals: NDArray[np.float32],  # [H, W, 3]
    distance: NDArray[np.float32],  # [H, W]
) -> NDArray[np.float32]:
    """Average neighbours on the same surface: à-trous filter of three growing steps."""
    height, width = distance.shape
    # Channels first: each operation runs along rows of numbers.
    light, normals = (np.ascontiguousarray(x.transpose(2, 0, 1)) for x in (light, normals))
    for step in (1, 2, 4):
        total, weights = light.copy(), np.ones((height, width), np.float32)
        near = 0.03 * step * distance
        for dy, dx in ((0, step), (step, -step), (step, 0), (step, step)):
            here = np.s_[: height - dy, max(0, -dx) : width - max(0, dx)]
            there = np.s_[dy:, max(0, dx) : width - max(0, -dx)]
            x, y, z = (axis[here] * axis[there] for axis in normals)
            alike = x + y + z > 0.9
            apart = np.abs(distance[here] - distance[there])
            for to, other in ((here, there), (there, here)):
                weight = (alike & (apart < near[to])).astype(np.float32)
                weights[to] += weight
                for channel, source in zip(total, light, strict=True):
                    channel[to] += weight * source[other]
        light = total / weights
    return light.transpose(1, 2, 0)

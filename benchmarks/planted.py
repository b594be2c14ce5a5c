"""A photo of objects whose shapes are known, and made-up networks that "find" just these.

The networks run at their published sizes, on as many voxels as a real object has, and what they
make is thrown away: random weights make no object, and how long finishing, placing and writing
take depends on the object. In its place stand decoder-like shapes:

    plausible  the vase: a mesh of a million faces in one piece, 32 splats for each of 25 000 voxels
    ugly       the worst that a stage has to bear: a million splats, one in a hundred as wide as
               half the object, four million faces, five thousand pieces that float about
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.trellis2_gpu import Planted as PlantedSurfaces
from benchmarks.trellis2_gpu import made_up_models
from benchmarks.trellis_gpu import Bench, on_a_shell
from benchmarks.vase import decoded_vase, splats_of_vase, vase_colors
from scenelift.compose.fit import FittedPose
from scenelift.crew import Crew
from scenelift.device import limit_memory
from scenelift.geometry.isosurface import isosurface
from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.models.moge.checkpoint import MoGeSettings
from scenelift.models.moge.network import MoGe, MoGeParams
from scenelift.models.sam3d.model import SAM3D
from scenelift.models.slat.acceleration import accelerate
from scenelift.models.slat.first_stage import Sampling
from scenelift.models.trellis.model import Trellis
from scenelift.options import UNLIMITED, ReconstructionOptions
from scenelift.pointmap.moge import MoGePointMapper
from scenelift.progress import Reporter
from scenelift.reconstruct import begin_photo, end_photo
from scenelift.reconstruct.sam3d import SAM3DReconstructor
from scenelift.reconstruct.trellis import TrellisReconstructor
from scenelift.reconstruct.trellis2 import Trellis2Reconstructor
from scenelift.render.meshes import render_mesh
from scenelift.testing.fake_checkpoints import TINY as TINY_CHECKPOINT
from scenelift.testing.fake_trellis2 import FULL2, TINY2
from scenelift.testing.random_networks import FULL, TINY
from scenelift.types import (
    Camera,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Reconstruction,
    Shape,
)

__all__ = ["Kind", "PlantedPointMapper", "PlantedReconstructor", "Planting", "made_up_backends"]

Kind = Literal["plausible", "ugly"]
Model = Literal["sam3d", "trellis", "trellis2"]

DISTANCE, FOV_DEG = 4.0, 55.0
FILLED = 0.8  # of an object's cell in the photo
WALL = 6.0  # how far behind the objects the room ends
OFF = 0.01  # of an object's size: how wrong its first pose is


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much of everything: splats, cells along a side of the mesh's grid, loose pieces."""

    splats: int
    grid: int
    pieces: int = 0
    wide: float = 0.0  # share of the splats


AMOUNTS: dict[tuple[str, Kind], Amount] = {
    ("full", "plausible"): Amount(splats=25_000 * 32, grid=428),
    ("full", "ugly"): Amount(splats=1_000_000, grid=852, pieces=5000, wide=0.01),
    ("tiny", "plausible"): Amount(splats=2000, grid=40),
    ("tiny", "ugly"): Amount(splats=2000, grid=60, pieces=50, wide=0.01),
}
PHOTOS = {"full": (1600, 1067), "tiny": (160, 107)}


@dataclass(frozen=True, eq=False)
class Planting:
    """A photo and all that is true of it.

    Attributes:
        image: the photo. camera: that took it.
        instances: the objects in it, called "vase 0" and so on.
        points: float32 [H, W, 3] in the camera frame.
        poses: of the objects.
        shape: that all of them have.
    """

    image: Image
    camera: Camera
    instances: Sequence[Instance]
    points: NDArray[np.float32]
    poses: Sequence[Pose]
    shape: Shape

    @classmethod
    def of(cls, size: str, kind: Kind, count: int) -> Planting:
        """So many objects in rows before a wall."""
        width, height = PHOTOS[size]
        camera = Camera.from_fov(width, height, fov_deg=FOV_DEG)
        columns = int(np.ceil((count * width / height) ** 0.5))
        rows = -(-count // columns)
        cell = DISTANCE * min(width / camera.fx / columns, height / camera.fy / rows)
        drawn = decoded_vase(120 if size == "full" else 30)
        pixels = np.full((height, width, 3), 0.75, np.float32)
        depth = np.full((height, width), WALL, np.float32)
        instances, poses = [], []
        for k in range(count):
            row, column = divmod(k, columns)
            x, y = (column - (columns - 1) / 2) * cell, ((rows - 1) / 2 - row) * cell
            half = np.radians(7 * k) / 2  # no two stand alike
            pose = Pose(
                rotation=(float(np.cos(half)), 0.0, float(np.sin(half)), 0.0),
                translation=(x, y, -DISTANCE),
                scale=FILLED * cell,
            )
            placed = transform_points(drawn.vertices, pose_matrix(pose)).astype(np.float32)
            picture = render_mesh(dataclasses.replace(drawn, vertices=placed), camera)
            mask = (picture.alpha > 0.5) & (picture.depth < depth)
            pixels[mask], depth[mask] = picture.color[mask], picture.depth[mask]
            label = f"vase {k}"
            instances.append(Instance(mask=mask, label=label, score=0.9, box=Instance.box_of(mask)))
            poses.append(pose)
        return cls(
            image=Image(pixels=np.rint(255 * pixels).astype(np.uint8)),
            camera=camera,
            instances=instances,
            points=camera.unproject(depth.astype(np.float64)).astype(np.float32),
            poses=poses,
            shape=planted_shape(AMOUNTS[size, kind]),
        )


@cache
def planted_shape(amount: Amount) -> Shape:
    """The vase, with what makes it ugly."""
    mesh = decoded_vase(amount.grid)
    splats = splats_of_vase(mesh, amount.splats)
    rng = np.random.default_rng(1)
    wide = rng.permutation(amount.splats)[: round(amount.wide * amount.splats)]
    splats.scales[wide] = 0.25 * rng.uniform(0.3, 1, (len(wide), 3))  # two deviations: half
    if amount.pieces:
        mesh = _with_pieces(mesh, amount.pieces, rng)
    return Shape(gaussians=splats, mesh=mesh)


def _with_pieces(mesh: Mesh, pieces: int, rng: np.random.Generator) -> Mesh:
    side = np.linspace(-1, 1, 12)
    x, y, z = np.meshgrid(side, side, side, indexing="ij")
    corners, faces = isosurface((0.7 - np.sqrt(x * x + y * y + z * z)).astype(np.float32))
    ball = 0.012 * (corners / 11 - 0.5)
    centres = rng.uniform(-0.49, 0.49, (pieces, 1, 3))
    loose = (centres + ball).reshape(-1, 3).astype(np.float32)
    first = len(mesh.vertices) + len(ball) * np.arange(pieces)[:, None, None]
    colors = np.rint(255 * vase_colors(loose)).astype(np.uint8)
    assert mesh.colors is not None
    return Mesh(
        vertices=np.concatenate([mesh.vertices, loose]),
        faces=np.concatenate([mesh.faces, (faces + first).reshape(-1, 3)]).astype(np.int32),
        colors=np.concatenate([mesh.colors, colors]),
    )


class PlantedPointMapper:
    """Runs MoGe, and gives the true points."""

    name = "planted"
    version = "1"

    def __init__(self, inner: MoGePointMapper, planting: Planting) -> None:
        self._inner, self.planting = inner, planting

    @torch.inference_mode()
    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        report.update(0)
        points, _ = self._inner.memory.first_that_fits(lambda: self._inner._run(image))
        assert tuple(points.shape[1:3]) == (image.height, image.width)
        points.cpu()
        return PointMap(points=self.planting.points, camera=self.planting.camera, source=self.name)


class PlantedReconstructor:
    """Runs a model's networks on every object, and gives the true shape, about where it stands.

    Args:
        inner: the reconstructor; None where others work in its place.
        plantings: what is true, of photos with different numbers of objects.
        own_shape: gives the reconstructor's shape, which was planted inside it.

    Attributes:
        made: a checksum of what the networks made of each object of the latest photo.
    """

    name = "planted"

    def __init__(
        self, inner: Any, plantings: Sequence[Planting], *, own_shape: bool = False
    ) -> None:
        self.inner, self._own_shape = inner, own_shape
        self._of_count = {len(planting.poses): planting for planting in plantings}
        self.version = getattr(inner, "version", "made up")
        self.made: dict[int, int] = {}

    def begin(self, image: Image, points: PointMap) -> None:
        self.made.clear()
        if self.inner is not None:
            begin_photo(self.inner, image, points)

    def end(self) -> None:
        if self.inner is not None:
            end_photo(self.inner)

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        made = self.inner.reconstruct(view, seed=seed, report=report)
        index = int(view.instance.label.split()[1])
        self.made[index] = _checksum(made.shape)
        planting = self._of_count[1 + len(view.others)]
        pose = planting.poses[index]
        rng = np.random.default_rng(seed)
        x, y, z = np.array(pose.translation) + OFF * pose.scale * rng.normal(size=3)
        pose = dataclasses.replace(pose, translation=(float(x), float(y), float(z)))
        shape = made.shape if self._own_shape else planting.shape
        return dataclasses.replace(made, shape=shape, pose=pose, notes=())


def _checksum(shape: Shape) -> int:
    """Of what the networks have made: the same however objects overlap."""
    arrays = [] if shape.gaussians is None else [shape.gaussians.means, shape.gaussians.scales]
    arrays += [] if shape.mesh is None else [shape.mesh.vertices, shape.mesh.faces]
    total = 0
    for array in arrays:
        # Some rows of many, as all of them take a while that would be counted.
        total = zlib.crc32(np.ascontiguousarray(array[::16]).data, total)
    return total


def made_up_backends(
    model: Model,
    size: str,
    plantings: Sequence[Planting],
    devices: Sequence[str],
    *,
    vram_bytes: int | None = None,
    fast: bool = False,
    caching: bool = False,
    compile: bool = False,
) -> tuple[PlantedPointMapper, PlantedReconstructor, Crew | None]:
    """The full quality's point mapper and reconstructor with random weights, and its crew.

    Weights are drawn once in a process; networks that were compiled stay so.

    Args:
        model: which networks. size: "full" for the published sizes.
        plantings: what they "find", of every number of objects; the first photo's comes first.
        devices: where; several share the objects.
        vram_bytes, fast, compile: as of `ReconstructionOptions`; caching: of velocities.
    """
    build = partial(
        made_up_reconstructor,
        model=model,
        size=size,
        plantings=plantings,
        vram_bytes=vram_bytes,
        fast=fast,
        caching=caching,
        compile=compile,
    )
    crew = Crew(build, devices) if len(devices) > 1 else None
    # Where there is a crew, its processes have the networks.
    reconstructor = PlantedReconstructor(None, plantings) if crew else build(devices[0])
    mapper = MoGePointMapper(
        made_up_moge(size, devices[0]),
        MoGeSettings() if size == "full" else MoGeSettings(tokens=64),
        device=torch.device(devices[0]),
    )
    return PlantedPointMapper(mapper, plantings[0]), reconstructor, crew


@cache
def made_up_moge(size: str, device: str) -> MoGe:
    """On the host."""
    torch.manual_seed(0)
    with torch.device(device):  # where drawing is quick
        moge = MoGe(MoGeParams() if size == "full" else TINY_CHECKPOINT.moge)
    return moge.to("cpu").eval().requires_grad_(False)


@cache
def made_up_networks(model: Model, size: str, device: torch.device) -> tuple[Bench, Any]:
    """On the host."""
    bench = Bench({"full": FULL, "tiny": TINY}[size], device, repeats=1)
    if model == "sam3d":
        return bench, bench.sam3d_models()
    if model == "trellis":
        return bench, bench.trellis_models()
    return bench, made_up_models({"full": FULL2, "tiny": TINY2}[size], "512", device)


def made_up_reconstructor(
    name: str,
    *,
    model: Model,
    size: str,
    plantings: Sequence[Planting],
    vram_bytes: int | None,
    fast: bool = False,
    caching: bool = False,
    compile: bool = False,
) -> PlantedReconstructor:
    """The reconstructor on a device; in processes of a crew too."""
    device = torch.device(name)
    limit_memory(device, UNLIMITED)
    bench, networks = made_up_networks(model, size, device)
    told = ReconstructionOptions(fast=fast).expanded(distilled=model == "sam3d")
    limit = limit_memory(device, vram_bytes)
    if model == "trellis2":
        for network in networks.accelerable:
            accelerate(network, device, compile=compile)
        surface = PlantedSurfaces(
            networks,
            device=device,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            sampling=Sampling.of(told, networks.settings),
            vram_bytes=limit,
        )
        surface.plant()
        inner: Any = Trellis2Reconstructor(surface, version="made up", place=_as_it_came)
        return PlantedReconstructor(inner, plantings, own_shape=True)
    settings: dict[str, Any] = {
        "vram_bytes": limit,
        "compile": compile,
        "distilled": told.distilled,
        "structure_steps": told.structure_steps,
        "latent_steps": told.latent_steps,
        "velocity_caching": caching,
    }
    kind = SAM3D if model == "sam3d" else Trellis
    made = on_a_shell(bench.model(kind, networks, **settings), bench.size, None)
    reconstructor = SAM3DReconstructor if model == "sam3d" else TrellisReconstructor
    return PlantedReconstructor(reconstructor(made, version="made up"), plantings)


def _as_it_came(*_: Any, **__: Any) -> FittedPose:
    """No search: the true pose takes its place."""
    return FittedPose(pose=Pose(), confidence=1.0, quality={})

"""Do lifted scenes stay where the photo has them once gravity acts?

    python -m benchmarks.simulation [--scenes 10] [--first 0] [--lifted]

Ten rendered rooms with known truth become MJCF; MuJoCo runs them for five seconds. Printed per
scene and over all: how far objects end from where they began (median, 90th percentile), the share
that moved less than 5 cm, and the share that stay upright (turned by less than 15°); then what
that cost: how much of their volume the colliders have after being settled, seats for others and
longer feet included. Without
`--lifted` shapes and poses are the true ones, which shows what colliders and surfaces cost; with
it they are those of the embedded default from true masks, in the metres of the point map given.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco gets its members as it is imported.)

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from benchmarks.synthetic import SyntheticScene, load_or_make
from scenelift.io.mjcf import write_mjcf
from scenelift.physics.bodies import Body, World, world_of
from scenelift.types import Instance, Mesh, SceneObject, Shape

SECONDS = 5.0
MOVED = 0.05  # metres
TURNED_DEG = 15.0


def true_objects(scene: SyntheticScene) -> list[SceneObject]:
    """The scene's objects with their true shapes and poses."""
    objects = []
    for index, o in enumerate(scene.objects):
        surface = o.surface
        mesh = Mesh(
            vertices=np.asarray(surface.vertices, np.float32),
            faces=np.asarray(surface.faces, np.int32),
        )
        objects.append(
            SceneObject(
                index=index,
                instance=_instance(o.mask, o.label),
                shape=Shape(mesh=mesh),
                pose=o.pose,
            )
        )
    return objects


def _instance(mask: np.ndarray, label: str) -> Instance:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return Instance(mask=mask, label=label, score=1.0, box=box)


def lifted_objects(scene: SyntheticScene) -> list[SceneObject]:
    """What the embedded default makes of the scene's true masks and points."""
    from scenelift.options import BackendOptions
    from scenelift.pipeline import Pipeline
    from scenelift.pointmap.given import GivenPointMapper
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment.given import GivenSegmenter

    instances = [_instance(o.mask, o.label) for o in scene.objects]
    pipeline = Pipeline(
        GivenSegmenter(instances),
        GivenPointMapper(scene.points.points),
        RECONSTRUCTORS.load("embedded", BackendOptions()),
    )
    return list(pipeline.run(scene.image, [o.label for o in scene.objects]).objects)


def simulate(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Metres that every body ends from where it began, and degrees that it is turned by."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.xml"
        write_mjcf(path, world)
        model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    begun = data.qpos.reshape(-1, 7).copy()
    while data.time < SECONDS:
        mujoco.mj_step(model, data)
    ended = data.qpos.reshape(-1, 7)
    moved = np.linalg.norm(ended[:, :3] - begun[:, :3], axis=1)
    dots = np.clip(np.abs((ended[:, 3:] * begun[:, 3:]).sum(1)), 0, 1)
    return moved, np.degrees(2 * np.arccos(dots))


def _volume(body: Body) -> float:
    return sum(h.volume for h in body.hulls)


def report(name: str, moved: Sequence[float], turned: Sequence[float]) -> str:
    m, t = np.asarray(moved), np.asarray(turned)
    return (
        f"{name:24} {len(m):3d} objects  moved {np.median(m):.3f} m, 90 % {np.quantile(m, 0.9):.3f}"
        f"  within {MOVED * 100:.0f} cm {np.mean(m < MOVED):4.0%}"
        f"  upright {np.mean(t < TURNED_DEG):4.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Do lifted scenes stay where the photo has them?")
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="scene to begin with")
    parser.add_argument("--lifted", action="store_true", help="the embedded default's shapes")
    arguments = parser.parse_args()
    all_moved: list[float] = []
    all_turned: list[float] = []
    all_shares: list[float] = []
    last = arguments.first + arguments.scenes
    for scene in load_or_make("small", count=last)[arguments.first :]:
        objects = lifted_objects(scene) if arguments.lifted else true_objects(scene)
        up = scene.world_from_camera[1, :3]  # the world's y in the camera's frame
        floor = -float(scene.world_from_camera[1, 3])  # where the world's height is 0
        world = world_of(objects, up=up.tolist(), levels=(floor,), metres=True)
        moved, turned = simulate(world)
        for body, m, t in zip(world.bodies, moved, turned, strict=True):
            if m >= MOVED or t >= TURNED_DEG:
                print(f"  {body.name}: {m:.3f} m, {t:.0f}°, stood on {body.stands_on}")
        shares = [_volume(body) / (body.mass / body.density) for body in world.bodies]
        all_shares += shares
        print(f"  volume of colliders {np.median(shares):.0%}, least {min(shares):.0%}")
        print(report(scene.name, moved.tolist(), turned.tolist()), flush=True)
        all_moved += moved.tolist()
        all_turned += turned.tolist()
    print(report("all", all_moved, all_turned))
    print(f"volume of colliders {np.median(all_shares):.0%}, least {min(all_shares):.0%}")


if __name__ == "__main__":
    main()

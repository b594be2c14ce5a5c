"""Time the two halves of the background, step by step, on a rendered room or a planted photo.

    python -m benchmarks.background_time [--width 1600] [--height 1067] [--room 0] [--repeats 3]
        [--planted 4]

The first half (`look_around`) runs while the objects are made, the second (`rebuild`) when all of
them stand. Of several repeats each step's least is shown: processor seconds of all threads, which
mean something where other programs run too, and wall seconds. Run it with `OMP_NUM_THREADS=1`.
`--planted 4` takes the photo of four objects that `scene_gpu` lifts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise

from scenelift.background.stage import rebuild
from scenelift.background.surroundings import look_around
from scenelift.progress import Reporter
from scenelift.types import Background, Image, Mesh, PointMap, SceneObject, Shape

Step = tuple[str, float, float]
"""What begins, and when: by the processor's clock and by the wall's."""


def steps_of(
    image: Image, points: PointMap, objects: Sequence[SceneObject]
) -> tuple[list[Step], Background]:
    """Make the background once."""
    steps: list[Step] = []

    def begin(name: str) -> None:
        steps.append((name, time.process_time(), time.perf_counter()))

    report = Reporter(lambda event: begin(f"rebuild: {event.message}"))
    begin("look_around")
    around = look_around(image, points, [o.instance for o in objects])
    background = rebuild(lambda: around, objects, report=report)
    begin("")
    return steps, background


def _room(
    number: int, width: int, height: int
) -> tuple[str, Image, PointMap, Sequence[SceneObject]]:
    from benchmarks.synthetic import make_room

    scene, _ = make_room(0, number, width=width, height=height)
    objects = [
        SceneObject(
            index=k,
            instance=o.instance,
            shape=Shape(mesh=Mesh(vertices=o.surface.vertices, faces=o.surface.faces)),
            pose=o.pose,
        )
        for k, o in enumerate(scene.objects)
    ]
    return scene.name, scene.image, scene.points, objects


def _planted(count: int) -> tuple[str, Image, PointMap, Sequence[SceneObject]]:
    from benchmarks.planted import Planting

    planting = Planting.of("full", "plausible", count)
    points = PointMap(points=planting.points, camera=planting.camera, source="planted")
    placed = zip(planting.instances, planting.poses, strict=True)
    objects = [
        SceneObject(index=k, instance=instance, shape=planting.shape, pose=pose)
        for k, (instance, pose) in enumerate(placed)
    ]
    return "planted", planting.image, points, objects


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=1067)
    parser.add_argument("--room", type=int, default=0)
    parser.add_argument("--planted", type=int, default=0, help="a planted photo of so many objects")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.planted:
        name, image, points, objects = _planted(options.planted)
    else:
        name, image, points, objects = _room(options.room, options.width, options.height)
    hidden = sum(float(o.instance.mask.mean()) for o in objects)
    print(
        f"{name}, {image.width} × {image.height}, {len(objects)} objects that cover "
        f"{hidden:.0%} of it"
    )
    _, background = steps_of(image, points, objects)  # compiles
    least: dict[str, tuple[float, float]] = {}
    for _ in range(options.repeats):
        steps, _ = steps_of(image, points, objects)
        for (name, *start), (_, *end) in pairwise(steps):
            took = (end[0] - start[0], end[1] - start[1])
            before = least.get(name, took)
            least[name] = (min(took[0], before[0]), min(took[1], before[1]))
    for name, (cpu, wall) in least.items():
        print(f"{name:42} {cpu:6.2f} s of processor time, {wall:6.2f} s of wall time")
    print(f"{len(background.mesh.faces):,} faces, {len(background.gaussians):,} splats")


if __name__ == "__main__":
    main()

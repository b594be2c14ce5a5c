"""Time the two halves of the background, step by step, on a rendered room.

    python -m benchmarks.background_time [--width 1600] [--height 1067] [--room 0] [--repeats 3]

The first half (`look_around`) runs while the objects are made, the second (`rebuild`) when all of
them stand. Of several repeats each step's least is shown: processor seconds of all threads, which
mean something where other programs run too, and wall seconds. Run it with `OMP_NUM_THREADS=1`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.synthetic import SyntheticScene, make_room
from scenelift.background.stage import rebuild
from scenelift.background.surroundings import look_around
from scenelift.progress import Reporter
from scenelift.types import Background, Mesh, SceneObject, Shape

Step = tuple[str, float, float]
"""What begins, and when: by the processor's clock and by the wall's."""


def steps_of(
    scene: SyntheticScene, objects: Sequence[SceneObject]
) -> tuple[list[Step], Background]:
    """Make the background once."""
    steps: list[Step] = []

    def begin(name: str) -> None:
        steps.append((name, time.process_time(), time.perf_counter()))

    report = Reporter(lambda event: begin(f"rebuild: {event.message}"))
    begin("look_around")
    around = look_around(scene.image, scene.points, [o.instance for o in objects])
    background = rebuild(lambda: around, objects, report=report)
    begin("")
    return steps, background


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=1067)
    parser.add_argument("--room", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    scene, _ = make_room(0, options.room, width=options.width, height=options.height)
    objects = [
        SceneObject(
            index=k,
            instance=o.instance,
            shape=Shape(mesh=Mesh(vertices=o.surface.vertices, faces=o.surface.faces)),
            pose=o.pose,
        )
        for k, o in enumerate(scene.objects)
    ]
    hidden = sum(float(o.instance.mask.mean()) for o in objects)
    print(
        f"{scene.name}, {options.width} × {options.height}, {len(objects)} objects that cover "
        f"{hidden:.0%} of it"
    )
    _, background = steps_of(scene, objects)  # compiles
    least: dict[str, tuple[float, float]] = {}
    for _ in range(options.repeats):
        steps, _ = steps_of(scene, objects)
        for (name, *start), (_, *end) in pairwise(steps):
            took = (end[0] - start[0], end[1] - start[1])
            before = least.get(name, took)
            least[name] = (min(took[0], before[0]), min(took[1], before[1]))
    for name, (cpu, wall) in least.items():
        print(f"{name:42} {cpu:6.2f} s of processor time, {wall:6.2f} s of wall time")
    print(f"{len(background.mesh.faces):,} faces, {len(background.gaussians):,} splats")


if __name__ == "__main__":
    main()

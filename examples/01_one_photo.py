"""Lift one object out of a photo, look at what came out, and write the files.

python examples/01_one_photo.py photo.jpg cup out/
"""

from __future__ import annotations

import sys

from scenelift import Pipeline


def main(photo: str, phrase: str, folder: str) -> None:
    scene = Pipeline.from_quality("auto").run(photo, phrase)
    for note in scene.provenance.notes:
        print(note)
    for o in scene.objects:
        x, y, z = o.pose.translation
        print(f"{o.name}: at ({x:.2f}, {y:.2f}, {z:.2f}) {scene.units}, scale {o.pose.scale:.2f}")
    print(scene.save(folder))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])

"""Write scenes as pictures, to look at them.

    python -m benchmarks.synthetic.preview out/scenes --count 12

writes a PNG a scene (photo, masks, depth side by side) and `sheet.png` with all photos.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks.synthetic.scenes import SyntheticScene, make_scene


def picture(scene: SyntheticScene) -> NDArray[np.uint8]:  # [H, 3 W, 3]
    """Photo, photo with masks in colours, depth (near is bright)."""
    photo = scene.image.pixels
    masks = photo // 2
    for k, o in enumerate(scene.objects):
        hue = k / len(scene.objects)
        color = 127 + 127 * np.cos(2 * np.pi * (hue + np.array([0, 1, 2]) / 3))
        masks[o.mask] = (0.35 * photo[o.mask] + 0.65 * color).astype(np.uint8)
    near = np.nan_to_num(1 / scene.depth)
    grey = (255 * near / np.percentile(near, 99.5)).clip(0, 255).astype(np.uint8)
    return np.concatenate([photo, masks, np.repeat(grey[..., None], 3, 2)], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["test", "train"], default="test")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    photos = []
    for index in range(options.count):
        scene = make_scene(options.seed, index, split=options.split)
        photos.append(scene.image.pixels)
        file = options.out / f"{scene.name.replace(' ', '-')}.png"
        PIL.Image.fromarray(picture(scene)).save(file)
        shown = ", ".join(f"{o.label} ({o.visible:.0%})" for o in scene.objects)
        print(f"{file}: {shown}", flush=True)

    columns = math.ceil(math.sqrt(len(photos)))
    blank = np.full_like(photos[0], 255)
    photos += [blank] * (-len(photos) % columns)
    rows = [np.concatenate(photos[k : k + columns], 1) for k in range(0, len(photos), columns)]
    PIL.Image.fromarray(np.concatenate(rows)).save(options.out / "sheet.png")


if __name__ == "__main__":
    main()

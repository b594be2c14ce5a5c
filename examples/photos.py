"""Write one of the free photos that ship with scikit-image to a file.

    python examples/photos.py coffee photo.png

coffee (CC0, Rachel Michetti), chelsea the cat (CC0, Stéfan van der Walt), astronaut Eileen
Collins (public domain, NASA).
"""

from __future__ import annotations

import sys
from pathlib import Path

import PIL.Image
import skimage.data

PHOTOS = {
    "coffee": skimage.data.coffee,
    "chelsea": skimage.data.chelsea,
    "astronaut": skimage.data.astronaut,
}


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in PHOTOS:
        raise SystemExit(f"usage: photos.py {{{','.join(PHOTOS)}}} FILE")
    path = Path(sys.argv[2])
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(PHOTOS[sys.argv[1]]()).save(path)


if __name__ == "__main__":
    main()

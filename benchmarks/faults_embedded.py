"""Kill real jobs at random moments: nothing may be lost, and the bytes must be the same.

    python benchmarks/faults_embedded.py [--kills 50] [--seed 0] [--only run|serve]

`scenelift run` with the embedded default is killed (`kill -9`) at a random moment of what a whole
run takes, and started again, until it ends by itself; then the next one begins. Then a server and
its worker are killed, one or the other or both, while they do such jobs. Every result is compared
with that of a run that nobody killed: all files but scene.json, which holds the timings. Exits with
1 on any difference, lost job, or file that is left over. Needs the embedded weights.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import PIL.Image
import skimage.data
from tests.drivers.live_server import LiveServer

from scenelift.io.files import sha256_of
from scenelift.output.folder import WORK_FOLDER
from scenelift.output.manifest import MANIFEST_NAME

BOX = (80, 40, 200, 150)
SERVER = (sys.executable, "-m", "scenelift", "serve")
JOBS = 6
PATIENCE = 900.0


def command(photo: Path, out: Path) -> list[str]:
    line = [sys.executable, "-m", "scenelift", "run", str(photo), "--quality", "embedded"]
    line += ["--box", "cup=" + ",".join(map(str, BOX)), "--out", str(out)]
    return [*line, "--faces", "300", "--texture-size", "64"]


def files_of(scene: Path) -> dict[str, str]:
    """Every file below a folder but the manifest, with its digest."""
    return {
        path.relative_to(scene).as_posix(): sha256_of(path)
        for path in scene.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


def kill_runs(folder: Path, photo: Path, kills: int, rng: random.Random) -> int:
    """Kill `scenelift run`; the number of faults."""
    subprocess.run(command(photo, folder / "warm"), check=True, capture_output=True)
    began = time.monotonic()
    subprocess.run(command(photo, folder / "whole"), check=True, capture_output=True)
    whole, expected = time.monotonic() - began, files_of(folder / "whole")
    done = ended = faults = 0
    out = folder / "out-0"
    while done < kills or not (out / MANIFEST_NAME).exists():
        child = subprocess.Popen(
            command(photo, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        # The first second or so is Python's; a part of the runs is left to end.
        limit = rng.uniform(0.0, 1.3 * whole) if done < kills else PATIENCE
        try:
            _, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            done += 1
            continue
        if child.returncode:
            print(f"after {done} kills: exit code {child.returncode}: {errors}")
            return faults + 1
        ended += 1
        actual = files_of(out)
        if actual != expected:
            faults += 1
            wrong = sorted(set(actual.items()) ^ set(expected.items()))
            print(f"after {done} kills: other files than without: {wrong}")
        if (out / WORK_FOLDER).exists():
            faults += 1
            print(f"after {done} kills: left over {list((out / WORK_FOLDER).iterdir())}")
        if done < kills:
            out = folder / f"out-{ended}"
    print(
        f"run           {done} kills, {ended} scenes ended, {faults} faults ({whole:.1f} s whole)"
    )
    return faults


def kill_servers(folder: Path, photo: Path, kills: int, rng: random.Random) -> int:
    """Kill server and worker; the number of faults."""
    environment = {
        "SCENELIFT_QUALITY": "embedded",
        "SCENELIFT_MAX_ATTEMPTS": "100",  # a job may be hit again and again, by no fault of its own
        "SCENELIFT_MIN_FREE_BYTES": "0",
    }
    server = LiveServer(folder / "data", SERVER, environment=environment, patience=PATIENCE).start()
    hits: Counter[str] = Counter()
    accepted: list[str] = []
    ended: dict[str, dict] = {}
    try:
        while hits.total() < kills:
            waiting = [job for job in accepted if job not in ended]
            with suppress(httpx.TransportError):
                for job in waiting:
                    row = server.job(job)
                    if row["state"] in ("done", "failed"):
                        ended[job] = row
                if len(waiting) < 2 and len(accepted) < JOBS + kills // 5:
                    accepted.append(submit(server, photo))
            time.sleep(rng.uniform(0.0, 6.0))
            choice = rng.choice(("worker", "server", "both"))
            if choice in ("worker", "both") and not server.kill_worker() and choice == "worker":
                continue
            if choice in ("server", "both"):
                server.kill()
                server.start()
            hits[choice] += 1
        states = Counter(server.wait(job)["state"] for job in accepted)
        scenes = {job: files_of(server.data.job(job).scene) for job in accepted}
    finally:
        server.close()
    whole = folder / "whole"
    expected = files_of(whole) if whole.exists() else scenes[accepted[0]]
    faults = sum(scene != expected for scene in scenes.values())
    faults += len(accepted) - states["done"]
    left = [path for job in accepted for path in server.data.job(job).scene.glob(WORK_FOLDER)]
    faults += len(left)
    print(f"serve         kills {dict(hits)}, jobs {dict(states)}, {faults} faults")
    return faults


def submit(server: LiveServer, photo: Path) -> str:
    return server.submit(
        photo=photo.read_bytes(),
        boxes=f'[{{"box": {list(BOX)}, "label": "cup"}}]',
        faces="300",
        texture_size="64",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("run", "serve"))
    args = parser.parse_args()
    rng, faults = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "coffee.png"
        PIL.Image.fromarray(skimage.data.coffee()).resize((300, 200)).save(photo)
        if args.only != "serve":
            faults += kill_runs(folder, photo, args.kills, rng)
        if args.only != "run":
            faults += kill_servers(folder, photo, args.kills, rng)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()

"""Time the main job on this machine: a photo with two objects to all files, cold and warm.

    python benchmarks/main_job.py [--repeats 3] [--background none] [--in-turn]

"Cold" is a fresh process: imports, model loading and compiled renderers included. "Warm" runs again
in the same process with a new seed, so that no stage is resumed. The last lines say which share of
the fastest warm run each stage has; processor time counts where other programs run too.

With `--in-turn`, every second warm run does each stage's work when the stage begins, and not while
the objects are made: what that takes, as a ratio of neighbours on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenelift.options import BackgroundMode
    from scenelift.overlap import Begin

PHOTO, PHRASE = "coffee", "cup"
SPOON = (320.0, 190.0, 410.0, 335.0)  # drawn as a user would: the detectors miss it
LATER = ("compose", "background")  # stages, parts of which may be done early
BUDGET_SECONDS, BUDGET_BYTES = 15.0, 2 * 2**30  # two objects, two cores, warm


def measure(
    photo: Path, repeats: int, background: BackgroundMode, *, in_turn: bool = False
) -> list[dict]:
    """Manifests of `1 + repeats` runs in this process, the first one cold.

    Args:
        in_turn: nothing is done early in every second one.
    """
    import scenelift.pipeline
    from scenelift.options import LayoutOptions
    from scenelift.pipeline import Pipeline
    from scenelift.progress import silent
    from scenelift.runs import RunSpec, run_job
    from scenelift.types import BoxPrompt, Prompt

    prompt = Prompt(phrases=(PHRASE,), boxes=(BoxPrompt(box=SPOON, label="spoon"),))
    pipeline = Pipeline.from_quality("embedded")
    early_work, manifests = scenelift.pipeline.early_work, []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1 + repeats):
            late = in_turn and seed % 2 == 1
            scenelift.pipeline.early_work = nothing_early if late else early_work
            spec = RunSpec(
                photo=photo,
                prompt=prompt,
                out=Path(folder) / str(seed),
                seed=100 * seed,
                layout=LayoutOptions(background=background),
            )
            before = time.process_time()
            manifest = run_job(spec, pipeline, silent()).model_dump(mode="json")
            spent = time.process_time() - before
            manifests.append(manifest | {"processor_seconds": spent, "late": late})
    return manifests


@contextmanager
def nothing_early() -> Iterator[Begin]:
    """Stand in for `early_work`: each stage does its own work, when it begins."""
    yield lambda work: work


def shares(manifest: dict) -> dict[str, float]:
    """Seconds of each stage, summed over objects."""
    seconds: dict[str, float] = defaultdict(float)
    for timing in manifest["timings"]:
        seconds[timing["stage"]] += timing["seconds"]
    return dict(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="warm runs")
    parser.add_argument("--background", default="photo", choices=("photo", "planes", "none"))
    parser.add_argument(
        "--in-turn", action="store_true", help="compare with runs that do nothing early"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        made = measure(
            arguments.child, arguments.repeats, arguments.background, in_turn=arguments.in_turn
        )
        print(json.dumps(made))
        return

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        examples = Path(__file__).parent.parent / "examples" / "photos.py"
        subprocess.run([sys.executable, examples, PHOTO, photo], check=True)
        command = [sys.executable, __file__, "--child", photo, "--repeats", str(arguments.repeats)]
        command += ["--background", arguments.background]
        command += ["--in-turn"] if arguments.in_turn else []
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cold, *every = json.loads(output)
    warm = [m for m in every if not m["late"]] or every

    objects = len(cold["objects"])
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{platform.platform()}, {cpus} CPU threads; {PHOTO}, {objects} objects")
    print(f"cold  {cold['wall_seconds']:6.1f} s")
    times = [m["wall_seconds"] for m in warm]
    best = min(warm, key=lambda m: m["wall_seconds"])
    median = statistics.median(times)
    print(f"warm  {median:6.1f} s median of {len(times)} (best {min(times):.1f} s)")
    least = min(m["processor_seconds"] for m in warm)
    print(f"      {least:6.1f} s of processor time at least")
    for stage, seconds in shares(best).items():
        print(f"      {seconds:6.2f} s  {seconds / best['wall_seconds']:4.0%}  {stage}")
    peak = max(m["peak_memory_bytes"] or 0 for m in warm)
    print(f"peak memory {peak / 2**20:.0f} MiB")
    print(
        f"budget: {BUDGET_SECONDS:.0f} s ({median / BUDGET_SECONDS:.0%} used), "
        f"{BUDGET_BYTES / 2**30:.0f} GiB ({peak / BUDGET_BYTES:.0%} used)"
    )
    if arguments.in_turn:
        compare([m for m in every if m["late"]], [m for m in every if not m["late"]])


def compare(late: list[dict], early: list[dict]) -> None:
    """Print runs that did nothing early, in order, beside the runs after them."""
    ratios = []
    for before, after in zip(late, early, strict=False):
        ratios.append(after["wall_seconds"] / before["wall_seconds"])
        seconds = [sum(shares(m)[stage] for stage in LATER) for m in (before, after)]
        print(
            f"nothing early {before['wall_seconds']:6.1f} s, then {after['wall_seconds']:6.1f} s "
            f"({ratios[-1]:.2f}); {' and '.join(LATER)} {seconds[0]:5.2f}, then {seconds[1]:5.2f} s"
        )
    print(f"ratio of wall times {statistics.median(ratios):.2f} (median of {len(ratios)})")


if __name__ == "__main__":
    main()

"""Send the web app ten thousand damaged photos and odd forms: nothing may break or be left behind.

    python benchmarks/hostile.py [--uploads 10000] [--seed 0]

The app runs in this process; no worker is started, so accepted jobs are deleted. Exits with 1 on
any answer of 500 or more, a file left in `incoming`, or memory that grew by more than 200 MiB
(a decoded photo may take some tens).
"""

from __future__ import annotations

import argparse
import io
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
from starlette.testclient import TestClient
from tests.drivers.web import FakeQualities, fake_settings

from scenelift.testing.fakes import disc_photo
from scenelift.webapp.app import create_app

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
GROWTH_BUDGET_BYTES = 200 * 2**20
ODD = ("", "red", ";;;", "\x00", "é" * 99, "[" * 99, "-1", "1e400", "NaN", "../..", "x" * 9999)
FIELDS = ("text_prompt", "boxes", "seed", "max_objects", "min_score", "quality", "review", "other")


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, moved, repeated or cut off."""
    content = bytearray(whole)
    for _ in range(rng.randint(0, 12)):
        place = rng.randrange(len(content))
        match rng.randrange(4):
            case 0:
                content[place] = rng.randrange(256)
            case 1:
                content[place : place + 4] = rng.randbytes(4)
            case 2:
                content[place:place] = content[: rng.randrange(64)]
            case _:
                # Sizes, most likely, in the first bytes.
                content[rng.randrange(min(64, len(content)))] = 0xFF
    return bytes(content[: rng.randint(1, len(content))] if rng.random() < 0.3 else content)


def odd_fields(rng: random.Random) -> dict[str, str]:
    if rng.random() < 0.7:
        return {"text_prompt": "red"}
    return {rng.choice(FIELDS): rng.choice(ODD) for _ in range(rng.randint(0, 4))}


def odd_headers(rng: random.Random) -> dict[str, str]:
    """Now and then, what other programs on the same host leave in a cookie, and odd encodings."""
    if rng.random() < 0.8:
        return {}
    return {
        "Cookie": rng.choice(('a="b; c', "=;;=", "x[y]={1,2}", "$Version=1")),
        "X-Forwarded-For": rng.choice(("", "1.2.3.4, 5.6.7.8", "x" * 999, "::1")),
        "Accept-Charset": rng.choice(("utf-7", "hex", "")),
    }


def bombs() -> list[bytes]:
    """Photos of few bytes that cost memory or time: as deep, large, or long as they may claim."""
    deep = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8192, 8192), np.uint16)).save(deep, "PNG")
    wide = io.BytesIO()
    PIL.Image.new("RGBA", (8192, 8192)).save(wide, "PNG")
    still = io.BytesIO()
    PIL.Image.new("P", (16, 16)).save(still, "GIF")
    whole = still.getvalue()
    # The frames of a GIF follow each other: an image descriptor, a table, blocks, a null.
    start = whole.index(b"\x2c")
    long = whole[:start] + whole[start:-1] * 100_000 + b"\x3b"
    return [deep.getvalue(), wide.getvalue(), long]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    costly = bombs()
    photos: list[bytes] = []
    for kind in FORMATS:
        buffer = io.BytesIO()
        PIL.Image.fromarray(disc_photo().pixels).save(buffer, kind)
        photos.append(buffer.getvalue())
    answers: Counter[int] = Counter()
    began, warm = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        settings = fake_settings(Path(folder) / "data", preload=False)
        # "keyword" ends at once, so that no worker takes the jobs.
        app = create_app(settings, qualities=FakeQualities(), worker_module="keyword")
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            for number in range(args.uploads):
                if number % 1000 == 999 or number == args.uploads - 1:
                    content, fields = costly[number // 1000 % len(costly)], {"text_prompt": "red"}
                else:
                    content, fields = damaged(rng.choice(photos), rng), odd_fields(rng)
                answer = client.post(
                    "/api/jobs",
                    files={"image": ("photo", content)},
                    data=fields,
                    headers=odd_headers(rng),
                )
                answers[answer.status_code] += 1
                if answer.status_code == 202:
                    client.delete(f"/api/jobs/{answer.json()['id']}")
                if number == min(500, args.uploads // 2):
                    warm = resident_bytes()
            growth = resident_bytes() - warm
            left = len(list(app.state.services.data.incoming.iterdir()))
            kept = len(list(app.state.services.data.jobs.iterdir()))
    broken = sum(count for status, count in answers.items() if status >= 500 and status != 503)
    print(f"answers       {dict(sorted(answers.items()))} in {time.monotonic() - began:.0f} s")
    print(f"server errors {broken}")
    print(f"files left    {left} in incoming, {kept} in jobs")
    print(f"memory        {growth / 2**20:+.1f} MiB")
    raise SystemExit(1 if broken or left or kept or growth > GROWTH_BUDGET_BYTES else 0)


if __name__ == "__main__":
    main()

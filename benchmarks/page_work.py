"""What working on the page takes: a click on the photo, and a drag in the editor.

    python -m benchmarks.page_work [--seconds 10] [--splats 500000] [--only clicks|frames]

Clicks are those of the embedded default on "coffee" on this machine's CPU, without the page around
them: one, and one beside it that takes away. Frames are counted in Chromium, which draws without a
graphics card here (then meshes stand in for splats while the view moves), while the pointer turns
the scene in the viewer, turns it in the editor, and drags an object in the editor. Times of a
loaded machine say little; the ratios say more. Needs the page (`make page`) and Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
from playwright.sync_api import Page
from tests.drivers.browser import VisitedPage, chromium
from tests.drivers.desk import Desk
from tests.drivers.live_server import LiveServer

from benchmarks.viewer import write_tori
from scenelift.io.image import read_image
from scenelift.options import BackendOptions
from scenelift.segment.clicks import Clicks
from scenelift.segment.embedded import EmbeddedSegmenter
from scenelift.types import PointPrompt

CLICKS = 12
# Moves the pointer once a frame, and says how long the frames took after the first few.
DRAG = """([x, y, seconds]) => new Promise(resolve => {
    Element.prototype.setPointerCapture = Element.prototype.releasePointerCapture = () => {}
    const target = document.elementFromPoint(x, y)
    const fire = (kind, at, buttons) => target.dispatchEvent(new PointerEvent(kind, {
        bubbles: true, cancelable: true, pointerId: 1, pointerType: 'mouse', isPrimary: true,
        clientX: at, clientY: y, button: kind === 'pointermove' ? -1 : 0, buttons,
    }))
    fire('pointermove', x - 1, 0)
    fire('pointermove', x, 0)
    fire('pointerdown', x, 1)
    const times = []
    let before = performance.now(), began = before, k = 0
    const next = () => {
        const now = performance.now()
        k += 1
        if (k > 6) times.push(now - before)
        else began = now
        before = now
        fire('pointermove', x + 20 + 15 * Math.sin(k / 5), 1)
        if (times.length < 10 || now - began < 1000 * seconds) return requestAnimationFrame(next)
        fire('pointerup', x + 20, 0)
        resolve(times)
    }
    requestAnimationFrame(next)
})"""


# Resolves when ten frames in a row were quick: nothing is drawn any more; after a minute anyway.
STILL = """() => new Promise(resolve => {
    const began = performance.now()
    let before = began, quick = 0
    const next = () => {
        const now = performance.now()
        quick = now - before < 150 ? quick + 1 : 0
        before = now
        if (quick === 10 || now - began > 60000) resolve()
        else requestAnimationFrame(next)
    }
    requestAnimationFrame(next)
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--splats", type=int, default=500_000)
    parser.add_argument("--only", choices=("clicks", "frames"))
    args = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if args.only != "frames":
        time_clicks()
    if args.only != "clicks":
        time_frames(args.splats, args.seconds)
    print(f"load {os.getloadavg()[0]:.1f}")


def time_clicks() -> None:
    """Print what features and clicks take."""
    import skimage

    photo = Path(skimage.__file__).parent / "data" / "coffee.png"
    image = read_image(photo)
    clicker = EmbeddedSegmenter.load(BackendOptions(device="cpu")).clicker
    assert clicker is not None
    began, worked = time.perf_counter(), time.process_time()
    features = clicker.look(image)
    print(
        f"features of the photo, once    {1000 * (time.perf_counter() - began):6.0f} ms; "
        f"processor time {1000 * (time.process_time() - worked):.0f}"
    )
    rng = np.random.default_rng(0)
    anywhere = rng.uniform(0.1, 0.9, (CLICKS, 2)) * (image.width, image.height)
    wall, work = ([list[float](), list[float]()] for _ in range(2))
    for x, y in anywhere.tolist():
        first, beside = PointPrompt(point=(x, y)), PointPrompt(point=(x + 40, y), positive=False)
        for k, points in enumerate([(first,), (first, beside)]):
            began, worked = time.perf_counter(), time.process_time()
            clicker.cut(features, Clicks(points=points))
            wall[k].append(1000 * (time.perf_counter() - began))
            work[k].append(1000 * (time.process_time() - worked))
    for k, name in enumerate(("a click", "a second one that takes away")):
        print(
            f"{name:<30} {statistics.median(wall[k]):6.0f} ms, at most {max(wall[k]):.0f}; "
            f"processor time {statistics.median(work[k]):.0f}, at most {max(work[k]):.0f}"
        )
    print(f"held of the photo              {features.nbytes / 1e6:6.1f} MB")


def time_frames(splats: int, seconds: float) -> None:
    """Print what a frame takes in the viewer and in the editor."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        desk = Desk(Path(folder), partial(write_tori, count=5, splats=splats // 5, meshes=True))
        desk.queue.close()
        server = LiveServer(desk.data.path).start()
        # Few pixels to draw: what is asked is what the editor adds to each picture.
        visitor = VisitedPage(browser, server.url, viewport={"width": 960, "height": 480})
        page = visitor.page
        try:
            page.evaluate(f"location.hash = 'job={desk.id}'")
            page.locator(".viewer[data-state=ready]").wait_for()
            usual = drag(page, corner(page), seconds)
            print(f"a frame, viewer turned         {usual:6.0f} ms ({splats:,} splats)")
            page.get_by_role("button", name="Edit", exact=True).click()
            page.locator(".viewer[data-state=ready] .edit-head").wait_for()
            page.wait_for_timeout(3000)
            # The handle first: it is elsewhere in a picture that was turned.
            for name, place in (("object dragged", arrow), ("editor turned", corner)):
                frame = drag(page, place(page), seconds)
                print(f"a frame, {name:<21} {frame:6.0f} ms, {frame / usual:.2f} of that")
            moved = page.locator(".object", has_text="moved").count()
            print(f"the object {'was' if moved else 'was NOT'} moved")
        finally:
            visitor.close()
            server.close()


def corner(page: Page) -> tuple[float, float]:
    """A place of the picture where nothing is."""
    box = page.locator(".picture").bounding_box()
    assert box is not None
    return box["x"] + 30, box["y"] + 60


def arrow(page: Page) -> tuple[float, float]:
    """The tip of the chosen object's handle along x."""
    box = page.locator(".picture").bounding_box()
    assert box is not None
    shot = PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    pixels = np.asarray(shot, np.int16)[:, int(box["x"]) : int(box["x"] + box["width"])]
    rows, columns = np.nonzero((pixels == (255, 0, 0)).all(-1))
    if not rows.size:
        raise RuntimeError("the editor shows no handle along x")
    tip = int(columns.argmax())
    return box["x"] + float(columns[tip]) - 4, float(rows[tip])


def drag(page: Page, place: tuple[float, float], seconds: float) -> float:
    """Milliseconds a frame takes on average while the pointer drags something to and fro."""
    # Within the page: a pointer from outside waits for each picture, and then nothing moves.
    page.evaluate(STILL)
    times = page.evaluate(DRAG, [*place, seconds])
    return statistics.mean(times)


if __name__ == "__main__":
    main()

"""Make the pictures of the web app's page again: docs/images/page-*.jpg and mesh-beside-splats.jpg.

    python benchmarks/page_images.py [--out docs/images] [--narrow FOLDER]

A real job of the embedded quality on a real photo (coffee, Rachel Michetti, CC0), made through the
page as a user makes it. The same scene's splats (spark) and GLB (three.js) stand side by side in
the last picture. Prints what a first visit costs, too.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
import time
from pathlib import Path

import PIL.Image
from playwright.sync_api import Browser, Page, expect
from tests.drivers.browser import VisitedPage, chromium
from tests.drivers.live_server import LiveServer

SERVE = (sys.executable, "-m", "scenelift", "serve", "--quality", "embedded")
PATIENCE = 400.0  # seconds; one job and the load of its models
# Around the spoon, in shares of the photo.
SPOON = (0.53, 0.47, 0.685, 0.84)
EDGE, TOOLBAR = 4, 108  # pixels of the picture's frame, and of what covers it below
TURNS = 6  # of 6° each, with the arrow key
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def take(page: Page, path: Path, *, settle: float = 1.5) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000 * settle)  # until pictures are decoded and the splats are sorted
    save(PIL.Image.open(io.BytesIO(page.screenshot())), path)


def save(picture: PIL.Image.Image, path: Path) -> None:
    picture.convert("RGB").save(path, quality=66, optimize=True, progressive=True)


def make_scene(page: Page, out: Path) -> None:
    """From the start to the finished scene, with pictures on the way."""
    take(page, out / "page-start.jpg")
    page.get_by_role("button", name="coffee").click()
    page.get_by_role("button", name="Find objects").click()
    expect(page.get_by_role("heading", name=re.compile("^Found"))).to_be_visible()
    frame = page.locator(".photo").bounding_box()
    assert frame is not None
    corners = [
        (frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        for x, y in (SPOON[:2], SPOON[2:])
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=5)
    page.mouse.up()
    field = page.get_by_label("Name of object")
    field.fill("spoon")
    field.press("Tab")
    proceed = page.get_by_role("button", name="Reconstruct 2 objects")
    expect(proceed).to_be_enabled()
    page.get_by_role("button", name="Brush").click()
    take(page, out / "page-workbench.jpg")
    page.get_by_role("button", name="Done").click()
    take(page, out / "page-masks.jpg")
    proceed.click()
    expect(page.locator(".object-progress .running")).to_be_visible()
    take(page, out / "page-working.jpg", settle=0.2)
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()
    take(page, out / "page-scene.jpg")


def show_again(browser: Browser, url: str, where: str, path: Path, **context: object) -> None:
    """The same scene in another surrounding."""
    visitor = VisitedPage(browser, url, **context)
    visitor.page.evaluate("hash => { location.hash = hash }", where)
    expect(visitor.page.locator(".viewer[data-state=ready]")).to_be_visible()
    take(visitor.page, path)
    visitor.close()


def show_editor(browser: Browser, url: str, where: str, path: Path, **context: object) -> None:
    """The editor, with the first object chosen and turned, and its splats about to be cleaned."""
    visitor = VisitedPage(browser, url, **context)
    page = visitor.page
    page.evaluate("hash => { location.hash = hash }", where)
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.locator(".viewer[data-state=ready] .edit-head")).to_be_visible()
    page.get_by_label("Turn y", exact=True).fill("60")
    page.get_by_label("Turn y", exact=True).press("Tab")
    page.get_by_role("button", name="Turn", exact=True).click()
    take(page, path, settle=4)
    visitor.close()


def show_downloads(browser: Browser, url: str, where: str, path: Path, **context: object) -> None:
    """Formats that were made, that are being made, and that may be."""
    visitor = VisitedPage(browser, url, **context)
    page = visitor.page
    page.evaluate("hash => { location.hash = hash }", where)
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()
    page.get_by_text("Every format, films, a ZIP").click()
    for name in ("scene.obj", "scene.spz", "scene.usdz"):
        page.locator(f"[id='choose-{name}']").check()
    make = page.get_by_role("button", name="Make 2 formats")
    if make.is_visible():
        make.click()
    expect(page.get_by_role("link", name="3 formats as ZIP")).to_be_visible()
    page.get_by_text("Every format, films, a ZIP").evaluate("at => at.scrollIntoView()")
    take(page, path)
    visitor.close()


def beside(browser: Browser, url: str, where: str, path: Path) -> None:
    """Splats on the left, the GLB's mesh on the right, from two places each."""
    visitor = VisitedPage(browser, url, viewport={"width": 1100, "height": 640})
    page = visitor.page
    page.evaluate("hash => { location.hash = hash }", where)
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()
    picture = page.locator(".picture")
    rows = []
    for turns in (0, TURNS):
        picture.focus()
        for _ in range(turns):
            page.keyboard.press("ArrowRight")
        shots = []
        for mode in ("1", "2"):
            picture.focus()
            page.keyboard.press(mode)
            page.wait_for_timeout(3000)
            shot = PIL.Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
            shots.append(shot.crop((EDGE, EDGE, shot.width - EDGE, shot.height - TOOLBAR)))
        rows.append(shots)
    visitor.close()
    width, height = rows[0][0].size
    sheet = PIL.Image.new("RGB", (2 * width, len(rows) * height))
    for r, shots in enumerate(rows):
        for c, shot in enumerate(shots):
            sheet.paste(shot, (c * width, r * height))
    save(sheet, path)


def first_visit(browser: Browser, url: str) -> None:
    """Print what comes over the line until the page can be used."""
    visitor = VisitedPage(browser, "about:blank")
    sizes: dict[str, int] = {}
    visitor.page.on(
        "requestfinished", lambda r: sizes.update({r.url: r.sizes()["responseBodySize"]})
    )
    started = time.monotonic()
    visitor.page.goto(url)
    expect(visitor.page.get_by_text("Drop a photo here")).to_be_visible()
    seconds = time.monotonic() - started
    visitor.page.wait_for_timeout(500)
    photos = sum(size for url, size in sizes.items() if "/examples/" in url)
    print(
        f"first visit: usable after {seconds:.2f} s, {len(sizes)} answers, "
        f"{sum(sizes.values()) - photos} bytes, and {photos} of example photos"
    )
    visitor.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--narrow", type=Path, help="editor and downloads at 360 px, to look at")
    args = parser.parse_args()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=1000 * PATIENCE)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = LiveServer(Path(folder) / "data", SERVE, patience=PATIENCE).start()
        try:
            server.until_ready()
            first_visit(browser, server.url)
            visitor = VisitedPage(browser, server.url)
            make_scene(visitor.page, out)
            where = visitor.page.evaluate("location.hash")
            visitor.close()
            show_again(browser, server.url, where, out / "page-dark.jpg", color_scheme="dark")
            show_again(browser, server.url, where, out / "page-phone.jpg", **PHONE)
            show_editor(browser, server.url, where, out / "page-edit.jpg")
            show_downloads(browser, server.url, where, out / "page-downloads.jpg")
            if args.narrow is not None:
                show_editor(browser, server.url, where, args.narrow / "edit.jpg", **PHONE)
                show_downloads(browser, server.url, where, args.narrow / "downloads.jpg", **PHONE)
            beside(browser, server.url, where, out / "mesh-beside-splats.jpg")
        finally:
            server.close()


if __name__ == "__main__":
    main()

"""The viewer in a real browser: what it draws, and that it fits the photo."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from playwright.sync_api import Browser, Page
from tests.drivers.browser import VisitedPage, chromium, find_chromium
from tests.drivers.patience import patient

from scenelift.geometry.transforms import compose_transform, transform_points
from scenelift.options import ExportOptions
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.page import export_page, viewer_page
from scenelift.output.page_server import folder_server
from scenelift.output.scene import write_scene
from scenelift.scene import Scene
from scenelift.testing.fakes import ball_shape
from scenelift.types import (
    Background,
    Camera,
    Image,
    Instance,
    Mesh,
    Pose,
    Prompt,
    Provenance,
    SceneObject,
)

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
QUICK = ExportOptions(preview_frames=1, preview_size=64)
PATIENCE = patient(90.0)  # seconds: a processor draws what is meant for a graphics card

# Tilted, as a levelled scene is: its frame is not the camera's.
SCENE_FROM_CAMERA = compose_transform(1, [0.99, -0.12, 0.05, 0.02], [0.3, 1.1, -0.2])
# Off-centre, so that a viewer that ignores the principal point is found out.
CAMERA = Camera(fx=170, fy=170, cx=90, cy=52, width=160, height=120)
# Colour of the photo's disc, colour of the splats, centre in the camera's frame, diameter.
BALLS = (
    ((200, 40, 40), (40, 190, 60), (-0.25, 0.02, -2.0), 0.5),
    ((50, 70, 200), (230, 200, 40), (0.42, -0.3, -2.2), 0.4),
)

pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium"),
    pytest.mark.skipif(
        not files("scenelift").joinpath("webapp", "viewer.html").is_file(),
        reason="the viewer is not built: make page",
    ),
]


def outline(centre: tuple[float, float, float], diameter: float) -> NDArray[np.bool_]:
    """Pixels [H, W] whose rays meet a ball."""
    depth = np.ones((CAMERA.height, CAMERA.width))
    rays = CAMERA.unproject(depth).astype(np.float64)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = rays @ centre
    return np.dot(centre, centre) - along**2 <= (diameter / 2) ** 2


def two_balls() -> Scene:
    """A grey photo with two balls, and the balls in it, in other colours."""
    pixels = np.full((CAMERA.height, CAMERA.width, 3), 190, np.uint8)
    objects = []
    for k, (seen, made, centre, diameter) in enumerate(BALLS):
        mask = outline(centre, diameter)
        pixels[mask] = seen
        label = f"ball {k}"
        instance = Instance(mask=mask, label=label, score=0.9, box=Instance.box_of(mask))
        shape = ball_shape(np.array(made), seed=k, splats=1500)
        x, y, z = transform_points(np.array([centre]), SCENE_FROM_CAMERA)[0].tolist()
        pose = Pose(translation=(x, y, z), scale=diameter)
        objects.append(SceneObject(index=k, instance=instance, shape=shape, pose=pose))
    return Scene(
        image=Image(pixels=pixels),
        camera=CAMERA,
        objects=tuple(objects),
        scene_from_camera=SCENE_FROM_CAMERA,
        provenance=Provenance(prompt=Prompt(phrases=("ball",)), seed=0, backends={}),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An output folder; tests must not change it."""
    folder = tmp_path_factory.mktemp("viewer") / "scene"
    write_scene(two_balls(), folder, options=QUICK)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with folder_server(folder, viewer_page(), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., VisitedPage]]:
    """Opens a folder in the viewer, as `scenelift view` does."""
    with ExitStack() as stack:

        def visit(folder: Path, **context) -> VisitedPage:
            url = stack.enter_context(served(folder))
            options = {"viewport": {"width": 720, "height": 460}} | context
            visited = VisitedPage(browser, url, **options)
            stack.callback(visited.close)
            return visited

        yield visit


def wait_for(page: Page, state: str = "ready") -> None:
    page.wait_for_selector(f".viewer[data-state={state}]", timeout=1000 * PATIENCE)


def shot(page: Page) -> NDArray[np.int16]:
    """Pixels [H, W, 3] of the picture without its toolbar."""
    picture = page.locator(".picture canvas")
    box = page.locator(".toolbar").bounding_box()
    frame = picture.bounding_box()
    pixels = np.asarray(PillowImage.open(io.BytesIO(picture.screenshot())).convert("RGB"), np.int16)
    return pixels[: int(box["y"] - frame["y"]) - 4] if box and frame else pixels


def close_to(pixels: NDArray, color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels of about a colour: light and splats' edges change it a little."""
    return np.abs(pixels - np.array(color)).max(-1) < 45


def share_of(page: Page, color: tuple[int, int, int]) -> float:
    return float(close_to(shot(page), color).mean())


def wait_until(page: Page, true: Callable[[], bool]) -> None:
    """Look again and again: splats are sorted and drawn in their own time."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"not so after {PATIENCE:g} s"
        page.wait_for_timeout(150)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


SEEN, MADE = [ball[0] for ball in BALLS], [ball[1] for ball in BALLS]


def test_draws_every_object_and_hides_and_isolates_them(visit, folder):
    visited = visit(folder)
    page = visited.page
    wait_for(page)
    assert min(share_of(page, color) for color in MADE) > 0.01
    press(page, "Hide ball 0 0")
    wait_until(page, lambda: share_of(page, MADE[0]) == 0)
    assert share_of(page, MADE[1]) > 0.01
    press(page, "Show only ball 0 0")
    wait_until(page, lambda: share_of(page, MADE[0]) > 0.01 and share_of(page, MADE[1]) == 0)
    press(page, "Show only ball 0 0")
    wait_until(page, lambda: min(share_of(page, color) for color in MADE) > 0.01)
    assert visited.faults == []
    assert visited.strangers == []


def test_mesh_wireframe_and_both_differ_from_splats(visit, folder):
    page = visit(folder).page
    wait_for(page)
    pictures = {"Splats": shot(page)}
    for mode in ("Mesh", "Both", "Wire"):
        press(page, mode)
        others = list(pictures.values())
        wait_until(page, lambda o=others: all(np.abs(shot(page) - p).max() > 60 for p in o))
        pictures[mode] = shot(page)
    # The wireframe shows shape, not colour.
    assert close_to(pictures["Mesh"], MADE[0]).mean() > 0.01
    assert close_to(pictures["Wire"], MADE[0]).mean() == 0


def test_splats_lie_on_their_objects_in_the_photo(visit, folder):
    page = visit(folder).page
    wait_for(page)
    press(page, "The photo behind the objects (P)")
    wait_until(page, lambda: (np.abs(shot(page) - 190).max(-1) < 3).mean() > 0.3)
    wait_until(page, lambda: min(share_of(page, color) for color in MADE) > 0.005)
    page.wait_for_timeout(1000)  # the flight to the photo's camera ends
    over = shot(page)
    for k in range(2):
        press(page, f"Hide ball {k} {k}")
    wait_until(page, lambda: min(share_of(page, color) for color in SEEN) > 0.005)
    under = shot(page)
    for made, seen in zip(MADE, SEEN, strict=True):
        rows, columns = np.nonzero(close_to(over, made))
        expected_rows, expected_columns = np.nonzero(close_to(under, seen))
        # A pixel of the screen is a third of one of the photo.
        assert abs(columns.mean() - expected_columns.mean()) < 1
        assert abs(rows.mean() - expected_rows.mean()) < 1
        # The ball's splats end softly, three standard deviations of 3 % around its outline.
        for actual, expected in ((rows, expected_rows), (columns, expected_columns)):
            assert np.ptp(actual) == pytest.approx(np.ptp(expected), rel=0.15)


def test_the_room_stands_behind_the_objects_and_goes_at_a_press(visit, tmp_path):
    violet = (170, 30, 200)
    corners = np.array([[-4.0, -3, -5], [4, -3, -5], [4, 3, -5], [-4, 3, -5]])
    wall = Mesh(
        vertices=transform_points(corners, SCENE_FROM_CAMERA).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        texture=np.full((4, 4, 3), violet, np.uint8),
    )
    splats = ball_shape(np.array(violet), splats=10).gaussians
    assert splats is not None
    behind = Background(mode="photo", mesh=wall, gaussians=splats)
    write_scene(replace(two_balls(), background=behind), tmp_path / "room", options=QUICK)
    page = visit(tmp_path / "room").page
    wait_for(page)
    # It opens as the photo was taken.
    wait_until(page, lambda: share_of(page, violet) > 0.5)
    assert min(share_of(page, color) for color in MADE) > 0.005
    press(page, "The room behind the objects (B)")
    wait_until(page, lambda: share_of(page, violet) == 0)
    assert min(share_of(page, color) for color in MADE) > 0.005
    press(page, "The room behind the objects (B)")
    wait_until(page, lambda: share_of(page, violet) > 0.5)
    # Wherever one looks from, splats are drawn over it.
    page.locator(".picture").focus()
    page.keyboard.press("ArrowLeft")
    wait_until(page, lambda: min(share_of(page, color) for color in MADE) > 0.005)
    page.wait_for_timeout(1000)
    assert min(share_of(page, color) for color in MADE) > 0.005
    press(page, "Wire")
    wait_until(page, lambda: share_of(page, violet) == 0)


def test_turns_with_the_keyboard(visit, folder):
    page = visit(folder).page
    wait_for(page)
    press(page, "Mesh")
    wait_until(page, lambda: share_of(page, MADE[0]) > 0.01)
    before = shot(page)
    page.locator(".picture").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    wait_until(page, lambda: np.abs(shot(page) - before).max() > 60)


def test_saves_a_picture_with_the_chosen_background(visit, folder):
    page = visit(folder).page
    wait_for(page)
    press(page, "White background")
    wait_until(page, lambda: (shot(page)[30, 30] == 255).all())
    with page.expect_download() as download:
        press(page, "Save a picture (S)")
    with PillowImage.open(download.value.path()) as saved:
        pixels = np.asarray(saved.convert("RGB"), np.int16)
    assert (pixels[0, 0] == 255).all()
    assert close_to(pixels, MADE[0]).any()


def test_an_exported_page_asks_for_nothing(browser, folder, tmp_path):
    page_file = export_page(folder, viewer_page(), tmp_path / "scene.html")
    context = browser.new_context(viewport={"width": 720, "height": 460}, offline=True)
    try:
        page, requests, faults = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(page_file.as_uri())
        wait_for(page)
        assert min(share_of(page, color) for color in MADE) > 0.01
        press(page, "The photo behind the objects (P)")
        wait_until(page, lambda: (np.abs(shot(page) - 190).max(-1) < 3).mean() > 0.3)
        assert [url for url in requests if not url.startswith(("blob:", "data:"))] == [
            page_file.as_uri()
        ]
        assert faults == []
    finally:
        context.close()


def test_without_webgl_it_says_so_and_shows_the_preview(visit, folder):
    visited = visit(folder)
    visited.context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    visited.page.reload()
    wait_for(visited.page, "still")
    assert "WebGL 2" in visited.page.get_by_role("alert").inner_text()
    preview = visited.page.get_by_role("img", name="A turn around the scene")
    wait_until(visited.page, lambda: preview.evaluate("image => image.naturalWidth") > 0)
    assert visited.page.get_by_role("link", name="PLY splats").is_visible()


def test_a_damaged_file_is_named_and_the_others_are_shown(visit, folder, tmp_path):
    broken = tmp_path / "scene"
    shutil.copytree(folder, broken)
    objects = json.loads((broken / MANIFEST_NAME).read_text())["objects"]
    for kind in ("splats", "mesh"):
        (broken / objects[0]["files"][kind]).write_bytes(b"not what it was")
    page = visit(broken).page
    wait_for(page)
    status = page.locator(".viewer-status").inner_text()
    assert "splats of ball 0 are damaged" in status
    assert "mesh of ball 0 is damaged" in status
    assert share_of(page, MADE[1]) > 0.01


def test_a_manifest_that_is_none_is_a_plain_message(visit, folder, tmp_path):
    broken = tmp_path / "scene"
    shutil.copytree(folder, broken)
    page = visit(broken).page
    wait_for(page)
    (broken / MANIFEST_NAME).write_text("{")
    page.reload()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "scene.json" in alert.inner_text()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci in frontend/")
@pytest.mark.parametrize(("scheme", "width"), [("light", 720), ("dark", 360)])
def test_nobody_is_left_out(visit, folder, scheme, width):
    page = visit(folder, color_scheme=scheme, viewport={"width": width, "height": 640}).page
    wait_for(page)
    page.evaluate(AXE.read_text())
    faults = page.evaluate("axe.run().then(result => result.violations)")
    serious = [f for f in faults if f["impact"] in ("serious", "critical")]
    assert [(f["id"], [n["html"] for n in f["nodes"]]) for f in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width

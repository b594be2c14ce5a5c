"""The editor in a real browser: what is done there is in the files, and undone it is gone."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from contextlib import suppress

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import expect
from tests.background.room import WALL, room
from tests.drivers.browser import PATIENCE_MS
from tests.drivers.desk import Desk

from scenelift.io.glb import read_glb
from scenelift.io.splat_reader import read_splats
from scenelift.pipeline import Pipeline
from scenelift.testing.fakes import BallReconstructor, ColorSegmenter
from scenelift.types import Image, PointMap
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.jobs import Queue
from scenelift.webapp.records import restore_jobs


def open_editor(page, job):
    page.evaluate(f"location.hash = 'job={job}'")
    page.get_by_role("button", name="Edit", exact=True).click()
    page.locator(".viewer[data-state=ready] .edit-head").wait_for(timeout=PATIENCE_MS)
    return page


def save(page):
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    page.locator(".panel[data-saved=written]").wait_for(timeout=PATIENCE_MS)


def put(page, label, value):
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Tab")


@pytest.fixture(scope="module")
def job(server):
    """A job whose scene has no edits, before a test and after it."""
    return server.wait(server.submit("red", "blue"))["id"]


def test_a_scene_is_put_right_by_keyboard_and_undone_to_the_byte(visit, server, job, tmp_path):
    first = server.job(job)
    page = open_editor(visit().page, job)

    def file(name):
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(server.http.get(f"/api/jobs/{job}/files/{name}").content)
        return path

    put(page, "Place x", 0.25)
    put(page, "Name", "ball")
    put(page, "Turn y", 90)
    page.get_by_role("button", name="Duplicate blue 1").press("Enter")
    page.get_by_role("button", name="Delete blue 1").press("Enter")
    expect(page.locator(".objects .object")).to_have_count(3)
    page.get_by_role("button", name="ball renamed, moved").press("Enter")
    page.get_by_label("What is measured").select_option("height")
    put(page, "Known length in metres", 2)
    page.get_by_role("button", name="Set scale", exact=True).press("Enter")
    expect(page.locator(".length")).to_have_text("2 m")
    page.locator("summary").press("Enter")
    put(page, "Centre x", 0.4)
    page.get_by_role("button", name="Select inside").press("Enter")
    expect(page.get_by_text("splats selected")).not_to_contain_text("0 splats selected;")
    page.get_by_role("button", name="Delete selected").press("Enter")
    save(page)

    manifest = json.loads(file("scene.json").read_text())
    ball, copy = manifest["objects"]
    scale = manifest["edited"]["scale"]
    assert (manifest["units"], ball["name"], copy["name"]) == ("metres", "00_ball", "02_blue")
    assert ball["pose"]["translation"][0] == pytest.approx(0.25 * scale)
    before = [
        o["gaussians"]
        for o in server.http.get(f"/api/jobs/{job}/original/scene.json").json()["objects"]
    ]
    assert 0 < before[0] - ball["gaussians"] < before[0] / 2
    nodes = [node for node in read_glb(file("scene.glb")) if node.name != "background"]
    splats = read_splats(file("scene.ply"), frame="y-down").means
    ends = np.cumsum([ball["gaussians"], copy["gaussians"]])
    for node, part in zip(nodes[:2], np.split(splats, ends[:1]), strict=True):
        middle = (node.mesh.vertices @ node.matrix[:3, :3].T + node.matrix[:3, 3]).mean(0)
        np.testing.assert_allclose(part.mean(0), middle, atol=0.1 * scale)
    heights = nodes[0].mesh.vertices @ node.matrix[:3, :3].T
    assert np.ptp(heights[:, 1]) > 0

    undo = page.get_by_role("button", name="Undo")
    while undo.is_enabled():
        page.keyboard.press("Control+z")
    expect(page.get_by_label("Name", exact=True)).to_have_value("red")
    save(page)
    assert server.job(job)["files"] == first["files"]
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.locator(".viewer[data-state=ready] .object-name b")).to_have_text(["red", "blue"])


def test_the_pointer_drags_two_tabs_are_told_and_all_is_taken_away(
    visit, server, job, axe_faults, tmp_path
):
    visitor = visit()
    page = open_editor(visitor.page, job)
    picture = page.locator(".picture").bounding_box()

    def pixels():
        shot = PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        return np.asarray(shot).astype(int)

    def place_of(colour, tolerance):
        found = (abs(pixels() - colour) <= tolerance).all(-1)
        found[:, : int(picture["x"])] = found[:, int(picture["x"] + picture["width"]) :] = False
        rows, columns = np.nonzero(found)
        assert rows.size, colour
        return columns, rows

    columns, rows = place_of((50, 70, 200), 30)
    page.mouse.click(float(np.median(columns)), float(np.median(rows)))
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_value("blue")
    row = page.locator('[data-key="select 0"]')
    row.click()
    expect(name).to_have_value("red")

    place = page.get_by_label("Place x", exact=True)
    was = float(place.input_value())
    columns, rows = place_of((255, 0, 0), 0)  # the arrow along x
    tip = int(columns.argmax())
    x, y = float(columns[tip]) - 4, float(rows[tip])
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=3)
    page.mouse.move(x + 60, y, steps=3)
    page.mouse.up()
    expect(row).to_contain_text("moved")
    assert float(place.input_value()) > was + 0.05

    assert axe_faults(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert axe_faults(page) == []
    page.get_by_role("button", name="Suggest floaters").click()
    expect(page.get_by_text("0 splats selected;")).to_be_visible()

    url = f"/api/jobs/{job}/edits"
    other = server.http.get(url).json()["edits"] | {"scale": 3.0}
    server.http.put(url, content=json.dumps(other), headers={"If-Match": "*"})
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_text("One unit of the run is 3 m.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("moved")
    save(page)
    assert server.http.get(url).json()["edits"]["scale"] is None

    # Outside the editor: the scene of before from the same place, and everything to take away.
    page.get_by_role("button", name="Close").click()
    before = page.get_by_role("button", name="Before the edits")
    for pressed in ("true", "false"):
        before.click()
        expect(before).to_have_attribute("aria-pressed", pressed)
        page.locator(".viewer[data-state=ready]").wait_for(timeout=PATIENCE_MS)
    # A phone that can show it in the room around it is offered that.
    page.evaluate("() => { DOMTokenList.prototype.supports = kind => kind === 'ar' }")
    page.get_by_text("Every format, films, a ZIP").press("Enter")
    for name in ("scene.obj", "scene.stl", "scene.splat"):
        page.locator(f"[id='choose-{name}']").press("Space")
    page.get_by_role("button", name="Make 2 formats, ≈").press("Enter")
    turn = page.get_by_role("group", name="A turn around")
    kind = "mp4" if shutil.which("ffmpeg") else "webp"
    turn.get_by_label("File").select_option(kind)
    turn.get_by_label("Frames").select_option("24")
    turn.get_by_role("button").press("Enter")
    expect(page.get_by_role("link", name=f"turntable-circle-24x512.{kind}")).to_be_visible()
    page.get_by_role("group", name="Splats the other way up").get_by_role("button").press("Enter")
    expect(page.get_by_role("link", name="scene.y-up.ply")).to_be_visible()
    page.get_by_role("button", name="Make it for your room").press("Enter")
    room = page.locator("a[rel=ar]")
    expect(room.get_by_alt_text("See it in your room")).to_be_visible()
    assert room.get_attribute("download") is None
    made = server.http.get(room.get_attribute("href"))
    assert (made.status_code, made.content[:2]) == (200, b"PK")
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    with page.expect_download() as download:
        page.get_by_role("link", name="3 formats as ZIP").press("Enter")
    download.value.save_as(tmp_path / "scene.zip")
    with zipfile.ZipFile(tmp_path / "scene.zip") as archive:
        assert {"scene.obj", "scene.stl", "scene.splat"} <= set(archive.namelist())
    with suppress(ValueError):  # the browser's own word for what the page asked about
        visitor.faults.remove(next(f for f in visitor.faults if "412" in f))


DOOR = (40, 150, 60)


class Planted:
    """A point mapper whose answer is given."""

    name, version = "planted", "1"

    def __init__(self, points: PointMap) -> None:
        self._points = points

    def estimate(self, image, instances, report):
        return self._points


def room_with_a_door(factor: float):
    """Photo and scene of a room with a door of two metres; a metric network errs by a factor."""
    image, points, _, _ = room(size=(320, 240))
    x, y, z = np.moveaxis(points.points, -1, 0)
    pixels = image.pixels.copy()
    pixels[(abs(z - WALL) < 0.01) & (x > 1.2) & (x < 2.0) & (abs(y) < 1)] = DOOR
    noise = np.random.default_rng(0).normal(factor, 0.01 * factor, z.shape)
    wrong = PointMap(  # in units of half a metre
        points=(2 * noise[..., None] * points.points).astype(np.float32),
        camera=points.camera,
        scale="metric",
        metres_per_unit=0.5,
        scale_note="as a network guesses",
    )
    pipeline = Pipeline(ColorSegmenter(), Planted(wrong), BallReconstructor())
    return PIL.Image.fromarray(pixels), pipeline.run(Image(pixels=pixels), "red")


def take_in(server, photo, scene, path):
    """Put a finished job with that scene among a running server's, and return its id."""
    desk = Desk(path, scene)
    photo.save(desk.folder.display_photo)
    photo.save(desk.folder.thumbnail)
    shutil.copytree(desk.folder.path, server.data.job(desk.id).path)
    queue = Queue(server.data.database)
    assert restore_jobs(server.data, queue, [LOCAL_OWNER]) == [desk.id]
    queue.close()
    return desk.id


def test_a_door_of_two_metres_measured_in_the_picture_says_so(visit, server, tmp_path):
    """It is no object: the clicks are on the room behind. A network's error stays what it was."""
    page = visit().page
    for factor in (1.0, 1.1):
        job = take_in(server, *room_with_a_door(factor), tmp_path / str(factor))
        open_editor(page, job)
        frame = page.locator(".picture").bounding_box()
        shot = PIL.Image.open(io.BytesIO(page.screenshot(clip=frame))).convert("RGB")
        rows, columns = np.nonzero((abs(np.asarray(shot).astype(int) - DOOR) <= 25).all(-1))
        across = float(np.median(columns))
        page.get_by_role("button", name="Pick points").click()
        for row in (rows.min() + 1, rows.max() - 1):
            page.mouse.click(frame["x"] + across, frame["y"] + float(row))
        length = page.locator(".length")
        expect(length).to_have_text(re.compile(r"^[\d.]+ m$"))
        metres = float(length.inner_text().split()[0])
        assert metres == pytest.approx(2 * factor, rel=0.03)
        page.get_by_role("button", name="Close").click()

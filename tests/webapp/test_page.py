"""From a photo to a downloaded scene, as a user does it in a browser."""

import io

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import expect
from tests.drivers.live_server import disc_png

from scenelift.webapp.page import STATIC

PHOTO = {"name": "discs.png", "mimeType": "image/png", "buffer": disc_png()}
# Where disc_photo has its discs, in its pixels.
RED, BLUE = (50, 60), (112, 66)


def choose_photo(page, *phrases):
    page.set_input_files("#photo-file", PHOTO)
    field = page.get_by_label("Things to find")
    for phrase in phrases:
        field.fill(phrase)
        field.press("Enter")


def drag_box(page, x0, y0, x1, y1):
    photo = page.locator(".photo").bounding_box()
    scale = photo["width"] / 160
    page.mouse.move(photo["x"] + x0 * scale, photo["y"] + y0 * scale)
    page.mouse.down()
    page.mouse.move(photo["x"] + x1 * scale, photo["y"] + y1 * scale, steps=4)
    page.mouse.up()


def click_photo(page, x, y):
    photo = page.locator(".photo").bounding_box()
    scale = photo["width"] / 160
    page.mouse.click(photo["x"] + x * scale, photo["y"] + y * scale)


def wait_for_scene(page):
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()


def picture(page):
    """The 3D picture, settled: two screenshots in a row agree."""
    view = page.locator(".picture canvas")
    last = None
    for _ in range(50):
        shot = np.asarray(PIL.Image.open(io.BytesIO(view.screenshot())).convert("RGB"), np.int16)
        if last is not None and np.abs(shot - last).max() < 8:
            return shot
        last = shot
        page.wait_for_timeout(200)
    raise AssertionError("the picture never came to rest")


def share_of(picture, color):
    """How much of a picture is about of a colour, by its strongest channel."""
    channel = "rgb".index(color)
    others = [k for k in range(3) if k != channel]
    return (picture[..., channel] > 60 + picture[..., others].max(-1)).mean()


# Looks at each picture, in the task that drew it, for how much of it is red.
WATCH = """() => {
    const canvas = document.querySelector('.picture canvas'), [w, h] = [96, 64]
    const copy = new OffscreenCanvas(w, h).getContext('2d', {willReadFrequently: true})
    const {clear} = WebGL2RenderingContext.prototype, soon = window.requestAnimationFrame
    let hasPicture = false
    WebGL2RenderingContext.prototype.clear = function (mask) {
        hasPicture = true
        clear.call(this, mask)
    }
    window.reds = []
    window.requestAnimationFrame = draw => soon(time => {
        hasPicture = false
        draw(time)
        if (!hasPicture) return
        copy.clearRect(0, 0, w, h)
        copy.drawImage(canvas, 0, 0, w, h)
        const {data} = copy.getImageData(0, 0, w, h)
        let red = 0
        for (let k = 0; k < data.length; k += 4) {
            if (data[k] > 60 + Math.max(data[k + 1], data[k + 2])) red += 1
        }
        window.reds.push(red / (w * h))
    })
}"""


@pytest.mark.slow
def test_a_photo_becomes_a_scene_that_is_looked_at_and_downloaded(visit, tmp_path):
    page = visit(viewport={"width": 1000, "height": 600}).page  # few pixels to draw
    choose_photo(page, "red", "blue")
    page.get_by_role("button", name="Find objects").click()

    expect(page.get_by_role("heading", name="Found 2 objects")).to_be_visible()
    expect(page.locator(".tag")).to_have_text(["red90 %", "blue90 %"])
    proceed = page.get_by_role("button", name="Reconstruct")
    click_photo(page, *BLUE)
    expect(page.get_by_role("checkbox", name="blue")).not_to_be_checked()
    expect(proceed).to_have_text("Reconstruct 1 object")
    click_photo(page, *BLUE)
    drag_box(page, 10, 90, 40, 115)
    page.get_by_label("Name of object").fill("corner")
    expect(proceed).to_have_text("Reconstruct 3 objects")
    proceed.click()

    wait_for_scene(page)
    expect(page.locator(".object-name b")).to_have_text(["red", "blue", "corner"])
    before = picture(page)
    assert share_of(before, "r") > 0.01
    assert share_of(before, "b") > 0.01
    # Meshes move in place of splats here; from the one to the other nothing is out of sight.
    page.evaluate(WATCH)
    page.locator(".picture").press("ArrowRight")
    page.wait_for_timeout(1000)
    picture(page)
    reds = page.evaluate("window.reds")
    assert len(reds) > 2
    assert min(reds) > 0.3 * max(reds)
    page.get_by_role("button", name="Hide red").click()
    after = picture(page)
    assert share_of(after, "r") < 0.001
    assert share_of(after, "b") > 0.01

    with page.expect_download() as download:
        page.get_by_role("link", name="PLY splats").click()
    saved = tmp_path / "scene.ply"
    download.value.save_as(saved)
    assert download.value.suggested_filename == "scene.ply"
    assert saved.read_bytes().startswith(b"ply\nformat binary_little_endian")
    assert b"element vertex 6000\n" in saved.read_bytes()[:200]


@pytest.mark.parametrize("way", ["drop", "paste", "camera", "example"])
def test_a_photo_comes_in_by(visit, way):
    page = visit(permissions=["camera"]).page
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    if way == "example":
        page.get_by_role("button", name="coffee").click()
        expect(page.get_by_role("button", name="Remove cup")).to_be_visible()
    elif way == "camera":
        page.get_by_role("button", name="Camera").click()
        page.get_by_role("button", name="Take the photo").click()
    else:
        kind = {"drop": "DragEvent", "paste": "ClipboardEvent"}[way]
        field = {"drop": "dataTransfer", "paste": "clipboardData"}[way]
        script = """async ([kind, way, field, bytes]) => {
            const photo = new File([Uint8Array.from(bytes)], 'photo.png', {type: 'image/png'});
            const data = new DataTransfer();
            data.items.add(photo);
            document.body.dispatchEvent(new window[kind](way, {[field]: data, bubbles: true}));
        }"""
        page.evaluate(script, [kind, way, field, list(disc_png())])
    expect(page.get_by_role("heading", name="What should be lifted out?")).to_be_visible()
    expect(page.get_by_role("img", name="The chosen photo")).to_be_visible()


def test_no_photo_is_taken_before_the_camera_shows_one(visit):
    page = visit().page
    page.evaluate("""() => {
        const canvas = document.createElement('canvas');
        const stream = canvas.captureStream();
        window.show = () => canvas.getContext('2d').fillRect(0, 0, 40, 30);
        navigator.mediaDevices.getUserMedia = async () => stream;
    }""")
    page.get_by_role("button", name="Camera").click()
    take = page.get_by_role("button", name="Take the photo")
    expect(take).to_be_disabled()
    page.evaluate("show()")
    take.click()
    expect(page.get_by_role("img", name="The chosen photo")).to_be_visible()


def test_a_job_is_made_with_the_keyboard_alone(visit):
    page = visit().page
    page.set_input_files("#photo-file", PHOTO)
    expect(page.get_by_label("Things to find")).to_be_focused()
    page.keyboard.type("red")
    page.keyboard.press("Enter")  # a chip
    page.keyboard.press("Enter")  # the form
    expect(page.get_by_role("heading", name="Found 1 object")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("application", name="The photo")).to_be_focused()
    for _ in range(3):  # the cross hair, from the middle to the blue disc
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("checkbox", name="Keep object")).to_be_checked()
    page.keyboard.press("Escape")
    red = page.get_by_role("checkbox", name="Keep red")
    while not red.evaluate("box => box === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Control+z")
    expect(red).to_be_checked()
    page.keyboard.press("Control+Shift+z")
    expect(red).not_to_be_checked()
    page.get_by_role("button", name="Reconstruct 1 object").press("Enter")
    wait_for_scene(page)
    expect(page.locator(".object-name b")).to_have_text(["object"])


def test_wishes_for_meshes_start_with_the_servers_and_are_kept(visit, server):
    page = visit().page
    choose_photo(page, "red")
    page.get_by_text("More options").click()
    group = page.get_by_role("group", name="Mesh of an object")
    faces = group.get_by_label("Most faces")
    texture = group.get_by_label("Texture", exact=True)
    known = server.http.get("/api/config").json()["options"]
    expect(faces).to_have_value(str(known["faces"]["default"]))
    expect(texture).to_have_value(str(known["texture_size"]["default"]))
    expect(group.get_by_label("Vertex colours")).not_to_be_checked()

    faces.fill("60")
    group.get_by_label("Vertex colours").check()
    expect(texture).to_be_disabled()
    page.get_by_label("Show me what was found first").uncheck()
    with page.expect_response(lambda r: r.request.method == "POST") as answer:
        page.get_by_role("button", name="Make the scene").click()
    job = server.wait(answer.value.json()["id"])
    (made,) = server.http.get(job["manifest_url"]).json()["objects"]
    assert made["faces"] <= 60
    (glb,) = [f for f in job["files"] if f["name"] == "objects/00_red/mesh.glb"]
    content = server.http.get(glb["url"]).content
    assert b'"COLOR_0"' in content
    assert b'"images"' not in content


def test_a_number_that_is_refused_is_shown_though_its_group_was_closed(visit):
    page = visit().page
    choose_photo(page, "red")
    page.get_by_text("More options").click()
    faces = page.get_by_label("Most faces")
    faces.fill("3")  # encloses nothing
    page.get_by_text("More options").click()
    expect(faces).to_be_hidden()
    page.get_by_role("button", name="Find objects").click()
    expect(faces).to_be_visible()
    expect(faces).to_be_focused()


def test_the_viewer_is_loaded_when_it_is_needed_only(visit):
    visitor = visit()
    expect(visitor.page.get_by_text("Drop a photo here")).to_be_visible()
    assert not [path for path in visitor.requests if "viewer" in path]
    assets = [path for path in visitor.requests if path.startswith("/assets/")]
    assert len(assets) == 2
    assert sum((STATIC / f"{path[1:]}.gz").stat().st_size for path in assets) < 60_000

"""On the page, objects are pointed at, painted and named, and what is seen is what is lifted."""

import re

from playwright.sync_api import expect
from tests.webapp.test_page import BLUE, PHOTO, RED, click_photo, drag_box

from scenelift.webapp.mask_runs import Runs, mask_of_runs

GROUND = (80, 20)


def inside(page, point):
    """Whether the masks that are shown cover a point of the photo."""
    return page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector('.photo canvas');
            const copy = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
            const scale = canvas.width / 160;
            copy.drawImage(canvas, -x * scale, -y * scale);
            return copy.getImageData(0, 0, 1, 1).data[3] > 40;
        }""",
        list(point),
    )


def settled(page):
    expect(page.get_by_text("Cutting it out")).to_be_hidden()


def test_objects_are_pointed_at_painted_and_lifted_as_they_are_seen(visit, server, axe_faults):
    page = visit(viewport={"width": 1000, "height": 600}).page
    page.set_input_files("#photo-file", PHOTO)
    page.get_by_role("button", name="Point at things").click()
    expect(page.get_by_role("heading", name="Point at what should be lifted out")).to_be_visible()
    proceed = page.get_by_role("button", name=re.compile("econstruct"))
    expect(proceed).to_be_disabled()

    # A click changes the mask where it was clicked; so does one with Alt, or the right button.
    at = [(RED[0] + 12, RED[1]), (BLUE[0] + 9, BLUE[1])]
    off = [(RED[0] - 12, RED[1]), (BLUE[0] - 9, BLUE[1])]  # away from the marks of clicks
    click_photo(page, *at[0])
    expect(proceed).to_have_text("Reconstruct 1 object")
    assert [inside(page, p) for p in (*off, GROUND)] == [True, False, False]
    click_photo(page, *at[1])
    settled(page)
    assert [inside(page, p) for p in (*off, GROUND)] == [True, True, False]
    page.get_by_role("button", name="Undo").click()
    assert [inside(page, p) for p in off] == [True, False]
    page.get_by_role("button", name="Redo").click()
    page.keyboard.down("Alt")
    click_photo(page, *at[0])
    page.keyboard.up("Alt")
    settled(page)
    assert [inside(page, p) for p in off] == [False, True]
    page.get_by_role("button", name="Undo").click()

    # Two parts become two objects; what is painted is another.
    split = page.get_by_role("button", name="Split")
    split.click()
    expect(proceed).to_have_text("Reconstruct 2 objects")
    page.get_by_role("button", name="Brush").click()
    drag_box(page, *GROUND, GROUND[0] + 20, GROUND[1])
    expect(proceed).to_have_text("Reconstruct 3 objects")
    assert inside(page, (GROUND[0] + 10, GROUND[1]))
    split.click()
    alert = page.get_by_role("alert").last
    expect(alert).to_have_text("It hangs together. Erase a line through it, then split it.")
    assert axe_faults(page) == []
    page.get_by_role("button", name="Eraser").click()
    drag_box(page, GROUND[0] + 12, GROUND[1] - 8, GROUND[0] + 12, GROUND[1] + 8)
    assert not inside(page, (GROUND[0] + 12, GROUND[1]))
    page.get_by_label("Merge with another object").select_option(index=1)
    expect(proceed).to_have_text("Reconstruct 2 objects")
    for name, field in zip(
        ("moon", "sun"), page.get_by_placeholder("What is it?").all(), strict=True
    ):
        field.fill(name)
    with page.expect_request(lambda r: r.url.endswith("/continue")) as sent:
        proceed.click()
    chosen = sent.value.post_data_json
    assert [m["label"] for m in chosen["masks"]] == ["moon", "sun"]
    sun = Runs.model_validate(chosen["masks"][1]["mask"])
    mask = mask_of_runs(sun, 160, 120) >= 0.5
    assert mask[GROUND[1], GROUND[0]]
    assert not mask[GROUND[1], GROUND[0] + 12]
    job = server.wait(sent.value.url.split("/")[-2], "done")
    assert [o["label"] for o in job["objects"]] == ["moon", "sun"]


def test_a_found_mask_is_corrected_with_a_finger(visit, server, axe_faults):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True).page
    job = server.wait(server.submit("red", review="true"))["id"]
    page.evaluate("id => { location.hash = `#job=${id}` }", job)
    page.get_by_role("button", name="Correct red").tap()
    page.get_by_role("button", name="Take away").tap()
    photo = page.locator(".photo").bounding_box()
    scale = photo["width"] / 160
    page.locator(".photo").tap(position={"x": (RED[0] + 12) * scale, "y": RED[1] * scale})
    settled(page)
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    assert not inside(page, (RED[0] - 12, RED[1]))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert axe_faults(page) == []

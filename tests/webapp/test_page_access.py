"""Every view can be read by everybody: axe-core finds no fault, and it fits a small phone."""

import pytest
from playwright.sync_api import expect
from tests.drivers.live_server import disc_png

PHONE = {"width": 360, "height": 740}


def open_job(page, job_id):
    page.evaluate("id => { location.hash = `#job=${id}` }", job_id)


def start(page, server):
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    yield
    photo = {"name": "discs.png", "mimeType": "image/png", "buffer": disc_png()}
    page.set_input_files("#photo-file", photo)
    page.get_by_role("button", name="Add a box").click()
    page.get_by_text("More options").click()
    yield


def review(page, server):
    open_job(page, server.submit("red", "blue", "violet", review="true"))
    expect(page.get_by_role("heading", name="Found 2 objects")).to_be_visible()
    page.get_by_role("button", name="Correct red").click()
    page.get_by_role("button", name="Brush").click()
    yield


def working(page, server):
    # Stands still, so that there is time to look. Cancelled by the test.
    open_job(page, server.submit("hang"))
    expect(page.get_by_role("heading", name="Finding objects")).to_be_visible()
    yield


def result(page, server):
    open_job(page, server.submit("red", "blue", "violet"))
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()
    yield


def failed(page, server):
    open_job(page, server.submit("violet"))
    expect(page.get_by_role("heading", name="This scene was not made")).to_be_visible()
    yield
    page.locator(".entry [aria-current]").hover()
    page.locator(".entry:has([aria-current]) button").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield


VIEWS = [start, review, working, result, failed]
WIDE = {"width": 1000, "height": 600}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_axe_finds_no_serious_fault_and_a_phone_needs_no_sideways_scrolling(
    visit, server, axe_faults, view
):
    page = visit(viewport=WIDE).page
    for _ in view(page, server):
        assert axe_faults(page) == []
        page.emulate_media(color_scheme="dark")
        assert axe_faults(page) == []
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)
    for job in server.http.get("/api/jobs").json()["jobs"]:
        if job["state"] in ("queued", "running"):
            server.http.post(f"/api/jobs/{job['id']}/cancel")


def test_a_phone_opens_the_scenes_over_the_view(visit, server):
    server.wait(server.submit("red"))
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True).page
    expect(page.locator("#photo-camera")).to_have_attribute("capture", "environment")
    expect(page.locator(".history")).to_be_hidden()
    button = page.get_by_role("button", name="Your scenes")
    button.tap()
    expect(page.locator(".history")).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(".entry a").first.tap()
    expect(page.locator(".history")).to_be_hidden()
    expect(page.locator(".viewer")).to_be_visible()

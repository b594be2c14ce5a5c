"""A link shows one scene and nothing else, and it ends."""

from __future__ import annotations

import re

import PIL.Image
import pytest
from playwright.sync_api import expect
from tests.drivers.live_server import LiveServer

from scenelift.webapp import sharing
from scenelift.webapp.errors import NotFound
from scenelift.webapp.folders import DataFolder

TOKEN = "sesame-open-please"


@pytest.fixture(scope="module")
def sharing_server(tmp_path_factory):
    environment = {"SCENELIFT_SHARE_DAYS": "30", "SCENELIFT_TOKEN": TOKEN}
    live = LiveServer(tmp_path_factory.mktemp("share") / "data", environment=environment).start()
    live.http.headers["Authorization"] = f"Bearer {TOKEN}"
    yield live
    live.close()


def test_a_link_shows_the_scene_to_a_stranger_and_nothing_else_and_dies(
    sharing_server, browser, visit
):
    server = sharing_server
    server.until(lambda: server.http.get("/ready").status_code == 200)
    job = server.wait(server.submit("red", background="none"))["id"]
    made = server.http.post(f"/api/jobs/{job}/share", json={"days": 1}).json()
    link = made["url"]
    assert re.fullmatch(r"/shared/[\w-]{43}/", link)
    stored = (server.data.job(job).share).read_text()
    assert link.split("/")[2] not in stored
    assert server.http.get(f"/api/jobs/{job}/share").json() == {
        "expires": made["expires"],
        "url": None,
    }

    stranger = visit(server.url + link.rstrip("/"), viewport={"width": 700, "height": 500})
    expect(stranger.page.locator(".viewer[data-state=ready]")).to_be_visible()
    expect(stranger.page.locator(".object-name b")).to_have_text(["red"])
    assert {path.split("/")[1] for path in stranger.requests} == {"shared"}

    def seen(path):
        return server.http.get(f"{link}{path}", headers={"Authorization": ""})

    manifest = seen("scene.json").json()
    assert seen("scene.glb").status_code == 200
    assert manifest["prompt"]["phrases"] == []
    for path in ("input.png", "overlay.png", "objects/00_red/mask.png", "../job.json", "photo"):
        assert seen(path).status_code == 404, path
    for path in ("/api/jobs", f"/api/jobs/{job}", f"/api/jobs/{job}/files/scene.glb"):
        assert server.http.get(path, headers={"Authorization": ""}).status_code == 401
    assert server.http.get(f"/shared/{'A' * 43}/").status_code == 404

    again = server.http.post(f"/api/jobs/{job}/share", json={"days": 1}).json()["url"]
    assert seen("scene.json").status_code == 404  # the one of before has ended
    link = again
    assert seen("scene.json").status_code == 200
    server.http.delete(f"/api/jobs/{job}/share")
    assert seen("").status_code == seen("scene.glb").status_code == 404
    link = server.http.post(f"/api/jobs/{job}/share", json={"days": 1}).json()["url"]
    server.http.delete(f"/api/jobs/{job}")
    assert seen("scene.json").status_code == 404


def test_links_end_at_their_time(tmp_path):
    data, job = DataFolder(tmp_path), "0" * 32
    data.job(job).path.mkdir(parents=True)
    secret, _ = sharing.make_share(data, job, seconds=100)
    assert sharing.shared_job(data, secret) == job
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), "", "../../x", "é" * 43):
        with pytest.raises(NotFound):
            sharing.shared_job(data, wrong)
    ended, _ = sharing.make_share(data, job, seconds=-1)
    with pytest.raises(NotFound):
        sharing.shared_job(data, ended)


def test_no_link_is_made_unless_the_server_allows_it(server):
    job = server.wait(server.submit("red", background="none"))["id"]
    assert server.http.post(f"/api/jobs/{job}/share", json={}).status_code == 403
    page = server.http.get(f"/api/jobs/{job}/scene.html")
    assert page.headers["content-disposition"] == 'attachment; filename="scene.html"'
    assert b'id="scene">{"manifest"' in page.content
    server.until(lambda: not list(server.data.spool.iterdir()))


def test_a_link_is_made_copied_and_ended_on_the_page(sharing_server, visit, axe_faults):
    server = sharing_server
    job = server.wait(server.submit("blue", background="none"))["id"]
    visitor = visit(server.url, viewport={"width": 1000, "height": 600})
    page = visitor.page
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.locator(f"a[href='#job={job}']").click()
    visitor.faults.clear()  # the browser tells of the call that was refused before
    expect(page.locator(".viewer[data-state=ready]")).to_be_visible()
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_label("The link")).to_have_value(re.compile(rf"^{server.url}/shared/"))
    link = page.get_by_label("The link").input_value()
    assert server.http.get(link, headers={"Authorization": ""}).status_code == 200
    page.get_by_text("View", exact=True).click()
    page.get_by_label("Grid on the ground").check()
    page.get_by_label("From the scene to the photo").fill("60")
    expect(page.get_by_role("button", name="The photo behind")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_label("Width of the picture").select_option("1280")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a picture").nth(1).click()
    with PIL.Image.open(download.value.path()) as picture:
        assert picture.width == 1280
    assert axe_faults(page) == []
    page.get_by_role("button", name="End the link").click()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    assert server.http.get(link, headers={"Authorization": ""}).status_code == 404

"""What the page says about jobs that take long, go wrong, or change in another tab."""

import io
import re

import PIL.Image
import pytest
from playwright.sync_api import expect
from tests.drivers.live_server import LiveServer

from scenelift.testing.fakes import disc_photo


def png(*discs):
    buffer = io.BytesIO()
    PIL.Image.fromarray(disc_photo(discs).pixels).save(buffer, "PNG")
    return buffer.getvalue()


MANY = png(*(("red", 16 + 32 * k, 60, 12) for k in range(5)))


READY = ".viewer[data-state=ready]"
TOKEN = "sesame-open-please"


def open_job(page, job_id):
    page.evaluate("id => { location.hash = `#job=${id}` }", job_id)


def expect_refusals(visitor, *, status):
    """Browsers report refused calls in their console; nothing else may stand there."""
    assert [fault for fault in visitor.faults if f"status of {status}" not in fault] == []
    visitor.faults.clear()


def test_a_reload_in_the_middle_of_a_job_shows_how_far_it_is(visit, server):
    page = visit().page
    with server.held():
        job = server.submit("red", "slow", photo=MANY)
        open_job(page, job)
        expect(page.locator(".object-progress .running").first).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Reconstructing")).to_be_visible()
        whole = page.get_by_role("progressbar", name="The whole job")
        expect(whole).to_have_attribute("aria-valuenow", re.compile(r"[1-9]"))
        expect(page.locator(".stages .past")).to_have_count(2)
    expect(page.locator(".viewer")).to_be_visible()
    assert server.job(job)["attempt"] == 1


def test_a_scene_can_be_left_at_any_moment_of_its_loading(visit, server):
    """What is under way then ends in silence: the fixture looks for errors."""
    page = visit().page
    job = server.wait(server.submit("red"))["id"]
    for wait_ms in (0, 150, 300, 450, 600):
        open_job(page, job)
        expect(page.locator(".picture canvas")).to_be_visible()
        page.wait_for_timeout(wait_ms)
        page.evaluate("() => { location.hash = '' }")
        expect(page.get_by_text("Drop a photo here")).to_be_visible()
    page.wait_for_timeout(1000)


@pytest.mark.slow
def test_two_tabs_show_the_same(visit, server):
    visitor = visit()
    first, second = visitor.page, visitor.open()
    job = server.submit("red", review="true")
    for tab in (first, second):
        open_job(tab, job)
        expect(tab.get_by_role("heading", name="Found 1 object")).to_be_visible()
    first.get_by_role("button", name="Reconstruct 1 object").click()
    for tab in (first, second):
        expect(tab.locator(".object-name b")).to_have_text("red")
        # What a tab still fetches of a job that is deleted is answered with 404.
        expect(tab.locator(".viewer[data-state=ready]")).to_be_visible()
    server.http.delete(f"/api/jobs/{job}")
    expect(second.get_by_text("Drop a photo here")).to_be_visible()
    expect(second.locator(f"a[href='#job={job}']")).to_have_count(0)


def test_a_phrase_without_a_match_is_answered_with_ones_that_match(visit, server):
    page = visit().page
    open_job(page, server.submit("violet"))
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Nothing in the photo matches 'violet'")
    expect(alert).to_contain_text("draw a box around the object")
    expect(alert.get_by_text("Seen in this photo")).to_have_count(0)  # it is what the buttons say
    page.get_by_role("button", name="Remove violet").click()
    expect(page.get_by_role("button", name="Point at things")).to_be_visible()
    alert.get_by_role("button", name="blue").click()
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".object-name b")).to_have_text(["blue"])


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("memory", "try a smaller photo or fewer objects"),
        ("bug", "Something went wrong that should not"),
        ("green", "No object could be reconstructed"),
    ],
)
def test_a_failure_is_told_in_plain_words(visit, server, phrase, said):
    photo = png(("green", 80, 60, 30))
    page = visit().page
    open_job(page, server.submit(phrase, photo=photo))
    expect(page.get_by_role("heading", name="This scene was not made")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("button", name="Run again")).to_be_enabled()


def test_an_object_that_failed_is_listed_beside_those_that_were_made(visit, server):
    photo = png(("red", 50, 60, 24), ("green", 112, 66, 18))
    page = visit().page
    open_job(page, server.submit("red", "green", photo=photo))
    expect(page.locator(".viewer")).to_be_visible()
    expect(page.locator(".objects .failed")).to_contain_text("it was told to fail")


def test_a_job_is_cancelled_and_run_again(visit, server):
    page = visit().page
    with server.held():
        open_job(page, server.submit("red", "slow", photo=MANY))
        expect(page.locator(".object-progress .running")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    for chip in ("slow", "red"):
        page.get_by_role("button", name=f"Remove {chip}").click()
    page.get_by_label("Things to find").fill("red")
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".scene-title")).to_contain_text("5 objects")
    expect(page.locator(".scene-title")).to_contain_text("seed 7")


def test_a_scene_is_deleted_after_a_question(visit, server):
    page = visit().page
    job = server.wait(server.submit("blue", seed="123"))["id"]
    open_job(page, job)
    expect(page.locator(READY)).to_be_visible()
    row = page.locator(".entry").filter(has=page.locator(f"a[href='#job={job}']"))
    row.get_by_role("button", name=re.compile("^Delete")).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert server.job(job)["state"] == "done"
    row.get_by_role("button", name=re.compile("^Delete")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    assert server.http.get(f"/api/jobs/{job}").status_code == 404


def test_a_photo_that_is_refused_can_be_replaced(visit):
    visitor = visit()
    page = visitor.page
    # No browser shows TIFF, so that it is the server's to say; a broken PNG is refused at once.
    photo = {"name": "broken.tiff", "mimeType": "image/tiff", "buffer": b"II*\x00 but no more"}
    page.set_input_files("#photo-file", photo)
    expect(page.get_by_text("This browser cannot show the photo")).to_be_visible()
    page.get_by_label("Things to find").fill("red")
    page.get_by_role("button", name="Find objects").click()
    expect(page.get_by_role("alert")).to_contain_text("This photo cannot be read")
    page.get_by_role("button", name="Another photo").click()
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    expect_refusals(visitor, status=422)


def set_hidden(page, hidden):
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


def test_a_tab_that_nobody_sees_holds_no_connection_and_misses_nothing(server, visit):
    page = visit().page
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    with page.expect_event("requestfailed", lambda request: "/api/events" in request.url):
        set_hidden(page, True)
    job = server.wait(server.submit("red"))["id"]
    link = page.locator(f"a[href='#job={job}']")
    expect(link).to_have_count(0)
    set_hidden(page, False)
    expect(link).to_be_visible()


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory):
    secret = {"SCENELIFT_TOKEN": TOKEN}
    live = LiveServer(tmp_path_factory.mktemp("locked") / "data", environment=secret)
    yield live.start()
    live.close()


def test_a_token_is_asked_for_until_it_is_right(visit, locked_server, axe_faults):
    visitor = visit(locked_server.url)
    page = visitor.page
    for token in ("guess", TOKEN):
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        if token != TOKEN:
            expect(page.get_by_role("alert")).to_contain_text("not known here")
            assert axe_faults(page) == []
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Drop a photo here")).to_be_visible()

    # Signed out in one tab, the other asks again at its next call.
    other = visitor.open()
    expect(other.get_by_text("Drop a photo here")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    other.get_by_role("button", name="coffee").click()
    other.get_by_role("button", name="Find objects").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    expect_refusals(visitor, status=401)


def test_a_server_that_is_away_is_waited_for(make_server, visit):
    server = make_server().start()
    visitor = visit(server.url)
    page = visitor.page
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    server.kill()
    expect(page.get_by_text("No connection to the server")).to_be_visible()
    server.start()
    expect(page.get_by_text("No connection to the server")).to_be_hidden()
    job = server.submit("red")
    expect(page.locator(f"a[href='#job={job}']")).to_be_visible()
    assert all("ERR_" in fault for fault in visitor.faults)
    visitor.faults.clear()


def test_the_time_left_of_each_stage_and_the_place_in_the_queue_are_told(visit, server):
    page = visit().page
    server.wait(server.submit("red", background="planes"))  # what stages take is learnt from it
    with server.held():
        first = server.submit("red", "slow", photo=MANY, background="none")
        open_job(page, first)
        titles = page.locator(".stages li")
        expect(titles).to_have_count(7)  # no background was asked for
        expect(titles.last).to_contain_text(re.compile(r"about \d+ s"))
        second = server.submit("red")
        open_job(page, second)
        expect(page.get_by_text("Number 1 in the queue")).to_be_visible()
        expect(titles).to_have_count(8)
        assert server.job(second)["starts_in_seconds"] is not None
        page.goto("about:blank")
        server.http.post(f"/api/jobs/{first}/cancel")
    server.wait(second)


def test_the_form_has_every_option_of_a_job_in_the_words_of_the_command_line(visit, server):
    page = visit().page
    photo = {"name": "discs.png", "mimeType": "image/png", "buffer": MANY}
    page.set_input_files("#photo-file", photo)
    options = server.http.get("/api/config").json()["options"]
    expect(page.locator(".options")).to_be_hidden()
    page.get_by_text("More options").click()
    for name, option in options.items():
        if name == "quality":
            continue  # it has a place of its own, and words for each
        input_id = {"seed": "seed", "max_objects": "most"}.get(name, f"option-{name}")
        field = page.locator(f"#{input_id}")
        expect(field).to_have_accessible_name(option["title"])
        expect(field).to_have_accessible_description(option["description"])


def test_a_long_word_widens_no_page_of_a_phone(visit, server):
    """The name of an object on its scene's page, phrases in the form of one that failed."""
    word = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True).page
    job = server.submit("red", review="true")
    server.wait(job, "review")
    choice = {"keep": [0], "names": {"0": word}}
    server.http.post(f"/api/jobs/{job}/continue", json=choice).raise_for_status()
    server.wait(job)
    open_job(page, job)
    expect(page.get_by_role("heading", name=word)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    other = server.submit(word, "red cup")
    server.wait(other)
    open_job(page, other)
    expect(page.locator(".chip", has_text=word)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360

"""A real server with fake models on loopback, which tests may kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect
from starlette.testclient import TestClient
from tests.drivers.browser import PATIENCE_MS, VisitedPage, chromium, find_chromium
from tests.drivers.desk import Desk
from tests.drivers.live_server import FAKE_SERVER, LiveServer
from tests.drivers.web import FakeQualities, fake_pipeline, fake_settings

from scenelift.testing.fakes import disc_photo
from scenelift.webapp.app import create_app
from scenelift.webapp.page import STATIC

# A module that ends at once, whatever its arguments: jobs stay queued.
NO_WORKER = "this"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as it is."""
    live = LiveServer(tmp_path_factory.mktemp("web") / "data").start()
    yield live
    live.close()


@pytest.fixture
def make_server(tmp_path):
    """Makes a server that the test may break, from more arguments."""
    made = []

    def make(*arguments):
        made.append(LiveServer(tmp_path / "data", [*FAKE_SERVER, *arguments]))
        return made[-1]

    yield make
    for live in made:
        live.close()


@pytest.fixture
def own_server(make_server):
    """A server that the test may break."""
    return make_server()


@pytest.fixture(scope="session")
def lifted():
    """A scene of the fake models."""
    return fake_pipeline().run(disc_photo(), "red; blue")


@pytest.fixture
def desk(lifted, tmp_path):
    """A data folder whose one job has that scene."""
    return Desk(tmp_path, lifted)


@pytest.fixture(scope="session")
def open_client(tmp_path_factory):
    """Opens a client of an app in this process; its worker stays away."""

    def open_(**given):
        settings = fake_settings(tmp_path_factory.mktemp("app") / "data", preload=False, **given)
        app = create_app(settings, qualities=FakeQualities(), worker_module=NO_WORKER)
        return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    return open_


def missing(what):
    """Skip, or fail where everything has to be there."""
    if os.environ.get("SCENELIFT_REQUIRE_NODE"):
        pytest.fail(f"SCENELIFT_REQUIRE_NODE is set, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, and a page to show in it."""
    if not (STATIC / "index.html").is_file():
        missing("the page was not built: make page")
    if find_chromium() is None:
        missing("Chromium is not installed: apt install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser, server):
    """Opens the page of the shared server, or of another; nothing may be wrong on it afterwards."""
    visited = []

    def visit_(url=server.url, **context):
        # Without a graphics card, what moves takes the processor away from the worker.
        visited.append(VisitedPage(browser, url, **{"reduced_motion": "reduce"} | context))
        return visited[-1]

    yield visit_
    for visitor in visited:
        visitor.close()
    assert [fault for visitor in visited for fault in visitor.faults] == []
    assert [url for visitor in visited for url in visitor.strangers] == []


@pytest.fixture(scope="session")
def axe_faults():
    """Says what axe-core calls serious or critical on a page, one line each."""
    script = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        missing("axe-core is not installed: make page")

    def faults(page):
        page.evaluate(script.read_text())
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [
            f"{fault['id']}: {node['target']} {node['failureSummary']}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return faults

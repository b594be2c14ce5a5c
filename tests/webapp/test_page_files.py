"""How the built page is served."""

import gzip

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from scenelift.webapp.page import add_page
from scenelift.webapp.problems import add_problem_handlers

SCRIPT = b"const answer = 42;\n" * 100


def client_of(folder):
    app = FastAPI()
    add_problem_handlers(app)
    add_page(app, folder)
    return TestClient(app)


@pytest.fixture
def built(tmp_path):
    """A client of a page with one script."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>scenelift</title>")
    (folder / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.txt.gz").write_bytes(gzip.compress(b"secret"))
    return client_of(folder)


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_a_script_is_the_same_compressed_or_not(built, accepted):
    answer = built.get("/assets/index-abc.js", headers={"Accept-Encoding": accepted})
    assert answer.content == SCRIPT
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert answer.headers.get("Content-Encoding", "identity") == accepted
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "immutable" in answer.headers["Cache-Control"]


def test_the_page_itself_is_asked_for_again_each_time(built):
    for method in ("GET", "HEAD"):
        answer = built.request(method, "/")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
    again = built.get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"]
)
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_nothing_beside_the_page_is_served(built, path, accepted):
    assert built.get(path, headers={"Accept-Encoding": accepted}).status_code == 404


def test_without_a_page_the_answer_says_how_to_build_it(tmp_path):
    answer = client_of(tmp_path / "static").get("/")
    assert answer.status_code == 404
    assert "make page" in answer.json()["detail"]

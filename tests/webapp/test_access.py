"""Who may call: tokens, cookies, hosts, origins, rates."""

from __future__ import annotations

import pytest
from tests.drivers.web import WORKER, FakeQualities, fake_settings

from scenelift.errors import InputError
from scenelift.webapp import settings as settings_module
from scenelift.webapp.access import COOKIE, RateLimit, Tokens
from scenelift.webapp.app import create_app
from scenelift.webapp.errors import TooManyRequests, Unauthorized
from scenelift.webapp.jobs import NewJob, new_job_id
from scenelift.webapp.models import JobPrompt, JobRequest
from scenelift.webapp.settings import Settings

ANN, BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
EVERYWHERE = ("/api/jobs", "/api/config", "/api/events", "/metrics", "/ready", "/objects/a/b")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def token_client(open_client):
    with open_client(token=f"{ANN},{BOB}", logins_per_minute=1000) as client:
        yield client


@pytest.fixture(scope="module")
def local_client(open_client):
    with open_client() as client:
        yield client


def test_a_token_is_needed_everywhere_but_health_and_page(token_client):
    for path in (*EVERYWHERE, "/api/openapi.json", "/api/nothing"):
        answer = token_client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert token_client.get("/health").status_code == 200
    assert token_client.get("/").status_code in (200, 404)
    assert token_client.post("/api/jobs", content=b"x" * 2**21).status_code == 401


@pytest.mark.parametrize("wrong", ["", "ann", ANN[:-1], ANN + "0", f"{ANN},{BOB}", "\xfc" * 16])
def test_a_wrong_token_is_refused(token_client, wrong):
    for headers in (
        {"Authorization": f"Bearer {wrong}".encode("latin-1")},
        {"Cookie": f"scenelift_token={wrong}".encode("latin-1")},
    ):
        assert token_client.get("/api/jobs", headers=headers).status_code == 401


def test_a_token_in_the_address_is_none(token_client):
    assert token_client.get("/api/jobs", params={"token": ANN}).status_code == 401


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(token_client):
    answer = token_client.post("/api/login", json={"token": ANN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"scenelift_token={ANN};")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token_client.get("/api/jobs").status_code == 200
    token_client.post("/api/logout")
    assert token_client.get("/api/jobs").status_code == 401
    assert token_client.post("/api/login", json={"token": "no"}).status_code == 401


def test_jobs_are_visible_to_their_token_only(token_client):
    services = token_client.app.state.services
    owner = services.tokens.owner(ANN, "test")
    assert ANN not in owner
    job = NewJob(
        id=new_job_id(),
        owner=owner,
        request=JobRequest(prompt=JobPrompt(phrases=("red",)), quality="fake"),
        width=160,
        height=120,
    )
    services.queue.add(job)
    for headers, status in ((bearer(ANN), 200), (bearer(BOB), 404)):
        assert token_client.get(f"/api/jobs/{job.id}", headers=headers).status_code == status
    listed = token_client.get("/api/jobs", headers=bearer(BOB)).json()["jobs"]
    assert listed == []
    path = f"/api/jobs/{job.id}"
    assert token_client.get(f"{path}/files/scene.json", headers=bearer(BOB)).status_code == 404
    assert token_client.post(f"{path}/cancel", headers=bearer(BOB)).status_code == 404
    assert token_client.delete(path, headers=bearer(BOB)).status_code == 404
    assert token_client.delete(path, headers=bearer(ANN)).status_code == 204


def test_pages_of_other_sites_cannot_call(local_client):
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = local_client.post(f"/api/jobs/{'0' * 32}/cancel", headers=headers)
        assert answer.status_code == 403, headers
        assert "access-control-allow-origin" not in answer.headers
    own = {"Origin": "http://localhost", "Host": "localhost"}
    assert local_client.post(f"/api/jobs/{'0' * 32}/cancel", headers=own).status_code == 404


def test_without_a_token_other_names_of_this_machine_are_refused(local_client):
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
        assert local_client.get("/api/jobs", headers={"Host": host}).status_code == 403, host
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
        assert local_client.get("/api/jobs", headers={"Host": host}).status_code == 200, host


def test_every_answer_tells_browsers_what_it_may_do(local_client):
    for path in ("/", "/health", "/api/jobs", "/api/nothing", "/api/openapi.json"):
        headers = local_client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_callers_that_come_too_often_are_told_when_to_come_back(open_client):
    with open_client(requests_per_minute=5) as client:
        codes = [client.get("/health").status_code for _ in range(7)]
        assert codes[:5] == [200] * 5
        assert 429 in codes[5:]
        answer = client.get("/health")
        assert int(answer.headers["retry-after"]) >= 1


def test_named_origins_may_call(open_client):
    origin = "https://lab.example"
    with open_client(cors_origins=origin) as client:
        answer = client.post(f"/api/jobs/{'0' * 32}/cancel", headers={"Origin": origin})
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == origin
        other = client.get("/api/jobs", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_guessing_tokens_is_slowed_down_and_locks_nobody_out():
    """Behind a proxy, those with a token share an address with those who guess."""
    tokens = Tokens([ANN], guesses_per_minute=3)
    for _ in range(3):
        with pytest.raises(Unauthorized):
            tokens.owner("wrong", "proxy")
    for _ in range(20):
        with pytest.raises(TooManyRequests):
            tokens.owner("wrong", "proxy")
        assert tokens.owner(ANN, "proxy") == tokens.owner(ANN, "ann")
    with pytest.raises(Unauthorized):
        tokens.owner("wrong", "elsewhere")


@pytest.mark.parametrize(("trusted", "limited"), [("", True), ("testclient", False)])
def test_callers_behind_a_named_proxy_are_told_apart(open_client, monkeypatch, trusted, limited):
    # Starlette's test client calls itself that, which is no address.
    monkeypatch.setattr(settings_module, "ip_network", lambda text, strict: text)
    with open_client(token=ANN, trusted_proxies=trusted, logins_per_minute=2) as client:
        answers = [
            client.get(
                "/api/jobs",
                headers={"Authorization": "Bearer wrong", "X-Forwarded-For": f"10.0.0.{k}"},
            ).status_code
            for k in range(4)
        ]
    assert answers == ([401, 401, 429, 429] if limited else [401] * 4)


def test_what_is_no_address_is_no_proxy(tmp_path):
    with pytest.raises(InputError, match="TRUSTED_PROXIES"):
        Settings(data=tmp_path, trusted_proxies=("my-proxy",)).check()
    Settings(data=tmp_path, trusted_proxies=("10.1.2.3", "10.0.0.0/8", "::1")).check()


@pytest.mark.parametrize(
    "others", ['theme="dark; a=b', "a b=c d", "$x=1", "=", "\xe9=\xe9", "x[y]={1,2}", ";;;"]
)
def test_cookies_of_other_programs_are_none_of_our_business(token_client, others):
    cookie = f"{others}; {COOKIE}={ANN}; tail=[1"
    answer = token_client.get("/api/jobs", headers={"Cookie": cookie.encode("latin-1")})
    assert answer.status_code == 200, answer.text


def test_head_answers_as_get_without_its_content(local_client):
    for path in ("/health", "/api/jobs", "/api/config", "/metrics", "/api/openapi.json", "/"):
        answers = [local_client.request(method, path) for method in ("GET", "HEAD")]
        assert answers[0].status_code == answers[1].status_code, path
    described = local_client.get("/api/openapi.json").json()
    assert not [p for p, calls in described["paths"].items() if "head" in calls]
    assert local_client.head("/api/events").status_code == 200


def test_a_rate_limit_remembers_a_bounded_number_of_callers():
    limit = RateLimit(1, keys=100)
    for caller in range(1000):
        limit.take(str(caller))
    with pytest.raises(TooManyRequests):
        limit.take("999")
    limit.take("0")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])
def test_other_machines_are_not_let_in_without_a_long_token(tmp_path, host):
    for token in ("", "short", " , "):
        with pytest.raises(InputError, match="SCENELIFT_TOKEN"):
            create_app(fake_settings(tmp_path, host=host, token=token))
    create_app(
        fake_settings(tmp_path, host=host, token=ANN),
        qualities=FakeQualities(),
        worker_module=WORKER,
    )


def test_job_ids_cannot_be_guessed():
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(i) == 32 for i in ids)

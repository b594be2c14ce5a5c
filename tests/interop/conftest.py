"""Interoperability: `make test-interop` runs it, and then nothing may be missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.drivers.browser import find_chromium
from tests.interop.table import TABLE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    if os.environ.get("SCENELIFT_INTEROP"):
        return
    skip = pytest.mark.skip(reason="other people's readers: make test-interop")
    for item in items:
        if HERE in Path(item.path).parents:
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter):
    if TABLE.rows:
        terminalreporter.write_line("")
        for line in TABLE.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory):
    """Every file of the known scene: `colours/` with vertex colours, `textures/` with textures."""
    from tests.interop.known_scene import known_scene

    from scenelift.formats import EXTRA_FORMATS
    from scenelift.options import ExportOptions
    from scenelift.output.scene import write_scene

    folder = tmp_path_factory.mktemp("interop")
    for name, textured in (("colours", False), ("textures", True)):
        write_scene(
            known_scene(textured=textured),
            folder / name,
            options=ExportOptions(formats=tuple(EXTRA_FORMATS), preview_frames=2, preview_size=64),
        )
    return folder


@pytest.fixture(scope="session")
def browser(scene_folder):
    from tests.interop.readers import browser_readers

    if find_chromium() is None or shutil.which("node") is None:
        pytest.fail("Chromium and Node.js are needed: apt install chromium nodejs npm")
    with browser_readers(scene_folder) as readers:
        yield readers

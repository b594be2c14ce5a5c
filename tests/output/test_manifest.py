"""The manifest's schema is documented, and its reader refuses what is not one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenelift.errors import InputError
from scenelift.output.manifest import Manifest, read_manifest

SCHEMA = Path(__file__).parents[2] / "docs" / "scene.schema.json"


def test_the_documented_schema_is_that_of_the_code():
    """Make it again with: python -m scenelift.output.manifest > docs/scene.schema.json"""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Manifest.model_json_schema()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 2}', "\x00", '{"files": [{"path": 3}]}']
)
def test_what_is_no_manifest_is_bad_input(tmp_path, text):
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(InputError, match="manifest"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="output folder of a finished run"):
        read_manifest(tmp_path)

"""The project's own lint of Apptainer definitions: ours passes, each mistake is named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
SPEC = importlib.util.spec_from_file_location("lint_def", DEPLOY / "lint_def.py")
lint_def = importlib.util.module_from_spec(SPEC)
sys.modules["lint_def"] = lint_def  # dataclasses look their module up by name
SPEC.loader.exec_module(lint_def)

GOOD = (DEPLOY / "sam3d.def").read_text()


def test_the_projects_definition_passes():
    assert lint_def.findings(GOOD) == []


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ("%post", "%psot", "unknown section %psot"),
        ("%test\n", "%tets\n", "the last stage has no %test"),
        ("Stage: final", "Stag: final", "unknown header 'Stag'"),
        ("Stage: final", "Stage: build", "a second stage 'build'"),
        ("Stage: final", "From: other", "From a second time in one stage"),
        ("Stage: final", "", "without a name"),
        ("From: {{ BASE_IMAGE }}", "", "a stage without From"),
        ("%files from build", "%files from biuld", "there is no stage of that name"),
        ("BASE_IMAGE=nvcr", "BASE=nvcr", "{{ BASE_IMAGE }} has no default"),
        ("rm -r /dist", "rm -r /dist || true", "swallows a failure"),
        ("rm -r /dist", "rm -r /dist || echo warning", "swallows a failure"),
        ("rm -r /dist", "apt-get install -y build-essential", "no compiler belongs"),
        ("rm -r /dist", "pip install git+https://example.org/x", "moving source"),
        ("unset cache", "export HF_TOKEN=hf_0123", "no secrets"),
        ("unset cache", "export SCENELIFT_TOKEN=abc", "no secrets"),
        ("%help\n", "%runscript\n", "%runscript a second time"),
    ],
)
def test_a_mistake_is_named(before, after, finding):
    assert before in GOOD
    found = lint_def.findings(GOOD.replace(before, after))
    assert any(finding in line for line in found), found


def test_the_line_is_named():
    assert lint_def.findings("Bootstrap: docker\nFrom: debian\n\n%test\n%psot\n") == [
        "5: unknown section %psot"
    ]


def test_apps_and_one_unnamed_stage_are_fine():
    text = "Bootstrap: docker\nFrom: debian\n\n%apprun viewer\n    exec x\n\n%test\n    true\n"
    assert lint_def.findings(text) == []


def test_a_file_without_bootstrap():
    assert lint_def.findings("From: debian\n") == [
        "1: 'From: debian' comes before the first Bootstrap",
        "1: there is no Bootstrap",
    ]


def test_the_command_exits_with_1_where_something_is_wrong(tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.def"
    path.write_text("Bootstrap: docker\nFrom: debian\n")
    monkeypatch.setattr("sys.argv", ["lint_def.py", str(path)])
    with pytest.raises(SystemExit) as ended:
        lint_def.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out == f"{path}:1: the last stage has no %test\n"

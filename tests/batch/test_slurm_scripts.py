"""Job scripts from flags: they say what was asked for, are valid shell, and carry no surprises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scenelift.batch.folder import BatchFolder
from scenelift.batch.on_slurm import array_script, container_command, task_share
from scenelift.batch.slurm import SlurmOptions, check_path, render, script, seconds_of
from scenelift.cli import app
from scenelift.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPTS = ("build", "webapp", "batch")


def directives(text):
    """Option -> value of the lines that sbatch reads: those before the first command."""
    head = re.split(r"^[^#\n]", text, maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", head, re.MULTILINE))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_in_deploy_are_the_packages_and_run_as_they_are(name):
    assert (ROOT / "deploy" / "slurm" / f"{name}.sbatch").read_text() == script(name)
    subprocess.run(["bash", "-n"], input=script(name), text=True, check=True)
    assert {"job-name", "output", "time", "mem"} <= directives(script(name)).keys()


def test_flags_take_the_place_of_the_scripts_own_lines():
    options = SlurmOptions(
        partition="gpu", gres="gpu:h100:1", mem="80G", time="1-00:00:00", account="a1", qos="high"
    )
    text = render(script("webapp"), options.directives(), {"LOCAL_PORT": "8001"})
    found = directives(text)
    assert found["partition"] == "gpu"
    assert found["gres"] == "gpu:h100:1"
    assert found["mem"] == "80G"
    assert found["time"] == "1-00:00:00"
    assert (found["account"], found["qos"]) == ("a1", "high")
    assert found["signal"] == "B:TERM@60", "what was not asked for stays"
    assert text.count("--mem=") == 1
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("value", ["a b", "x\n#SBATCH --uid=0", "$(id)", "a;b", "`id`", "'a'"])
def test_what_sbatch_does_not_take_is_refused(value):
    with pytest.raises(InputError):
        SlurmOptions(partition=value).directives()


def test_features_of_nodes_may_be_combined():
    options = SlurmOptions(constraint="[a100*2&ib]|h100", partition="gpu-long,gpu")
    assert options.directives()["constraint"] == "[a100*2&ib]|h100"


@settings(deadline=None, max_examples=30)
@given(
    value=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=40),
    parts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20), max_size=3
    ),
)
def test_variables_reach_the_shell_as_they_are(value, parts):
    text = render(
        '#!/bin/bash\n#SBATCH --mem=1G\nprintf "%s\\0" "$V" "${A[@]}"\n',
        {},
        {"V": value, "A": parts},
    )
    said = subprocess.run(["bash"], input=text.encode(), capture_output=True, check=True).stdout
    # printf with no arguments for the array still ends what came before.
    assert said.decode().split("\0")[: 1 + len(parts)] == [value, *parts]


def test_an_image_gets_the_gpu_and_sees_the_folders(tmp_path):
    options = SlurmOptions(container="images/app.sif", gres="gpu:1")
    command = container_command(options, binds=[tmp_path])
    assert command[:3] == ["apptainer", "exec", "--nv"]
    assert command[3:5] == ["--bind", str(tmp_path)]
    assert command[-2:] == [str(Path("images/app.sif").absolute()), "python3"]
    assert "--nv" not in container_command(SlurmOptions(container="app.sif"))


@pytest.mark.parametrize("name", ["my results", "100%", "a#b", "ünïcode", "x'y", "%j"])
def test_the_folder_of_a_batch_may_have_any_name(tmp_path, name):
    folder = BatchFolder(tmp_path / name)
    text = array_script(folder, SlurmOptions(), workers=2)
    found = directives(text)["output"]
    plain = re.fullmatch(r'"?([^"]*)"?', found)
    assert plain
    assert plain[1] == f"{str(folder.logs).replace('%', '%%')}/slurm-%A_%a.log"
    assert found.startswith('"') == bool(re.search(r"[^\w./%-]", plain[1], re.ASCII))
    out = subprocess.run(
        ["bash", "-c", f'{re.search("^OUT=.*", text, re.MULTILINE)[0]}; printf %s "$OUT"'],
        capture_output=True,
        text=True,
    )
    assert out.stdout == str(folder.root)


@pytest.mark.parametrize("name", ["a\nb", 'a"b', "a\\b", "a\n#SBATCH --uid=0"])
def test_a_folder_that_no_directive_can_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be written into a job script"):
        array_script(BatchFolder(tmp_path / name), SlurmOptions(), workers=1)


@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_a_folder_that_no_container_can_be_given_is_refused(tmp_path, name):
    options = SlurmOptions(container="x.sif")
    with pytest.raises(InputError, match="bound into a container"):
        array_script(BatchFolder(tmp_path / name), options, workers=1)


@pytest.mark.parametrize("name", ["a b", "$(id)", "a;b", "a'b", "a\nb"])
def test_what_dask_writes_unquoted_is_plain(name):
    with pytest.raises(InputError, match="cannot be handed to jobs"):
        check_path(Path("/data") / name, "the output folder")
    check_path(Path("/data/run_1.0-a/out"), "the output folder")


def test_an_array_has_a_task_for_each_worker(tmp_path):
    text = array_script(BatchFolder(tmp_path / "out dir"), SlurmOptions(mem="1G"), workers=8)
    assert directives(text)["array"] == "0-7"
    with pytest.raises(InputError):
        array_script(BatchFolder(tmp_path), SlurmOptions(), workers=0)


def test_array_tasks_begin_apart(monkeypatch):
    assert task_share() == (0.0, 1.0)
    starts = []
    for task in (4, 5, 6, 7):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "4")
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
        starts.append(task_share())
    assert starts == [(0.0, 0.25), (0.25, 0.25), (0.5, 0.25), (0.75, 0.25)]


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("90", 5400), ("08:00:00", 28800), ("10:30", 630), ("2-00", 172800), ("1-01:01:01", 90061)],
)
def test_time_limits_are_read_as_slurm_writes_them(limit, seconds):
    assert seconds_of(limit) == seconds


@pytest.mark.parametrize("limit", ["soon", "1:2:3:4", "", "1h"])
def test_what_is_no_time_limit_is_refused(limit):
    with pytest.raises(InputError):
        seconds_of(limit)


def test_the_web_jobs_script_is_printed_and_holds_no_token(tmp_path):
    options = ["--dry-run", "--partition=gpu", "--gres=gpu:1", "--container=app.sif"]
    result = CliRunner().invoke(app, ["slurm", "web", *options, f"--state={tmp_path}"])
    assert result.exit_code == 0, result.output
    assert directives(result.stdout)["partition"] == "gpu"
    assert "--nv" in result.stdout
    assert "--token" not in result.stdout
    subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=True)
    assert not list(tmp_path.iterdir())


def test_without_slurm_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, ["slurm", "web", f"--state={tmp_path}"])
    assert result.exit_code == 4
    assert "no sbatch" in result.output


def test_an_array_needs_a_batch_that_was_begun(tmp_path):
    result = CliRunner().invoke(app, ["slurm", "batch", str(tmp_path), "--dry-run"])
    assert result.exit_code == 2
    assert "No batch was begun" in result.output


def test_the_documentation_names_every_flag_of_slurm():
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    for field in SlurmOptions.__dataclass_fields__:
        assert f"--{field.replace('_', '-')}" in text

"""Dockerfile and definition file: one way to build, one set of variables, nothing secret."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
DEFINITION = (ROOT / "deploy" / "sam3d.def").read_text()
SCRIPTS = sorted((ROOT / "deploy" / "image").glob("*.sh"))
CACHES = (
    "HF_HOME",
    "NUMBA_CACHE_DIR",
    "SCENELIFT_HOME",
    "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
)


def arguments(text):
    return dict(re.findall(r"^\s*(?:ARG )?(BUILD_IMAGE|BASE_IMAGE|EXTRAS)=(\S+)$", text, re.M))


def test_both_have_the_same_arguments_and_defaults():
    assert arguments(DOCKERFILE) == arguments(DEFINITION)
    assert len(arguments(DOCKERFILE)) == 3


def test_both_run_the_same_scripts():
    for text in (DOCKERFILE, DEFINITION):
        assert "deploy/image/build.sh" in text
        assert "/dist/install.sh" in text


def test_the_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(arguments(DOCKERFILE)["EXTRAS"].split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", CACHES)
def test_every_cache_is_on_the_writable_mount(name):
    assert re.search(rf"^\s+{name}=/data/", DOCKERFILE, re.M)
    assert re.search(rf'^    export {name}="\$\{{{name}:-\$cache/', DEFINITION, re.M)


def test_the_image_runs_unprivileged_and_doctor_is_its_health():
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, re.M)
    assert re.search(r'^HEALTHCHECK .*CMD \["scenelift", "doctor"\]$', DOCKERFILE, re.M)
    assert "scenelift doctor" in DEFINITION.split("%test")[1].split("%labels")[0]


def test_no_step_may_fail_unnoticed():
    for text in (DOCKERFILE, DEFINITION, *(path.read_text() for path in SCRIPTS)):
        assert not re.search(r"\|\|\s*(true|:|echo)\b", text)
    for path in SCRIPTS:
        assert "\nset -eu\n" in path.read_text()


def test_no_token_is_named_in_a_recipe():
    for text in (DOCKERFILE, DEFINITION, *(path.read_text() for path in SCRIPTS)):
        assert not re.search(r"(?i)(token|password)\b\s*=", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_plain_sh(path):
    subprocess.run([shutil.which("sh"), "-n", path], check=True, timeout=10)


def test_everything_that_the_definition_copies_is_there_and_docker_gets_it_too():
    copied = re.search(r"^%files\n(.*?)\n\n", DEFINITION, re.M | re.S)[1]
    sources = [line.split()[0] for line in copied.splitlines()]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(sources)
    for source in sources:
        assert (ROOT / source).exists()


def environment_of_the_definition(tmp_path, **variables):
    """What `%environment` makes of an environment, as a plain sh does."""
    script = DEFINITION.split("%environment\n")[1].split("%runscript")[0].replace("/data", "$DATA")
    done = subprocess.run(
        [shutil.which("sh"), "-euc", script + "\nenv"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/me", "DATA": str(tmp_path / "data")}
        | variables,
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_under_apptainer_caches_go_to_the_bound_folder(tmp_path):
    (tmp_path / "data").mkdir()
    found = environment_of_the_definition(tmp_path)
    assert all(Path(found[name]).parent == tmp_path / "data" for name in CACHES)


def test_under_apptainer_without_one_they_go_to_the_home(tmp_path):
    found = environment_of_the_definition(tmp_path)
    assert all(Path(found[name]).parent == Path("/home/me/.cache") for name in CACHES)


def test_under_apptainer_what_the_user_set_holds(tmp_path):
    found = environment_of_the_definition(tmp_path, HF_HOME="/scratch/hub")
    assert found["HF_HOME"] == "/scratch/hub"


def test_a_certificate_file_that_is_not_there_is_forgotten(tmp_path):
    there = tmp_path / "ca.crt"
    there.touch()
    gone = environment_of_the_definition(tmp_path, SSL_CERT_FILE="/nowhere/ca.crt")
    assert "SSL_CERT_FILE" not in gone
    kept = environment_of_the_definition(tmp_path, SSL_CERT_FILE=str(there))
    assert kept["SSL_CERT_FILE"] == str(there)

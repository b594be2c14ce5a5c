"""Nothing phones home: no process opens an internet socket but the one the server listens on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest
import skimage.data

from scenelift.output.manifest import read_manifest
from scenelift.weights.home import scenelift_home
from tests.drivers.live_server import LiveServer
from tests.drivers.no_network import KILLED, as_at_home, can_forbid

pytestmark = pytest.mark.skipif(not can_forbid(), reason="the kernel cannot forbid sockets here")

GUARD = (sys.executable, "-m", "tests.drivers.no_network")
SCENELIFT = (sys.executable, "-m", "scenelift")
BOX = [80, 40, 200, 150]
SMALL = ("--faces", "300", "--texture-size", "64", "--quality", "embedded")


@pytest.fixture
def home(tmp_path):
    """An environment as at somebody's home, with a cache of its own to look into."""
    root = str(Path(__file__).parents[1])
    return as_at_home() | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "SCENELIFT_HOME": str(scenelift_home()),
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }


@pytest.fixture
def photos(tmp_path):
    """A folder with a small photo of a cup."""
    folder = tmp_path / "photos"
    folder.mkdir()
    PIL.Image.fromarray(skimage.data.coffee()).resize((300, 200)).save(folder / "coffee.png")
    return folder


def left_in_cache(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").rglob("*") if "onnx" in p.name.lower())


def guarded(command, home):
    done = subprocess.run([*GUARD, *command], env=home, capture_output=True, text=True)
    assert done.returncode != KILLED, "an internet socket was opened"
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_process_that_opens_a_socket_is_caught(home, family, kind):
    ask = f"socket.socket(socket.{family}, socket.{kind})"
    code = f"import socket; socket.socketpair(); print('here', flush=True); {ask}"
    command = [*GUARD, sys.executable, "-c", code]
    done = subprocess.run(command, env=home, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("here\n", KILLED)


def test_libraries_are_told_before_they_can_be_imported(home):
    code = "import scenelift, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


@pytest.mark.weights
def test_a_run_opens_none(home, photos, tmp_path):
    box = "cup=" + ",".join(map(str, BOX))
    photo, out = str(photos / "coffee.png"), str(tmp_path / "out")
    guarded([*SCENELIFT, "run", photo, "--box", box, "--out", out, *SMALL], home)
    assert left_in_cache(tmp_path) == []
    assert [o.label for o in read_manifest(tmp_path / "out").objects] == ["cup"]


@pytest.mark.weights
def test_a_batch_opens_none(home, photos, tmp_path):
    command = ["batch", str(photos), "--prompt", "cup", "--out", str(tmp_path / "out"), *SMALL]
    guarded([*SCENELIFT, *command, "--preview-frames", "2", "--preview-size", "32"], home)
    assert left_in_cache(tmp_path) == []


@pytest.mark.weights
def test_a_server_opens_one_and_its_workers_none(home, photos, tmp_path):
    live = LiveServer(
        tmp_path / "data",
        [*GUARD, "serve"],
        environment=home | {"SCENELIFT_QUALITY": "embedded"},
        patience=300,
    )
    for name in set(os.environ) - set(home):
        live._environment.pop(name, None)
    live.start()
    try:
        job = live.submit(
            photo=(photos / "coffee.png").read_bytes(),
            boxes=f'[{{"box": {BOX}, "label": "cup"}}]',
            faces="300",
            texture_size="64",
        )
        ended = live.wait(job)
        assert (ended["state"], ended["attempt"]) == ("done", 1), ended
    finally:
        live.close()
    assert left_in_cache(tmp_path) == []

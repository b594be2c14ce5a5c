"""The folder's server answers this machine, with the files that the manifest names."""

import http.client
import json
import threading
from contextlib import closing

import pytest

from scenelift.errors import InputError, SetupError
from scenelift.options import ExportOptions
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.page_server import folder_server
from scenelift.output.scene import write_scene

QUICK = ExportOptions(preview_frames=1, preview_size=64)
VIEWER = "<title>viewer</title>"


@pytest.fixture
def scene(pipeline, photo, tmp_path):
    folder = tmp_path / "scene"
    write_scene(pipeline.run(photo, ["red"]), folder, options=QUICK)
    (folder / "private.txt").write_text("secret")
    return folder


@pytest.fixture
def port(scene):
    with folder_server(scene, VIEWER, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(timeout=10)


def get(port: int, target: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_the_page_lies_at_the_root_and_the_scene_beside_it(port, scene):
    status, headers, body = get(port, "/")
    assert (status, body) == (200, VIEWER.encode())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    status, headers, body = get(port, f"/{MANIFEST_NAME}")
    assert (status, body) == (200, (scene / MANIFEST_NAME).read_bytes())
    for file in json.loads(body)["files"]:
        status, headers, body = get(port, "/" + file["path"])
        assert (status, len(body)) == (200, file["bytes"])
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "target",
    [
        "/private.txt",
        "/../photo.png",
        "/%2e%2e/discs.png",
        "/objects/../private.txt",
        "/objects/..%2f..%2fdiscs.png",
        "//etc/hostname",
        "/objects/",
        "/scene.json/",
        "/%00",
    ],
)
def test_nothing_else_is_served(port, target):
    assert get(port, target)[0] == 404


def test_a_file_that_leads_out_of_the_folder_is_not_served(scene, tmp_path):
    (scene / "link.png").symlink_to(tmp_path / "discs.png")
    manifest = json.loads((scene / MANIFEST_NAME).read_text())
    for name in ("link.png", "../discs.png"):
        manifest["files"].append({"path": name, "bytes": 1, "sha256": ""})
    (scene / MANIFEST_NAME).write_text(json.dumps(manifest))
    with folder_server(scene, VIEWER, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            answers = [
                get(server.server_port, f"/{name}")[0] for name in ("link.png", "../discs.png")
            ]
        finally:
            server.shutdown()
            thread.join(timeout=10)
    assert answers == [404, 404]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80"])
def test_other_host_names_are_refused(port, host):
    """Another site's page reaches this port when its own name resolves to 127.0.0.1."""
    assert get(port, "/scene.json", Host=host)[0] == 403


def test_a_port_in_use_and_a_folder_without_a_scene_are_refused(port, scene, tmp_path):
    with pytest.raises(SetupError, match="--port"), folder_server(scene, VIEWER, port):
        pass
    with pytest.raises(InputError, match="finished run"), folder_server(tmp_path, VIEWER, 0):
        pass

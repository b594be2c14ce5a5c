"""Connections that say nothing do not keep those away that have something to say."""

from __future__ import annotations

import logging
import resource
import socket
import subprocess
import sys
import time

import httpx
import pytest
from tests.drivers.live_server import LiveServer

from scenelift.webapp.connections import room_for_connections
from scenelift.webapp.repeats import Repeats


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server of little patience, with room for few connections."""
    patience = {
        "SCENELIFT_HEADER_SECONDS": "1",
        "SCENELIFT_BODY_SECONDS": "1",
        "SCENELIFT_WRITE_SECONDS": "2",
        "SCENELIFT_CONNECTIONS": "8",
    }
    live = LiveServer(tmp_path_factory.mktemp("hasty") / "data", environment=patience).start()
    yield live
    live.close()


def connect(server, first=b""):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(first)
    return connection


def is_closed(connection):
    """Whether the other side ended it; waits for that."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def ended():
    """What is sent on, is sent in vain."""
    return pytest.raises((BrokenPipeError, ConnectionResetError, ConnectionAbortedError))


HALF = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "half the headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "half a body": b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
    "half a second request": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea",
}


@pytest.mark.parametrize("what", HALF)
def test_what_is_left_half_said_is_closed(hasty, what):
    with connect(hasty, HALF[what]) as connection:
        assert is_closed(connection)


def test_a_header_that_comes_byte_by_byte_is_cut_off(hasty):
    began = time.monotonic()
    with connect(hasty, b"GET /health HTTP/1.1\r\nX: ") as connection, ended():
        while time.monotonic() - began < 60:
            connection.sendall(b"x")
            time.sleep(0.05)


def test_a_body_that_comes_byte_by_byte_is_cut_off(hasty):
    head = b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
    began = time.monotonic()
    with connect(hasty, head) as connection, ended():
        while time.monotonic() - began < 60:
            connection.sendall(b" ")
            time.sleep(0.05)


def test_an_answer_that_nobody_takes_is_given_up(hasty):
    job = hasty.submit("red")
    hasty.wait(job, "done")
    size = next(f["bytes"] for f in hasty.job(job)["files"] if f["name"] == "scene.ply")
    path = f"/api/jobs/{job}/files/scene.ply"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    wanted = request * (1 + 2**25 // size)  # more than all buffers on the way hold
    with connect(hasty) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        with ended():
            while True:
                connection.sendall(wanted)
                time.sleep(0.1)


def test_hundreds_of_idle_connections_do_not_end_the_service(hasty):
    idle = [connect(hasty, b"GET /hea") for _ in range(300)]
    try:
        for _ in range(20):
            # On a connection of its own: one that idles may be the one that makes room.
            assert httpx.get(f"{hasty.url}/health", timeout=60).status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_room_is_made_for_connections_as_far_as_the_system_allows():
    code = (
        "import resource, sys\n"
        "from scenelift.webapp.connections import room_for_connections\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))\n"
        "print(room_for_connections(512), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit, expected in (("1024", "448 1024"), ("256", "64 256"), ("64", "8 64")):
        if hard not in (-1, resource.RLIM_INFINITY) and hard < int(limit):
            pytest.skip("this process may not have that many files")
        told = subprocess.run(
            [sys.executable, "-c", code, limit], capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == expected.split()
    assert room_for_connections(16) == 16


def test_a_trouble_is_told_once_a_minute(caplog, monkeypatch):
    log = logging.getLogger("test")
    repeats, now = Repeats(log), time.monotonic()
    for second in range(0, 119):
        monkeypatch.setattr(time, "monotonic", lambda s=second: now + s)
        with repeats.outlive("it cannot be accepted"):
            raise OSError(24, "Too many open files")
    with repeats.outlive("it cannot be read"):
        raise KeyError("x")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "59 more times" in lines[1]


@pytest.mark.parametrize("how", ["in use", "unwritable", "a file", "too new"])
def test_a_server_that_cannot_start_says_why_in_a_sentence(tmp_path, server, how):
    data = tmp_path / "data"
    if how == "in use":
        data = server.data.path
    elif how == "a file":
        data.write_text("a letter")
    elif how == "unwritable":
        data = "/proc/scenelift"
    else:
        import sqlite3

        data.mkdir()
        c = sqlite3.connect(data / "queue.sqlite3")
        c.execute("PRAGMA user_version = 99")
        c.close()
    done = subprocess.run(
        [sys.executable, "-m", "scenelift", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "--data" in done.stderr or "that version" in done.stderr

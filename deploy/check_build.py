"""Build deploy/Dockerfile for a CPU and run it: unprivileged, on a read-only root.

    python deploy/check_build.py [--keep]          (as root, on Debian or Ubuntu)

Needs no container engine and no image registry: buildah builds in a chroot, from a base that
mmdebstrap makes of Debian packages (`apt-get install buildah mmdebstrap`). What pip and npm are
set to here, mirrors included, holds inside too; it goes in as build secrets and stays out of the
image. Then the image does what a user's first hour asks of it: it fetches the embedded weights,
checks itself, and lifts a cup out of a photo.

Prints what it measured as JSON, and fails where the image does not do its work.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
USER = 10001
DEBIAN = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs")
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "nvcc", "rustc", "go", "make", "ld")
MAIN_JOB = ("run", "/data/photo.png", "--prompt", "cup", "--out", "/data/out")
RESULTS = ("scene.ply", "scene.glb", "scene.obj", "preview.gif", "scene.json")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and run the image.")
    parser.add_argument("--keep", action="store_true", help="keep what was built, in build/image")
    arguments = parser.parse_args()
    missing = [tool for tool in ("buildah", "mmdebstrap", "unshare") if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        raise SystemExit(
            f"This needs root and {', '.join(missing) or 'nothing else'}: "
            "apt-get install buildah mmdebstrap"
        )
    work = ROOT / "build" / "image"
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{work}.lock", timeout=0):
        shutil.rmtree(work)
        work.mkdir()
        try:
            print(json.dumps(check(Buildah(work), work), indent=2))
        finally:
            if not arguments.keep:
                shutil.rmtree(work)


class Buildah:
    """The client, with its storage in a folder of ours."""

    def __init__(self, work: Path) -> None:
        self._command = ["buildah", "--root", f"{work}/storage", "--runroot", f"{work}/run"]
        self._command += ["--storage-driver", "vfs"]

    def __call__(self, *arguments: str) -> str:
        """Run it and return what it prints."""
        return subprocess.run(
            [*self._command, *arguments], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def build(self, *arguments: str) -> None:
        """Build an image, showing how it goes."""
        subprocess.run([*self._command, "bud", *arguments], check=True, stdout=sys.stderr)


def check(buildah: Buildah, work: Path) -> dict[str, float | str]:
    """Build, measure and run the image; what was measured."""
    base = make_base(buildah, work)
    start = time.monotonic()
    buildah.build(
        *("--isolation", "chroot", "--network", "host", "--format", "docker"),
        *("--build-arg", f"BUILD_IMAGE={base}", "--build-arg", f"BASE_IMAGE={base}"),
        *("--build-arg", "EXTRAS=web", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),
        *("--secret", f"id=pip.conf,src={pip_settings(work)}"),
        *("--secret", f"id=npmrc,src={npm_settings(work)}"),
        *("--file", str(ROOT / "deploy" / "Dockerfile"), "--tag", "scenelift:check", str(ROOT)),
    )
    build_seconds = time.monotonic() - start

    container = buildah("from", "--pull-never", "localhost/scenelift:check")
    config = json.loads(buildah("inspect", container))["Docker"]["config"]
    expect(config["User"] == f"{USER}:{USER}", "the image runs as its own user")
    expect(config["Healthcheck"]["Test"] == ["CMD", "scenelift", "doctor"], "doctor is its health")
    mounted = Path(buildah("mount", container))
    inspect_tree(mounted)

    data = work / "data"
    data.mkdir()
    photo = [sys.executable, str(ROOT / "examples" / "photos.py"), "coffee", f"{data}/photo.png"]
    subprocess.run(photo, check=True)
    for settings in (pip_settings(work), npm_settings(work)):
        shutil.copy(settings, data)
    for path in (data, *data.iterdir()):
        os.chown(path, USER, USER)
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    clients = {"PIP_CONFIG_FILE": "/data/pip.conf", "NPM_CONFIG_USERCONFIG": "/data/npmrc"}
    box = ReadOnlyBox(mounted, data, environment | clients)
    expect(box.run("touch", "/opt/scenelift/x", check=False) != 0, "the root is read-only")
    expect(box.run("touch", "/data/x") == 0, "/data can be written")
    expect(box.run("scenelift", "doctor", check=False) == 4, "doctor misses the weights")
    box.run("scenelift", "models", "download", "embedded")
    box.weights_are_read_only = True
    box.run("scenelift", "doctor")
    start = time.monotonic()
    box.run("scenelift", *MAIN_JOB)
    job_seconds = time.monotonic() - start
    for name in RESULTS:
        expect((data / "out" / name).stat().st_size > 0, f"the main job wrote {name}")

    archive = work / "image.tar"
    buildah("push", "localhost/scenelift:check", f"oci-archive:{archive}")
    return {
        "base": f"Debian {DEBIAN} with Python",
        "build_seconds": round(build_seconds),
        "image_megabytes": tree_bytes(mounted) // 10**6,
        "of_which_base_megabytes": tree_bytes(work / "base") // 10**6,
        "archive_megabytes": archive.stat().st_size // 10**6,
        "main_job_seconds": round(job_seconds, 1),
    }


def make_base(buildah: Buildah, work: Path) -> str:
    """A Debian with Python, as python:3.11-slim is; the name of its image."""
    rootfs = work / "base"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, rootfs],
        check=True,
    )
    container = buildah("from", "scratch")
    buildah("copy", "--quiet", container, str(rootfs), "/")
    buildah("commit", "--quiet", container, "scenelift-base")
    buildah("rm", container)
    return "localhost/scenelift-base"


def pip_settings(work: Path) -> Path:
    """This machine's settings of pip as one file, less the places that only this machine has."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        key, value = name.split(".", 1)[1], value.strip("'")
        if not value.startswith(("/", "file:")) or key == "cert":
            settings["global"][key] = value
    path = work / "pip.conf"
    with path.open("w") as file:
        settings.write(file)
    return path


def npm_settings(work: Path) -> Path:
    """This machine's settings of npm: where its registry is, and whose certificates it trusts."""
    registry = subprocess.run(
        ["npm", "config", "get", "registry"], check=True, capture_output=True, text=True
    ).stdout.strip()
    path = work / "npmrc"
    path.write_text(f"registry={registry}\ncafile={CERTIFICATES / 'ca-certificates.crt'}\n")
    return path


def inspect_tree(root: Path) -> None:
    """No compiler, no source tree, and nothing of the build's settings."""
    programs = {
        path.name
        for folder in ("usr/bin", "usr/local/bin", "opt/scenelift/bin")
        for path in (root / folder).glob("*")
    }
    found = sorted(programs & set(COMPILERS))
    expect(not found, f"no compiler in the image (found: {', '.join(found) or 'none'})")
    left = [p for p in ("etc/pip.conf", "root/.npmrc", "dist", "src") if _has_content(root / p)]
    expect(not left, f"nothing of the build is left (found: {', '.join(left) or 'none'})")


def _has_content(path: Path) -> bool:
    # A mount point may stay behind, empty.
    return any(path.iterdir()) if path.is_dir() else path.exists() and path.stat().st_size > 0


class ReadOnlyBox:
    """Runs programs in a tree as another user; only /data and /tmp can be written.

    Args:
        root: the tree.
        data: the folder that is its /data.
        environment: of the programs, and nothing else.

    Attributes:
        weights_are_read_only: SCENELIFT_HOME/weights cannot be written either.
    """

    def __init__(self, root: Path, data: Path, environment: Mapping[str, str]) -> None:
        self._root, self._data, self._environment = root, data, environment
        self.weights_are_read_only = False

    def run(self, *command: str, check: bool = True) -> int:
        """Run a program and return its exit status; with `check`, fail where it is not 0."""
        root = "/mnt"
        mounts = [
            ["mount", "--bind", str(self._root), root],
            ["mount", "-o", "remount,ro,bind", root],
            ["mount", "--bind", str(self._data), f"{root}/data"],
            ["mount", "-t", "tmpfs", "tmpfs", f"{root}/tmp"],
            ["mount", "-t", "proc", "proc", f"{root}/proc"],
            ["mount", "--rbind", "/dev", f"{root}/dev"],
            ["mount", "--bind", str(CERTIFICATES), f"{root}{CERTIFICATES}"],
            ["mount", "--bind", "/etc/resolv.conf", f"{root}/etc/resolv.conf"],
        ]
        if self.weights_are_read_only:
            weights = f"{root}{self._environment['SCENELIFT_HOME']}/weights"
            mounts += [
                ["mount", "--bind", weights, weights],
                ["mount", "-o", "remount,ro,bind", weights],
            ]
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        start = ["exec", "chroot", f"--userspec={USER}:{USER}", root, "env", "-i", *variables]
        script = "\n".join(shlex.join(line) for line in [*mounts, [*start, *command]])
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script], check=False, stdout=sys.stderr
        )
        if check and done.returncode != 0:
            raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode} in the image")
        return done.returncode


def tree_bytes(root: Path) -> int:
    """Bytes of all files of a tree, each counted once."""
    listed = subprocess.run(["du", "-sb", root], check=True, capture_output=True, text=True)
    return int(listed.stdout.split()[0])


def expect(truth: bool, claim: str) -> None:
    """Say that a claim holds, or fail with it."""
    if not truth:
        raise SystemExit(f"not so: {claim}")
    print(f"ok: {claim}", file=sys.stderr)


if __name__ == "__main__":
    main()

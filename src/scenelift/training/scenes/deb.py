"""Fetches Debian packages and reads files out of them, without installing and without root."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from scenelift.errors import SetupError

__all__ = ["extract_deb", "fetch_deb"]


def fetch_deb(package: str, folder: Path, *ends: str, size: str) -> tuple[Path, ...]:
    """Fetch a package's files whose names have one of these ends, flat in `folder`, once.

    Args:
        size: of the download, for the message.

    Raises:
        SetupError: it cannot be downloaded here; the message says how to get it elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _ending(folder, ends):
        debs = sorted(folder.glob(f"{package}_*.deb")) or [_download(package, folder, size)]
        extract_deb(debs[-1], folder, *ends)
        debs[-1].unlink()
    return _ending(folder, ends)


def _ending(folder: Path, ends: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.name.endswith(ends)))


def _download(package: str, folder: Path, size: str) -> Path:
    by_hand = (
        f"On a Debian or Ubuntu machine run `apt-get download {package}` "
        f"and copy the .deb ({size}) to {folder}."
    )
    if shutil.which("apt-get") is None:
        raise SetupError(f"{package} is a Debian package. {by_hand}")
    command = ["apt-get", "download", package]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    files = sorted(folder.glob(f"{package}_*.deb"))
    if done.returncode or not files:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(
            f"`apt-get download {package}` failed: {last}. "
            f"Run `apt-get update` (as root) and try again. {by_hand}"
        )
    return files[-1]


def extract_deb(package: Path, folder: Path, *ends: str) -> None:
    """Write the package's files whose names have one of these ends flat into `folder`.

    Raises:
        SetupError: the package is damaged, or packed in a way that only dpkg-deb reads.
    """
    with tarfile.open(fileobj=io.BytesIO(_data_tar(package)), mode="r:*") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.name.endswith(ends) else None
            if source is not None:
                target = folder / Path(member.name).name
                partial = target.with_suffix(".partial")
                with partial.open("wb") as file:
                    shutil.copyfileobj(source, file)
                partial.replace(target)


def _data_tar(package: Path) -> bytes:
    if shutil.which("dpkg-deb"):
        command = ["dpkg-deb", "--fsys-tarfile", str(package)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            message = done.stderr.decode(errors="replace").strip()
            raise SetupError(f"{package} cannot be unpacked ({message}): delete it and run again.")
        return done.stdout
    data = package.read_bytes()
    for name, content in _ar_members(data, package):
        if name.startswith("data.tar"):
            if name.endswith(".zst"):
                raise SetupError(
                    f"{package} is packed with zstd, which Python cannot read before 3.14: "
                    f"install dpkg (it has dpkg-deb), or use the package of Debian 12."
                )
            return content
    raise SetupError(f"{package} holds no data.tar: delete it and run again.")


def _ar_members(data: bytes, package: Path) -> list[tuple[str, bytes]]:
    """Read members of a Unix `ar` archive: 60-byte headers, contents padded to even length."""
    if not data.startswith(b"!<arch>\n"):
        raise SetupError(f"{package} is not a Debian package: delete it and run again.")
    members, position = [], 8
    while position + 60 <= len(data):
        header = data[position : position + 60]
        size = int(header[48:58])
        members.append(
            (header[:16].decode().strip().rstrip("/"), data[position + 60 : position + 60 + size])
        )
        position += 60 + size + size % 2
    return members

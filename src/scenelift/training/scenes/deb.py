"""Reading files out of a Debian package without installing it."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from scenelift.errors import SetupError

__all__ = ["extract_deb"]


def extract_deb(package: Path, folder: Path, *, suffix: str) -> None:
    """Write the package's files whose names end in `suffix` flat into `folder`.

    Raises:
        SetupError: the package is damaged, or packed in a way that only dpkg-deb reads.
    """
    with tarfile.open(fileobj=io.BytesIO(_data_tar(package)), mode="r:*") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.name.endswith(suffix) else None
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
    """Members of a Unix `ar` archive: 60-byte headers, contents padded to even length (ar(5))."""
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

"""Packs many files as one ZIP, while it is sent."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scenelift.io.files import sha256_of
from scenelift.output.folder import link_file
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.webapp.errors import Conflict

__all__ = ["snapshot", "zip_stream"]

BLOCK = 2**18
MOST_ATTEMPTS = 5
# Texts of numbers shrink to a third; everything else is compressed already, or noise.
TEXTS = frozenset({".obj", ".mtl", ".json", ".xml", ".urdf", ".stl"})


def snapshot(
    scene: Path, choose: Callable[[], Mapping[str, Path]], spool: Path
) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that holds files as they are now, whatever is edited from then on.

    They are hard links where the file system has them, and take no room.

    Args:
        scene: folder of the scene.
        choose: name -> file, as of now.
        spool: where to put the folder; the caller removes it.

    Raises:
        Conflict: files keep changing.
        SceneliftError: what `choose` raises.
    """
    for _ in range(MOST_ATTEMPTS):
        folder = tempfile.TemporaryDirectory(dir=spool)
        try:
            before = sha256_of(scene / MANIFEST_NAME)
            for name, source in choose().items():
                target = Path(folder.name) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                link_file(source, target)
            if sha256_of(scene / MANIFEST_NAME) == before:
                return folder
        except OSError:  # a file has just made room for another
            pass
        except BaseException:
            folder.cleanup()
            raise
        folder.cleanup()
    raise Conflict("The files of this scene are being written just now. Try again in a moment.")


def zip_stream(folder: Path) -> Iterator[bytes]:
    """Yield the bytes of a ZIP of all files below a folder, in order of their names.

    The same files give the same bytes.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o644 << 16
            entry.file_size = path.stat().st_size
            if path.suffix in TEXTS:
                entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """A file that can be written and emptied, but not read or searched."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)

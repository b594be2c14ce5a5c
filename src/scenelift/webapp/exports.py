"""Files made of a job's scene on demand, and the record of them.

`exports/exports.json` names the scene that they are of: once that is edited, none of them counts.
"""

from __future__ import annotations

import json
import logging
import shutil

from pydantic import BaseModel, ValidationError

from scenelift.errors import OutputError
from scenelift.io.files import sha256_of, write_json
from scenelift.output.manifest import MANIFEST_NAME, FileModel
from scenelift.webapp.folders import JobFolder

__all__ = ["ExportRecord", "exports_of", "remove_exports", "write_exports"]

log = logging.getLogger(__name__)

RECORD = "exports.json"


class ExportRecord(BaseModel):
    """The files that are there.

    Attributes:
        scene: SHA-256 of the `scene.json` that they are made of.
        made: name of what was asked for -> its files.
        refused: name -> why it cannot be made.
    """

    scene: str
    made: dict[str, list[FileModel]] = {}
    refused: dict[str, str] = {}

    @property
    def files(self) -> dict[str, FileModel]:
        """Path -> file; several formats may share one."""
        return {file.path: file for files in self.made.values() for file in files}


def exports_of(folder: JobFolder) -> ExportRecord:
    """Read the record of files made of a job's scene as it is now.

    Raises:
        OSError: it has no scene, or its files are changing places just now.
    """
    scene = sha256_of(folder.scene / MANIFEST_NAME)
    try:
        record = ExportRecord.model_validate(json.loads((folder.exports / RECORD).read_bytes()))
    except FileNotFoundError:
        return ExportRecord(scene=scene)
    except (OSError, ValueError, RecursionError, ValidationError) as exc:
        log.warning("files made of %s are left out: %s", folder.scene, exc)
        return ExportRecord(scene=scene)
    return record if record.scene == scene else ExportRecord(scene=scene)


def write_exports(folder: JobFolder, record: ExportRecord) -> None:
    """Write the record of files that are there.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(folder.exports / RECORD, record.model_dump(mode="json"))


def remove_exports(folder: JobFolder) -> None:
    """Remove the files that were made of a job's scene on demand."""
    try:
        (folder.exports / RECORD).unlink(missing_ok=True)  # first: it lists no file that is gone
    except OSError as exc:
        raise OutputError(f"{folder.exports} cannot be cleared: {exc.strerror or exc}.") from exc
    shutil.rmtree(folder.exports, ignore_errors=True)

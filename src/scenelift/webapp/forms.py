"""Receiving a multipart form: its file is spooled where the free space is watched."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from scenelift.errors import InputError
from scenelift.webapp.errors import UnsupportedUpload

__all__ = ["PHOTO", "receive_form"]

PHOTO = "image"
# More fields than any form of ours has, and longer ones.
MAX_FIELDS = 100
MAX_FIELD_BYTES = 64 * 1024
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252"})


class FileInField(MultiPartException):
    """A field that is no photo came as a file."""


class SpoolingParser(MultiPartParser):
    """Starlette's parser, with a folder of ours for files beyond a megabyte.

    By itself it puts them where TMPDIR points, which may be memory, or another disk than the one
    whose free space was looked at.
    """

    spool: Path

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._current_part.content_disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")[:40]
        if b"filename" in options and (name != PHOTO or self._current_files):
            raise FileInField(
                "Send one photo, as one file in the field 'image'."
                if name == PHOTO
                else f"The field {name!r} came as a file. Send its text, without a file name; only "
                "the photo is a file, in the field 'image'."
            )
        super().on_headers_finished()
        if (upload := self._current_part.file) is not None:
            upload.file.close()
            file = SpooledTemporaryFile(max_size=self.spool_max_size, dir=str(self.spool))  # noqa: SIM115
            self._files_to_close_on_error.append(file)
            upload.file = cast("BinaryIO", file)


@asynccontextmanager
async def receive_form(request: Request, spool: Path) -> AsyncIterator[FormData]:
    """Receive the fields of a form, and one file; it is closed at the end of the block.

    Args:
        spool: folder for the file while it arrives.

    Raises:
        UnsupportedUpload: its text is in an encoding that no form has.
        InputError: another field than the photo is a file, or there are several photos.
        HTTPException: it is no multipart form, or has too many parts.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    _check_charset(options.get(b"charset", b"utf-8"))
    try:
        async with aclosing(request.stream()) as stream:
            parser = SpoolingParser(
                request.headers,
                stream,
                max_files=1,
                max_fields=MAX_FIELDS,
                max_part_size=MAX_FIELD_BYTES,
            )
            parser.spool = spool
            form = await parser.parse()
    except FileInField as exc:
        raise InputError(exc.message) from exc
    except MultiPartException as exc:
        raise HTTPException(status_code=400, detail=exc.message) from exc
    try:
        yield form
    finally:
        await form.close()


def _check_charset(name: bytes) -> None:
    try:
        supported = codecs.lookup(name.decode("ascii")).name in CHARSETS
    except (LookupError, ValueError):
        supported = False
    if not supported:
        charset = name.decode("ascii", "replace")[:40]
        raise UnsupportedUpload(f"The form's charset is {charset!r}; send UTF-8.")

"""Receiving a multipart form: its file is spooled where the free space is watched."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from scenelift.errors import InputError
from scenelift.webapp.errors import TooLarge, UnsupportedUpload

__all__ = ["PHOTO", "receive_form"]

PHOTO = "image"
# More fields than any form of ours has, and longer ones.
MAX_FIELDS = 100
MAX_FIELD_BYTES = 64 * 1024
# Names as Python has them, of the encodings in which browsers and clients send forms.
CHARSETS = frozenset(
    {
        *("utf-8", "ascii", "cp1252", "cp874", "mac-roman", "koi8-r", "koi8-u", "cp866"),
        *(f"iso8859-{k}" for k in (*range(1, 12), 13, 14, 15, 16)),
        *(f"cp{k}" for k in range(1250, 1259)),
        *("gbk", "gb2312", "gb18030", "big5", "euc_jp", "shift_jis", "cp932", "euc_kr", "cp949"),
    }
)
# A field of this name says the encoding of all others (RFC 7578, section 4.6).
CHARSET_FIELD = "_charset_"
PROBLEMS = {
    "Missing boundary": "The Content-Type names no boundary. Let the HTTP client write it "
    "(curl -F, fetch with FormData and no header of your own).",
    "The Content-Disposition": "A part of the form has no name.",
    "Too many fields": f"The form has more than {MAX_FIELDS} fields. Several phrases fit into one "
    "'text_prompt', with semicolons between.",
    "Invalid multipart": "The form cannot be read: it is damaged, or was cut off.",
}


class FileInField(MultiPartException):
    """A field that is no photo came as a file."""


class FieldTooLong(MultiPartException):
    """A text is longer than any that a form of ours has."""


class SpoolingParser(MultiPartParser):
    """Starlette's parser, with a folder of ours for files beyond a megabyte.

    By itself it puts them where TMPDIR points, which may be memory, or another disk than the one
    whose free space was looked at.
    """

    spool: Path
    is_complete = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._texts: list[tuple[int, bytes, str]] = []  # place in the form, bytes, charset

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > MAX_FIELD_BYTES:
            raise FieldTooLong(
                f"The field {part.field_name[:40]!r} is longer than {MAX_FIELD_BYTES // 1024} kB, "
                "more than a form of ours needs. The photo goes into the field 'image', as a file."
            )
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            kind = dict(part.item_headers).get(b"content-type", b"")
            charset = parse_options_header(kind)[1].get(b"charset", b"").decode("ascii", "replace")
            self._texts.append((len(self.items), bytes(part.data), charset))
        super().on_part_end()

    def on_end(self) -> None:
        """Decode the texts, each from the encoding that its part names."""
        self.is_complete = True
        usual = next((d for k, d, _ in self._texts if self.items[k][0] == CHARSET_FIELD), b"")
        for place, data, charset in self._texts:
            name = self.items[place][0]
            charset = charset or usual.decode("ascii", "replace").strip()
            if charset:
                self.items[place] = (name, _decoded(name, data, charset))
        self.items = [item for item in self.items if item[0] != CHARSET_FIELD]

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
        InputError: another field than the photo is a file, there are several photos, or a text is
            not in the encoding that it names.
        TooLarge: a text is longer than any of ours.
        HTTPException: it is no multipart form, cut off, or has too many parts.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    _check_charset(options.get(b"charset", b"utf-8").decode("ascii", "replace"), "The form")
    try:
        async with aclosing(request.stream()) as stream:
            parser = SpoolingParser(
                request.headers,
                stream,
                max_files=1,
                max_fields=MAX_FIELDS,
            )
            parser.spool = spool
            form = await parser.parse()
    except FileInField as exc:
        raise InputError(exc.message) from exc
    except FieldTooLong as exc:
        raise TooLarge(exc.message) from exc
    except MultiPartException as exc:
        words = (text for start, text in PROBLEMS.items() if exc.message.startswith(start))
        raise HTTPException(status_code=400, detail=next(words, exc.message)) from exc
    try:
        if not parser.is_complete:
            raise HTTPException(status_code=400, detail=PROBLEMS["Invalid multipart"])
        yield form
    finally:
        await form.close()


def _check_charset(charset: str, what: str) -> None:
    try:
        supported = codecs.lookup(charset).name in CHARSETS
    except (LookupError, ValueError):
        supported = False
    if not supported:
        raise UnsupportedUpload(f"{what} is in the charset {charset[:40]!r}; send UTF-8.")


def _decoded(name: str, data: bytes, charset: str) -> str:
    """Decode a field's text.

    Raises:
        UnsupportedUpload: no form is in this encoding.
        InputError: the text is not in it.
    """
    _check_charset(charset, f"The field {name[:40]!r}")
    try:
        return data.decode(charset)
    except UnicodeDecodeError as exc:
        raise InputError(
            f"The field {name[:40]!r} is not in {charset}, which its part of the form names; send "
            "UTF-8."
        ) from exc

"""Decode the bytes of a table to text, whatever program or country it comes from.

UTF-8 is told by itself, UTF-16 and UTF-32 by their marks or zeros. A code page is told only where
the bytes leave one: by the names of photos that are there, or because the words of all others make
no sense. Anything else would put wrong letters into labels, so it is refused with what each would
read, and `--encoding` says which is right.

Why no library does this: of the 48 sheets of `benchmarks/texts.py`, charset-normalizer 3.5.2, told
the same list of encodings, reads 22 right and 26 wrong, none refused; this reads 32 right, refuses
13 and reads 3 wrong. A sheet of a few words is too short for its statistics.
"""

from __future__ import annotations

import codecs
import locale
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from scenelift.errors import InputError

__all__ = ["decode"]

MARKS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Files that are not text, by their first bytes.
KINDS = (
    (b"PK\x03\x04", "a workbook (.xlsx, .ods) or another ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old Excel (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "a database"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
SYLLABLES = 10
OPENING, CLOSING, LONE = "“„«‘‹¿¡", "”»’›…", "–—€°§·©®™×½¼¾²³"
ALONE = "àèéêòóôöåæø"  # letters that are words
ACCENTED = "άέήίόύώΐΰΆΈΉΊΌΎΏ"


@dataclass(frozen=True, slots=True)
class CodePage:
    """A code page: an encoding of letters as bytes from before UTF-8.

    Attributes:
        name: Python's.
        title: as people know it.
        sense: whether text that was read so could be meant.
    """

    name: str
    title: str
    sense: Callable[[str], bool]


def decode(
    data: bytes,
    name: str,
    notes: list[str],
    *,
    encoding: str = "",
    photos: Callable[[str], int | None] = lambda text: None,
    usual: str = "",
) -> str:
    """Decode a table; if its encoding had to be guessed, say so in `notes`.

    Args:
        data: the whole file.
        name: of the file.
        encoding: what the user says it is; "" to find out.
        photos: of a text, how many photos with names beyond ASCII are there; None where one is
            missing, or none has such a name.
        usual: what programs of this machine write; "" asks the system.

    Raises:
        InputError: it is not text, or its encoding cannot be guessed.
    """
    kind = next((kind for mark, kind in KINDS if data.startswith(mark)), None)
    if kind is None and re.match(rb"\s*(?:<!doctype html|<html|<table)", data[:200], re.IGNORECASE):
        kind = "a page of HTML"
    if kind is not None:
        raise InputError(
            f"{name} is {kind}, whatever it is called. Save its sheet as CSV UTF-8 (File, Save "
            "As), and give that."
        )
    if encoding:
        return _as_said(data, name, encoding)
    marked = next((e for mark, e in MARKS if data.startswith(mark)), None)
    if marked is None and b"\0" in data[:4]:
        marked = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"  # without a mark
    try:
        return _once(data.decode(marked or "utf-8"), name, notes)
    except UnicodeDecodeError as exc:
        if marked or b"\0" in data:
            raise InputError(f"{name} is not a text file: {exc}. Save it as CSV UTF-8.") from exc
    texts = {page: text for page in PAGES if (text := _read(data, page.name)) is not None}
    page = _page_of(texts, photos, usual or locale.getencoding())
    if page is None:
        offered = {
            p: t for p, t in texts.items() if p is WESTERN or p.sense(t) or p.sense(t.lower())
        }
        offered = offered or texts
        readings = "; ".join(f"{_sample(t)} with --encoding {p.name}" for p, t in offered.items())
        raise InputError(
            f"{name} is not UTF-8, and its encoding cannot be guessed. It reads "
            f"{readings or 'nothing'}. Choose one of these or another, or save it as CSV UTF-8."
        )
    notes.append(
        f"{name} is not UTF-8 and was read as {page.title} (words such as {_sample(texts[page])}). "
        f"If they look wrong, set --encoding, or save it as CSV UTF-8."
    )
    return texts[page]


def _as_said(data: bytes, name: str, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except LookupError as exc:
        names = ", ".join(page.name for page in PAGES)
        raise InputError(
            f"There is no encoding {encoding!r}. Use utf-8, utf-16, {names}, or another that "
            "Python knows."
        ) from exc
    except (UnicodeError, ValueError) as exc:
        raise InputError(f"{name} is not in {encoding}: {exc}. Try another --encoding.") from exc
    return text.removeprefix("\ufeff")


def _read(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _once(text: str, name: str, notes: list[str]) -> str:
    """Repair text that was decoded with the wrong encoding before it was saved.

    UTF-8 that was taken for Windows-1252 has "Ã¼" for "ü": nobody writes a whole file so.
    """
    if text.isascii():
        return text
    try:
        mended = text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text
    notes.append(
        f"{name} was once read in a wrong encoding and saved so ({_sample(text)}); it was read as "
        f"{_sample(mended)}."
    )
    return mended


def _page_of(
    texts: dict[CodePage, str], photos: Callable[[str], int | None], usual: str
) -> CodePage | None:
    """Guess a file's code page; None if several would fit, or none does."""
    with_photos = [page for page, text in texts.items() if photos(text)]
    if len({texts[page] for page in with_photos}) == 1:
        return with_photos[0]
    fits = [page for page, text in texts.items() if page.sense(text)]
    try:
        here = codecs.lookup(usual).name
    except LookupError:
        here = ""
    for page in fits:
        # What this machine writes; Windows-1252 where the words are Western, as most of the world.
        if codecs.lookup(page.name).name == here or page is WESTERN:
            return page
    if len({texts[page] for page in fits}) == 1:
        return fits[0]
    # Half of all Chinese characters have codes that are Korean syllables: ten in a row are Korean.
    for page in fits:
        if page.name == "cp949" and sum("가" <= c <= "힣" for c in texts[page]) >= SYLLABLES:
            return page
    return None


def _sample(text: str) -> str:
    """Return the first words that contain letters beyond ASCII."""
    words = dict.fromkeys(re.findall(r"[^\s,;\"|]*[^\x00-\x7f][^\s,;\"|]*", text))
    return ", ".join(repr(word[:24]) for word in list(words)[:2])


def _words(text: str) -> list[str]:
    """Split text into words, and return those that contain a letter beyond ASCII."""
    return [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]


def _punctuated(text: str) -> bool:
    """Return whether signs beyond ASCII stand where people put them."""
    for at, c in enumerate(text):
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        kind = unicodedata.category(c)[0]
        if c.isascii() or kind == "L" or (kind == "M" and before.isalpha()):
            continue
        if c in OPENING and after.isalnum():
            continue
        if c in CLOSING and (before.isalnum() or before in (".", "!", "?")):
            if c != "’" and after.isalnum():
                return False
            continue
        if (c in LONE and not (before.isalpha() or after.isalpha())) or c == "\xa0":
            continue
        return False
    return True


def _cased(word: str) -> bool:
    return word in (word.lower(), word.upper(), word[:1].upper() + word[1:].lower())


def _latin(letters: str) -> Callable[[str], bool]:
    """Make a test of whether text in Latin letters makes sense, given its letters beyond ASCII."""

    def sense(text: str) -> bool:
        return _punctuated(text) and all(
            _cased(word)
            and all(c.isascii() or c in letters for c in word)
            and (word in ALONE or any(c.isascii() for c in word))
            and not re.search(r"[^\x00-\x7f]{3}", word)
            for word in _words(text)
        )

    return sense


def _script(name: str, fits: Callable[[str], bool] = lambda word: True) -> Callable[[str], bool]:
    """Make a test of whether text makes sense as words of one script with the usual letters."""

    def sense(text: str) -> bool:
        return _punctuated(text) and all(
            _cased(word)
            and not word[1:].isupper()  # more often another script than a word in capitals
            and fits(word)
            and all(unicodedata.name(c, "").startswith(name) for c in word)
            for word in _words(text)
        )

    return sense


def _everyday(encoding: str, common: Callable[[str, bytes], bool]) -> Callable[[str], bool]:
    """Make a test of whether all two-byte characters of a text are in everyday use."""

    def usual(c: str) -> bool:
        try:
            return common(c, c.encode(encoding))
        except UnicodeEncodeError:
            return False

    def sense(text: str) -> bool:
        if re.search(r"[a-z][^\x00-\x7f]|[^\x00-\x7f、。，；：（）「」][a-z]", text):
            return False
        return all(c.isascii() or usual(c) for c in text)

    return sense


def _greek(word: str) -> bool:
    plain = re.search(r"[βγδζθκλμνξπρσςτφχψ]{4}", word.lower()) is None
    return plain and "ς" not in word[:-1] and sum(c in ACCENTED for c in word) <= 1


def _hebrew(word: str) -> bool:
    return not set("ךםןףץ") & set(word[:-1])


def _russian(word: str) -> bool:
    return all(c in "ёЁіІїЇєЄґҐўЎ" or "А" <= c <= "я" for c in word)


def _of_gb2312(c: str, code: bytes) -> bool:
    return code[1] >= 0xA1 and (0xB0 <= code[0] <= 0xD7 or code[0] in (0xA1, 0xA3))


def _kana_or_kanji(c: str, code: bytes) -> bool:
    return len(code) == 2 and ("ぁ" <= c <= "ヿ" or code[0] == 0x81 or 0x88 <= code[0] <= 0x98)


WEST = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœŸÿ"
WESTERN = CodePage(
    "cp1252",
    "Windows-1252",
    # Without þ, ð and ý: more people write ş, ğ and ı there, which are Turkish.
    _latin(WEST + "ŠšŽž"),
)
PAGES = (
    WESTERN,
    CodePage("gb18030", "GBK, of simplified Chinese", _everyday("gbk", _of_gb2312)),
    CodePage("cp932", "Shift-JIS, of Japanese", _everyday("cp932", _kana_or_kanji)),
    CodePage(
        "cp950",
        "Big5, of traditional Chinese",
        _everyday("cp950", lambda c, b: 0xA1 <= b[0] <= 0xC6),
    ),
    CodePage(
        "cp949",
        "EUC-KR, of Korean",
        _everyday("cp949", lambda c, b: b[1] >= 0xA1 and (0xB0 <= b[0] <= 0xC8 or b[0] == 0xA1)),
    ),
    CodePage("cp1251", "Windows-1251, of Cyrillic", _script("CYRILLIC", _russian)),
    CodePage("cp1250", "Windows-1250, of Central Europe", _latin(
        "ĄąĆćĘęŁłŃńÓóŚśŹźŻżÁáÂâĂăÄäČčÇçĎďÉéËëĚěÍíÎîĹĺĽľŇňÔôŐőÖöŔŕŘřŞşŠšŤťŢţÚúŮůŰűÜüÝýŽžßÐđĐ"
    )),
    CodePage("cp1253", "Windows-1253, of Greek", _script("GREEK", _greek)),
    CodePage("cp1254", "Windows-1254, of Turkish", _latin("ÇçĞğİıÖöŞşÜüÂâÎîÛû")),
    CodePage("cp1255", "Windows-1255, of Hebrew", _script("HEBREW", _hebrew)),
    CodePage("cp1256", "Windows-1256, of Arabic", _script("ARABIC")),
    CodePage("mac_roman", "Mac Roman", _latin(WEST)),
    CodePage("cp850", "DOS code page 850", _latin(WEST)),
)  # fmt: skip
"""In the order in which they are offered."""

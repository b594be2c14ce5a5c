"""Check options that come from Python: type and range.

What means the same is taken: numbers of NumPy, 7.0 for 7, a text for a path, a lone value for a
tuple of one, and whatever front ends write ("8GB", "door=2.0m").
"""

from __future__ import annotations

import types
import typing
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

from scenelift.errors import InputError
from scenelift.numbers import checked_number, wrong_type
from scenelift.options.definition import Option, fields_of

__all__ = ["check_options"]


def check_options(options: Any) -> None:
    """Convert every option of a group to its type, and refuse what has another or is out of range.

    For `__post_init__` of a frozen dataclass.

    Raises:
        InputError: names the option, the value and what is allowed.
    """
    cls = cast("type[Any]", type(options))
    hints = _hints(cls)
    for name, (spec, _, plain) in fields_of(cls).items():
        value = getattr(options, name)
        checked = _checked(value, hints[name], spec, spec.name or name, plain)
        if checked is not value:
            object.__setattr__(options, name, checked)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _checked(value: Any, hint: Any, spec: Option, word: str, plain: Any) -> Any:
    """Convert a value to a field's type, or refuse it."""
    kinds = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and types.NoneType in kinds:
        return None
    (kind,) = [k for k in kinds if k is not types.NoneType]
    if value is not None and getattr(value, "ndim", None) == 0:  # a number of NumPy's
        value = value.item()
    if get_origin(kind) is tuple:
        return _several(value, get_args(kind)[0], spec, word)
    if isinstance(value, str) and spec.read is not None and kind is not str:
        return spec.read(value)
    if get_origin(kind) is Literal:
        return _one_of(value, get_args(kind), word)
    if kind is bool:
        if value in (0, 1) and isinstance(value, bool | int):
            return bool(value)
        raise wrong_type(word, value, "True or False")
    if kind in (int, float):
        if spec.zero_is_none and value == 0 and not isinstance(value, bool):
            return None
        return checked_number(value, kind, word, spec.ge, spec.le)
    if kind is Path:
        if isinstance(value, str | Path) and str(value):
            return Path(value)
        raise wrong_type(word, value, "a path")
    if kind is str and not isinstance(value, str):
        raise wrong_type(word, value, "a text")
    if get_origin(plain) is Literal and spec.read is None:
        return _one_of(value, get_args(plain), word)
    return value


def _several(value: Any, item: Any, spec: Option, word: str) -> tuple[Any, ...]:
    """Convert several values to a tuple."""
    if isinstance(value, (str, Path, bytes, item)):
        value = (value,)
    try:
        items = tuple(value)
    except TypeError:
        raise wrong_type(word, value, f"several of {item.__name__}") from None
    if all(isinstance(each, item) for each in items):
        return items
    if spec.read is not None and all(isinstance(each, str) for each in items):
        return tuple(spec.read(list(items)))
    if item is Path and all(isinstance(each, str) for each in items):
        return tuple(map(Path, items))
    if spec.read is not None and not any(isinstance(each, bytes) for each in items):
        return tuple(spec.read(value))
    wrong = next(each for each in items if not isinstance(each, item))
    raise wrong_type(word, wrong, f"a {'text' if item is str else item.__name__}")


def _one_of(value: Any, choices: tuple[Any, ...], word: str) -> Any:
    if isinstance(value, str | int) and not isinstance(value, bool):
        for choice in choices:  # 512 and "512" are one
            if str(choice) == str(value):
                return choice
    raise InputError(f"{word} is {value!r}; expected one of {', '.join(map(str, choices))}.")

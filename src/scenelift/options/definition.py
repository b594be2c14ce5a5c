"""The definition of an option: what front ends must know, written beside the option itself.

A field of an options class is declared with `option(default, help=…)`. From that one line come
the terminal's parameter, the manifest's column, the plan's JSON, the web form's field and the
table in docs/options.md. `plain` values are what those hold: booleans, numbers, texts and lists of
texts; `read` and `show` lead from them to the field's own value and back.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from scenelift.stage_names import Stage

__all__ = ["FRONT_ENDS", "FrontEnd", "Option", "OptionField", "fields_of", "option"]

FrontEnd = Literal["run", "segment", "batch", "serve", "row", "job"]
"""Three commands that work, the command that serves, a row of a batch's manifest, a job of the
web app (its form, its REST call and its page)."""

FRONT_ENDS: tuple[FrontEnd, ...] = get_args(FrontEnd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        help: a sentence for `--help`, the form and the documentation.
        changes: the first stage whose result depends on it; "" where only place and speed do.
        example: a valid value other than the default, as front ends write it.
        name: what front ends call it where that is not the field's name.
        flags: names on the command line where they are not `--name`.
        ge, le: least and greatest number.
        zero_is_none: front ends write None, "no limit", as 0.
        plain: type of the value that front ends see; None derives it from the field's.
        read, show: from a plain value to the field's and back; None where they are the same.
        title: label of a form's field.
        private: nothing that callers of a server may see.
        left_out: front end -> why it does not have this option.
    """

    help: str
    changes: Stage | Literal[""]
    example: Any
    name: str = ""
    flags: tuple[str, ...] = ()
    ge: float | None = None
    le: float | None = None
    zero_is_none: bool = False
    plain: Any = None
    read: Callable[[Any], Any] | None = None
    show: Callable[[Any], Any] | None = None
    title: str = ""
    private: bool = False
    left_out: Mapping[FrontEnd, str] = field(default_factory=dict["FrontEnd", str])


def option(
    default: Any, *, help: str, changes: Stage | Literal[""], example: Any, **more: Any
) -> Any:
    """Make a dataclass field that is an option; arguments as the attributes of `Option`."""
    spec = Option(help=help, changes=changes, example=example, **more)
    return field(default=default, metadata={"option": spec})


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """An option as a field of its group.

    Attributes:
        group: attribute of `Options` that holds it.
        field: its field there.
        option: what was written about it.
        default: of the field.
        plain: type of its plain value, without None: bool, int, float, str, Path, a Literal or
            list[str] or list[Path].
        left_out: its own reasons and those of its group.
    """

    group: str
    field: str
    option: Option
    default: Any
    plain: Any
    left_out: Mapping[FrontEnd, str]

    @property
    def name(self) -> str:
        """Its name in every front end."""
        return self.option.name or self.field

    @property
    def flag(self) -> str:
        """Its first flag on the command line."""
        return self.option.flags[0] if self.option.flags else "--" + self.name.replace("_", "-")

    @property
    def title(self) -> str:
        return self.option.title or self.name.replace("_", " ").capitalize()

    @property
    def is_list(self) -> bool:
        return get_origin(self.plain) is list

    @property
    def choices(self) -> tuple[str, ...]:
        return get_args(self.plain) if get_origin(self.plain) is Literal else ()

    def to_plain(self, value: Any) -> Any:
        """Convert a field's value to the form that front ends write; None if it is not set."""
        if self.option.zero_is_none and value is None:
            return 0
        if value is None:
            return None
        if self.option.show:
            return self.option.show(value)
        if self.is_list:
            return [str(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    def from_plain(self, value: Any) -> Any:
        """Convert a front end's plain value to the field's value.

        Raises:
            InputError: a text cannot be read.
        """
        if value is None:
            return self.default
        if self.option.zero_is_none and value == 0:
            return None
        if self.option.read:
            return self.option.read(value)
        if self.is_list:
            (item,) = get_args(self.plain)
            return tuple(item(v) for v in value)
        return Path(value) if self.plain is Path else value


@cache
def fields_of(cls: type) -> Mapping[str, tuple[Option, Any, Any]]:
    """List the options of a class: field, option, default and plain type."""
    hints = typing.get_type_hints(cls)
    return {
        f.name: (spec, f.default, spec.plain or _plain_type(hints[f.name]))
        for f in dataclasses.fields(cls)
        if (spec := f.metadata.get("option")) is not None
    }


def _plain_type(hint: Any) -> Any:
    """Return the type that front ends see: without None, and with lists for tuples."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [part for part in get_args(hint) if part is not types.NoneType]
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]]
    return hint

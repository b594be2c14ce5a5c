"""Make command-line parameters from the definition of options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from scenelift.errors import InputError
from scenelift.options import FrontEnd, OptionField, fields_for, option_named
from scenelift.options.written import expected_value, number_of_text

__all__ = [
    "DeviceOption",
    "QualityOption",
    "WeightsOption",
    "parameter",
    "takes_options",
    "typer_option",
]


def takes_options(front_end: FrontEnd) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `options` by every option that its front end has.

    The command's function is called with a dictionary of name -> plain value. Reading them
    (`Options.from_plain`) is its own business, so that what cannot be read is reported in the way
    of that command. `serve` gets None for what the user did not say: the environment may say it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = fields_for(front_end)
        own = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for p in own.parameters.values():
            new = [p]
            if p.name == "options":
                new = [parameter(f, unsaid=front_end == "serve") for f in fields]
            parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in new]

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            options = {f.name: values.pop(f.name) for f in fields}
            command(**values, options=options)

        with_options.__signature__ = own.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def parameter(f: OptionField, *, unsaid: bool = False) -> inspect.Parameter:
    """Make the command-line parameter of one option.

    Args:
        unsaid: None is the default, in place of the option's own.
    """
    default = None if unsaid or f.is_list else f.to_plain(f.default)
    kind = f.plain if default is not None else f.plain | None
    annotation = Annotated[kind, typer_option(f, unsaid=unsaid)]
    return inspect.Parameter(
        f.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def typer_option(f: OptionField, *, unsaid: bool = False) -> Any:
    """Make the Typer option, with names, help and limits, for the annotation of a parameter."""
    spec = f.option
    names = spec.flags or (f.flag,)
    limits: dict[str, Any] = {}
    if f.plain is bool and (f.default is not False or unsaid):
        names = (f"{f.flag}/--no-{f.flag.removeprefix('--')}",)
    elif f.plain in (int, float):
        # What Typer makes of a range, which it leaves to a parser of one's own.
        limits = {"parser": functools.partial(_number, f), "metavar": _metavar(f)}
    elif f.choices:  # Typer's own parser answers in pydantic's words
        choices = f"<{'|'.join(f.choices)}>"
        limits = {"parser": functools.partial(_choice, f), "metavar": choices}
    elif f.name == "weights":
        limits = {"file_okay": False}
    return typer.Option(*names, help=spec.help, **limits)


def _number(f: OptionField, value: Any) -> Any:
    """Read a number as every front end does; the default comes as it is."""
    if not isinstance(value, str):
        return value
    try:
        return number_of_text(f, value)
    except InputError as exc:
        raise typer.BadParameter(str(exc)) from exc


def _choice(f: OptionField, value: Any) -> Any:
    if value not in f.choices:
        raise typer.BadParameter(f"{f.name} is {str(value)!r}; expected {expected_value(f)}")
    return value


def _metavar(f: OptionField) -> str:
    spec = f.option
    low = 0 if spec.zero_is_none else spec.ge
    if low is None:
        return "NUMBER"
    return f"{low}…{spec.le}" if spec.le is not None else f"{low}…"


WeightsOption = Annotated[Path | None, typer_option(option_named("weights"))]
QualityOption = Annotated[str, typer_option(option_named("quality"))]
DeviceOption = Annotated[str, typer_option(option_named("device"))]

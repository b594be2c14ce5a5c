"""Make command-line parameters from the definition of options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from scenelift.options import FrontEnd, OptionField, fields_for, option_named

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
        # Of 0, which stands for "no limit", the options themselves know.
        limits = {"min": 0 if spec.zero_is_none else spec.ge, "max": spec.le}
    elif f.name == "weights":
        limits = {"file_okay": False}
    return typer.Option(*names, help=spec.help, **limits)


WeightsOption = Annotated[Path | None, typer_option(option_named("weights"))]
QualityOption = Annotated[str, typer_option(option_named("quality"))]
DeviceOption = Annotated[str, typer_option(option_named("device"))]

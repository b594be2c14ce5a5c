"""Make pydantic models and JSON Schema of the options that a front end has."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from scenelift.options.definition import FrontEnd, OptionField
from scenelift.options.every import HEADINGS, fields_for
from scenelift.options.written import number_of_text

__all__ = ["OptionModel", "json_schema", "model_of"]


class OptionModel(BaseModel):
    """Base of the models made here: values are plain, and unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)


def model_of(
    name: str, front_end: FrontEnd, *groups: str, base: type[M], unsaid: bool = False
) -> type[M]:
    """Make a model with a field for every option that a front end has.

    Args:
        name: of the model, for OpenAPI.
        groups: those to take; all where none is named.
        base: what it inherits from, configuration too.
        unsaid: every default is None, "not said", in place of the option's own.
    """
    fields = {f.name: _field(f, unsaid) for f in fields_for(front_end, *groups)}
    make: Any = create_model  # its overloads know no fields that are made at run time
    return make(name, __base__=base, **fields)


def _field(f: OptionField, unsaid: bool) -> tuple[Any, Any]:
    default = None if unsaid else f.to_plain(f.default)
    kind = f.plain if default is not None else f.plain | None
    spec = f.option
    limits: dict[str, Any] = {"ge": 0 if spec.zero_is_none else spec.ge, "le": spec.le}
    limits = {limit: value for limit, value in limits.items() if value is not None}
    if f.plain is float:
        limits["allow_inf_nan"] = False
    if f.plain in (int, float):
        kind = Annotated[kind, BeforeValidator(partial(_number, f))]
    return kind, Field(default, description=spec.help, title=f.title, **limits)


def _number(f: OptionField, value: Any) -> Any:
    return number_of_text(f, value) if isinstance(value, str) else value


def json_schema(f: OptionField) -> dict[str, Any]:
    """Return the JSON Schema of an option's plain value, with its default, for forms.

    Where 0 means no limit, `least_positive` is the least number besides.
    """
    types = {bool: "boolean", int: "integer", float: "number"}
    schema: dict[str, Any] = {"type": types.get(f.plain, "string")}
    if f.is_list:
        schema = {"type": "array", "items": {"type": "string"}}
    if f.choices:
        schema["enum"] = list(f.choices)
    spec = f.option
    low = 0 if spec.zero_is_none else spec.ge
    schema |= {k: v for k, v in (("minimum", low), ("maximum", spec.le)) if v is not None}
    if spec.zero_is_none:
        schema["least_positive"] = spec.ge
    schema |= {"title": f.title, "description": spec.help, "group": HEADINGS[f.group]}
    default = f.to_plain(f.default)
    return schema if default is None else schema | {"default": default}

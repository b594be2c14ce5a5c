"""Says in plain words what pydantic finds wrong with a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenelift.errors import InputError

__all__ = ["bad_fields"]

# Kinds of errors -> words; names in braces are what pydantic says of the error.
WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "none_required": "must be null",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is shorter than {min_length} characters",
    "string_pattern_mismatch": "has another form than was expected",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "too_long": "has {actual_length} entries; at most {max_length} are taken",
    "too_short": "has {actual_length} entries; at least {min_length} were expected",
    "json_invalid": "is no JSON",
    "value_error": "{error}",
}
# Whose value says nothing, or is too long to be shown.
NO_VALUE = (
    "missing",
    "json_invalid",
    "extra_forbidden",
    "too_long",
    "string_too_long",
    "value_error",
)
MOST = 5  # of the errors that are told
MOST_CHARACTERS = 60  # characters of a value


def bad_fields(errors: Sequence[Any]) -> InputError:
    """Describe pydantic's errors in sentences."""
    return InputError(" ".join(f"{_sentence(error)}." for error in errors[:MOST]))


def _sentence(error: Mapping[str, Any]) -> str:
    place = error["loc"]
    if place and place[0] in ("body", "query", "path", "header"):
        place = place[1:]
    where = ".".join(map(str, place))
    kind: str = error["type"]
    context: dict[str, Any] = error.get("ctx") or {}
    if kind in ("missing", "model_attributes_type") and not where:
        return "The body must be JSON, sent as application/json"
    words = WORDS.get(kind)
    words = words.format_map(_Context(context)) if words else str(error["msg"])
    shows = kind not in NO_VALUE
    value = error.get("input")
    if shows and (value is None or isinstance(value, str | int | float)):
        text = repr(value) if value is not None else "null"
        words += f", not {text[:MOST_CHARACTERS]}"
    if kind == "value_error":
        return f"{where}: {words}" if where else words[:1].upper() + words[1:]
    return f"{where or 'The body'} {words}".removesuffix(".")


class _Context(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"

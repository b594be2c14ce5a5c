"""The page's TypeScript types are those of the server's answers.

`frontend/src/api/types.ts` is read as text: a field there must be in the answer, of that type, and
null exactly where the answer may be. The page need not know every field.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from scenelift.webapp import models

TEXT = (Path(__file__).parents[2] / "frontend" / "src" / "api" / "types.ts").read_text("utf-8")
ALIASES = dict(re.findall(r"export type (\w+) = ([^;]+);", TEXT))
ANSWERS: dict[str, type[BaseModel]] = {
    "AddedBox": models.AddedBox,
    "Clicked": models.Clicked,
    "Config": models.Config,
    "EditState": models.EditState,
    "ExportState": models.ExportState,
    "Job": models.Job,
    "JobFile": models.File,
    "JobObject": models.JobObject,
    "JobPage": models.JobList,
    "OptionSchema": models.OptionSchema,
    "JobStage": models.JobStage,
    "Problem": models.Problem,
    "Runs": models.Runs,
    "SceneExports": models.SceneExports,
    "SceneFormat": models.SceneFormat,
    "ShareState": models.ShareState,
}
# What a problem has besides, by its kind.
OF_SOME_PROBLEMS = {"suggestions", "retry_after"}
SIMPLE = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}


def fields_of(interface: str) -> dict[str, str]:
    """Name -> type of the fields of an interface, as they are written."""
    found = re.search(
        rf"export interface {interface}(?: extends \w+)? \{{\n(.*?)\n\}}", TEXT, re.DOTALL
    )
    assert found, interface
    plain = re.sub(r"/\*\*.*?\*/", "", found[1], flags=re.DOTALL)
    return {n: t.strip() for n, t in re.findall(r"^  (\w+)\??: (.*);$", plain, re.MULTILINE)}


def kinds_written(text: str) -> set[str]:
    """The kinds of JSON values that a TypeScript type allows; literal strings as they are."""
    kinds: set[str] = set()
    for part in re.split(r"\s\|\s(?![^{]*\})", text.strip().removeprefix("| ")):
        if part in ALIASES and not part.startswith("Record"):
            kinds |= kinds_written(ALIASES[part])
        elif part.endswith("[]") or part.startswith("["):
            kinds.add("array")
        elif part.startswith(("{", "Record")) or part in ANSWERS:
            kinds.add("object")
        else:
            kinds.add(part.strip("'"))
    return kinds


def kinds_answered(schema: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """The kinds of JSON values that a JSON Schema allows; literal strings as they are."""
    if "$ref" in schema:
        return kinds_answered(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return set().union(*(kinds_answered(s, definitions) for s in schema["anyOf"]))
    if "enum" in schema:
        return set(schema["enum"])
    return {SIMPLE.get(schema["type"], schema["type"])}


@pytest.mark.parametrize("interface", sorted(ANSWERS))
def test_the_page_knows_answers_as_the_server_gives_them(interface):
    schema = ANSWERS[interface].model_json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    for name, written in fields_of(interface).items():
        if interface == "Problem" and name in OF_SOME_PROBLEMS:
            continue
        assert name in schema["properties"], f"{interface}.{name} is in no answer"
        answered = kinds_answered(schema["properties"][name], definitions)
        assert kinds_written(written) == answered, f"{interface}.{name}"


def test_states_of_a_job_are_those_of_the_queue():
    state = models.Job.model_fields["state"].annotation
    assert kinds_written("JobState") == set(get_args(state))

"""A name says what a value is, not what happened to it; docstrings name the arguments there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import scenelift

PACKAGE = Path(scenelift.__file__).parent
PARTICIPLES = frozenset(
    [
        "asked",
        "begun",
        "brought",
        "chosen",
        "drawn",
        "fetched",
        "found",
        "given",
        "gone",
        "handed",
        "heard",
        "held",
        "kept",
        "known",
        "lifted",
        "looked",
        "looks",
        "lost",
        "made",
        "met",
        "obeyed",
        "said",
        "seen",
        "shown",
        "spoken",
        "taken",
        "told",
        "tried",
        "tries",
        "wanted",
    ]
)
PUBLIC = {
    ("commands/train.py", "held"): "becomes the option --held",
    ("options/groups.py", "known"): "becomes the option --known and its JSON",
    ("webapp/exports.py", "made"): "a key of the stored exports.json",
    ("webapp/jobs/rows.py", "taken"): "a column of the queue's table",
    ("webapp/models.py", "drawn"): "a key of stored selections",
}


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of variables, arguments, attributes and fields where they are bound, with the line."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def is_participle(name: str) -> bool:
    return name.strip("_").lower().rpartition("_")[2] in PARTICIPLES


def test_no_variable_is_called_after_what_happened_to_it():
    bound = {
        (file.relative_to(PACKAGE).as_posix(), name, line)
        for file in PACKAGE.rglob("*.py")
        for name, line in names(ast.parse(file.read_text("utf-8")))
        if is_participle(name)
    }
    lines = [f"{file}:{line} {name}" for file, name, line in bound if (file, name) not in PUBLIC]
    # Name it after what it is: detections, visible_faces, remaining_seconds (CONTRIBUTING, Words).
    assert not sorted(lines)
    assert {(file, name) for file, name, _ in bound} == PUBLIC.keys()  # none that is needless


def documented(docstring: str, heading: str) -> set[str]:
    section = re.search(rf"^{heading}:\n((?:    .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    lines = re.findall(r"^    ([a-z_][\w, ]*): ", section[1], re.MULTILINE) if section else []
    return {name for line in lines for name in line.split(", ")}


def test_docstrings_name_the_arguments_and_attributes_that_there_are():
    wrong = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            named = documented(ast.get_docstring(node) or "", "Args")
            bound = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
            if isinstance(node, ast.ClassDef) and not node.bases:
                attributes = {name for name, _ in names(node)} | {
                    f.name for f in node.body if isinstance(f, ast.FunctionDef)
                }
                named |= documented(ast.get_docstring(node) or "", "Attributes") - attributes
            wrong |= {f"{file.name}:{node.lineno} {name}" for name in named - bound}
    assert not wrong

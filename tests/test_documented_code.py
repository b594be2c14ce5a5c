"""What README and docs show works: Python runs, commands parse, the API page names it all."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import typer

import scenelift
from scenelift.cli import app
from scenelift.pipeline import Pipeline
from scenelift.testing import api_page
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    ball_shape,
    disc_photo,
)
from scenelift.types import Camera, Instance, Segmentation

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What these need is not on every machine: only their imports are run.
NEED = {
    "backends.md": "a GPU",
    "running.md": "the published weights",
    "sam3d.md": "the published weights",
}


def blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, text in enumerate(
            re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
        ):
            found.append((f"{page.name} {number}", text))
    return found


class NamesAnything:
    """Finds one object for every phrase."""

    name, version = "names-anything", "1"
    clicker = ColorSegmenter().clicker

    def segment(self, image, prompt, report):
        found = []
        for k, phrase in enumerate(prompt.phrases):
            mask = np.zeros((image.height, image.width), bool)
            mask[20:60, 20 + 50 * k : 60 + 50 * k] = True
            box = Instance.box_of(mask)
            found.append(Instance(mask=mask, label=phrase, score=0.9, box=box))
        return Segmentation(instances=tuple(found))


@pytest.mark.parametrize(("where", "code"), blocks(), ids=[where for where, _ in blocks()])
def test_python_of_the_docs_runs(where, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(disc_photo().pixels).save("desk.jpg")
    shape = ball_shape((200, 40, 40))
    given = {
        "folder": tmp_path / "model",
        "gaussians": shape.gaussians,
        "mesh": shape.mesh,
        "camera": Camera.from_fov(64, 48, fov_deg=50),
        "scene_from_camera": np.eye(4),
        "poses": [np.eye(4)],
    }
    monkeypatch.setattr(
        Pipeline,
        "from_quality",
        lambda *_, **__: Pipeline(NamesAnything(), PlanePointMapper(), BallReconstructor()),
    )
    if where.split()[0] in NEED or "cuda" in code:
        tree = ast.parse(code)
        tree.body = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        code = ast.unparse(tree)
    # A protocol that is shown is part of the docs, not of a program: its names are annotations.
    exec(f"from __future__ import annotations\n{PRELUDE}{code}", given)  # noqa: S102 - our own docs
    if where.startswith("README"):
        assert Path("out/desk/scene.glb").is_file()


PRELUDE = "from typing import *\nfrom pathlib import Path\nfrom torch import nn\n"


def commands() -> list[tuple[str, str]]:
    """Lines of code blocks, indented or fenced, that run `scenelift` as they stand."""
    found = set()
    for page in PAGES:
        fenced = False
        for line in re.sub(r"\\\n\s*", " ", page.read_text("utf-8")).splitlines():
            fenced ^= line.startswith("```")
            shown = line if fenced else line.removeprefix("    ") if line[:4] == "    " else ""
            plain = re.split(r"\s+#|\s+&|\s+\||\s+2?>|;|\s{3,}", shown)[0].strip()
            if "--help" in plain or "--version" in plain:
                continue  # they end the program
            if plain.startswith("scenelift ") and not set(plain) & set("…[<$("):
                found.add((page.name, plain))
    return sorted(found)


def test_many_commands_are_found():
    assert len(commands()) > 40


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_of_the_docs_parse(page, line):
    words = shlex.split(line)[1:]
    words = ["photo.jpg" if re.fullmatch("[A-Z]+", word) else word for word in words]
    command, name = typer.main.get_command(app), "scenelift"
    while words and words[0] in getattr(command, "commands", {}):
        command, name, words = command.commands[words[0]], words[0], words[1:]
    assert not command.make_context(name, words).args  # raises for what it does not know


def test_the_api_page_names_everything_public():
    """Make it again with: python -m scenelift.testing.api_page > docs/api.md"""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    public = [name for name in scenelift.__all__ if name != "__version__"]
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == public
    assert re.findall(r"^## (.*)$", api_page.text(), re.MULTILINE) == public

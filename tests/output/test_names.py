"""Objects keep their names in every script: real in GLB and OBJ, in Latin letters in folders."""

from __future__ import annotations

import re

import numpy as np
import PIL.ImageFont
import pytest

from scenelift.compose import create_scene_mesh
from scenelift.io.glb import read_glb, write_glb
from scenelift.io.obj import write_obj
from scenelift.output import overlay
from scenelift.output.fonts import font_for
from scenelift.types import Image, Instance, Mesh, Pose, SceneObject, Shape, object_name


def named(label: str, index: int = 0) -> SceneObject:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    mesh = Mesh(vertices=np.eye(3, dtype=np.float32) - 0.5, faces=np.array([[0, 1, 2]], np.int32))
    return SceneObject(
        index=index,
        instance=Instance(mask=mask, label=label, score=0.5, box=(10, 10, 30, 30)),
        shape=Shape(mesh=mesh),
        pose=Pose(),
    )


@pytest.mark.parametrize(
    ("label", "folder", "title"),
    [
        ("red mug", "03_red-mug", "03_red-mug"),
        ("杯子", "03_beizi", "03_杯子"),
        ("Schüssel", "03_schussel", "03_schüssel"),
        ("чашка", "03_chashka", "03_чашка"),
        ("コップ", "03_kotpu", "03_コップ"),
        ("../..", "03_object", "03_object"),
        ("a/b\\c", "03_a-b-c", "03_a-b-c"),
    ],
)
def test_folders_are_latin_and_titles_are_real(label, folder, title):
    made = named(label, 3)
    assert (made.name, made.title) == (folder, title)
    assert object_name(3, label) == folder


def test_glb_and_obj_have_the_real_names_and_plain_file_names(tmp_path):
    nodes = create_scene_mesh([named("杯子"), named("red mug", 1)])
    write_glb(tmp_path / "a.glb", nodes)
    assert [node.name for node in read_glb(tmp_path / "a.glb")] == ["00_杯子", "01_red-mug"]
    for file in write_obj(tmp_path / "a.obj", nodes):
        assert file.name.isascii()
    text = (tmp_path / "a.obj").read_text("utf-8")
    assert set(re.findall(r"^o (.*)$", text, re.MULTILINE)) == {"00_杯子", "01_red-mug"}
    assert "usemtl 00_beizi" in text
    assert "newmtl 00_beizi" in (tmp_path / "a.mtl").read_text("ascii")


def test_the_overlay_never_draws_letters_that_its_font_lacks(monkeypatch):
    assert font_for("red mug", 20) is not None
    drawn: list[str] = []
    real = overlay.PIL.ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        "PIL.ImageDraw.ImageDraw.text",
        lambda self, xy, text, **how: drawn.append(text) or real(self, xy, text, **how),
    )
    image = Image(pixels=np.zeros((40, 60, 3), np.uint8))
    labels = ["cup", "杯子", "\U0010fffd"]
    overlay.draw_overlay(image, [named(label, k).instance for k, label in enumerate(labels)])
    has = font_for("杯子", 12) is not None
    assert drawn == ["0 cup 0.50", "1 杯子 0.50" if has else "1  0.50", "2  0.50"]


def test_a_font_that_has_the_letters_is_found_among_the_installed(monkeypatch, tmp_path):
    default = PIL.ImageFont.load_default(20)
    if font_for("чашка", 20) is None:
        pytest.skip("no font here has Cyrillic letters")
    assert font_for("чашка", 20) is not default

"""Photographs come from where they are published, and masks are paired with outlines one to one."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks import outlined
from scenelift.errors import InputError
from scenelift.types import Instance

COMMIT = "0" * 40


def jpeg(size, colour):
    buffer = io.BytesIO()
    Pillow.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Two photographs on a stand-in for the publisher, and the list of them."""
    rows = []
    for name, size, kept in (("one.jpg", (60, 40), (60, 40)), ("two_b.jpg", (80, 60), (40, 30))):
        data = jpeg(size, (200, 30, 30))
        path = tmp_path / "mirror" / "owner" / "name" / COMMIT / "demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        square = {"name": "cup", "outlines": [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]]}
        rows.append(
            {
                "file": name,
                "once": name.endswith("_b.jpg"),
                "width": kept[0],
                "height": kept[1],
                "sha256_source": hashlib.sha256(data).hexdigest(),
                "repository": "github.com/owner/name",
                "commit": COMMIT,
                "path": f"demo/{name}",
                "nouns": {"cup": 1, "leaf": 40},
                "approximate": ["leaf"],
                "objects": [square],
            }
        )
    (tmp_path / "list.json").write_text(json.dumps(rows))
    monkeypatch.setattr(outlined, "LIST", tmp_path / "list.json")
    return tmp_path / "mirror"


def test_photographs_are_fetched_once_and_read(mirror, tmp_path):
    folder = tmp_path / "photos"
    assert outlined.fetch(folder, f"file://{mirror}") == ["one.jpg", "two_b.jpg"]
    assert outlined.fetch(folder, "file:///nowhere") == []
    [one], [two] = outlined.photos(once=False), outlined.photos(once=True)
    assert one.pixels(folder).shape == (40, 60, 3)
    assert two.pixels(folder).shape == (30, 40, 3)  # outlined at half its size
    assert one.counts == {"cup": 1}
    [(name, mask)] = one.truths()
    assert name == "cup"
    assert mask[:20, :30].all()
    assert mask.sum() == 20 * 30


def test_another_file_than_the_outlined_is_refused(mirror, tmp_path):
    (mirror / "owner" / "name" / COMMIT / "demo" / "one.jpg").write_bytes(jpeg((60, 40), "blue"))
    with pytest.raises(InputError, match=r"demo/one\.jpg is not the file"):
        outlined.fetch(tmp_path / "photos", f"file://{mirror}")
    [one] = outlined.photos(once=False)
    with pytest.raises(InputError, match="fetch"):
        one.pixels(tmp_path / "photos")


def test_a_publisher_that_does_not_answer_is_named(mirror, tmp_path):
    with pytest.raises(InputError, match=r"one\.jpg cannot be read .* mirror"):
        outlined.fetch(tmp_path / "photos", f"file://{mirror}/elsewhere")


def test_masks_are_paired_with_one_outline_each():
    left, right = np.zeros((4, 8), bool), np.zeros((4, 8), bool)
    left[:, :4], right[:, 4:] = True, True

    def instance(mask, label):
        return Instance(mask=mask, label=label, score=1.0, box=Instance.box_of(mask))

    truths = [("cup", left), ("cup", right), ("jar", right)]
    both = instance(left | right, "cup")
    assert outlined.best_ious(truths, [both, instance(right, "cup")]) == [0.5, 1.0, 0.0]
    assert outlined.best_ious(truths, []) == [0.0, 0.0, 0.0]


def test_the_committed_list_is_whole():
    rows = outlined.photos(once=None)
    objects = [thing for row in rows for thing in row.about["objects"]]
    assert len(rows) == 26
    assert len(objects) >= 60
    assert sum(sum(row.counts.values()) for row in rows) == 101
    for row in rows:
        assert row.once == row.file.removesuffix(".jpg").endswith("_b")
        for thing in row.about["objects"]:
            corners = np.concatenate(thing["outlines"])
            assert ((corners >= 0) & (corners <= 1)).all()
            assert np.ptp(corners, axis=0).min() > 0.01

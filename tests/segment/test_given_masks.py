"""Masks of the user's come in several forms, and never from outside what was given."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from scenelift.errors import InputError
from scenelift.progress import silent
from scenelift.segment.given import Canvas, GivenSegmenter, load_masks, read_given
from scenelift.types import BoxPrompt, Image, Prompt

SIZE = (40, 60)


@pytest.fixture
def mask():
    mask = np.zeros(SIZE, bool)
    mask[10:30, 20:50] = True
    return mask


def save(path, array):
    PIL.Image.fromarray(array).save(path)
    return path


def run_lengths(mask):
    """COCO's compressed run lengths, written from their description: an independent encoder."""
    flat = mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    text = ""
    for k, count in enumerate(counts):
        value = count - counts[k - 2] if k > 2 else count
        more = True
        while more:
            code = value & 31
            value >>= 5
            more = value != (-1 if code & 16 else 0)
            text += chr((code | (32 if more else 0)) + 48)
    return counts, text


def test_white_on_black(tmp_path, mask):
    (found,) = load_masks([save(tmp_path / "m.png", mask.astype(np.uint8) * 255)], SIZE, "cup")
    np.testing.assert_array_equal(found.mask, mask)
    assert (found.label, found.score, found.box) == ("cup", 1.0, (20, 10, 50, 30))


def test_an_alpha_channel_is_the_mask(tmp_path, mask):
    rgba = np.full((*SIZE, 4), 255, np.uint8)
    rgba[..., 3] = mask * 255
    (found,) = load_masks([save(tmp_path / "m.png", rgba)], SIZE)
    np.testing.assert_array_equal(found.mask, mask)


def test_a_soft_edge_is_one_mask_and_a_label_image_is_many(tmp_path, mask):
    soft = mask.astype(np.uint8) * 255
    soft[9, 20:50] = np.linspace(40, 220, 30)
    assert len(load_masks([save(tmp_path / "soft.png", soft)], SIZE)) == 1
    thin = np.zeros(SIZE, np.uint8)
    thin[9, 20:50], thin[10, 20:50], thin[11, 20:50] = np.arange(100, 130), 200, 90
    assert len(load_masks([save(tmp_path / "thin.png", thin)], SIZE)) == 1
    labels = np.zeros(SIZE, np.uint8)
    labels[5:10, 5:10], labels[20:30, 30:50] = 100, 255
    found = load_masks([save(tmp_path / "labels.png", labels)], SIZE)
    assert [int(i.mask.sum()) for i in found] == [25, 200]


def test_zero_and_one_are_a_mask_and_blended_colours_are_refused(tmp_path, mask):
    (found,) = load_masks([save(tmp_path / "m.png", mask.astype(np.uint8))], SIZE)
    np.testing.assert_array_equal(found.mask, mask)
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    with pytest.raises(InputError, match=r"c\.png has colours that blend"):
        load_masks([save(tmp_path / "c.png", photo)], SIZE)


def test_a_folder_gives_one_object_a_file_named_by_it(tmp_path, mask):
    save(tmp_path / "01_red-mug.png", mask.astype(np.uint8) * 255)
    save(tmp_path / "00_cup.png", mask[::-1].astype(np.uint8) * 255)
    (tmp_path / "notes.txt").write_text("by hand")
    (tmp_path / "._00_cup.png").write_bytes(b"what macOS leaves")
    given = read_given([tmp_path], Canvas.of_size(SIZE))
    assert [i.label for i in given.instances] == ["cup", "red mug"]
    assert given.notes == (f"{tmp_path.name}: notes.txt is no mask.",)


def test_coco_polygons_and_both_kinds_of_run_lengths_agree(tmp_path, mask):
    counts, text = run_lengths(mask)
    document = {
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [
            {"category_id": 3, "segmentation": [[20, 10, 50, 10, 50, 30, 20, 30]]},
            {"category_id": 3, "segmentation": {"size": list(SIZE), "counts": counts}},
            {"category_id": 3, "segmentation": {"size": list(SIZE), "counts": text}},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))
    polygon, plain, compressed = load_masks([tmp_path / "coco.json"], SIZE)
    np.testing.assert_array_equal(plain.mask, mask)
    np.testing.assert_array_equal(compressed.mask, mask)
    # A polygon's edge pixels may fall to either side.
    assert (polygon.mask ^ mask).sum() <= 2 * (30 + 20)
    assert {i.label for i in (polygon, plain, compressed)} == {"cup"}


def test_categories_of_odd_types_name_nothing(tmp_path, mask):
    counts, _ = run_lengths(mask)
    entry = {"category_id": [1], "segmentation": {"size": list(SIZE), "counts": counts}}
    document = {"categories": [{"id": [1], "name": "x"}, 7], "annotations": [entry]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert load_masks([tmp_path / "a.json"], SIZE, "cup")[0].label == "cup"


def write_instances(folder, *entries):
    (folder / "instances.json").write_text(json.dumps(list(entries)))
    return folder


def test_masks_deleted_from_a_segment_folder_are_left_out(tmp_path, mask):
    save(tmp_path / "00_cup.png", mask.astype(np.uint8) * 255)
    folder = write_instances(
        tmp_path,
        {"label": "cup", "score": 0.7, "mask": "00_cup.png"},
        {"label": "cat", "score": 0.6, "mask": "01_cat.png"},
    )
    (found,) = load_masks([folder], SIZE)
    assert (found.label, found.score) == ("cup", 0.7)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a/../../secret.png"])
def test_instances_never_name_files_outside_their_folder(tmp_path, mask, name):
    inner = tmp_path / "masks"
    inner.mkdir()
    save(tmp_path / "secret.png", mask.astype(np.uint8) * 255)
    write_instances(inner, {"label": "x", "mask": name})
    with pytest.raises(InputError, match="outside its folder"):
        load_masks([inner], SIZE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.png", None, "no mask file"),
        ("text.png", b"hello", "cannot be read as a mask"),
        ("empty.png", b"", "cannot be read as a mask"),
        ("a.json", b"{", "cannot be read as JSON"),
        ("a.json", b"[" * 100_000, "cannot be read as JSON"),
        ("a.json", b"{}", "no COCO annotations"),
        ("a.json", b'[{"segmentation": [[1, 2]]}]', "annotation 0"),
        ("a.json", b'[{"segmentation": {"size": [1, 1], "counts": [1]}}]', "annotation 0"),
        ("a.json", b'[{"segmentation": {"size": [40, 60], "counts": "0"}}]', "sum to 0"),
        ("a.json", b'[{"segmentation": {"size": [40, 60], "counts": [99999999999]}}]', "sum to"),
        ("a.json", b'[{"segmentation": "x"}]', "annotation 0"),
        ("a.json", b'{"categories": 3, "annotations": [{"segmentation": 1}]}', "annotation 0"),
        ("instances.json", b'[{"label": "x"}]', "names no mask"),
        ("instances.json", b'[{"mask": "a\\u0000.png"}]', "names no mask"),
        ("instances.json", b'[{"mask": "' + b"a" * 5000 + b'.png"}]', "names no mask"),
        ("instances.json", b"{}", "must be a list"),
    ],
)
def test_what_cannot_be_a_mask_is_refused_with_its_name(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_masks([path], SIZE)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path, mask):
    path = save(tmp_path / "m.png", mask.astype(np.uint8) * 255)
    with pytest.raises(InputError, match="60 × 40 pixels, the photo is 30 × 20"):
        load_masks([path], (20, 30))


def test_an_empty_mask_is_no_object(tmp_path):
    path = save(tmp_path / "m.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(InputError, match="No mask"):
        load_masks([path], SIZE)


def test_the_segmenter_gives_the_masks_back_but_those_excluded(tmp_path, mask):
    save(tmp_path / "00_cup.png", mask.astype(np.uint8) * 255)
    save(tmp_path / "01_cat.png", np.roll(mask, -18, 1).astype(np.uint8) * 255)
    segmenter = GivenSegmenter(load_masks([tmp_path], SIZE))
    image = Image(pixels=np.zeros((*SIZE, 3), np.uint8))
    assert segmenter.labels == ("cup", "cat")
    assert len(segmenter.segment(image, Prompt(), silent()).instances) == 2
    prompt = Prompt(boxes=(BoxPrompt(box=(0, 0, 22, 40), positive=False),))
    result = segmenter.segment(image, prompt, silent())
    assert [i.label for i in result.instances] == ["cup"]
    assert result.dropped[0].reason == "in a box that was excluded"
    with pytest.raises(InputError, match="must have the photo's size"):
        segmenter.segment(Image(pixels=np.zeros((9, 9, 3), np.uint8)), Prompt(), silent())

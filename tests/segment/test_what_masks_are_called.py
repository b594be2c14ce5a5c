"""What files say of their masks beside the pixels, and forms that stand for something else."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import tifffile

from scenelift.errors import InputError
from scenelift.segment.given import Canvas, read_given
from scenelift.types import Image

SIZE = (60, 80)
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]
BALL = (COLUMNS - 20) ** 2 + (ROWS - 30) ** 2 <= 12**2
BOX = (COLUMNS >= 50) & (COLUMNS < 70) & (ROWS >= 20) & (ROWS < 45)
STACK = np.stack([BALL, BOX])
PHOTO = np.random.default_rng(0).integers(40, 200, (*SIZE, 3)).astype(np.uint8)
SQUARE = [(10, 10), (40, 10), (40, 40), (10, 40)]
INNER = [(20, 20), (30, 20), (30, 30), (20, 30)]
POLYGON = [[10, 10, 40, 10, 40, 40, 10, 40]]


def read(path):
    return read_given([path], Canvas.of_image(Image(pixels=PHOTO), path.with_name("photo.png")))


def read_json(folder, document, name="a.json"):
    (folder / name).write_text(json.dumps(document))
    return read(folder / name)


def check(objects, *masks):
    assert len(objects.instances) == len(masks)
    for instance, mask in zip(objects.instances, masks, strict=True):
        np.testing.assert_array_equal(instance.mask, mask)


def test_a_colour_picture_in_planes_is_read_as_the_same_one_in_png(tmp_path):
    one_hot = np.stack([~(BALL | BOX), BALL, BOX]) * np.uint8(255)
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[BALL], colours[BOX] = (220, 20, 60), (60, 80, 142)
    for picture in (one_hot, np.moveaxis(colours, -1, 0).copy()):
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, picture, photometric="rgb", planarconfig="separate")
        PIL.Image.fromarray(np.moveaxis(picture, 0, -1)).save(tmp_path / "a.png")
        check(read(tmp_path / "a.png"), BALL, BOX)
        check(read(file), BALL, BOX)


def test_another_number_of_names_than_masks_is_refused(tmp_path):
    file = tmp_path / "a.npz"
    for facts, words in (
        ({"names": np.array(["ball"])}, "1 names for 2 masks"),
        ({"names": np.array(["ball", "box", "cup"])}, "3 names for 2 masks"),
        ({"scores": np.ones(3)}, "3 scores for 2 masks"),
    ):
        np.savez(file, masks=STACK, **facts)
        with pytest.raises(InputError, match=words):
            read(file)
    # Names of all classes, and the class of each mask.
    np.savez(file, masks=STACK, names=np.array(["cup", "box", "ball"]), class_ids=np.array([2, 1]))
    assert [i.label for i in read(file).instances] == ["ball", "box"]


def test_the_picture_beside_masks_is_none_and_other_names_of_masks_are_known(tmp_path):
    file, grey = tmp_path / "a.npz", PHOTO[..., 0]
    np.savez(file, image=grey, seg=BALL)
    check(read(file), BALL)
    assert read(file).notes == ("a.npz: image is no mask.",)
    np.savez(file, image=grey, depth=grey / 100.0, ball=BALL, box=BOX)
    assert [i.label for i in read(file).instances] == ["ball", "box"]
    np.savez(
        file,
        **{"pred_masks": STACK, "pred_classes": np.array([1, 0]), "scores": np.array([0.5, 0.25])},
        pred_boxes=np.zeros((2, 4)),
    )
    (tmp_path / "classes.txt").write_text("box\nball\n")
    assert [(i.label, i.score) for i in read(file).instances] == [("ball", 0.5), ("box", 0.25)]


@pytest.mark.parametrize(
    ("options", "metadata"),
    [
        ({"imagej": True}, {"axes": "CYX", "Labels": ["ball", "box"]}),
        ({"ome": True}, {"axes": "CYX", "Channel": {"Name": ["ball", "box"]}}),
    ],
)
def test_names_of_channels_name_pages(tmp_path, options, metadata):
    stack = STACK * np.uint8(255)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=metadata, **options)
    assert [i.label for i in read(tmp_path / "a.ome.tif").instances] == ["ball", "box"]


def test_labels_scores_and_classes_beside_a_stack_are_its_objects(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, masks=STACK, labels=np.array(["ball", "box"]), scores=np.array([0.5, 0.9]))
    assert [(i.label, i.score) for i in read(file).instances] == [("ball", 0.5), ("box", 0.9)]
    # An empty mask takes its name with it.
    stack = np.stack([BALL & False, BOX])
    np.savez(
        file, masks=stack, class_names=np.array([b"ball", b"box"]), scores=np.array([1.0, 0.0])
    )
    assert [(i.label, i.score) for i in read(file).instances] == [("box", 0.0)]
    np.savez(file, masks=np.moveaxis(STACK, 0, -1), class_ids=np.array([1, 0]))
    assert [i.label for i in read(file).instances] == ["object", "object"]
    (tmp_path / "classes.txt").write_text("box\nball\n")
    assert [i.label for i in read(file).instances] == ["ball", "box"]
    np.savez(file, masks=STACK, labels=np.array([None, "x"], dtype=object))
    assert "labels hold Python objects" in read(file).notes[0]


@pytest.mark.parametrize(
    ("entry", "document"),
    [
        ({"class_name": "ball"}, None),
        ({"category": "ball"}, None),
        ({"label": "ball"}, None),
        ({"name": "ball"}, None),
        ({"category_id": 1}, {"categories": {"1": "ball"}}),
        ({"category_id": "1"}, {"categories": {"1": {"name": "ball"}}}),
        ({"category_id": 1, "name": "a7"}, {"categories": [{"id": 1, "name": "ball"}]}),
    ],
)
def test_annotations_are_called_what_they_say_themselves(tmp_path, entry, document):
    entries = [{"segmentation": POLYGON, "score": [0.25], **entry}]
    given = read_json(
        tmp_path, entries if document is None else {**document, "annotations": entries}
    )
    (instance,) = given.instances
    assert (instance.label, instance.score, given.notes) == ("ball", 0.25, ())


def test_odd_annotations_are_taken_with_a_note_or_refused_with_what_to_give(tmp_path):
    categories = {"categories": [{"id": 1, "name": "ball"}]}
    entry = {"category_id": 99, "segmentation": POLYGON}
    given = read_json(tmp_path, {**categories, "annotations": [entry]})
    assert "the category 99, which is in no list" in given.notes[0]
    entry = {"category_id": 1, "segmentation": [[-20, 10, 40, 10, 40, 40]]}
    given = read_json(tmp_path, {**categories, "annotations": [entry]})
    assert "reaches beyond the photo: it was cut off" in given.notes[0]
    crowd = {"iscrowd": 1, "segmentation": {"size": list(SIZE), "counts": [10, 100, 4690]}}
    for entry, message in [
        (crowd, r"all annotations \(1\) are crowds"),
        ({"keypoints": [1, 2, 2]}, "only keypoints. Export boxes or polygons"),
        ({"segments_info": []}, "panoptic one. Give the PNG beside it"),
    ]:
        with pytest.raises(InputError, match=message):
            read_json(tmp_path, {**categories, "annotations": [entry]})
    (tmp_path / "a.json.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(InputError, match="is packed"):
        read(tmp_path / "a.json.gz")


@pytest.mark.parametrize(("side", "suffix"), [(4, ".png"), (8, ".png"), (8, ".jpg"), (16, ".webp")])
def test_a_checkerboard_is_no_object(tmp_path, side, suffix):
    board = np.where((ROWS // side + COLUMNS // side) % 2, 255, 204)[..., None]
    picture = np.where(BALL[..., None], PHOTO, board).astype(np.uint8)
    PIL.Image.fromarray(picture).save(tmp_path / f"a{suffix}", quality=95)
    given = read(tmp_path / f"a{suffix}")
    (instance,) = given.instances
    assert "its checkerboard was taken for what is transparent" in given.notes[0]
    both = (instance.mask & BALL).sum() / (instance.mask | BALL).sum()
    assert both == 1 if suffix == ".png" else both > 0.9


def test_logits_of_classes_leave_out_the_ground_and_0_1_2_may_be_a_trimap(tmp_path):
    classes = np.stack([~(BALL | BOX), BALL, BOX])
    np.save(tmp_path / "a.npy", np.where(classes, 4.0, -2.0))
    given = read(tmp_path / "a.npy")
    check(given, BALL, BOX)
    assert "the first is the ground" in given.notes[0]
    np.save(tmp_path / "a.npy", classes)
    given = read(tmp_path / "a.npy")
    assert len(given.instances) == 3
    assert "is the first one the ground" in given.notes[0]
    inner = (COLUMNS - 20) ** 2 + (ROWS - 30) ** 2 <= 8**2
    PIL.Image.fromarray(BALL * np.uint8(1) + inner).save(tmp_path / "a.png")
    assert "1 lies all around 2" in read(tmp_path / "a.png").notes[0]
    PIL.Image.fromarray(BALL * np.uint8(1) + BOX * np.uint8(2)).save(tmp_path / "b.png")
    assert read(tmp_path / "b.png").notes == ()


def test_alpha_below_half_is_cut_at_half_of_it_and_none_at_all_is_said(tmp_path):
    for top in (255, 120):
        alpha = (BALL * top).astype(np.uint8)
        PIL.Image.fromarray(np.dstack([PHOTO, alpha])).save(tmp_path / "a.png")
        check(read(tmp_path / "a.png"), BALL)
    PIL.Image.fromarray(np.dstack([PHOTO, alpha * 0])).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="all of it is transparent: save it without alpha"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("version", [1, 2])
def test_darwins_polygons_and_boxes_are_objects(tmp_path, version):
    outer, hole = ([{"x": x, "y": y} for x, y in c] for c in (SQUARE, INNER))
    polygon = {"paths": [outer, hole]} if version == 2 else {"path": outer}
    annotations = [
        {"name": "ball", "polygon": polygon},
        {"name": "box", "bounding_box": {"x": 50, "y": 20, "w": 20, "h": 25}},
        {"name": "line", "line": {"path": outer}},
    ]
    size = {"width": 80, "height": 60}
    picture = {"image": {"filename": "photo.png", **size}}
    if version == 2:
        picture = {"item": {"name": "photo.png", "slots": [size]}}
    given = read_json(tmp_path, {**picture, "annotations": annotations})
    mask = np.zeros(SIZE, bool)
    mask[10:40, 10:40] = True
    if version == 2:
        mask[20:30, 20:30] = False
    check(given, mask)
    assert [(b.label, b.box) for b in given.boxes] == [("box", (50, 20, 70, 45))]
    assert given.notes == ("a.json: annotation 2 is no polygon and no box: ignored.",)


def test_boxes_of_grounded_sam_are_two_corners(tmp_path):
    entry = {"class_name": "box", "bbox": [30, 20, 70, 45], "score": [0.8]}
    given = read_json(tmp_path, {"annotations": [entry], "box_format": "xyxy"})
    assert [(b.label, b.box) for b in given.boxes] == [("box", (30, 20, 70, 45))]


def test_bare_run_lengths_are_masks(tmp_path):
    flat = BOX.ravel("F").astype(int)
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    mask = {"size": list(SIZE), "counts": np.diff(edges).tolist()}
    check(read_json(tmp_path, mask), BOX)
    check(read_json(tmp_path, [mask, mask]), BOX, BOX)

"""Masks as other tools write them: the right pixels, the right names, the right photo."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks import documented_formats, other_tools
from scenelift.errors import InputError
from scenelift.pipeline import limit_objects
from scenelift.progress import silent
from scenelift.segment.given import Canvas, GivenSegmenter, read_given
from scenelift.types import BoxPrompt, Image, Instance, Prompt, Segmentation

FILES = Path(__file__).parent / "masks"
SIZE = (240, 320)
BOX_BALL, BOX_BOX = (50, 80, 141, 171), (200, 90, 271, 181)


def truth(name: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(FILES / f"mask_{name}.png")) > 0


def read(*names: str | Path, phrases=(), photo: str = "photo.png", size=SIZE):
    image = Image(pixels=np.zeros((*size, 3), np.uint8))
    return read_given(
        [FILES / name for name in names], Canvas.of_image(image, FILES / photo), phrases
    )


@pytest.mark.parametrize(
    "name", ["quantize2.png", "maskrgb.gif", "mask_palette_white_first.png", "mask_circle.png"]
)
def test_a_palette_is_read_by_its_colours(name):
    (found,) = read(name).instances
    np.testing.assert_array_equal(found.mask, truth("circle"))


@pytest.mark.parametrize("name", ["bright_colours_rgba.png", "cvat_colours_rgba.png"])
def test_one_colour_is_one_object_with_and_without_alpha(tmp_path, name):
    ball, box = read(name).instances
    np.testing.assert_array_equal(ball.mask, truth("circle"))
    np.testing.assert_array_equal(box.mask, truth("square"))
    rgba = np.array(PIL.Image.open(FILES / name))
    PIL.Image.fromarray(rgba[..., :3]).save(tmp_path / "rgb.png")
    rgba[..., 3] = np.where(rgba[..., :3].any(-1), 255, 0)
    PIL.Image.fromarray(rgba).save(tmp_path / "clear.png")
    for file in ("rgb.png", "clear.png"):
        np.testing.assert_array_equal(
            [i.mask for i in read(tmp_path / file).instances], [ball.mask, box.mask]
        )


@pytest.mark.parametrize("border", [1, 5])
def test_the_border_of_voc_is_no_object(tmp_path, border):
    from scipy import ndimage

    numbers = truth("circle") + 2 * truth("square").astype(np.uint8)
    edge = ndimage.binary_dilation(numbers > 0, iterations=border) & (
        ndimage.grey_erosion(numbers, (2 * border + 1,) * 2) == 0
    )
    indices = np.where(edge, 255, numbers).astype(np.uint8)
    picture = PIL.Image.fromarray(indices)
    picture.save(tmp_path / "grey.png")
    palette = np.zeros((256, 3), np.uint8)
    palette[[1, 2, 255]] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
    picture.putpalette(palette.ravel().tolist())
    picture.save(tmp_path / "voc.png")
    for name in ("voc.png", "grey.png"):
        given = read(tmp_path / name)
        np.testing.assert_array_equal(
            [i.mask for i in given.instances], [indices == 1, indices == 2]
        )
        assert given.notes == (f"{name}: 255 was taken to mark pixels of no object.",)
    # This one's palette ends before 255, which viewers show as black.
    given = read("voc_instances_void255.png")
    assert [i.box for i in given.instances] == [(51, 81, 140, 170), (201, 91, 270, 180)]


def test_grey_numbers_may_be_sparse_and_many():
    values = np.asarray(PIL.Image.open(FILES / "city_L.png"))
    found = read("city_L.png", size=(400, 600)).instances
    np.testing.assert_array_equal(
        [i.mask for i in found], [values == k for k in np.unique(values)[1:]]
    )


def test_numbers_of_sixteen_bits_and_two_greys_are_objects(tmp_path):
    values = truth("circle") * 24001 + truth("square") * np.uint16(24002)
    PIL.Image.fromarray(values.astype(np.uint16)).save(tmp_path / "ids.png")
    assert [i.box for i in read(tmp_path / "ids.png").instances] == [BOX_BALL, BOX_BOX]
    painted = truth("circle") * np.uint8(100) + truth("square") * np.uint8(255)
    PIL.Image.fromarray(painted.astype(np.uint8)).save(tmp_path / "painted.png")
    assert [i.box for i in read(tmp_path / "painted.png").instances] == [BOX_BALL, BOX_BOX]


@pytest.mark.parametrize(("around", "inside"), [(1, 2), (10, 200), (128, 255), (254, 255)])
def test_of_two_greys_that_fill_the_photo_the_brighter_one_is_the_object(tmp_path, around, inside):
    values = np.where(truth("circle"), inside, around).astype(np.uint8)
    PIL.Image.fromarray(values).save(tmp_path / "two.png")
    assert [i.box for i in read(tmp_path / "two.png").instances] == [BOX_BALL]


@pytest.mark.parametrize("blur", [1, 3, 10])
def test_soft_edges_however_wide_are_one_mask(tmp_path, blur):
    from PIL import ImageFilter

    soft = PIL.Image.open(FILES / "mask_circle.png").filter(ImageFilter.GaussianBlur(blur))
    soft.save(tmp_path / "soft.png")
    soft.convert("RGB").save(tmp_path / "soft.jpg", quality=80)
    for name in ("soft.png", "soft.jpg"):
        (found,) = read(tmp_path / name).instances
        both = (found.mask & truth("circle")).sum() / (found.mask | truth("circle")).sum()
        # Half of the brightness lies further in, the wider the blur of a round edge is.
        assert both > 0.97 - 0.005 * blur, name


def test_blended_edges_of_colours_go_to_the_nearer_object(tmp_path):
    rgba = PIL.Image.open(FILES / "cvat_colours_rgba.png").convert("RGB")
    blended = rgba.resize((640, 480), PIL.Image.Resampling.BICUBIC).resize(
        (320, 240), PIL.Image.Resampling.BILINEAR
    )
    blended.save(tmp_path / "blended.png")
    ball, box = read(tmp_path / "blended.png").instances
    for found, name in ((ball, "circle"), (box, "square")):
        assert (found.mask ^ truth(name)).sum() < 0.05 * truth(name).sum()


def test_arrays_are_masks_numbers_or_stacks(tmp_path):
    both = np.stack([truth("circle"), truth("square")])
    np.save(tmp_path / "stack.npy", both[:, None])  # as SAM's predictors return them
    np.savez(tmp_path / "masks.npz", masks=both, scores=np.ones(2))
    np.save(tmp_path / "numbers.npy", both[0] + 2 * both[1].astype(np.int64))
    for name in ("stack.npy", "masks.npz", "numbers.npy"):
        np.testing.assert_array_equal([i.mask for i in read(tmp_path / name).instances], both)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        read(tmp_path / "objects.npy")


def test_numbered_files_come_in_the_order_of_their_numbers(tmp_path):
    for number in (0, 1, 2, 10, 11):
        mask = np.zeros(SIZE, np.uint8)
        mask[: 2 * number + 20, :50] = 255
        PIL.Image.fromarray(mask).save(tmp_path / f"{number}.png")
    areas = [int(i.mask.sum()) for i in read(tmp_path).instances]
    assert areas == sorted(areas)


def test_a_mask_added_to_a_folder_of_segment_is_an_object(tmp_path):
    shutil.copytree(FILES / "seg_added", tmp_path / "masks")
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "masks" / "overlay.png")
    found = read(tmp_path / "masks").instances
    assert [(i.label, i.score, i.box) for i in found] == [
        ("ball", 0.9, BOX_BALL),
        ("box", 1.0, BOX_BOX),
    ]


@pytest.mark.parametrize(
    ("phrases", "labels"),
    [
        ((), ["red ball", "object"]),
        (("cup",), ["cup", "cup"]),
        (("cup", "spoon"), ["cup", "spoon"]),
    ],
)
def test_masks_are_called_by_phrases_then_by_their_files(tmp_path, phrases, labels):
    shutil.copy(FILES / "mask_circle.png", tmp_path / "red ball.png")
    shutil.copy(FILES / "mask_square.png", tmp_path / "photo_mask_2.png")
    files = [tmp_path / "red ball.png", tmp_path / "photo_mask_2.png"]
    assert [i.label for i in read(*files, phrases=phrases).instances] == labels


def test_more_phrases_than_masks_are_refused_with_both_numbers():
    with pytest.raises(InputError, match="3 phrases and 2 masks"):
        read("bright_colours_rgba.png", phrases=("a", "b", "c"))


@pytest.mark.parametrize(("photo", "label"), [("photo.png", "杯子"), ("other.jpg", "Schüssel")])
def test_coco_of_several_photos_gives_those_of_this_one(photo, label):
    given = read("coco_two_images.json", photo=photo)
    assert [i.label for i in given.instances] == [label]
    assert "annotations of other photos" in given.notes[0]


def test_coco_is_refused_where_its_photo_cannot_be_told():
    with pytest.raises(InputError, match=r"2 photos \(photo.png, other.png\).*mine.png"):
        read("coco_two_images.json", photo="mine.png")
    with pytest.raises(InputError, match=r"600 × 400 pixels, and a\.png has 320 × 240"):
        read("multi.json", photo="a.png")


def test_coco_results_are_chosen_by_the_number_in_the_photos_name(tmp_path):
    square = [[10, 10, 60, 10, 60, 60, 10, 60]]
    results = [{"image_id": k, "category_id": 1, "segmentation": square} for k in (7, 42, 42)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert len(read(tmp_path / "results.json", photo="000000000042.jpg").instances) == 2


def test_polygons_cover_the_pixels_whose_centres_they_hold(tmp_path):
    bent = [10, 10, 60, 10, 60, 30.5, 30, 30.5, 30, 60, 10, 60]
    entry = {"segmentation": [bent, [100.5, 10, 110.5, 10, 110.5, 20]], "category_id": 1}
    (tmp_path / "a.json").write_text(json.dumps([entry]))
    (found,) = read(tmp_path / "a.json").instances
    # 50 × 20 and 20 × 30 of the first: rows 10…29 wide (30.5 is the centre of row 30: outside).
    assert found.mask[:, :100].sum() == 50 * 20 + 20 * 30
    # Row k begins right of 100.5 + k + .5 and ends left of 110.5: 9 + 8 + … + 0 centres.
    assert found.mask[:, 100:].sum() == 45


def test_the_best_scores_of_given_masks_are_kept_in_their_order():
    given = read("coco_scores.json")
    assert [i.score for i in given.instances] == [0.2, 0.95, 0.6]
    kept = limit_objects(Segmentation(instances=given.instances), 2)
    assert [i.score for i in kept.instances] == [0.95, 0.6]
    assert [d.score for d in kept.dropped] == [0.2]


class BoxFiller:
    """Takes all of a box for the object."""

    name, version = "filler", "1"

    def segment(self, image, prompt, report):
        found = []
        for drawn in prompt.boxes:
            mask = np.zeros((image.height, image.width), bool)
            x0, y0, x1, y1 = (round(v) for v in drawn.box)
            mask[y0:y1, x0:x1] = True
            found.append(Instance(mask=mask, label=drawn.label, score=1.0, box=drawn.box))
        return Segmentation(instances=tuple(found))


def test_boxes_without_masks_become_prompts(tmp_path):
    boxes = read("coco_bbox_only.json").boxes
    assert boxes == (BoxPrompt(box=(50, 80, 140, 170), label="cup"),)
    shapes = [
        {"label": "cup", "points": [[140, 170], [50, 80]], "shape_type": "rectangle"},
        {"label": "tip", "points": [[1, 1]], "shape_type": "point"},
    ]
    (tmp_path / "l.json").write_text(json.dumps({"shapes": shapes}))
    given = read(tmp_path / "l.json", "mask_square.png")
    assert given.boxes == boxes
    assert "shape 1 (point) encloses nothing" in given.notes[0]
    segmenter = GivenSegmenter(given.instances, boxes=given.boxes, cutter=BoxFiller())
    image = Image(pixels=np.zeros((*SIZE, 3), np.uint8))
    found = segmenter.segment(image, Prompt(), silent())
    assert [i.label for i in found.instances] == ["square", "cup"]
    assert found.instances[1].mask.sum() == 90 * 90


def corners(of):
    """A box's corners x0, y0, x1, y1 in parts of the photo."""
    return [of[0] / 320, of[1] / 240, of[2] / 320, of[3] / 240]


def coco(**annotation):
    image = {"id": 1, "file_name": "photo.png", "width": 320, "height": 240}
    entry = {"image_id": 1, "category_id": "1", **annotation}
    names = [{"id": 1, "name": "cup"}]
    return json.dumps({"images": [image], "categories": names, "annotations": [entry]})


def labelme(points, kind):
    shape = {"label": "cup", "points": points, "shape_type": kind}
    return json.dumps({"shapes": [shape], "imagePath": "..\\photo.png"})


X0, Y0, X1, Y1 = corners((80, 60, 160, 120))
VOC = """<annotation><filename>photo.png</filename><size><width>320</width><height>240</height>
<depth>3</depth></size><object><name>cup</name><bndbox><xmin>80</xmin><ymin>60</ymin>
<xmax>160</xmax><ymax>120</ymax></bndbox></object></annotation>"""
IN_PARTS = {  # written from each tool's description
    "COCO's box.json": coco(bbox=[X0, Y0, X1 - X0, Y1 - Y0]),
    "COCO's polygon.json": coco(segmentation=[[X0, Y0, X1, Y0, X1, Y1, X0, Y1]]),
    "pairs.json": coco(segmentation=[[[80, 60], [160, 60], [160, 120], [80, 120]]]),
    "labelme's rectangle.json": labelme([[X0, Y0], [X1, Y1]], "rectangle"),
    "labelme's polygon.json": labelme([[X0, Y0], [X1, Y0], [X1, Y1], [X0, Y1]], "polygon"),
    "YOLO's box.txt": f"0 {(X0 + X1) / 2} {(Y0 + Y1) / 2} {X1 - X0} {Y1 - Y0} 0.5\n\n",
    "YOLO's polygon.txt": f"0 {X0} {Y0} {X1} {Y0} {X1} {Y1} {X0} {Y1}",
    "VIA.json": json.dumps(
        {
            "other.png9": {"filename": "other.png", "regions": []},
            "photo.png7": {
                "filename": "photo.png",
                "regions": [
                    {
                        "shape_attributes": {
                            "name": "polygon",
                            "all_points_x": [80, 160, 160, 80],
                            "all_points_y": [60, 60, 120, 120],
                        },
                        "region_attributes": {"type": {"cup": True}},
                    }
                ],
            },
        }
    ),
    "VIA of version 1.json": json.dumps(
        {
            "_via_img_metadata": {
                "photo.png7": {
                    "filename": "photo.png",
                    "regions": {
                        "0": {
                            "shape_attributes": {
                                **{"name": "rect", "x": 80, "y": 60, "width": 80, "height": 60}
                            },
                            "region_attributes": {"label": "cup"},
                        },
                        "1": {"shape_attributes": {"name": "point", "cx": 1, "cy": 1}},
                    },
                }
            }
        }
    ),
    "VIA's ellipse.json": json.dumps(
        {
            "a": {
                "filename": "photo.png",
                "regions": [
                    {
                        "shape_attributes": {
                            **{"name": "ellipse", "cx": 120, "cy": 90, "rx": 30, "ry": 40},
                            "theta": np.pi / 2,
                        },
                        "region_attributes": {"name": "cup"},
                    }
                ],
            }
        }
    ),
    "VOC.xml": VOC,
    "VOC in parts.xml": VOC.replace(">80<", f">{X0}<").replace(">60<", f">{Y0}<").replace(
        ">160<", f">{X1}<").replace(">120<", f">{Y1}<"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PARTS)
@pytest.mark.parametrize("classes", ["classes.txt", "data.yaml"])
def test_coordinates_of_other_tools_are_pixels_or_parts_of_the_photo(tmp_path, name, classes):
    (tmp_path / name).write_text(IN_PARTS[name])
    listed = "names: ['cup', spoon]" if classes == "data.yaml" else "cup\nspoon\n"
    (tmp_path / classes).write_text(f"nc: 2\n{listed}" if "yaml" in classes else listed)
    given = read(tmp_path / name)
    (label, box) = next((i.label, i.box) for i in (*given.instances, *given.boxes))
    assert label == "cup"
    np.testing.assert_allclose(box, (80, 60, 160, 120), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", coco(bbox=[80, 60, 310, 230]), "annotation 0 .*looks like two corners"),
        ("a.json", coco(bbox=[400, 60, 10, 10]), "outside the photo, 320 × 240"),
        ("a.json", coco(bbox=[0.5, 0.5, 1.5, 0.7]), "smaller than 2 pixels"),
        ("a.json", coco(segmentation=[[400, 1, 500, 1, 500, 90]]), "cup covers no pixel"),
        ("a.txt", "0 80 60 20 30", "a.txt: line 1 has 80, which is no part"),
        ("a.txt", "cup 0.5 0.5 0.1 0.1", "line 1 is 'cup 0.5"),
        ("a.xml", VOC.replace("80", "left"), "object 0 has the corners .*'left'.*four numbers"),
        ("a.xml", VOC.replace("<width>320", "<width>640"), "of 640 × 240 pixels, and photo.png"),
    ],
)
def test_coordinates_of_other_tools_that_mean_neither_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_turned_rectangle_of_label_studio_is_the_box_that_holds_it(tmp_path):
    value = {"x": 50, "y": 25, "width": 25, "height": 25, "rotation": 90, "labels": ["cup"]}
    region = {"type": "rectangle", "original_width": 320, "original_height": 240, "value": value}
    task = {"data": {"image": "photo.png"}, "annotations": [{"result": [region]}]}
    (tmp_path / "a.json").write_text(json.dumps([task]))
    (cup,) = read(tmp_path / "a.json").boxes
    # 80 × 60 pixels, turned clockwise about the corner at 160, 60: they lie to its left.
    np.testing.assert_allclose(cup.box, (100, 60, 160, 140))


def test_only_crowds_are_answered_with_what_to_give(tmp_path):
    crowd = {"iscrowd": 1, "segmentation": {"size": [240, 320], "counts": [0, 240 * 320]}}
    (tmp_path / "a.json").write_text(json.dumps([crowd, crowd]))
    with pytest.raises(InputError, match=r"all annotations \(2\) are crowds.*boxes.*--box"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["COCO's box.json", "labelme's rectangle.json", "VOC.xml"])
def test_annotations_of_a_photo_of_another_name_say_so(tmp_path, name):
    (tmp_path / name).write_text(IN_PARTS[name])
    assert not any("is about" in n for n in read(tmp_path / name, photo="PHOTO.JPG").notes)
    (note, *_) = (n for n in read(tmp_path / name, photo="desk.jpg").notes if "is about" in n)
    assert note.startswith(f"{name} is about photo.png, whose size")
    assert note.endswith("it was taken for desk.jpg.")


def test_of_a_folder_of_many_photos_annotations_this_photos_are_taken(tmp_path):
    for name, box in (("photo.txt", "0.5 0.5 0.25 0.25"), ("other.txt", "0.2 0.2 0.1 0.1")):
        (tmp_path / name).write_text(f"0 {box}")
    (tmp_path / "read me.txt").write_text("by hand")
    given = read(tmp_path)
    assert [b.box for b in given.boxes] == [(120, 90, 200, 150)]
    assert "annotations in 1 other files were ignored" in given.notes[0]


def test_labelme_polygons_circles_and_masks_are_objects(tmp_path):
    buffer = io.BytesIO()
    PIL.Image.fromarray(truth("circle")[80:171, 50:141]).save(buffer, "PNG")
    shapes = [
        {"label": "cup", "points": [[10, 10], [20, 10], [20, 20], [10, 20]], "group_id": 1},
        {"label": "cup", "points": [[30, 10], [40, 10], [40, 20], [30, 20]], "group_id": 1},
        {"label": "plate", "points": [[100, 50], [120, 50]], "shape_type": "circle"},
        {
            "label": "ball",
            "points": [[50, 80], [140, 170]],
            "shape_type": "mask",
            "mask": base64.b64encode(buffer.getvalue()).decode(),
        },
    ]
    document = {"shapes": shapes, "imageHeight": 240, "imageWidth": 320}
    (tmp_path / "l.json").write_text(json.dumps(document))
    cup, plate, ball = read(tmp_path / "l.json").instances
    assert (cup.label, cup.mask.sum()) == ("cup", 200)
    assert plate.mask.sum() == pytest.approx(np.pi * 20**2, rel=0.01)
    np.testing.assert_array_equal(ball.mask, truth("circle"))
    document["imageWidth"] = 640
    (tmp_path / "l.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"640 × 240 pixels, and photo\.png has 320 × 240"):
        read(tmp_path / "l.json")


def test_colours_are_called_as_cvats_label_map_has_them(tmp_path):
    (tmp_path / "SegmentationObject").mkdir()
    shutil.copy(FILES / "cvat_colours_rgba.png", tmp_path / "SegmentationObject" / "photo.png")
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nball:250,50,83::\nbox:61,61,245::"
    (tmp_path / "labelmap.txt").write_text(lines)
    found = read(tmp_path / "SegmentationObject" / "photo.png").instances
    assert [i.label for i in found] == ["ball", "box"]


def test_a_larger_mask_of_a_reduced_photo_is_reduced_with_it(tmp_path):
    pixels = np.zeros((120, 160, 3), np.uint8)
    small = Canvas.of_image(Image(pixels=pixels, own_size=(320, 240)), FILES / "photo.png")
    (ball,) = read_given([FILES / "mask_circle.png"], small).instances
    assert ball.mask.shape == (120, 160)
    assert ball.mask.sum() == pytest.approx(truth("circle").sum() / 4, rel=0.02)
    (cup,) = read_given([FILES / "coco_bbox_only.json"], small).boxes
    assert cup.box == (25, 40, 70, 85)


MAKERS = {
    name: make
    for name, make in other_tools.MASKS.items()
    if make[0] == "format" or name.startswith(("Pillow", "NumPy"))
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_form_of_other_tools_gives_its_masks_back(tmp_path, name):
    file = tmp_path / MAKERS[name][1](tmp_path)
    image = Image(pixels=np.zeros((*SIZE, 3), np.uint8))
    given = read_given([file], Canvas.of_image(image, tmp_path / "photo.png"))
    assert len(given.instances) + len(given.boxes) == 2
    for instance in given.instances:
        ious = [(instance.mask & t).sum() / (instance.mask | t).sum() for t in other_tools.truth()]
        # Corners of a rectangle in per cent are rounded to a pixel.
        assert max(ious) == 1 or ("rectangle" in name and max(ious) > 0.97)
    if name.startswith(("CVAT", "Label", "Supervisely")) or name in documented_formats.DOCUMENTS:
        assert {i.label for i in (*given.instances, *given.boxes)} == {"ball", "box"}
    if name in documented_formats.DOCUMENTS:
        expected = dict(
            zip(("ball", "box"), map(documented_formats.corners, other_tools.truth()), strict=True)
        )
        assert {b.label: b.box for b in given.boxes}.items() <= expected.items()


def test_several_photos_of_any_tool_need_the_photos_name(tmp_path):
    for name in ("BDD100K", "VIA 2, CSV", "VIA 3", "Datumaro", "Create ML, boxes"):
        file = tmp_path / MAKERS[name][1](tmp_path)
        with pytest.raises(InputError, match=r"of 2 photos .*unclear which of them is desk.png"):
            read(file, photo="desk.png")
        (tmp_path / file.name).unlink()


POSE = "0 0.3 0.52 0.28 0.375" + 8 * " 0.3 0.5{v}" + 9 * " 0.32 0.6{v}"
BOX_OF_POSE = (0.16 * 320, 0.3325 * 240, 0.44 * 320, 0.7075 * 240)


@pytest.mark.parametrize("v", ["", " 1", " 2"])
@pytest.mark.parametrize("listed", [True, False])
def test_key_points_of_yolo_are_no_outline(tmp_path, v, listed):
    lines = POSE.format(v=v)
    if listed:
        lines = lines.rsplit(" 0.32", 4)[0]  # any number of points
        shape = f"[13, {3 if v else 2}]"
        (tmp_path / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [person]\n")
    (tmp_path / "photo.txt").write_text(lines)
    labels = read(tmp_path / "photo.txt")
    assert not labels.instances
    np.testing.assert_allclose(labels.boxes[0].box, BOX_OF_POSE)
    assert any("key points" in note for note in labels.notes)


@pytest.mark.parametrize("end", ["0.91", "0.91 7", "7", ""])
def test_scores_and_tracks_end_lines_of_yolo(tmp_path, end):
    outline = "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5 0.05 0.3"
    lines = [f"32 0.3 0.5 0.2 0.4 {end}", f"32 {outline} {end.replace('7', '12')}"]
    (tmp_path / "photo.txt").write_text("\n".join(lines))
    labels = read(tmp_path / "photo.txt")
    np.testing.assert_allclose(labels.boxes[0].box, (64, 72, 128, 168))
    (area,) = labels.instances
    assert area.score == (0.91 if "0.91" in end else 1)
    assert abs(area.mask.sum() - 320 * 240 * 0.17) < 50


def coco_text(lengths):
    """Run lengths as pycocotools packs them, written from the description of the format."""
    text = ""
    for number, length in enumerate(lengths):
        rest = length - (lengths[number - 2] if number > 2 else 0)
        more = True
        while more:
            code, rest = rest & 31, rest >> 5
            more = rest != (-1 if code & 16 else 0)
            text += chr(code + 48 + 32 * more)
    return text


def test_run_lengths_as_python_shows_bytes_are_read(tmp_path):
    text = coco_text([240 * 100 + 60, 90, 150, 92, 76800 - 24060 - 90 - 150 - 92])
    expected = np.zeros(SIZE, bool)
    expected[60:150, 100] = expected[60:152, 101] = True
    for counts in (text, str(text.encode())):
        runs = {"size": [240, 320], "counts": counts}
        (tmp_path / "a.json").write_text(json.dumps([{"segmentation": runs}]))
        np.testing.assert_array_equal(read(tmp_path / "a.json").instances[0].mask, expected)
    (tmp_path / "a.json").write_text(json.dumps([{"segmentation": "text"}]))
    with pytest.raises(InputError, match="segmentation is 'text'; polygons or run lengths"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps([{"bbox": [9, 9, 9, 9]}] * 1001), "1001 objects of this photo; up to 1000"),
        ('[{"segmentation": {"size": [240, 320], "counts": [-5, 76805]}}]', "whole numbers from 0"),
        ('{"annotations": [], "annotations": []}', "has the name 'annotations' twice"),
    ],
)
def test_coco_that_is_too_much_or_unclear_is_refused_before_it_is_drawn(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.json")


def test_curves_of_bdd100k_bend_and_its_lines_enclose_nothing(tmp_path):
    k = 4 / 3 * (2**0.5 - 1) * 40  # a circle of radius 40 in four curves, to .03 %
    vertices = [
        *((160, 80), (160 + k, 80), (200, 120 - k)),
        *((200, 120), (200, 120 + k), (160 + k, 160)),
        *((160, 160), (160 - k, 160), (120, 120 + k)),
        *((120, 120), (120, 120 - k), (160 - k, 80)),
    ]
    shape = [{"vertices": vertices, "types": "LCCLCCLCCLCC", "closed": True}]
    labels = [{"category": "ball", "poly2d": shape, "score": 0.5}]
    (tmp_path / "a.json").write_text(json.dumps([{"name": "photo.png", "labels": labels}]))
    (ball,) = read(tmp_path / "a.json").instances
    y, x = np.mgrid[:240, :320] + 0.5
    assert (ball.mask ^ ((x - 160) ** 2 + (y - 120) ** 2 < 1600)).sum() < 20
    assert ball.score == 0.5


def geojson(tmp_path, coordinates, **more) -> Path:
    feature = {
        "type": "Feature",
        "properties": {"label": "ring"},
        "geometry": {"type": "MultiPolygon", "coordinates": coordinates},
    }
    file = tmp_path / "a.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature], **more}))
    return file


def square(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def test_areas_of_geojson_have_holes_and_parts_in_pixels_that_may_count_upwards(tmp_path):
    expected = np.zeros(SIZE, bool)
    expected[10:90, 10:90] = True
    expected[30:50, 30:50] = False
    expected[100:120, 200:240] = True
    parts = [[square(10, 10, 90, 90), square(30, 30, 50, 50)], [square(200, 100, 240, 120)]]
    (ring,) = read(geojson(tmp_path, parts)).instances
    np.testing.assert_array_equal(ring.mask, expected)
    assert ring.label == "ring"
    below = [[[[x, -y] for x, y in line] for line in part] for part in parts]
    (ring,) = read(geojson(tmp_path, below)).instances
    np.testing.assert_array_equal(ring.mask, expected)


@pytest.mark.parametrize(
    ("part", "more"),
    [
        (square(13.3701, 52.5101, 13.3708, 52.5107), {}),
        (square(388000, 5819000, 388050, 5819050), {}),
        (square(10, 10, 90, 90), {"crs": {"properties": {"name": "EPSG:4326"}}}),
    ],
)
def test_places_on_a_map_are_refused(tmp_path, part, more):
    with pytest.raises(InputError, match="places on a map, not pixels"):
        read(geojson(tmp_path, [[part]], **more))


def brush(mask: np.ndarray) -> list[int]:
    """Label Studio's run lengths, written from their description: literals of one value."""
    values = np.repeat(mask.astype(np.uint8).ravel() * 255, 4)
    bits = f"{len(values):032b}" + f"{7:05b}" + f"{3:04b}{7:04b}{11:04b}{15:04b}"
    for start in range(0, len(values), 65536):
        part = values[start : start + 65536]
        edges = np.flatnonzero(np.diff(part, prepend=part[0])).tolist()
        for first, last in zip([0, *edges], [*edges, len(part)], strict=True):
            bits += f"1{3:02b}{last - first - 1:016b}{int(part[first]):08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_brushes_of_label_studio_are_read_to_the_pixel(tmp_path):
    value = {"format": "rle", "rle": brush(truth("circle")), "brushlabels": ["ball"]}
    region = {"type": "brushlabels", "original_width": 320, "original_height": 240, "value": value}
    task = {"data": {"image": "x.png"}, "annotations": [{"result": [region]}]}
    (tmp_path / "t.json").write_text(json.dumps([task]))
    (ball,) = read(tmp_path / "t.json").instances
    np.testing.assert_array_equal(ball.mask, truth("circle"))
    for damaged in ([], value["rle"][:40], [255] * 40):
        value["rle"] = damaged
        (tmp_path / "t.json").write_text(json.dumps([task]))
        with pytest.raises(InputError, match=r"t\.json cannot be read"):
            read(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xml", "<annotations>", "cannot be read as XML"),
        ("a.xml", "<!DOCTYPE x><annotations/>", "declares entities"),
        ("a.xml", "<annotations/>", "no CVAT export"),
        ("a.xml", '<a><image width="320" height="240"><box/></image></a>', "cannot be read"),
        (
            "a.xml",
            '<a><image width="320" height="240"><mask rle="9" left="0" top="0" width="2" '
            'height="2"/></image></a>',
            "sum to 9, not 4",
        ),
        ("a.json", '{"size": {}, "objects": []}', "cannot be read"),
        (
            "a.json",
            '{"size": {"height": 240, "width": 320}, "objects": [{"geometryType": "bitmap", '
            '"bitmap": {"data": "AAAA", "origin": [0, 0]}}]}',
            "cannot be read",
        ),
        ("a.json", '[{"data": {"i": "a.png"}, "annotations": []}, {"data": {}, "annotations": []}]',
         "2 tasks"),
        ("a.json", '{"shapes": [{"points": 7}]}', "shape 0"),
        ("a.json", '{"images": {}}', "Most tools export COCO"),
    ],
)  # fmt: skip
def test_damaged_annotations_are_refused_with_their_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path / name)
    assert name in str(refused.value)


@pytest.mark.parametrize("shape", [(1001, 240, 320), (240, 320, 1001), (1, 1001, 240, 320)])
def test_a_stack_is_counted_before_its_values_are_read(tmp_path, shape):
    with (tmp_path / "masks.npy").open("wb") as file:  # the header alone
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(InputError, match="holds 1001 masks; up to 1000 are read"):
        read(tmp_path / "masks.npy")

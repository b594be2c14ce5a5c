"""What callers from Python and people at a prompt write is understood, or refused with help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from scenelift.contracts import check_points, check_reconstruction, check_segmentation
from scenelift.errors import BackendFault, BackendUnavailable, ImageError, InputError
from scenelift.inputs import as_image, as_prompt, as_seed
from scenelift.io.ply import read_ply, write_ply
from scenelift.options import BackendOptions, LayoutOptions
from scenelift.pipeline import Pipeline, find_objects
from scenelift.progress import silent
from scenelift.prompts import in_pixels, parse_prompt_phrases
from scenelift.registry import Backend
from scenelift.segment import SEGMENTERS
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    ball_shape,
    disc_photo,
)
from scenelift.types import (
    BoxPrompt,
    Camera,
    Image,
    Instance,
    PointMap,
    PointPrompt,
    Pose,
    Prompt,
    Reconstruction,
    Segmentation,
    Shape,
)

PHOTO = Image(pixels=np.zeros((40, 60, 3), np.uint8))


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("cup", ["cup"]),
        ("cup; spoon", ["cup", "spoon"]),
        ("cup, dining table", ["cup", "dining table"]),
        ("cup . spoon .", ["cup", "spoon"]),
        ("cup. spoon.", ["cup", "spoon"]),
        ("a St. Bernard dog", ["a St. Bernard dog"]),
        ("the dog.", ["the dog"]),
        ("杯子；勺子", ["杯子", "勺子"]),
        ("杯子，勺子、碗", ["杯子", "勺子", "碗"]),
        ("cup\n dining  table\r\n", ["cup", "dining table"]),
        ('["cup","spoon, silver"]', ["cup", "spoon, silver"]),
        ("['cup', 'spoon']", ["cup", "spoon"]),
        ("[cup, spoon]", ["cup", "spoon"]),
        ("['cup' 'spoon']", ["cup", "spoon"]),
        ("{'cup', 'spoon'}", ["cup", "spoon"]),
        ("cup;;cup,", ["cup"]),
        ("cup | spoon｜bowl", ["cup", "spoon", "bowl"]),
        ("كوب، ملعقة؛ طبق", ["كوب", "ملعقة", "طبق"]),
        ("杯子。勺子。", ["杯子", "勺子"]),
        ("cup • spoon\tbowl", ["cup", "spoon", "bowl"]),
        ("1. cup 2. dining table", ["cup", "dining table"]),
        ("1) cup\n2) table", ["cup", "table"]),
        ("(a) cup (b) table", ["cup", "table"]),
        ("1、杯子 2、桌子", ["杯子", "桌子"]),
        ("- cup\n- t-shirt", ["cup", "t-shirt"]),
        ("- cup\\n- table", ["cup", "table"]),
        ("* cup * table", ["cup", "table"]),
        ("- [ ] cup\n- [x] table", ["cup", "table"]),
        ("1.5 l bottle", ["1.5 l bottle"]),
        ("a 1,000 piece puzzle", ["a 1,000 piece puzzle"]),
        ("cup and spoon", ["cup", "spoon"]),
        ("a red cup, spoon, and fork", ["a red cup", "spoon", "fork"]),
        ("cup & spoon", ["cup", "spoon"]),
        ("cup/mug", ["cup", "mug"]),
        ("cup + spoon or fork", ["cup", "spoon", "fork"]),
        ("salt and pepper shakers", ["salt and pepper shakers"]),
        ("black and white cat", ["black and white cat"]),
        ("cat in black/white", ["cat in black/white"]),
        ("man with hat and coat", ["man with hat and coat"]),
        ("H & M bag", ["H & M bag"]),
        ('"cup and saucer", “salt; pepper”', ["cup and saucer", "salt; pepper"]),
        ("„Tasse“; «verre», 「杯子」", ["Tasse", "verre", "杯子"]),
        ("'cup.', spoon\"", ["cup", "spoon"]),
        ("monitor 24\"; the dogs' bowl", ['monitor 24"', "the dogs' bowl"]),
        ("a St. Bernard. cup!", ["a St. Bernard. cup"]),
        ("a St. Bernard. cup.", ["a St. Bernard", "cup"]),
        ("cafe\u0301, \ufeffcup\u200b, \u2067كوب\u2069", ["café", "cup", "كوب"]),
        ("cup, etc.", ["cup"]),
        ("① cup ② spoon", ["cup", "spoon"]),
        ("⑴杯子⑵勺子", ["杯子", "勺子"]),
        ("cup (red, big); spoon", ["cup (red, big)", "spoon"]),
        ("cup (red and big)", ["cup (red and big)"]),
        ("bottle （0,5 l；blue）, cup", ["bottle （0,5 l；blue）", "cup"]),
        ('{"prompt": "cup"}', ["cup"]),
        ('{"phrases": ["cup", "red, big spoon"]}', ["cup", "red, big spoon"]),
        ('["cup"', ["cup"]),
        ("[cup, spoon", ["cup", "spoon"]),
        ("Cup; cup", ["Cup"]),
        ("コップ・スプーン", ["コップ・スプーン"]),
        ("¿taza?, ¡cuchara!", ["taza", "cuchara"]),
    ],
)
def test_a_list_is_read_as_people_write_it(text, phrases):
    assert parse_prompt_phrases([text]) == tuple(phrases)


@pytest.mark.parametrize("text", ["", " ; ", " . ", "[]", '[""]', ",", '""', "- ", "\u200b"])
def test_a_list_of_nothing_is_refused(text):
    with pytest.raises(InputError, match="prompt is empty"):
        parse_prompt_phrases([text])


def test_an_object_of_json_is_no_phrase():
    with pytest.raises(InputError, match="Give its phrases"):
        parse_prompt_phrases(['{"a": "cup", "b": "spoon"}'])


def test_a_lone_text_or_box_is_one_phrase_or_box():
    assert Prompt(phrases="cup").phrases == ("cup",)
    box = BoxPrompt(box=(1.0, 2.0, 3.0, 4.0))
    for boxes in ((1, 2, 3, 4), [(1, 2, 3, 4)], box, [box], np.array([[1, 2, 3, 4]])):
        assert Prompt(boxes=boxes).boxes == (box,)
    assert Prompt(phrases="cup, dining table").phrases == ("cup", "dining table")
    assert as_prompt(Prompt(phrases=("cup, large",))).phrases == ("cup, large",)


def test_texts_serve_as_paths_and_prompts(tmp_path):
    image = disc_photo()
    assert BackendOptions(weights=str(tmp_path)).weights == tmp_path
    splats = ball_shape((200, 40, 40)).gaussians
    write_ply(tmp_path / "a.ply", splats)
    assert len(read_ply(str(tmp_path / "a.ply")).means) == len(splats.means)
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    mask = np.zeros((image.height, image.width), np.uint8)
    mask[10:40, 10:40] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "m.png")
    given = pipeline.with_inputs(image, masks=str(tmp_path / "m.png"), prompt="cup")
    result = given.segmenter.segment(image, Prompt(), silent())
    assert [i.label for i in result.instances] == ["cup"]


@pytest.mark.parametrize("prompt", [None, 7, ["cup", 7], [(1, 2, 3, 4)], {"cup"}])
def test_what_is_no_prompt_is_refused_with_what_is(prompt):
    with pytest.raises(InputError, match="a phrase"):
        as_prompt(prompt)


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, 2**31, "7"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(InputError, match="whole number from 0"):
        as_seed(seed)


def test_a_picture_of_pillows_is_read_as_its_file_would_be(tmp_path):
    rgba = np.zeros((32, 48, 4), np.uint8)
    rgba[:, 16:] = (10, 20, 30, 255)
    picture = PIL.Image.fromarray(rgba)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(as_image(picture).pixels, as_image(tmp_path / "a.png").pixels)
    assert as_image(str(tmp_path / "a.png")).width == 48


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4)), np.zeros((3, 32, 32), np.uint8), np.ones((32, 32, 3)), None, 7]
)
def test_what_is_no_photo_is_refused_with_what_is(photo):
    with pytest.raises(ImageError, match=r"uint8 \[H, W, 3\]"):
        as_image(photo)


BOX = BoxPrompt(box=(10.0, 20.0, 30.0, 40.0))
MUG = BoxPrompt(box=(10.0, 20.0, 30.0, 40.0), label="mug")


@pytest.mark.parametrize(
    ("written", "boxes"),
    [
        ("10,20,30,40", [BOX]),
        (" mug = 10, 20, 30, 40 ", [MUG]),
        ('"mug"=(10 20 30 40)', [MUG]),
        ("10.0;20,0;30;40", [BOX]),
        ("10,20,30,40; mug=10,20,30,40", [BOX, MUG]),
        ("[[10,20,30,40],[10,20,30,40]]", [BOX, BOX]),
        ('[{"box": [10,20,30,40], "label": "mug"}]', [MUG]),
        ("['mug=10,20,30,40']", [MUG]),
        ([[10, 20], [30, 40]], [BOX]),
        (["10,20,30,40", MUG, (10, 20, 30, 40)], [BOX, MUG, BOX]),
        (np.float32([[10, 20, 30, 40]]), [BOX]),
        (np.array(["10,20,30,40", "mug=10,20,30,40"]), [BOX, MUG]),
        (np.zeros((0, 4)), []),
        ([], []),
        ({"xmin": 10, "ymin": 20, "xmax": 30, "ymax": 40, "name": "mug"}, [MUG]),
        ({"x": 10, "y": 20, "width": 20, "height": 20}, [BOX]),
        ({"box": "10,20,30,40", "positive": False}, [BoxPrompt(box=BOX.box, positive=False)]),
    ],
)
def test_boxes_are_read_as_people_and_programs_write_them(written, boxes):
    assert list(Prompt(boxes=written).boxes) == boxes


def test_points_are_read_likewise():
    point = PointPrompt(point=(3.0, 4.0))
    for written in ("3,4", "(3, 4)", [3, 4], [[3, 4]], np.array([[3, 4]]), {"x": 3, "y": 4}, point):
        assert Prompt(points=written).points == (point,)
    assert [p.point for p in Prompt(points="1,2; 3,4").points] == [(1, 2), (3, 4)]
    assert [p.point for p in Prompt(points="1;2").points] == [(1, 2)]
    (beside,) = Prompt(points='{"point": [3, 4], "label": "mug#2", "positive": false}').points
    assert beside == PointPrompt(point=(3, 4), label="mug#2", positive=False)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ((3, 2, 1, 4), "box 3,2,1,4 is empty: x1 must exceed x0"),
        ("1,2,3", "'1,2,3' is not a box"),
        ("1;2;3;and 4", "is not a box"),
        ("1,2,3,4,5", "is not a box"),
        ("nan,1,2,3", "is not a box"),
        ([1, 2, float("inf"), 4], "is not a box"),
        ([True, 2, 3, 4], "is not a box"),
        (7, "7 is not a box"),
        (None, "None is not a box"),
        (b"1,2,3,4", "is not a box"),
        ({"box": []}, "is not a box"),
        ({"box": [[1, 2, 3, 4], [1, 2, 3, 4]]}, "is not a box"),
        ({"bounds": [1, 2, 3, 4]}, "has 'bounds', which no box has. Known: bottom"),
        ([[1, 2, 3]], "is not a box"),
    ],
)
def test_what_is_no_box_is_refused_with_what_is(written, message):
    with pytest.raises(InputError, match=message):
        Prompt(boxes=written)


@pytest.mark.parametrize("box", [(0.5, 0.25, 1, 1), (0.5, 0.25, 1.004, 1.01)])
def test_boxes_in_parts_of_the_photo_become_pixels(box):
    prompt, notes = in_pixels(Prompt(boxes=[box, (0, 0, 1, 1), (5, 5, 9, 9)]), 60, 40)
    assert [b.box for b in prompt.boxes] == [(30, 10, 60, 40), (0, 0, 60, 40), (5, 5, 9, 9)]
    assert [note.split(" was ")[1] for note in notes] == [
        "taken for parts of the photo's width and height."
    ] * 2


def test_a_note_says_that_a_box_reaches_beyond_the_photo():
    prompt, notes = in_pixels(Prompt(boxes=[(30, 10, 80, 40), (30, 10, 61, 40)]), 60, 40)
    assert [b.box for b in prompt.boxes] == [(30, 10, 80, 40), (30, 10, 61, 40)]
    (note,) = notes
    assert note.startswith("The box 30,10,80,40 reaches beyond the photo, which is 60 × 40 pixels")


def test_points_in_parts_of_the_photo_become_pixels():
    prompt, notes = in_pixels(Prompt(points=[(0.5, 0.25), (1, 1)]), 60, 40)
    assert [p.point for p in prompt.points] == [(30, 10), (60, 40)]
    assert notes == (
        "The points 0.5,0.25, 1,1 were taken for parts of the photo's width and height.",
    )
    for pixels in ([(0, 0)], [(1, 1)], [(0, 1), (1.5, 0.5)]):  # whole numbers, or beyond 1
        prompt, notes = in_pixels(Prompt(points=pixels), 60, 40)
        assert ([p.point for p in prompt.points], notes) == (pixels, ())


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ({"boxes": (70, 0, 80, 10)}, "70,0,80,10 lies outside the photo, which is 60 × 40"),
        ({"boxes": (0.5, 0.5, 1.5, 1.2)}, "1 × 0.7 pixels, too small"),
        ({"boxes": (0.1, 0.1, 0.5, 30)}, "too small"),
        ({"points": (61, 3)}, "61,3 lies outside"),
        ({"points": [(0.5, 0.4), (30, 20)]}, "Give all points in pixels .*60 × 40.*or all within"),
    ],
)
def test_coordinates_that_mean_neither_are_refused(drawn, message):
    with pytest.raises(InputError, match=message):
        in_pixels(Prompt(**drawn), 60, 40)


def instance(shape=(40, 60), *, label="cup", score=0.5):
    mask = np.zeros(shape, bool)
    mask[1:5, 1:5] = True
    return Instance(mask=mask, label=label, score=score, box=(1, 1, 5, 5))


class Mine:
    """A segmenter that returns what it was told to."""

    name, version = "mine", "1"

    def __init__(self, result):
        self.result = result

    def segment(self, image, prompt, report):
        return self.result


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "returned None; Segmentation was expected"),
        ([instance()], "returned a list"),
        (Segmentation(instances=(instance((60, 40)),)), "40 × 60 pixels, the photo 60 × 40"),
        (Segmentation(instances=(instance(score=7),)), "score 7"),
        (Segmentation(instances=(instance(label=None),)), "label None"),
        (Segmentation(instances=("cup",)), "a str, not an Instance"),
    ],
)
def test_a_segmenter_is_blamed_by_name_for_what_it_returns(result, reason):
    with pytest.raises(BackendFault, match=f"segmenter 'mine' is at fault.*{reason}"):
        find_objects(Mine(result), PHOTO, Prompt(phrases=("cup",)), silent())
    with pytest.raises(BackendFault):
        check_segmentation(result, PHOTO, backend="mine")


def test_point_mappers_and_reconstructors_are_blamed_likewise():
    camera = Camera.from_fov(30, 20, fov_deg=50)
    small = PointMap(points=np.ones((20, 30, 3), np.float32), camera=camera)
    for result, reason in ((None, "None"), (small, "is 30 × 20, the photo 60 × 40")):
        with pytest.raises(BackendFault, match=f"point mapper 'mine'.*{reason}"):
            check_points(result, PHOTO, backend="mine")
    nothing = PointMap(
        points=np.full((40, 60, 3), np.nan, np.float32),
        camera=Camera.from_fov(60, 40, fov_deg=50),
    )
    with pytest.raises(BackendFault, match="no point at all"):
        check_points(nothing, PHOTO, backend="mine")
    for value, reason in ((-np.inf, "2400 of its points are infinite"), (2.0, "z > 0, behind")):
        points = np.full((40, 60, 3), value, np.float32)
        with pytest.raises(BackendFault, match=f"point mapper 'mine'.*{reason}"):
            check_points(replace(nothing, points=points), PHOTO, backend="mine")
    empty = Reconstruction(shape=Shape(), pose=Pose())
    for result, reason in (((1, 2), "a tuple"), (empty, "neither splats nor a mesh")):
        with pytest.raises(BackendFault, match=f"reconstructor 'mine'.*{reason}"):
            check_reconstruction(result, backend="mine")


def disc() -> np.ndarray:
    mask = np.zeros((120, 160), bool)
    mask[40:80, 30:70] = True
    return mask


@pytest.mark.parametrize(
    ("masks", "labels"),
    [
        (disc(), ["thing"]),
        (disc().astype(np.float32)[None], ["thing"]),
        (np.stack([disc(), ~disc()]), ["thing", "thing"]),
        (disc() + 2 * np.roll(disc(), 60, 1).astype(int), ["thing", "thing"]),
        (PIL.Image.fromarray(disc()), ["thing"]),
        ([disc(), PIL.Image.fromarray(disc())], ["thing", "thing"]),
        ({"cup": disc(), "table": ~disc()}, ["cup", "table"]),
        ([{"segmentation": disc(), "area": 1600, "bbox": [30, 40, 40, 40]}], ["thing"]),
        ([{"mask": PIL.Image.fromarray(disc()), "label": "cup", "score": 0.9}], ["cup"]),
        (Instance(mask=disc(), label="cup", score=0.5, box=(30, 40, 70, 80)), ["cup"]),
    ],
)
def test_masks_are_arrays_and_pictures_too(masks, labels):
    image = disc_photo()
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    with_masks = pipeline.with_inputs(image, masks=masks, prompt="thing")
    found = with_masks.segmenter.segment(image, Prompt(), silent()).instances
    assert [i.label for i in found] == labels
    np.testing.assert_array_equal(found[0].mask, disc())


def test_depth_is_an_array_or_a_picture_too():
    image = disc_photo()
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    for depth in (
        np.full((120, 160), 1.5),
        np.full((1, 120, 160), 1500, np.uint16),
        PIL.Image.fromarray(np.full((120, 160), 1500, np.uint16)),
    ):
        mapper = pipeline.with_inputs(image, depth=depth).pointmapper
        points = mapper.estimate(image, (), silent()).points
        np.testing.assert_allclose(points[..., 2], -1.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"masks": np.zeros((0, 160), bool)}, "mask 0 holds bool"),
        ({"masks": np.zeros((120, 160), bool)}, "mask 0 is empty"),
        ({"masks": disc()[:60]}, "160 × 60 pixels, the photo is 160 × 120"),
        ({"masks": 7}, "A mask is '7', a int; a path"),
        ({"masks": [disc(), None]}, "A mask is 'None'"),
        ({"masks": b"m.png"}, "a bytes; a path"),
        ({"masks": " "}, "A mask is ' '"),
        ({"depth": np.zeros((0, 4))}, "depth holds float64"),
        ({"depth": np.ones((120, 160), np.uint8)}, "8 bits"),
        ({"depth": np.ones((120, 160)), "depth_scale": -1}, "positive"),
        ({"depth": np.ones((120, 160)), "depth_scale": "1"}, "depth_scale is '1', a str"),
        ({"depth": 7}, "depth holds int64"),
        ({"prompt": b"cup"}, "prompt is b'cup'"),
    ],
)
def test_what_is_no_mask_or_depth_is_refused(given, message):
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    with pytest.raises(InputError, match=message):
        pipeline.with_inputs(disc_photo(), **given)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"best_of": 0}, "best_of is 0; expected 1 to"),
        ({"best_of": "2"}, "best_of is '2', a str"),
        ({"same_seed": "yes"}, "same_seed is 'yes', a str; expected True or False"),
        ({"layout": 7}, r"layout is '7', a int; LayoutOptions\(…\) was expected"),
        ({"layout": {"refin": True}}, "layout has no such option: .*refin"),
        ({"layout": {"refine": "no"}}, "refine is 'no', a str"),
        ({"finish": {"faces": 1}}, "faces is 1; expected"),
        ({"photo": np.zeros((0, 9, 3), np.uint8)}, "photo is an array uint8"),
    ],
)
def test_options_out_of_range_or_of_another_type_are_refused_by_name(asked, message):
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    with pytest.raises(InputError, match=message):
        pipeline.run(**{"photo": disc_photo(), "prompt": "red", **asked})


def test_numbers_of_numpy_and_what_front_ends_write_are_taken():
    prompt = as_prompt(Prompt(phrases="red", max_objects=np.int64(2), min_score=np.float32(0.5)))
    assert (prompt.max_objects, prompt.min_score) == (2, 0.5)
    assert type(prompt.max_objects) is int
    options = BackendOptions(vram_bytes="8GB", threads=np.int16(2), device=1)
    assert (options.vram_bytes, options.threads, options.device) == (8 * 10**9, 2, "cuda:1")
    assert as_prompt(np.array(["cup", "spoon"])).phrases == ("cup", "spoon")
    layout = LayoutOptions(refine=np.bool_(False), known="door=2m")
    assert (layout.refine, layout.known[0].metres) == (False, 2.0)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (None, "auto"),
        ("CPU", "cpu"),
        (0, "cuda:0"),
        (np.int64(1), "cuda:1"),
        ("gpu", "cuda"),
        ("GPU:1", "cuda:1"),
        ("cuda:0, cuda:1", "cuda:0,cuda:1"),
    ],
)
def test_a_device_is_called_as_other_libraries_call_it(device, name):
    assert BackendOptions(device=device).device == name


@pytest.mark.parametrize("device", ["tpu", "", -1, True, 1.5, b"cpu", "cuda:x", ["cuda:0"]])
def test_what_is_no_device_is_refused_with_what_is(device):
    with pytest.raises(InputError, match=r"device is .*expected auto, cpu, cuda"):
        BackendOptions(device=device)


def test_a_backend_may_be_a_name_and_prepare_nothing(monkeypatch):
    color = Backend(name="fake-color", load=lambda runtime: ColorSegmenter())
    monkeypatch.setitem(SEGMENTERS._backends, "fake-color", color)

    class Plain:
        """Makes a ball of everything, and has no `begin`."""

        name, version = "plain", "1"

        def reconstruct(self, view, *, seed, report):
            return BallReconstructor().reconstruct(view, seed=seed, report=report)

    pipeline = Pipeline("fake-color", PlanePointMapper(), BallReconstructor())
    assert pipeline.with_backends(segmenter="fake-color").segmenter.name == "fake-color"
    scene = pipeline.with_backends(reconstructor=Plain()).run(
        disc_photo(), "red", layout={"refine": False, "background": "none"}
    )
    assert [o.instance.label for o in scene.objects] == ["red"]


@pytest.mark.parametrize(
    ("backends", "error", "message"),
    [
        ({"segmenter": ColorSegmenter}, InputError, "the class ColorSegmenter; give an instance"),
        ({"segmenter": "klingon"}, BackendUnavailable, "no segmenter 'klingon'"),
        ({"reconstructor": 7}, InputError, r"a int, which lacks the method reconstruct\(\)"),
        ({"pointmapper": Mine(None)}, InputError, r"lacks the method estimate\(\)"),
    ],
)
def test_what_is_no_backend_is_refused_before_it_runs(backends, error, message):
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    with pytest.raises(error, match=message):
        pipeline.with_backends(**backends)


def test_marks_of_web_pages_are_the_signs_they_stand_for():
    assert parse_prompt_phrases(["salt &amp; pepper; dog&#39;s bowl; &quot;a, b&quot;"]) == (
        *("salt & pepper", "dog's bowl", "a, b"),
    )

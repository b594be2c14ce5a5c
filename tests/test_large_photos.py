"""What is given in a large photo's own pixels lands where it was meant, however it is given."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from scenelift.commands.inputs import check_boxes
from scenelift.errors import InputError
from scenelift.io.image import read_image
from scenelift.pipeline import find_objects
from scenelift.pointmap.given import GivenPointMapper
from scenelift.progress import silent
from scenelift.segment.given import Canvas, GivenSegmenter, read_given
from scenelift.types import Image, Instance, Prompt, Segmentation
from scenelift.webapp.objects import of_segmentation

# The photo is 6000 × 4000, and worked at as 600 × 400: a tenth, so that numbers are easy to follow.
PHOTO = Image(pixels=np.zeros((400, 600, 3), np.uint8), own_size=(6000, 4000))
BOX = (930.0, 1500.0, 2630.0, 3190.0)
AT_WORK = (93.0, 150.0, 263.0, 319.0)


class Boxes:
    """Takes all of a box for an object."""

    name, version = "boxes", "1"

    def segment(self, image, prompt, report):
        found = []
        for drawn in prompt.boxes:
            mask = np.zeros((image.height, image.width), bool)
            x0, y0, x1, y1 = (round(v) for v in drawn.box)
            mask[y0:y1, x0:x1] = True
            box = Instance.box_of(mask)
            found.append(Instance(mask=mask, label="ball", score=1.0, box=box))
        return Segmentation(instances=tuple(found))


@pytest.mark.parametrize(
    "box", [BOX, tuple(v / s for v, s in zip(BOX, (6000, 4000, 6000, 4000), strict=True))]
)
def test_boxes_in_the_photos_pixels_and_in_parts_of_it(box):
    found = find_objects(Boxes(), PHOTO, Prompt(boxes=[box]), silent())
    assert found.instances[0].box == AT_WORK
    # The page and REST clients see them as they were given.
    (shown,) = of_segmentation(found, (6000, 4000))
    assert shown.box == BOX


def test_a_box_is_outside_only_where_it_is_outside_the_photo_itself():
    check_boxes(Prompt(boxes=[(5000, 3000, 5900, 3900)]), PHOTO)
    with pytest.raises(InputError, match="6000 × 4000"):
        check_boxes(Prompt(boxes=[(6000, 0, 6100, 100)]), PHOTO)


def test_masks_of_either_size_and_coordinates_of_annotations(tmp_path):
    mask = np.zeros((4000, 6000), np.uint8)
    mask[1500:3190, 930:2630] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "own.png")
    PIL.Image.fromarray(mask[::10, ::10]).save(tmp_path / "work.png")
    polygon = [930, 1500, 2630, 1500, 2630, 3190, 930, 3190]
    (tmp_path / "coco.json").write_text(
        f'[{{"segmentation": [{polygon}], "image_id": 1}},'
        '{"bbox": [930, 1500, 1700, 1690], "image_id": 1}]'
    )
    for name in ("own.png", "work.png", "coco.json"):
        given = read_given([tmp_path / name], Canvas.of_image(PHOTO))
        assert given.instances[0].box == AT_WORK, name
    segmenter = GivenSegmenter(given.instances, boxes=given.boxes, cutter=Boxes())
    found = find_objects(segmenter, PHOTO, Prompt(), silent())
    assert [i.box for i in found.instances] == [AT_WORK, AT_WORK]
    PIL.Image.fromarray(mask[::7, ::7]).save(tmp_path / "other.png")
    with pytest.raises(InputError, match="858 × 572 pixels, the photo is 6000 × 4000"):
        read_given([tmp_path / "other.png"], Canvas.of_image(PHOTO))


@pytest.mark.parametrize("step", [5, 10, 20])
@pytest.mark.parametrize("of", ["photo", "depth", "parts"])
def test_depth_of_any_size_with_intrinsics_of_any_picture(tmp_path, step, of):
    height, width = 4000 // step, 6000 // step
    k = np.array([[7200.0, 0, 3000], [0, 7200, 2000], [0, 0, 1]])
    scale = {"photo": (1, 1), "depth": (step, step), "parts": (6000, 4000)}[of]
    k[:2] /= np.array(scale)[:, None]
    np.savez(tmp_path / "d.npz", depth=np.full((height, width), 2, np.float32), intrinsics=k)
    points = GivenPointMapper.from_file(tmp_path / "d.npz").estimate(PHOTO, [], silent())
    camera = points.camera
    np.testing.assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], [720, 720, 300, 200])
    # The photo's corner is 3000 pixels of its own from the axis: 2 m · 3000 / 7200 to the left.
    assert points.points[200, 0, 0] == pytest.approx(-2 * 299.5 / 720)


def test_a_photo_that_is_read_knows_its_own_size(tmp_path):
    PIL.Image.new("RGB", (1200, 800), "red").save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", max_side=300)
    found = find_objects(Boxes(), image, Prompt(boxes=[(400, 400, 800, 600)]), silent())
    assert found.instances[0].box == (100, 100, 200, 150)

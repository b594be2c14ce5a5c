"""STL for printers: closed stays closed, z up, on the plate, in millimetres."""

import numpy as np
import pytest
import trimesh

from scenelift.errors import FormatError
from scenelift.geometry.transforms import compose_transform
from scenelift.io.glb import GlbNode
from scenelift.io.stl import write_stl
from scenelift.types import Mesh

PLACE = compose_transform(1.7, [0.9, 0.1, -0.3, 0.2], [0.5, -1, -3])


def tall_box() -> Mesh:
    box = trimesh.creation.box(extents=(1, 3, 2))
    return Mesh(vertices=box.vertices.astype(np.float32), faces=box.faces.astype(np.int32))


@pytest.mark.parametrize(("metres", "unit"), [(True, 1000), (False, 100 / 3)])
def test_a_box_stands_on_the_plate_in_its_true_size_or_100_mm_high(tmp_path, metres, unit):
    write_stl(tmp_path / "box.stl", [GlbNode(name="box", mesh=tall_box())], metres=metres)
    read = trimesh.load_mesh(tmp_path / "box.stl")
    assert read.is_watertight
    assert read.volume > 0  # outside stays outside
    expected = np.array([[-0.5, -1, 0], [0.5, 1, 3]]) * unit
    np.testing.assert_allclose(read.bounds, expected, atol=1e-3)


def test_objects_keep_their_places_among_each_other(tmp_path):
    nodes = [
        GlbNode(name="a", mesh=tall_box(), matrix=PLACE),
        GlbNode(name="b", mesh=tall_box()),
    ]
    write_stl(tmp_path / "two.stl", nodes)
    read = trimesh.load_mesh(tmp_path / "two.stl")
    assert read.body_count == 2
    sizes = sorted(part.volume for part in read.split())
    assert sizes[1] / sizes[0] == pytest.approx(1.7**3, rel=1e-4)
    assert read.extents.max() == pytest.approx(100)


def test_no_face_is_no_file(tmp_path):
    empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
    with pytest.raises(FormatError, match="no mesh"):
        write_stl(tmp_path / "none.stl", [GlbNode(name="x", mesh=empty)])

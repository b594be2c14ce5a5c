"""A catalogue of three models, made here, so that no test downloads one."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

# Benchmarks are no installed package: they are found beside `tests`, as when they are run.
sys.path.insert(0, str(Path(__file__).parents[2]))

PROPERTIES = """\
id=Test
name=Test models
license={licence}

id#1=Test#chair
name#1=Chair
category#1=Kitchen
model#1=/test/chair/chair.obj
width#1=50
depth#1=50
height#1=100
creator#1=Caf\\u00e9 Chairs

id#2=Test#refrigerator
name#2=Refrigerator
category#2=Kitchen
model#2=/test/refrigerator/refrigerator.obj
modelRotation#2=1 0 0 0 0 1 0 -1 0
width#2=60
depth#2=60
height#2=150
dropOnTopElevation#2=150

id#3=Test#cabinet
name#3=Lower cabinet
category#3=Kitchen
model#3=/test/cabinet/cabinet.obj
width#3=80
depth#3=60
height#3=80
dropOnTopElevation#3=-1
"""

MATERIAL = "newmtl paint\nKd 0.8 0.3 0.2\n"


def chair() -> trimesh.Trimesh:
    seat, back = (
        trimesh.creation.box(extents=extents) for extents in ((0.5, 0.5, 0.5), (0.5, 0.5, 0.1))
    )
    back.apply_translation((0, 0.5, -0.2))
    return trimesh.util.concatenate([seat, back])


def write_archive(path: Path, licence: str) -> None:
    # The refrigerator lies on its back, as some models do; its rotation stands it up.
    models = {
        "chair": chair(),
        "refrigerator": trimesh.creation.box(extents=(0.6, 0.6, 1.5)),
        "cabinet": trimesh.creation.box(extents=(0.8, 0.8, 0.6)),
    }
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("PluginFurnitureCatalog.properties", PROPERTIES.format(licence=licence))
        for name, model in models.items():
            obj = ["mtllib paint.mtl", "usemtl paint"]
            obj += [f"v {x} {y} {z}" for x, y, z in np.asarray(model.vertices).tolist()]
            obj += [f"f {a} {b} {c}" for a, b, c in (np.asarray(model.faces) + 1).tolist()]
            file.writestr(f"test/{name}/{name}.obj", "\n".join(obj))
            file.writestr(f"test/{name}/paint.mtl", MATERIAL)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The catalogue's folder, holding one CC0 archive."""
    from scenelift.training.scenes import catalogue, classes

    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    folder = tmp_path / "benchmarks" / catalogue.PACKAGE
    folder.mkdir(parents=True)
    write_archive(folder / "Test.sh3f", "Public domain")
    caches = (catalogue.catalogue, classes._by_label)
    for cache in caches:
        cache.cache_clear()
    yield folder
    for cache in caches:
        cache.cache_clear()

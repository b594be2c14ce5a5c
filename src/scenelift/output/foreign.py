"""Show splats of other programs as a scene in the viewer, alone or beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scenelift.errors import InputError
from scenelift.io.splat_reader import read_splats
from scenelift.options import SplatFrame
from scenelift.output.manifest import read_manifest
from scenelift.render.splats import render_splats
from scenelift.scene import Scene
from scenelift.types import (
    Camera,
    Gaussians,
    Image,
    Instance,
    Pose,
    Prompt,
    Provenance,
    SceneObject,
    Shape,
)

__all__ = ["scene_of_files"]

SCENE_SPLATS = "scene.ply"
FOV_DEG = 50.0
PICTURE = (640, 480)
OUTLIERS = 0.01  # share of splats at each end of each axis that are not framed


def scene_of_files(paths: Sequence[Path], *, frame: SplatFrame | None = None) -> Scene:
    """Make a scene of splat files and output folders, each an object at its own coordinates.

    Args:
        paths: files of any kind of `SPLAT_KINDS`, or folders of finished runs.
        frame: axes of the files, where they are not those of their kinds.

    Raises:
        InputError: one cannot be read, or holds no splats.
    """
    splat_files = [(path, _splats_at(path, frame)) for path in paths]
    camera, scene_from_camera = _camera_for([g for _, g in splat_files])
    # The viewer opens in the photo's camera: everything is moved before it.
    back = np.linalg.inv(scene_from_camera)
    pose = Pose(translation=(float(back[0, 3]), float(back[1, 3]), float(back[2, 3])))
    mask = np.ones((camera.height, camera.width), bool)
    objects = tuple(
        SceneObject(
            index=index,
            instance=Instance(
                mask=mask,
                label=path.name,
                score=1.0,
                box=(0.0, 0.0, float(camera.width), float(camera.height)),
            ),
            shape=Shape(gaussians=gaussians),
            pose=pose,
        )
        for index, (path, gaussians) in enumerate(splat_files)
    )
    from scenelift.compose import make_scene

    picture = render_splats(make_scene(objects), camera).pixels()
    return Scene(
        image=Image(pixels=picture),
        objects=objects,
        camera=camera,
        provenance=Provenance(
            prompt=Prompt(phrases=tuple(dict.fromkeys(p.name for p in paths))), seed=0, backends={}
        ),
    )


def _splats_at(path: Path, frame: SplatFrame | None) -> Gaussians:
    if not path.exists():
        raise InputError(
            f"There is no {path}. Give the output folder of a finished run, or a splat file."
        )
    if path.is_dir():
        file = path / SCENE_SPLATS
        if not file.is_file():
            raise InputError(f"{path} holds no {SCENE_SPLATS}. Expected an output folder of a run.")
        path, frame = file, read_manifest(path).splat_frame
    gaussians = read_splats(path, frame=frame)
    if not len(gaussians):
        raise InputError(f"{path} holds no splats.")
    return gaussians


def _camera_for(sets: Sequence[Gaussians]) -> tuple[Camera, np.ndarray]:
    """Place a camera that sees all splats, looking along −z; return it and its pose."""
    means = np.concatenate([g.means for g in sets]).astype(np.float64)
    low, high = np.quantile(means, [OUTLIERS, 1 - OUTLIERS], axis=0)
    middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-6)
    camera = Camera.from_fov(*PICTURE, fov_deg=FOV_DEG)
    half = np.arctan(min(camera.width / camera.fx, camera.height / camera.fy) / 2)
    pose = np.eye(4)
    pose[:3, 3] = middle
    pose[2, 3] += 1.05 * radius / np.sin(half)
    return camera, pose

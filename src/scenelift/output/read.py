"""Read a finished folder back as a `Scene`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from scenelift.errors import InputError
from scenelift.formats import EXTRA_FORMATS, extra_file
from scenelift.io.glb import read_glb
from scenelift.io.image import read_image
from scenelift.io.ply import read_ply
from scenelift.io.splat_reader import read_splats
from scenelift.options import ExportOptions, Options, PreviewFormat
from scenelift.output.manifest import Manifest, ObjectModel
from scenelift.scene import Scene
from scenelift.types import (
    Background,
    BoxPrompt,
    Camera,
    Dropped,
    FailedObject,
    Gaussians,
    Instance,
    Mesh,
    Pose,
    Prompt,
    Provenance,
    SceneObject,
    Shape,
)

__all__ = ["export_options", "read_scene"]


def read_scene(folder: Path, manifest: Manifest, *, device: str = "cpu") -> Scene:
    """Read the scene of a folder, from its photo, masks, and objects' splats and meshes.

    Numbers are those of the files: scales and opacities, which PLY has as logarithms, differ from
    the run's in the last bits. An object that failed has its box for a mask.

    Args:
        folder: as `write_scene` left it.
        manifest: of the folder.
        device: what will draw its preview, for the provenance.

    Raises:
        InputError: a file is missing or damaged.
    """
    camera = Camera(**manifest.camera.model_dump())
    size = (camera.height, camera.width)
    prompt = manifest.prompt
    return Scene(
        image=read_image(folder / "input.png", detail=False),
        objects=tuple(_object(folder, about, size) for about in manifest.objects),
        camera=camera,
        units=manifest.units,
        scene_from_camera=np.array(manifest.scene_from_camera, np.float64),
        up=manifest.up,
        levels=tuple(manifest.levels),
        background=_background(folder, manifest),
        provenance=Provenance(
            prompt=Prompt(
                phrases=tuple(prompt.phrases),
                boxes=tuple(BoxPrompt(**box.model_dump()) for box in prompt.boxes),
                min_score=prompt.min_score,
                mask_threshold=prompt.mask_threshold,
                max_objects=prompt.max_objects,
            ),
            seed=manifest.seed,
            backends=dict(manifest.backends),
            licences=dict(manifest.licences),
            failed=tuple(
                FailedObject(
                    index=f.index,
                    instance=Instance(
                        mask=_box_mask(f.box, size), label=f.label, score=f.score, box=f.box
                    ),
                    error=f.error,
                    reason=f.reason,
                )
                for f in manifest.failed
            ),
            dropped=tuple(Dropped(**d.model_dump()) for d in manifest.dropped),
            notes=tuple(manifest.notes),
            device=device,
        ),
    )


def export_options(manifest: Manifest) -> ExportOptions:
    """Return the options with which a folder is written again with the same kinds of files.

    Earlier versions did not record them: then formats are told from the files, and previews are
    as by default.

    Raises:
        InputError: another version wrote it, with choices that this one does not know.
    """
    export = manifest.export
    plain: dict[str, Any] = {"splat_frame": manifest.splat_frame}
    if export is not None:
        plain |= export.model_dump()
    else:
        files = {file.path for file in manifest.files} | manifest.skipped.keys()
        plain["formats"] = [kind for kind in EXTRA_FORMATS if extra_file(kind) in files]
        endings = [e for e in get_args(PreviewFormat) if f"preview.{e}" in files]
        plain["preview_format"] = (endings or ["gif"])[0]
    return Options.from_plain(plain).export


def _object(folder: Path, about: ObjectModel, size: tuple[int, int]) -> SceneObject:
    files = about.files
    return SceneObject(
        index=about.index,
        instance=Instance(
            mask=_mask(folder / files["mask"], size),
            label=about.label,
            score=about.score,
            box=about.box,
            class_name=about.class_name,
        ),
        shape=Shape(
            gaussians=_splats(folder, files, about.splat_kernel),
            mesh=_mesh(folder / files["mesh"]) if "mesh" in files else None,
        ),
        pose=Pose(**about.pose.model_dump()),
        quality=dict(about.quality),
        notes=tuple(about.notes),
    )


def _splats(folder: Path, files: Mapping[str, str], kernel: float) -> Gaussians | None:
    if "splats" not in files:
        return None
    return replace(read_ply(folder / files["splats"]), kernel=kernel)


def _mesh(path: Path) -> Mesh:
    nodes = read_glb(path)
    if len(nodes) != 1:
        raise InputError(f"{path} holds {len(nodes)} nodes; a scene's mesh has one.")
    return nodes[0].mesh


def _background(folder: Path, manifest: Manifest) -> Background | None:
    if not any(file.path == "background.glb" for file in manifest.files):
        return None
    about = manifest.background
    return Background(
        mode=about.mode if about else "photo",
        mesh=_mesh(folder / "background.glb"),
        gaussians=read_splats(folder / "background.ply", frame=manifest.splat_frame),
        planes=tuple(about.planes) if about else (),
        up=about.up if about else (0.0, 1.0, 0.0),
        levels=tuple(about.levels) if about else (),
    )


def _mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        with PillowImage.open(path, formats=["PNG"]) as picture:
            if (picture.height, picture.width) != size:
                raise InputError(
                    f"{path} is {picture.width} × {picture.height}; the scene's photo is "
                    f"{size[1]} × {size[0]}."
                )
            return np.asarray(picture.convert("L")) > 127
    except (OSError, ValueError, PillowImage.DecompressionBombError) as exc:
        raise InputError(f"{path} cannot be read as a mask: {exc}.") from exc


def _box_mask(box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    mask[y0:y1, x0:x1] = True
    return mask

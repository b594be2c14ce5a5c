"""Check what backends return, so that a wrong result is blamed on the backend that made it.

Backends of other people's are as welcome as ours. A mask of another size or a `None` would
otherwise fail three stages later, in code that has nothing to do with it.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from scenelift.errors import BackendFault, InputError
from scenelift.types import Image, Instance, PointMap, Reconstruction, Segmentation

__all__ = ["check_backend", "check_points", "check_reconstruction", "check_segmentation"]

T = TypeVar("T")


METHODS = {
    "segmenter": ("segment",),
    "point mapper": ("estimate",),
    "reconstructor": ("reconstruct",),
}


def check_backend(backend: object, role: str) -> None:
    """Refuse an object that is not a backend, before anything runs.

    Raises:
        InputError: it is a class or a module, or lacks a method, a name or a version.
    """
    if isinstance(backend, type):
        raise InputError(
            f"The {role} is the class {backend.__name__}; give an instance: {backend.__name__}(…)."
        )
    methods = [m for m in METHODS[role] if not callable(getattr(backend, m, None))]
    texts = [n for n in ("name", "version") if not isinstance(getattr(backend, n, None), str)]
    if methods or texts:
        lacks = [f"the method {m}()" for m in methods] + [f"the text {n!r}" for n in texts]
        raise InputError(
            f"The {role} is {_kind(backend)}, which lacks {' and '.join(lacks)}. "
            "docs/pipeline.md says what a backend must have; built-in ones are given by name."
        )


def check_segmentation(result: object, image: Image, *, backend: str) -> Segmentation:
    """Return a segmenter's result, after checking that its masks fit the photo.

    Raises:
        BackendFault: it is something else, a mask has another size, or a score or a label
            is invalid. An object with an empty mask fails later, alone.
    """
    segmentation = _expect(result, Segmentation, "segmenter", backend, "segment")
    for number, instance in enumerate(segmentation.instances):
        where = f"instance {number}"
        if not isinstance(instance, Instance):
            raise BackendFault(
                "segmenter", backend, f"{where} is {_kind(instance)}, not an Instance"
            )
        if instance.mask.shape != (image.height, image.width):
            rows, columns = instance.mask.shape
            raise BackendFault(
                "segmenter",
                backend,
                f"the mask of {where} is {columns} × {rows} pixels, the photo {image.width} × "
                f"{image.height}",
            )
        if not isinstance(instance.label, str) or not 0 <= instance.score <= 1:
            raise BackendFault(
                "segmenter",
                backend,
                f"{where} has the label {instance.label!r} and the score {instance.score!r}; a "
                "text and a number in 0…1 were expected",
            )
    return segmentation


def check_points(result: object, image: Image, *, backend: str) -> PointMap:
    """Return a point mapper's result, after checking that it fits the photo and has points.

    Raises:
        BackendFault: it is something else, of another size, without any point, or has points that
            are infinite or behind the camera.
    """
    points = _expect(result, PointMap, "point mapper", backend, "estimate")
    rows, columns = points.points.shape[:2]
    if (rows, columns) != (image.height, image.width):
        raise BackendFault(
            "point mapper",
            backend,
            f"its point map is {columns} × {rows}, the photo {image.width} × {image.height}",
        )
    infinite = int(np.isinf(points.points).any(-1).sum())
    if infinite:
        raise BackendFault(
            "point mapper",
            backend,
            f"{infinite} of its points are infinite; a pixel without a point must be NaN",
        )
    finite = np.isfinite(points.points).all(-1)
    if not finite.any():
        raise BackendFault("point mapper", backend, "its point map has no point at all")
    if (points.points[..., 2][finite] > 0).mean() > 0.5:
        raise BackendFault(
            "point mapper",
            backend,
            "its points have z > 0, behind the camera; x right, y up, z backward was expected",
        )
    return points


def check_reconstruction(result: object, *, backend: str) -> Reconstruction:
    """Return a reconstructor's result, after checking that it contains a shape.

    Raises:
        BackendFault: it is something else, has neither splats nor mesh, or non-finite numbers.
    """
    reconstruction = _expect(result, Reconstruction, "reconstructor", backend, "reconstruct")
    gaussians, mesh = reconstruction.shape.gaussians, reconstruction.shape.mesh
    if gaussians is None and mesh is None:
        raise BackendFault("reconstructor", backend, "it made neither splats nor a mesh")
    if gaussians is not None and not np.isfinite(gaussians.means).all():
        raise BackendFault("reconstructor", backend, "its splats have non-finite positions")
    if mesh is not None and not np.isfinite(mesh.vertices).all():
        raise BackendFault("reconstructor", backend, "its mesh has non-finite vertices")
    return reconstruction


def _expect(value: object, kind: type[T], role: str, backend: str, method: str) -> T:
    if not isinstance(value, kind):
        raise BackendFault(
            role, backend, f"its {method}() returned {_kind(value)}; {kind.__name__} was expected"
        )
    return value


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"

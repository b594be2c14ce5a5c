"""`rasterize_triangle_faces` of the old `utils3d.torch`, on both of its later interfaces.

    old      rasterize_triangle_faces(ctx, vertices, faces, width, height, attr, uv, …)
    1.5      rasterize_triangles(ctx, width, height, vertices=, faces=, attr=, uv=, …)
    later    rasterize_triangles((height, width), vertices=, faces=, attributes=, …, ctx=)

The old one and 1.5 answer alike. Later versions count faces from 0 instead of 1, put channels
last, and measure depth along the axis instead of in the depth buffer. Which one is installed is
read from the signature.

Shape letters in this file: B views, H × W pixels, V vertices, F faces, C channels.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import utils3d.torch as library  # pyright: ignore[reportMissingImports]
from torch import Tensor

__all__ = ["rasterize_triangle_faces"]


def rasterize_triangle_faces(
    ctx: Any,
    vertices: Tensor,  # [B, V, 2, 3 or 4]
    faces: Tensor,  # [F, 3]
    width: int,
    height: int,
    attr: Tensor | None = None,  # [B, V, C]
    uv: Tensor | None = None,  # [B, V, 2]
    texture: Tensor | None = None,  # [B, C, h, w]
    model: Tensor | None = None,  # [(B,) 4, 4]
    view: Tensor | None = None,  # [(B,) 4, 4]
    projection: Tensor | None = None,  # [(B,) 4, 4]
    antialiasing: bool | Sequence[int] = True,
    diff_attrs: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """Draw a mesh's attributes.

    Returns:
        depth: [B, H, W] of the depth buffer, 0 near to 1 far; 1 where nothing is.
        mask: [B, H, W], 1 where there is a face, else 0.
        face_id: [B, H, W] from 1; 0 where nothing is.
        image: [B, C, H, W], with `attr`.
        image_dr: [B, 2·len(diff_attrs), H, W] derivatives to x and y, with `diff_attrs`.
        uv, uv_dr: [B, H, W, 2] and [B, H, W, 4], with `uv`; rows from the bottom, unlike the rest.
        texture: [B, C, H, W], with `uv` and `texture`; interface 1.5 only.

    Raises:
        ValueError: a texture, which later versions no longer sample here.
    """
    if "size" not in inspect.signature(library.rasterize_triangles).parameters:
        return library.rasterize_triangles(
            ctx,
            width,
            height,
            vertices=vertices,
            faces=faces,
            attr=attr,
            uv=uv,
            texture=texture,
            model=model,
            view=view,
            projection=projection,
            antialiasing=antialiasing,
            diff_attrs=diff_attrs,
        )
    if texture is not None:
        raise ValueError(
            "the installed utils3d does not sample textures while it rasterises: leave `texture` "
            "out and look it up at the returned `uv`"
        )
    identity = torch.eye(4, dtype=vertices.dtype, device=vertices.device)
    projection = identity if projection is None else projection
    view = identity if view is None else view

    def draw(attributes: Tensor | None, *, smooth: bool, **extras: bool) -> Mapping[str, Tensor]:
        return _named(
            library.rasterize_triangles(
                (height, width),
                vertices=vertices,
                faces=faces,
                attributes=attributes,
                view=view if model is None else view @ model,
                projection=projection,
                antialiasing=smooth,
                ctx=ctx,
                **extras,
            )
        )

    smooth = antialiasing is True
    drawing = draw(
        attr,
        smooth=smooth,
        return_image_derivatives=diff_attrs is not None,
        return_depth=True,
        return_interpolation=True,
    )
    number = drawing["interpolation_id"] + 1
    result = {
        "mask": (number > 0).to(vertices.dtype),
        "face_id": number.to(vertices.dtype),
        "depth": _depth_buffer(drawing["depth"], number > 0, projection),
    }
    if attr is not None:
        image = drawing["image"].clone()
        if not isinstance(antialiasing, bool):
            selection = list(antialiasing)
            image[..., selection] = draw(attr, smooth=True)["image"][..., selection]
        result["image"] = image.movedim(-1, 1)
        if diff_attrs is not None:
            pairs = [2 * k + axis for k in diff_attrs for axis in (0, 1)]
            result["image_dr"] = drawing["image_dr"][..., pairs].movedim(-1, 1)
    if uv is not None:
        # Drawn by themselves: smoothing coordinates across an edge makes no sense.
        coordinates = draw(uv, smooth=False, return_image_derivatives=True)
        result["uv"] = coordinates["image"].flip(1)
        result["uv_dr"] = coordinates["image_dr"].flip(1)
    return result


def _named(answer: Mapping[str, Tensor] | Sequence[Tensor | None]) -> Mapping[str, Tensor]:
    """Return the drawn channels by name.

    Released versions answer with a dictionary, though their signature announces a tuple; of a
    tuple the items are taken in the order of that dictionary.
    """
    if isinstance(answer, Mapping):
        return answer
    names = ("image", "image_dr", "depth", "mask", "interpolation_id", "interpolation_uv")
    pairs = zip(names, answer, strict=True)
    return {name: values for name, values in pairs if values is not None}


def _depth_buffer(
    depth: Tensor,  # [B, H, W], along −z of the camera
    coverage: Tensor,  # bool [B, H, W]
    projection: Tensor,  # [(B,) 4, 4]
) -> Tensor:  # [B, H, W] in 0…1
    """Convert distances to values of the depth buffer, by the last two rows of a projection."""
    z = torch.where(coverage, -depth, torch.zeros_like(depth))
    rows = projection[..., 2:, 2:].expand(len(depth), 2, 2)[:, :, :, None, None]
    clip, w = (rows[:, k, 0] * z + rows[:, k, 1] for k in (0, 1))
    buffer = clip / torch.where(coverage, w, torch.ones_like(w))
    return torch.where(coverage, buffer * 0.5 + 0.5, torch.ones_like(depth))

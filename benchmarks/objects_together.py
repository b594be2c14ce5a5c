"""Time what objects of one photo could share: its features, and batches of several objects.

    python -m benchmarks.objects_together [--size tiny] [--device cpu] [--objects 4] [--blocks 4]

prints for SAM 3D Objects, with random weights and one DINOv2 as in the published files, seconds of
processor time (on a GPU, of wall time) an object, medians of turns:

    conditions of both stages   each embedder looks at both views of its picture (as published);
                                the photo once, and the object once for both stages (as it is);
                                the same with the pictures of all objects in one batch
    first flow, one evaluation  one object at a time (as it is), and all in one batch

`--blocks` leaves out the others of each network, which are as large and take as long.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.sam3d.features import PictureFeatures
from scenelift.models.sam3d.preprocess import ConditionImages, PointViews
from scenelift.models.sam3d.structure_flow import StructureFlow, StructureLatents, structure_noise
from scenelift.models.slat.acceleration import default_dtype, prepare
from scenelift.testing.random_networks import FULL, TINY, Size, draw


def shortened(size: Size, blocks: int | None) -> Size:
    """The same sizes, with so many blocks in the networks that are measured."""
    if blocks is None:
        return size
    conditions = (
        dataclasses.replace(c, dino=dataclasses.replace(c.dino, blocks=blocks))
        for c in (size.structure_condition, size.latent_condition)
    )
    structure_condition, latent_condition = conditions
    return dataclasses.replace(
        size,
        structure=dataclasses.replace(size.structure, blocks=blocks),
        structure_condition=structure_condition,
        latent_condition=latent_condition,
    )


def embedders_of(size: Size, device: torch.device) -> list[ConditionEmbedder]:
    """Both stages', whose four DINOv2 share memory."""
    made = [
        draw(lambda params=params: ConditionEmbedder(params), device)
        for params in (size.structure_condition, size.latent_condition)
    ]
    first, *others = (e.backbone for condition in made for e in condition.dino_embedders)
    for other in others:
        for name, parameter in other.named_parameters():
            parameter.data = first.get_parameter(name).data
    return [prepare(embedder, device) for embedder in made]


def objects_of(size: Size, device: torch.device, count: int) -> list[ConditionImages]:
    """Random pictures of so many objects in one photo."""
    dino = size.structure_condition.dino
    side = dino.side * dino.patch
    generator = torch.Generator(device).manual_seed(0)

    def picture(channels: int) -> Tensor:
        return torch.rand(1, channels, side, side, generator=generator, device=device)

    photo, ones = picture(3), torch.ones(3, device=device)
    return [
        ConditionImages(
            image=picture(3),
            mask=picture(1).round(),
            full_image=photo,
            full_mask=picture(1).round(),
            points=PointViews(crop=picture(3), full=picture(3), scale=ones, shift=0 * ones),
        )
        for _ in range(count)
    ]


def by_pairs(embedders: list[ConditionEmbedder], objects: list[ConditionImages]) -> None:
    for o in objects:
        for embedder in embedders:
            views = [(o.image, o.full_image), (o.mask, o.full_mask)]
            if embedder.params.points is not None:
                assert o.points is not None
                views.append((o.points.crop, o.points.full))
            embedder(views)


def shared(embedders: list[ConditionEmbedder], objects: list[ConditionImages]) -> None:
    features = PictureFeatures(e for embedder in embedders for e in embedder.dino_embedders)
    for o in objects:
        for embedder in embedders:
            embedder.embed(o, features=features)


def in_one_batch(embedders: list[ConditionEmbedder], objects: list[ConditionImages]) -> None:
    features = PictureFeatures(e for embedder in embedders for e in embedder.dino_embedders)
    of_pictures, of_masks = embedders[0].dino_embedders
    looks = [
        look
        for o in objects
        for look in ((of_pictures, o.image), (of_masks, o.mask), (of_masks, o.full_mask))
    ]
    features.of(looks)
    for o in objects:
        for embedder in embedders:
            embedder.embed(o, features=features)


def compare(title: str, ways: Mapping[str, Callable[[], object]], count: int, repeats: int) -> None:
    """Run all ways in turn, after a first round, and print each one's median an object."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for turn in range(1 + repeats):
            for name, way in ways.items():
                began = clock()
                way()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                if turn:
                    seconds[name].append((clock() - began) / count)
    print(title)
    as_before = statistics.median(next(iter(seconds.values())))
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"  {name:44} {median:9.4f} s an object {median / as_before:6.2f}", flush=True)


def compare_conditions(size: Size, device: torch.device, count: int, repeats: int) -> None:
    embedders, objects = embedders_of(size, device), objects_of(size, device, count)
    compare(
        f"conditions of both stages, {count} objects",
        {
            "each embedder both views, each object": lambda: by_pairs(embedders, objects),
            "photo once, object once for both stages": lambda: shared(embedders, objects),
            "the same, all objects in one batch": lambda: in_one_batch(embedders, objects),
        },
        count,
        repeats,
    )


def compare_flows(size: Size, device: torch.device, count: int, repeats: int) -> None:
    flow = prepare(draw(lambda: StructureFlow(size.structure), device), device)
    generator = torch.Generator(device).manual_seed(0)
    noise = [structure_noise(size.structure, generator) for _ in range(count)]
    tokens = torch.randn(
        1,
        size.compared_tokens,
        size.structure.block.condition_width,
        generator=generator,
        device=device,
        dtype=default_dtype(device),
    )
    with torch.inference_mode():
        one = tuple(flow.block_contexts(tokens))
        every = tuple(flow.block_contexts(tokens.expand(count, -1, -1)))
    time_now, step = (torch.tensor([t], device=device) for t in (0.25, 0.0))
    batch = StructureLatents(*(torch.cat(parts) for parts in zip(*noise, strict=True)))
    compare(
        f"first flow, one evaluation, {count} objects",
        {
            "one by one": lambda: [
                flow(StructureLatents(*latents), time_now, one, step=step) for latents in noise
            ],
            "all in one batch": lambda: flow(batch, time_now, every, step=step),
        },
        count,
        repeats,
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--objects", type=int, default=4)
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    device, count = torch.device(options.device), options.objects
    size = shortened({"full": FULL, "tiny": TINY}[options.size], options.blocks)
    compare_conditions(size, device, count, options.repeats)
    compare_flows(size, device, count, options.repeats)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`scenelift train`: make training scenes, train the embedded heads, fine-tune the full model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import problems

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Train the embedded default's heads; fine-tune SAM 3D Objects."
)

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where the mesh pack and the scenes are.")
]

Seconds = Annotated[float | None, typer.Option(help="End after so long, learning rate and all.")]
Checkpoint = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Resume from it, and keep it up to date.")
]
Bfloat16 = Annotated[
    bool | None,
    typer.Option(
        "--bfloat16/--float32",
        help="Precision of losses and gradients.",
        show_default="bfloat16 on GPUs",
    ),
]


def _say(line: str) -> None:
    from scenelift.training.processes import is_first

    if is_first():
        typer.echo(line)


@app.command()
def pack(
    folder: FolderArgument,
    pybullet: Annotated[
        Path | None,
        typer.Option(metavar="WHEEL", help="PyPI's wheel of pybullet 3.2.7, for its solids."),
    ] = None,
    vessels: Annotated[
        int, typer.Option(min=0, help="Cups, bowls, bottles … to make besides, no two alike.")
    ] = 140,
    made_up: Annotated[
        int, typer.Option(min=0, help="Bags, shoes, plants, cars …: so many of each of 43 kinds.")
    ] = 0,
    people: Annotated[
        int, typer.Option(min=0, help="People to make by PyPI's anny, posed and dressed.")
    ] = 0,
) -> None:
    """Gather the meshes that training may see in one file, to take to another machine.

    Example: scenelift train pack out/train
    """
    with problems(as_json=False):
        from scenelift.training.run import PACK
        from scenelift.training.scenes.pack import write_pack
        from scenelift.training.scenes.sources import training_models

        folder.mkdir(parents=True, exist_ok=True)
        models = training_models(pybullet, turned=vessels, each=made_up, persons=people)
        count = write_pack(models, folder / PACK)
        typer.echo(f"{count} models in {folder / PACK}")


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Pack to write.")],
    packs: Annotated[list[Path], typer.Argument(metavar="PACK...", help="Packs to join.")],
    split: Annotated[
        str | None, typer.Option(metavar="train|val", help="Only the models of that split.")
    ] = None,
) -> None:
    """Join mesh packs into one.

    Example: scenelift train merge out/train/meshes.npz furniture/meshes.npz models/*.npz
    """
    with problems(as_json=False):
        from scenelift.training.scenes.pack import join_packs

        count = join_packs(packs, out, split=split)
        typer.echo(f"{count} models in {out}")


@app.command()
def fetch(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST", help="Models by repository, commit and path: JSON lines."
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="For repositories, packs and licences.")
    ],
    base: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="Where repositories are.", show_default="GitHub"
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Only these sources' models.")
    ] = None,
) -> None:
    """Fetch a manifest's models by git, and make a mesh pack of each source. Resumes.

    Example: scenelift train fetch manifest.jsonl out/collected
    """
    with problems(as_json=False):
        from scenelift.training.collected.rebuild import GITHUB, collect

        done = collect(manifest, folder, base=base or GITHUB, only=only or (), say=_say)
        reasons = [f"  {name}: {why}" for each in done for name, why in each.left_out]
        typer.echo("\n".join(["left out:", *reasons] if reasons else ["nothing left out"]))


@app.command()
def pictures(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder of photos.jsonl and textures.jsonl.")
    ],
    folder: FolderArgument,
) -> None:
    """Gather photographs, panoramas and textures that scenes are surrounded by.

    Example: scenelift train pictures data/ out/train
    """
    with problems(as_json=False):
        from scenelift.training.run import PICTURES
        from scenelift.training.scenes.pictures import gather_pictures

        count = gather_pictures(source, folder / PICTURES)
        typer.echo(", ".join(f"{number} {kind}" for kind, number in count.items()))


@app.command()
def scenes(
    folder: FolderArgument,
    count: Annotated[int, typer.Option(min=1, help="Scenes to train on.")] = 20_000,
    held: Annotated[int, typer.Option(min=4, help="Scenes to keep out of training.")] = 64,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 is one a core.")] = 0,
    seed: Annotated[int, typer.Option(help="Other scenes for another seed.")] = 0,
    volumes: Annotated[
        bool, typer.Option(help="The space that each model fills; the shape head alone needs it.")
    ] = True,
) -> None:
    """Lay out and render scenes. What is there already is kept; training may begin meanwhile.

    Example: scenelift train scenes out/train --count 20000
    """
    with problems(as_json=False):
        from scenelift.training.run import SceneOptions, make_scenes

        options = SceneOptions(
            count=count, held_out=held, workers=workers, seed=seed, volumes=volumes
        )
        make_scenes(folder, options, _say)


@app.command()
def head(
    name: Annotated[str, typer.Argument(metavar="depth|mask|points|shape", help="Which head.")],
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Weights, as safetensors.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step and GPU.")] = 48,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 4e-4,
    warmup: Annotated[int, typer.Option(min=0, help="Steps of rising learning rate.")] = 300,
    seconds: Seconds = None,
    checkpoint: Checkpoint = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            "--initial",
            metavar="FILE",
            help="Weights to begin with: safetensors, or the ONNX of a head. Under torchrun it is "
            "--initial: torchrun takes --start for its own --start-method.",
        ),
    ] = None,
    save_every: Annotated[
        float, typer.Option(min=1, help="Seconds between checkpoints and writes of --out.")
    ] = 120.0,
    capacity: Annotated[int, typer.Option(min=4, help="Most scenes in device memory.")] = 20_000,
    at_least: Annotated[int, typer.Option(min=1, help="Scenes to wait for.")] = 256,
    held: Annotated[int, typer.Option(min=4, help="Scenes kept out of training.")] = 64,
    backbone: Annotated[
        Path | None, typer.Option(metavar="FILE", help="dinov2.onnx, in place of the cached one.")
    ] = None,
    device: Annotated[str, typer.Option(help="cuda, cuda:1, cpu.")] = "cuda",
    bfloat16: Bfloat16 = None,
    evaluate_every: Annotated[int, typer.Option(min=0, help="Steps; 0 only at the end.")] = 1000,
    seed: Annotated[int, typer.Option(help="Other weights and batches for another seed.")] = 0,
    adapt: Annotated[
        int,
        typer.Option(
            metavar="RANK", min=0, help="depth, shape: change the backbone too, by adapters."
        ),
    ] = 0,
    adapt_rate: Annotated[
        float, typer.Option(min=0, help="Learning rate of adapters, as a factor of --rate.")
    ] = 1.0,
    best: Annotated[
        bool,
        typer.Option("--best/--last", help="Which weights to write: those of the best evaluation?"),
    ] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Channels last in memory, for convolutions.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Let cuDNN try its algorithms: for batches of one size.")
    ] = False,
) -> None:
    """Train a head on the scenes of a folder. On several GPUs, run it under torchrun.

    SIGTERM pauses it: with --checkpoint, the same command goes on.

    Example: scenelift train head depth out/train --out depth.safetensors --seconds 540
    """
    with problems(as_json=False):
        from scenelift.training.adapters import ADAPTERS
        from scenelift.training.loop import LoopOptions
        from scenelift.training.processes import is_first, terminated
        from scenelift.training.run import TrainOptions, save_weights, train_head
        from scenelift.weights import embedded

        loop = LoopOptions(
            steps=steps,
            batch=batch,
            rate=rate,
            warmup=warmup,
            seconds=seconds,
            seed=seed,
            bfloat16=bfloat16,
            evaluate_every=evaluate_every,
            save_every=save_every,
            rates={ADAPTERS: adapt_rate},
        )
        with terminated() as paused:
            trained = train_head(
                name,
                TrainOptions(
                    scenes=folder,
                    capacity=capacity,
                    at_least=at_least,
                    held_out=held,
                    adapt=adapt,
                    best=best,
                    channels_last=channels_last,
                    tune=tune,
                    device=device,
                ),
                loop,
                backbone=backbone or embedded.path("dinov2"),
                checkpoint=checkpoint,
                start=start,
                say=_say,
                keep=lambda weights: save_weights(weights, out),
                paused=paused,
            )
        if is_first():
            save_weights(trained.network, out)


@app.command()
def flow(
    stage: Annotated[
        str,
        typer.Argument(
            metavar="structure|latent", help="Stage 1 (coarse shape and pose) or 2 (appearance)."
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of example folders.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Checkpoint folder to write.")],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="SAM 3D Objects' weights, in place of the cached."),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Structure encoder, for examples that have voxels only."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step and GPU.")] = 4,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-5,
    warmup: Annotated[int, typer.Option(min=0, help="Steps of rising learning rate.")] = 50,
    held: Annotated[int, typer.Option(min=0, help="Examples kept out of training.")] = 4,
    drop_condition: Annotated[
        float, typer.Option(min=0, max=1, help="Share of examples without a condition.")
    ] = 0.1,
    seconds: Seconds = None,
    checkpoint: Checkpoint = None,
    device: Annotated[str, typer.Option(help="cuda, cuda:1, cpu.")] = "cuda",
    bfloat16: Bfloat16 = None,
    evaluate_every: Annotated[int, typer.Option(min=0, help="Steps; 0 only at the end.")] = 200,
    seed: Annotated[int, typer.Option(help="Other batches for another seed.")] = 0,
) -> None:
    """Fine-tune a flow of SAM 3D Objects. On several GPUs, run it under torchrun.

    Example: scenelift train flow structure shoes/ --out tuned --checkpoint tuned.pt
    """
    with problems(as_json=False):
        from scenelift.training.flows.finetune import FinetuneOptions, finetune, read_stage
        from scenelift.training.flows.matching import MatchingOptions
        from scenelift.training.loop import LoopOptions

        loop = LoopOptions(
            steps=steps,
            batch=batch,
            rate=rate,
            warmup=warmup,
            seconds=seconds,
            seed=seed,
            bfloat16=bfloat16,
            every=10,
            evaluate_every=evaluate_every,
        )
        options = FinetuneOptions(
            weights=weights,
            data=data,
            out=out,
            held_out=held,
            encoder=encoder,
            device=device,
            matching=MatchingOptions(drop_condition=drop_condition),
        )
        finetune(read_stage(stage), options, loop, resume=checkpoint, say=_say)
        _say(f"{out}: take it with `scenelift run … --quality full --weights {out}`")


@app.command()
def judge(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file to write.")] = Path(
        "judge.json"
    ),
    scenes: Annotated[
        int, typer.Option(min=1, help="Scenes to look at: 4 s of a core each.")
    ] = 416,
    seed: Annotated[int, typer.Option(help="Other words and networks for another seed.")] = 0,
) -> None:
    """Train what tells which weak box shows what a phrase names, on a CPU in half an hour.

    Example: scenelift train judge out/train --out judge.json
    """
    with problems(as_json=False):
        from scenelift.training.judge import train_judge

        train_judge(folder, out, scenes=scenes, seed=seed, say=_say)


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="depth|mask|points|shape", help="Which head.")],
    weights: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `train head` wrote, or a head that ships.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="ONNX file to write.")],
    blend: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of a later run, to take the mean with."),
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Of --blend in the mean.")] = 0.5,
) -> None:
    """Write a trained head as the small ONNX file that the embedded default runs.

    Adapters of the backbone are written beside it, as shape_adapter.safetensors for shape.onnx.

    Example: scenelift train export depth depth.safetensors --out depth.onnx
    """
    with problems(as_json=False):
        import safetensors.numpy

        from scenelift.errors import InputError
        from scenelift.io.files import atomic_write
        from scenelift.models.embedded import shipped
        from scenelift.training.adapters import by_block
        from scenelift.training.export import (
            blended,
            check_sizes,
            export_head,
            export_points,
            stored_again,
        )
        from scenelift.training.start import read_weights
        from scenelift.training.tasks import HEADS
        from scenelift.weights.dinov2_adapters import in_bytes
        from scenelift.weights.shipped import adapters_beside

        if name not in HEADS:
            raise InputError(f"There is no head {name!r}. Choose from {', '.join(HEADS)}.")
        tensors = read_weights(weights)
        if blend is not None:
            tensors = blended(tensors, read_weights(blend), share)
        check_sizes(HEADS[name][0], tensors)
        if name == "points":
            data = export_points(HEADS[name][0], tensors, shipped("mask"))
        elif weights.suffix == ".onnx" and blend is None:
            data = stored_again(weights.read_bytes())
        else:
            data = export_head(HEADS[name][0], tensors)
        with atomic_write(out) as file:
            file.write(data)
        typer.echo(f"{out}: {len(data) / 1e6:.1f} MB")
        if adapters := by_block(tensors):
            data = safetensors.numpy.save(
                in_bytes({k: v.float().numpy() for k, v in adapters.items()})
            )
            with atomic_write(adapters_beside(out)) as file:
                file.write(data)
            typer.echo(f"{adapters_beside(out)}: {len(data) / 1e6:.1f} MB")
        elif adapters_beside(out).exists():  # of the head that was there before
            adapters_beside(out).unlink()
            typer.echo(f"{adapters_beside(out)}: deleted, this head has no adapters")

"""`scenelift models`: list, download, check and convert weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenelift.commands.inputs import JsonOption
from scenelift.commands.parameters import DeviceOption, WeightsOption
from scenelift.commands.shell import listen, print_json, problems

if TYPE_CHECKING:
    from scenelift.weights.artefact import ArtefactStatus
    from scenelift.weights.offers import Offer

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="List, fetch, check and convert the weights that the models need."
)

BUNDLES_HELP = "Which set of weights: embedded, light, open, pbr or full, as --quality calls them"
BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help=f"{BUNDLES_HELP}.")]
WIDTH_OF_ALL_COLUMNS = 150  # characters; narrower terminals are not shown the packages


@app.command("list")
def list_weights(
    bundle: Annotated[
        str | None, typer.Argument(metavar="[BUNDLE]", help=f"{BUNDLES_HELP}; all of them.")
    ] = None,
    weights: WeightsOption = None,
    json: JsonOption = False,
) -> None:
    """Show what there is and what is present, with its licence and where it comes from.

    Example: scenelift models list
    """
    with problems(json):
        from scenelift.weights.bundles import BUNDLES, bundle_named

        bundles = list(BUNDLES.values()) if bundle is None else [bundle_named(bundle)]
        statuses = {one.name: one.status(weights) for one in bundles}
        if json:
            print_json(_document(weights, statuses))
            return
        for k, one in enumerate(bundles):
            typer.echo(("\n" if k else "") + f"{one.name}: {one.summary}")
            _print_table(statuses[one.name])
            typer.echo(_summary(statuses[one.name], weights))
            here = {status.name for status in statuses[one.name]}
            if absent := [name for name in one.further if name not in here]:
                typer.echo(
                    f"By name only: {', '.join(absent)} (`scenelift models download {one.name} "
                    "--only NAME`)"
                )


@app.command()
def download(
    bundle: BundleArgument = "embedded",
    weights: WeightsOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Only this model of it, as `models list` calls it. Repeatable.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="COMMIT",
            help="Of a model that none is pinned of (pixal3d): which one, as the hub names it.",
        ),
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Accept terms that are not plain (pixal3d) without being asked. They are shown.",
        ),
    ] = False,
) -> None:
    """Fetch what is missing and check it. What is present is left alone.

    Example: scenelift models download embedded
    """
    with problems(as_json=False):
        from scenelift.errors import WeightsError
        from scenelift.weights.bundles import bundle_named

        weights_bundle = bundle_named(bundle)
        offers = weights_bundle.offers(only or None, revision, weights)
        for offer in offers:
            _ask(offer, accept_licence)
        with listen() as report:
            failures = weights_bundle.download(report, weights, only or None, offers)
        for failure in failures:
            typer.echo(failure, err=True)

        rows = {s.name: s for s in weights_bundle.status(weights)}
        needs = only or [name for name, row in rows.items() if row.essential]
        lacking = [name for name in needs if name not in rows or not rows[name].present]
        if lacking:
            raise WeightsError(
                f"{', '.join(lacking)} could not be fetched; the reason is above. Run the same "
                "command again when it is fixed; what was fetched is kept."
            )
        typer.echo(
            _summary([row for row in rows.values() if not only or row.name in only], weights)
        )
        for name in only or ():
            _tell_what_it_needs(name, weights)
        if bundle == "light" and not only:
            typer.echo(
                "Now run `scenelift models verify --run light`: --quality auto takes them once "
                "they have passed."
            )


def _ask(offer: Offer, accepted: bool) -> None:
    """Show terms that are not plain, and go on only where the user accepts them."""
    from scenelift.errors import InputError

    typer.echo(offer.statement(), err=True)
    if accepted:
        typer.echo("Accepted by --accept-licence.", err=True)
        return
    question = "Do these terms allow what you want to do, and do you accept them?"
    if not _can_ask():
        raise InputError(
            f"{question} Nobody can be asked here: run it with --accept-licence if so. Nothing was "
            "fetched."
        )
    if not typer.confirm(question, err=True):
        raise InputError("The terms were not accepted. Nothing was fetched.")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _tell_what_it_needs(name: str, weights: Path | None) -> None:
    from scenelift.weights.locate import locate
    from scenelift.weights.published import MODELS

    model = MODELS.get(name)
    lacking = [n for n in (model.needs if model else ()) if locate(n, weights) is None]
    if lacking:
        names = " ".join(f"--only {n}" for n in lacking)
        typer.echo(
            f"{name} does not run without {', '.join(lacking)}: "
            f"`scenelift models download {MODELS[name].bundle} {names}`."
        )


@app.command()
def verify(
    bundle: BundleArgument = "embedded",
    weights: WeightsOption = None,
    run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Run every stage on a photo that comes along and judge what comes out, instead of "
            "reading bytes.",
        ),
    ] = False,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="With --run: the page to attach to an issue (selfcheck-BUNDLE.md)."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check every byte against what was written; or, with --run, whether the models work.

    Exits with 4 when something is damaged, something essential is missing, or a stage's result is
    not plausible.

    Example: scenelift models verify --run light
    """
    if run:
        _run_self_check(bundle, weights, device, out, json)
        return
    with problems(json):
        from scenelift.errors import WeightsError
        from scenelift.weights.bundles import bundle_named

        weights_bundle = bundle_named(bundle)
        statuses = weights_bundle.status(weights, verify=True)
        # What was never fetched and is not essential is no fault; what is there must be right.
        faults = [s for s in statuses if s.problem and (s.essential or s.size)]
        if json:
            print_json(_document(weights, {bundle: statuses}))
        else:
            _print_table(statuses)
            if faults:
                by_name = [s.name for s in faults if s.name in weights_bundle.further]
                commands = [f"{bundle} --only {name}" for name in by_name]
                if len(by_name) < len(faults):
                    commands.insert(0, bundle)
                repairs = " and ".join(f"`scenelift models download {c}`" for c in commands)
                raise WeightsError(
                    f"{'; '.join(s.problem for s in faults)}. Run {repairs} to repair it."
                )
            typer.echo(_summary(statuses, weights))
    if faults:
        raise typer.Exit(WeightsError.exit_code)


def _run_self_check(
    bundle: str, weights: Path | None, device: str, out: Path | None, json: bool
) -> None:
    with problems(json):
        from scenelift.errors import WeightsError
        from scenelift.io.files import write_bytes
        from scenelift.selfcheck.command import check_bundle
        from scenelift.selfcheck.page import document, page, verdict

        with listen() as report:
            check = check_bundle(bundle, weights, device, report)
        path = out or Path(f"selfcheck-{bundle}.md")
        write_bytes(path, page(check).encode())
        if json:
            print_json(document(check) | {"page": str(path)})
        else:
            typer.echo(f"{verdict(check)} Page: {path}")
    if not check.ok:
        raise typer.Exit(WeightsError.exit_code)


@app.command()
def convert(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Which set of weights.")] = "full",
    weights: WeightsOption = None,
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            help="fp16: large matrices in half, as a GPU computes them; fp32: as published.",
        ),
    ] = "fp16",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Another folder for the result.", file_okay=False),
    ] = None,
) -> None:
    """Write the published checkpoints as safetensors, once: smaller, and faster to load.

    Example: scenelift models convert full --dtype fp16
    """
    with problems(as_json=False):
        from scenelift.errors import InputError, SetupError
        from scenelift.weights.bundles import bundle_named

        if bundle_named(bundle).name != "full":
            raise InputError(
                f"The bundle {bundle!r} is converted when it is downloaded. To convert: full."
            )
        try:
            from scenelift.reconstruct import sam3d_weights
        except ImportError as exc:
            raise SetupError(
                f"Converting weights needs PyTorch and safetensors ({exc}): "
                "pip install 'scenelift[full]'"
            ) from exc
        with listen() as report:
            folder = sam3d_weights.convert(report, weights, precision=dtype, out=out)
        size = sum(path.stat().st_size for path in folder.iterdir())
        typer.echo(f"{_amount(size)} in {folder}. The .ckpt files are no longer read.")


def _folder(weights: Path | None) -> str:
    from scenelift.weights.home import weights_folder

    return str(weights_folder(weights))


def _document(
    weights: Path | None, statuses: Mapping[str, Sequence[ArtefactStatus]]
) -> dict[str, object]:
    artefacts = [
        {"bundle": bundle, **asdict(status)} for bundle, rows in statuses.items() for status in rows
    ]
    return {"folder": _folder(weights), "artefacts": artefacts}


def _summary(statuses: Sequence[ArtefactStatus], weights: Path | None) -> str:
    present = [status for status in statuses if status.present]
    size = sum(status.size for status in present)
    return f"{len(present)} of {len(statuses)} present, {_amount(size)}, in {_folder(weights)}"


def _print_table(statuses: Sequence[ArtefactStatus]) -> None:
    """Print columns: aligned on a terminal, separated by tabs elsewhere."""
    rows = [
        (status.name, _state(status), status.purpose, status.licence, status.source)
        for status in statuses
    ]
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    headings = ["name", "state", "for", "licence", "from"]
    columns = 5 if console.width >= WIDTH_OF_ALL_COLUMNS else 4
    table = Table(*headings[:columns], box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row[:columns])
    console.print(table)


def _state(status: ArtefactStatus) -> str:
    if status.present:
        return _amount(status.size) + (", verified" if status.checked else "")
    return status.problem.removeprefix(f"{status.name} ").removeprefix("is ")


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

"""`scenelift doctor`: show what this machine has, which backends run, and what others lack."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from scenelift.commands.inputs import JsonOption
from scenelift.commands.parameters import DeviceOption, QualityOption, WeightsOption
from scenelift.commands.shell import print_json, problems
from scenelift.options import BackendOptions

__all__ = ["doctor"]

WIDTH = 100  # characters of a line
NAME_WIDTH = 18  # of the first column


def doctor(
    quality: QualityOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every byte of the weights, not only their sizes.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what can run here and what is missing.

    Exits with 0 when the asked quality can run on the asked device, with 4 when it cannot.

    Example: scenelift doctor --quality embedded
    """
    with problems(json):
        from scenelift.commands.checkup import examine

        options = BackendOptions(weights=weights, device=device)
        findings = examine(options, deep=deep)
        verdict = _judge(quality, options, findings)
    if json:
        print_json(findings)
    else:
        _show(findings)
        typer.echo("\n" + _wrapped(verdict))
    if not findings["quality"]["can_run"]:
        raise typer.Exit(4)


def _judge(quality: str, options: BackendOptions, findings: dict[str, Any]) -> str:
    """Add to the findings whether the requested quality can run, with a sentence that says so."""
    from scenelift.errors import SetupError
    from scenelift.qualities import choose_backends

    uses, reason = "", findings["devices"]["problem"]
    try:
        uses = choose_backends(quality, options).quality
    except SetupError as exc:
        reason = str(exc)
    if uses == "embedded" and not findings["embedded"]["works"]:
        reason = findings["embedded"]["problem"]
    if reason:
        findings["quality"] = {"asked": quality, "can_run": False, "reason": reason}
        return f"Quality {quality!r} cannot run here: {reason}"
    findings["quality"] = {"asked": quality, "can_run": True, "uses": uses}
    return f"Quality {quality!r} can run here" + (
        f": it uses {uses!r}." if uses != quality else "."
    )


def _show(findings: dict[str, Any]) -> None:
    machine, packages = findings["machine"], findings["packages"]
    typer.echo(f"scenelift {packages['scenelift']}, Python {machine['python']}")
    typer.echo(_wrapped(machine["system"]))
    if machine["untested"]:
        typer.echo(_wrapped(machine["untested"]))
    memory = machine["memory_bytes"]
    typer.echo(
        _wrapped(
            f"{machine['cpu_threads']} CPU threads"
            + (f", {memory / 2**30:.0f} GiB of memory" if memory else "")
            + f", {machine['free_disk_bytes'] / 2**30:.0f} GiB free for {machine['home']}"
        )
    )

    _heading("Devices")
    for device in findings["devices"]["found"]:
        memory = device["memory_bytes"]
        size = f", {memory / 2**30:.0f} GiB" if memory else ""
        _row(device["name"], f"{device['title']}{size}")
    if findings["devices"]["note"]:
        _row("", findings["devices"]["note"])

    _heading("Packages")
    _columns([f"{name} {version or '–'}" for name, version in packages.items()][1:])

    for role, backends in findings["backends"].items():
        _heading(f"{role.capitalize()}s")
        for name, entry in backends.items():
            if entry["lacks"]:
                _row(name, f"cannot run: {'; '.join(entry['lacks'])} ({entry['licence']})")
            else:
                _row(name, f"ready ({entry['licence']})")

    _heading(f"Weights, in {findings['weights_folder']}")
    for bundle in dict.fromkeys(row["bundle"] for row in findings["weights"]):
        _show_bundle(bundle, [row for row in findings["weights"] if row["bundle"] == bundle])

    _heading("Embedded default")
    health = findings["embedded"]
    if health["works"]:
        _row(
            "works",
            f"{len(health['models'])} models loaded in {health['load_seconds']:.1f} s; DINOv2 on "
            f"224×224 pixels in {health['forward_seconds'] * 1000:.0f} ms",
        )
    else:
        _row("does not work", health["problem"])


def _show_bundle(bundle: str, rows: list[dict[str, Any]]) -> None:
    """Print one line for a bundle, and one for each of its files that is there but unusable."""
    present = [row for row in rows if row["present"]]
    absent = [row["name"] for row in rows if not row["present"] and not row["size"]]
    state = f"{len(present)} of {len(rows)} present"
    if present:
        verified = sum(row["checked"] for row in present)
        how = f"{verified} verified" if verified else "of the right size (--deep reads them)"
        state += f", {sum(row['size'] for row in present) / 1e9:.2f} GB, {how}"
    if absent and present:
        state += f"; missing: {', '.join(absent)}"
    if absent:
        state += f": scenelift models download {bundle}"
    _row(bundle, state)
    for row in rows:
        if row["problem"] and row["size"]:
            _row("", row["problem"])


def _heading(text: str) -> None:
    typer.echo(f"\n{text}")


def _row(name: str, text: str) -> None:
    first = f"  {name:{NAME_WIDTH}} "
    typer.echo(_wrapped(text, first=first, others=" " * len(first)))


def _columns(cells: list[str], columns: int = 3) -> None:
    width = (WIDTH - 2) // columns
    for k in range(0, len(cells), columns):
        typer.echo("  " + "".join(f"{cell:{width}}" for cell in cells[k : k + columns]).rstrip())


def _wrapped(text: str, *, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )

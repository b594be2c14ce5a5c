"""Print the tables of docs/options.md: `python -m scenelift.options --write docs/options.md`."""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path

from scenelift.options import FRONT_ENDS, OPTIONS, OptionField, Options

START = "<!-- made by `python -m scenelift.options --write docs/options.md` -->\n"


def tables() -> str:
    """Make a table for every group, and below it which front ends leave options out, and why."""
    lines: list[str] = []
    for group, members in groupby(OPTIONS, key=lambda f: f.group):
        fields = list(members)
        title = (type(getattr(Options(), group)).__doc__ or "").split("\n")[0].rstrip(".")
        lines += [f"## {title}", ""]
        lines += [f"| option | what | default | values | {' | '.join(FRONT_ENDS)} |"]
        lines += ["|" + " --- |" * (4 + len(FRONT_ENDS))]
        lines += [_row(f) for f in fields]
        lines += ["", *_reasons(fields)]
    return "\n".join(lines)


def _row(f: OptionField) -> str:
    cells = [f"`{f.name}`", f.option.help.replace("|", "\\|"), _default(f), _values(f)]
    cells += ["–" if front_end in f.left_out else "✓" for front_end in FRONT_ENDS]
    return f"| {' | '.join(cells)} |"


def _default(f: OptionField) -> str:
    value = f.to_plain(f.default)
    if value is None or value == []:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else f"`{value}`"


def _values(f: OptionField) -> str:
    spec = f.option
    if f.choices:
        return ", ".join(f"`{choice}`" for choice in f.choices)
    if spec.ge is not None:
        zero = "0, " if spec.zero_is_none else ""
        return f"{zero}{spec.ge}…{spec.le}" if spec.le is not None else f"{zero}{spec.ge} or more"
    return "yes, no" if f.plain is bool else ""


def _reasons(fields: list[OptionField]) -> list[str]:
    """List why options are missing in front ends, a line for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for f in fields:
        for front_end, reason in f.left_out.items():
            reasons.setdefault((front_end, reason), []).append(f.name)
    lines: list[str] = []
    for (front_end, reason), names in reasons.items():
        which = "all" if len(names) == len(fields) else ", ".join(f"`{name}`" for name in names)
        lines.append(f"- not in {front_end}, {which}: {reason}")
    return [*lines, ""] if lines else []


def main() -> None:
    """Print the tables, or replace the earlier ones in a page."""
    parser = argparse.ArgumentParser(prog="python -m scenelift.options")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="below its marker line")
    args = parser.parse_args()
    if args.write is None:
        sys.stdout.write(tables() + "\n")
        return
    above, marker, _ = args.write.read_text(encoding="utf-8").partition(START)
    if not marker:
        parser.error(f"{args.write} has no line {START.strip()!r}")
    args.write.write_text(f"{above}{START}\n{tables()}", encoding="utf-8")


if __name__ == "__main__":
    main()

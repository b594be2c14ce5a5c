"""Tables of figures, for people and for machines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ParamSpec, TypeVar

__all__ = ["Attempts", "Row", "Table", "mean", "table_text", "tables_json"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Figures of one backend under one condition.

    Attributes:
        name: backend and condition.
        count: how many things (of the table's kind) were asked.
        failed: how many of them gave no result.
        figures: by name; NaN where there was nothing to measure.
        seconds: mean time a thing took, failures included.
    """

    name: str
    count: int
    failed: int
    figures: Mapping[str, float]
    seconds: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that can be compared.

    Attributes:
        title: what is measured.
        of: what `count` counts ("objects").
        rows: baselines first.
        failures: one sentence for each failure.
        not_run: why there are no rows of a backend, "" otherwise.
    """

    title: str
    of: str
    rows: Sequence[Row]
    failures: Sequence[str] = ()
    not_run: str = ""


@dataclass(slots=True)
class Attempts:
    """Runs calls, keeps their times, and counts whatever goes wrong instead of stopping."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The call's result, or None after noting under `what` why it failed."""
        started = time.perf_counter()
        try:
            return call(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001  a benchmark shows every failure and goes on
            self.failures.append(f"{what}: {type(exc).__name__}: {exc}")
            return None
        finally:
            self.seconds.append(time.perf_counter() - started)


def mean(values: Sequence[float]) -> float:
    """Mean of the numbers among the values; NaN where there are none."""
    numbers = [v for v in values if not math.isnan(v)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def table_text(table: Table) -> str:
    """The table with its columns aligned, failures below."""
    lines = [table.title]
    if table.rows:
        names = list(dict.fromkeys(name for row in table.rows for name in row.figures))
        cells = [["", table.of, "failed", *names, "s each"]]
        cells += [
            [
                row.name,
                str(row.count),
                str(row.failed),
                *(_number(row.figures.get(name, math.nan)) for name in names),
                _number(row.seconds),
            ]
            for row in table.rows
        ]
        widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
        lines += [
            "  "
            + line[0].ljust(widths[0])
            + "".join(
                f"  {cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)
            )
            for line in cells
        ]
    if table.not_run:
        lines.append(f"  not run: {table.not_run}")
    shown = 5
    lines += [f"  failed: {failure}" for failure in table.failures[:shown]]
    if len(table.failures) > shown:
        lines.append(f"  failed: {len(table.failures) - shown} more, all are in the JSON")
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def tables_json(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """The tables for `json.dumps`, with null for what could not be measured."""

    def clean(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, Mapping):
            return {k: clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [clean(v) for v in value]
        return value

    return [clean(asdict(table)) for table in tables]

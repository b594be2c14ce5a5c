"""One table of what every reader made of every file; printed at the end of the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.interop.readers import Reading

__all__ = ["TABLE"]

HEAD = ("file", "reader", "shows", "up", "worst place", "colours", "verdict")


@dataclass
class Table:
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, file: str, reader: str, reading: Reading, place: float, colour: float) -> None:
        if reading.refusal:
            self.rows.append((file, reader, "–", "–", "–", "–", reading.refusal[:60]))
            return
        shows = ", ".join(sorted(reading.shown)) or "nothing"
        self.rows.append((file, reader, shows, reading.up, f"{place:.4f}", f"{colour:.3f}", "read"))

    def lines(self) -> list[str]:
        widths = [max(len(row[k]) for row in (HEAD, *self.rows)) for k in range(len(HEAD))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (HEAD, *sorted(self.rows))
        ]


TABLE = Table()

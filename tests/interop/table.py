"""One table of what every reader made of every file; printed at the end of the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tests.interop.known_scene import CENTRES, COLOURS, SIZE
from tests.interop.readings import Reading

__all__ = ["TABLE", "Verdict", "judged"]

HEAD = ("file", "reader", "shows", "up", "unit", "box off", "places off", "colours off", "names")

UNITS = {1.0: "m", 1000.0: "mm", 100.0: "cm"}


@dataclass(frozen=True)
class Verdict:
    """How far a reading is from the known scene, in metres and in 0…1.

    Attributes:
        unit: numbers of the reader in one metre.
        box: worst corner of the box around everything.
        place: worst centre of a colour.
        colour: worst channel; 0 where there are no colours.
        names: how many of the three names are there.
    """

    unit: float
    box: float
    place: float
    colour: float
    names: int


def judged(reading: Reading, axes: NDArray[np.floating], *, on_plate: bool = False) -> Verdict:
    """Compare a reading with the known scene.

    Args:
        axes: [3, 3], the reader's axes of ours.
        on_plate: whether the scene was moved to the middle of a printer's plate.
    """
    half = SIZE / 2
    low = np.min(list(CENTRES.values()), axis=0) - half
    high = np.max(list(CENTRES.values()), axis=0) + half
    corners = np.sort(np.stack([axes @ low, axes @ high]), axis=0)
    size = np.subtract(reading.high, reading.low)
    ratio = float(np.linalg.norm(size) / np.linalg.norm(corners[1] - corners[0]))
    unit = min(UNITS, key=lambda u: abs(np.log(max(ratio, 1e-9) / u)))
    shift = -np.array([*corners.mean(0)[:2], corners[0, 2]]) if on_plate else np.zeros(3)
    box = np.abs(np.stack([reading.low, reading.high]) / unit - corners - shift).max()
    places = [
        np.abs(np.divide(reading.centres[h], unit) - axes @ np.array(CENTRES[h]) - shift).max()
        for h in CENTRES
        if h in reading.centres
    ]
    pale = [
        np.abs(np.subtract(rgb, np.divide(COLOURS[h], 255))).max() for h, rgb in reading.rgb.items()
    ]
    return Verdict(
        unit=unit,
        box=float(box),
        place=float(max(places, default=0.0)),
        colour=float(max(pale, default=0.0)),
        names=sum(any(hue in name for name in reading.names) for hue in CENTRES),
    )


@dataclass
class Table:
    rows: list[tuple[str, ...]] = field(default_factory=list)
    remarks: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, file: str, reader: str, reading: Reading, verdict: Verdict | None) -> None:
        """One reader's row."""
        if verdict is None:
            self.remark(file, reader, f"refused: {reading.refusal[:60]}")
            return
        self.rows.append(
            (
                file,
                reader,
                ", ".join(sorted(reading.shown)) or "nothing",
                reading.up,
                UNITS[verdict.unit],
                f"{verdict.box:.4f}",
                f"{verdict.place:.4f}" if reading.centres else "–",
                f"{verdict.colour:.3f}" if reading.rgb else "–",
                f"{verdict.names} of {len(CENTRES)}",
            )
        )

    def remark(self, file: str, reader: str, text: str) -> None:
        """A row of words alone, as of a validator."""
        self.remarks.append((file, reader, text))

    def lines(self) -> list[str]:
        """The table as text, places in metres."""
        widths = [
            max(len(row[k]) for row in (HEAD, *self.rows, *self.remarks) if k < 2 or len(row) > 3)
            for k in range(len(HEAD))
        ]
        return [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)).rstrip()
            for row in (HEAD, *sorted((*self.rows, *self.remarks)))
        ]


TABLE = Table()

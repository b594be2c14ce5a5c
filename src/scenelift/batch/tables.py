"""Write a batch's figures as tables: one with a line per item, one with a line per object.

`items.csv` is always written; objects go into `objects.parquet`, or `objects.csv` where pyarrow is
not installed.
"""

# PyArrow has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from scenelift.batch.entry import Entry, is_settled
from scenelift.batch.folder import BatchFolder
from scenelift.batch.items import BatchItem
from scenelift.batch.sheets import plain_cell
from scenelift.io.files import atomic_write, display_path, write_bytes

__all__ = ["ITEM_COLUMNS", "OBJECT_COLUMNS", "write_tables"]

ITEM_COLUMNS = (
    "id",
    "photo",
    "prompt",
    "seed",
    "state",
    "error",
    "reason",
    "losses",
    "seconds",
    "objects",
    "failed_objects",
    "host",
    "job",
    "folder",
)
# Followed by a column for each quality figure that any object has, as quality_NAME.
OBJECT_COLUMNS = (
    "id",
    "photo",
    "index",
    "label",
    "class_name",
    "score",
    "box_x0",
    "box_y0",
    "box_x1",
    "box_y1",
    "gaussians",
    "vertices",
    "faces",
    "scale",
    "x",
    "y",
    "z",
    "qw",
    "qx",
    "qy",
    "qz",
    "units",
    "state",
    "reason",
)
# Rows of a Parquet row group: of all objects at once a million photos would fill the memory.
GROUP_ROWS = 50_000


def write_tables(
    folder: BatchFolder, items: Sequence[BatchItem], entries: Mapping[str, Entry]
) -> list[str]:
    """Write both tables and return what the user should know about them.

    Args:
        entries: with their facts.

    Raises:
        OutputError: they cannot be written.
    """
    rows = (_item_row(folder, item, entries.get(item.id)) for item in items)
    write_bytes(folder.root / "items.csv", _csv(ITEM_COLUMNS, rows))
    results = [e for i in items if (e := entries.get(i.id)) and is_settled(e, i)]
    by_id = {item.id: item for item in items}
    qualities = sorted(
        {q for e in results for o in e.facts.get("objects", []) for q in o["quality"]}
    )
    columns = (*OBJECT_COLUMNS, *(f"quality_{name}" for name in qualities))
    objects = (row for e in results for row in _object_rows(by_id[e.id], e))
    if find_spec("pyarrow") is None:
        write_bytes(folder.root / "objects.csv", _csv(columns, objects))
        return ["objects.csv was written: Parquet needs pip install 'scenelift[cluster]'."]
    _write_parquet(folder, columns, objects)
    return []


def _item_row(folder: BatchFolder, item: BatchItem, entry: Entry | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": item.id,
        "photo": item.photo,
        "prompt": "; ".join(item.prompt.phrases),
        "seed": item.seed,
        "state": "waiting",
    }
    if entry is None or (entry.digest != item.digest and entry.state != "claimed"):
        return row
    if entry.state == "done":
        row["folder"] = folder.scene(item.id).relative_to(folder.root).as_posix()
        row["seconds"] = entry.facts.get("seconds")
        row["objects"] = len(entry.facts.get("objects", []))
        row["failed_objects"] = len(entry.facts.get("failed", []))
    return row | {
        "state": entry.state,
        "error": entry.error,
        "reason": entry.reason,
        "losses": entry.losses,
        "host": entry.worker.get("host"),
        "job": entry.worker.get("job"),
    }


def _object_rows(item: BatchItem, entry: Entry) -> Iterator[dict[str, Any]]:
    common = {"id": item.id, "photo": display_path(item.photo)}
    for o in entry.facts.get("objects", []):
        yield (
            common
            | {k: o[k] for k in ("index", "label", "class_name", "score", "scale")}
            | {k: o[k] for k in ("gaussians", "vertices", "faces")}
            | dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), o["box"], strict=True))
            | dict(zip("xyz", o["translation"], strict=True))
            | dict(zip(("qw", "qx", "qy", "qz"), o["rotation"], strict=True))
            | {f"quality_{name}": value for name, value in o["quality"].items()}
            | {"units": entry.facts.get("units"), "state": "done", "reason": ""}
        )
    for f in entry.facts.get("failed", []):
        yield (
            common
            | {k: f[k] for k in ("index", "label", "score", "reason")}
            | dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), f["box"], strict=True))
            | {"state": "failed"}
        )


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: plain_cell(v) for k, v in row.items()} for row in rows)
    return text.getvalue().encode(errors="surrogateescape")  # paths as they are on disk


def _write_parquet(
    folder: BatchFolder, columns: Sequence[str], rows: Iterator[dict[str, Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = {"id", "photo", "label", "class_name", "units", "state", "reason"}
    counts = {"index", "gaussians", "vertices", "faces"}
    schema = pa.schema(
        [
            (c, pa.string() if c in texts else pa.int64() if c in counts else pa.float64())
            for c in columns
        ]
    )
    with (
        atomic_write(folder.root / "objects.parquet") as file,
        pq.ParquetWriter(file, schema) as writer,
    ):
        while group := [row for _, row in zip(range(GROUP_ROWS), rows, strict=False)]:
            full = [{c: row.get(c) for c in columns} for row in group]
            writer.write_table(pa.Table.from_pylist(full, schema))

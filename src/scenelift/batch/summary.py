"""Write `index.html`, which shows people a batch's failures, their reasons, and pictures.

Plain HTML without scripts, so that it can be read off a login node or a web space.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from urllib.parse import quote

from scenelift.batch.entry import Entry, State, is_settled
from scenelift.batch.folder import BatchFolder
from scenelift.batch.items import BatchItem
from scenelift.batch.progress import BatchReport
from scenelift.batch.thumbnails import THUMBNAIL_SIZE
from scenelift.io.files import write_bytes

__all__ = ["CARDS_PER_PAGE", "write_summary"]

CARDS_PER_PAGE = 500
# Longer lists are in items.csv.
MOST_FAILURES = 200

WORDS: dict[State, str] = {
    "done": "done",
    "nothing": "nothing found",
    "failed": "failed",
    "claimed": "at work",
    "waiting": "waiting",
}


def write_summary(
    folder: BatchFolder,
    items: Sequence[BatchItem],
    entries: Mapping[str, Entry],
    report: BatchReport,
) -> None:
    """Write `index.html`, and `index-2.html` and so on if there are more pictures.

    Args:
        entries: with their facts.

    Raises:
        OutputError: it cannot be written.
    """
    results = {i.id: e for i in items if (e := entries.get(i.id)) and is_settled(e, i)}
    finished_items = [i for i in items if i.id in results and results[i.id].state == "done"]
    pages = max(1, -(-len(finished_items) // CARDS_PER_PAGE))
    for page in range(pages):
        cards = finished_items[page * CARDS_PER_PAGE : (page + 1) * CARDS_PER_PAGE]
        body = [_header(folder, report), _bar(report)] if page == 0 else [_header(folder, None)]
        if page == 0:
            body += [_troubles(items, results)]
        body += [_gallery(folder, cards, results, len(finished_items)), _pages(page, pages)]
        text = _page().substitute(title=html.escape(folder.root.name), body="\n".join(body))
        write_bytes(folder.root / _page_name(page), text.encode(errors="replace"))
    for page in range(pages, pages + 1000):  # of an earlier, longer list
        old = folder.root / _page_name(page)
        if not old.exists():
            break
        old.unlink(missing_ok=True)


def _page() -> Template:
    return Template(files("scenelift.batch").joinpath("summary.html").read_text(encoding="utf-8"))


def _page_name(page: int) -> str:
    return "index.html" if page == 0 else f"index-{page + 1}.html"


def _header(folder: BatchFolder, report: BatchReport | None) -> str:
    name = html.escape(folder.root.name)
    if report is None:
        return f'<header><h1><a href="index.html">{name}</a></h1></header>'
    total = sum(report.counts.values())
    return (
        f"<header><h1>{name}</h1><p>{_count(total, 'photo')}. "
        f'Tables: <a href="items.csv">items.csv</a>, {_objects_table(folder)}.</p></header>'
    )


def _objects_table(folder: BatchFolder) -> str:
    name = "objects.parquet" if (folder.root / "objects.parquet").exists() else "objects.csv"
    return f'<a href="{name}">{name}</a>'


def _bar(report: BatchReport) -> str:
    total = max(1, sum(report.counts.values()))
    order: tuple[State, ...] = ("done", "nothing", "failed", "claimed", "waiting")
    parts = "".join(
        f'<i class="{s}" style="flex-grow:{report.counts[s]}"></i>'
        for s in order
        if report.counts[s]
    )
    words = "".join(
        f'<li class="{s}"><b>{report.counts[s]:,}</b> {WORDS[s]} '
        f"<small>{100 * report.counts[s] / total:.0f} %</small></li>"
        for s in order
        if report.counts[s] or s == "done"
    )
    return f'<div class="bar" aria-hidden="true">{parts}</div><ul class="counts">{words}</ul>'


def _troubles(items: Sequence[BatchItem], results: Mapping[str, Entry]) -> str:
    failed = [i for i in items if i.id in results and results[i.id].state == "failed"]
    empty = [i for i in items if i.id in results and results[i.id].state == "nothing"]
    partial = [i for i in items if i.id in results and results[i.id].facts.get("failed")]
    parts: list[str] = []
    if failed:
        kinds = Counter(results[i.id].error for i in failed).most_common()
        kinds_text = ", ".join(f"{html.escape(kind)}: {n:,}" for kind, n in kinds)
        rows = [(i, results[i.id].reason) for i in failed]
        parts.append(
            _table(f"Failed ({len(failed):,})", f"By kind: {kinds_text}.", rows, is_open=True)
        )
    if partial:
        rows = [
            (i, "; ".join(f"{f['label']}: {f['reason']}" for f in results[i.id].facts["failed"]))
            for i in partial
        ]
        parts.append(_table(f"Done without some objects ({len(partial):,})", "", rows))
    if empty:
        rows = [(i, results[i.id].reason) for i in empty]
        parts.append(_table(f"Nothing found ({len(empty):,})", "", rows))
    return "\n".join(parts)


def _table(
    title: str, note: str, rows: Sequence[tuple[BatchItem, str]], *, is_open: bool = False
) -> str:
    lines = "".join(
        f"<tr><td>{html.escape(item.id)}</td>"
        f"<td>{html.escape(_prompt(item))}</td><td>{html.escape(reason)}</td></tr>"
        for item, reason in rows[:MOST_FAILURES]
    )
    more = len(rows) - MOST_FAILURES
    rest = f"<p>{more:,} more are in items.csv.</p>" if more > 0 else ""
    note_html = f"<p>{note}</p>" if note else ""
    return (
        f"<details{' open' if is_open else ''}><summary>{title}</summary>{note_html}<table>"
        f"<thead><tr><th>item</th><th>prompt</th><th>reason</th></tr></thead>"
        f"<tbody>{lines}</tbody></table>{rest}</details>"
    )


def _gallery(
    folder: BatchFolder,
    items: Sequence[BatchItem],
    results: Mapping[str, Entry],
    total: int,
) -> str:
    if not items:
        return ""
    cards = "".join(_card(folder, item, results[item.id]) for item in items)
    return f"<h2>Done ({total:,})</h2><div class=cards>{cards}</div>"


def _card(folder: BatchFolder, item: BatchItem, entry: Entry) -> str:
    scene = quote(folder.scene(item.id).relative_to(folder.root).as_posix())
    picture = quote(folder.thumbnail(item.id).relative_to(folder.root).as_posix())
    width, height = THUMBNAIL_SIZE
    labels = Counter(o["label"] for o in entry.facts.get("objects", []))
    objects = ", ".join(f"{n} × {label}" if n > 1 else label for label, n in labels.items())
    failed = len(entry.facts.get("failed", []))
    warning = f' <span class="failed">{failed} failed</span>' if failed else ""
    return (
        f'<article><a href="{scene}/"><img loading="lazy" width="{width}" height="{height}" '
        f'src="{picture}" alt="photo and scene of {html.escape(item.id)}"></a>'
        f"<h3>{html.escape(item.id)}</h3>"
        f"<p>{html.escape(objects)}{warning} · {entry.facts.get('seconds', 0):.1f} s</p>"
        f'<p><a href="{scene}/scene.glb">GLB</a> <a href="{scene}/scene.ply">splats</a> '
        f'<a href="{scene}/preview.gif">turntable</a> <a href="{scene}/scene.json">JSON</a></p>'
        "</article>"
    )


def _pages(page: int, pages: int) -> str:
    if pages == 1:
        return ""
    links = " ".join(
        f"<b>{k + 1}</b>" if k == page else f'<a href="{_page_name(k)}">{k + 1}</a>'
        for k in range(pages)
    )
    return f"<nav>Pages: {links}</nav>"


def _prompt(item: BatchItem) -> str:
    boxes = sum(b.positive for b in item.prompt.boxes)
    parts = [_count(boxes, "box")] if boxes else []
    points = sum(p.positive for p in item.prompt.points)
    parts += [_count(points, "point")] if points else []
    return "; ".join([*item.prompt.phrases, *parts])


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"

"""README and docs state the sizes that the catalogue has: `python -m scenelift.weights.sizes`."""

import re
from pathlib import Path

import pytest

from scenelift.weights import embedded, published
from scenelift.weights.bundles import BUNDLES
from scenelift.weights.hub_models import spoken_size
from scenelift.weights.sizes import size_table, sizes

ROOT = Path(__file__).parents[2]
SIZE = re.compile(r"[\d.]+ [GM]B")


def test_the_table_of_the_docs_is_the_generated_one():
    assert size_table() in (ROOT / "docs" / "weights.md").read_text("utf-8")


def test_bundles_are_all_in_it():
    assert set(sizes()) == set(BUNDLES)
    for name, (fetched, _) in sizes().items():
        assert name == "embedded" or fetched in BUNDLES[name].summary


def test_readme_says_the_same():
    readme = (ROOT / "README.md").read_text("utf-8")
    named = {}
    for line in readme.splitlines():
        if command := re.search(r"models download (\w+)", line):
            said, _, _ = line[command.end() :].partition("; ")  # then come other needs
            named[command[1]] = SIZE.findall(said)
    fetched, kept = sizes()["embedded"]
    assert named["embedded"] == [kept, fetched]
    for name in named.keys() - {"embedded"}:
        assert set(named[name]) <= set(sizes()[name])
    assert named["open"]


@pytest.mark.parametrize(
    "page", [p for p in sorted((ROOT / "docs").glob("*.md")) if p.name != "log.md"], ids=str
)
def test_no_other_page_has_a_size_of_its_own(page):
    for line in page.read_text("utf-8").splitlines():
        if "models download" in line:
            assert not SIZE.search(line), line


@pytest.mark.parametrize("name", [n for n, m in published.MODELS.items() if m.size > 1e8])
def test_rows_of_the_model_tables_have_the_published_sizes(name):
    rows = re.findall(
        rf"^\| `{re.escape(name)}` \|.*$", (ROOT / "docs/weights.md").read_text(), re.M
    )
    for row in rows:
        for size in re.findall(r"[\d.]+ GB", row):
            assert float(size.split()[0]) == pytest.approx(
                published.MODELS[name].size / 1e9, abs=0.006
            )


@pytest.mark.weights
def test_the_embedded_models_take_what_is_said():
    rows = embedded.status()
    assert all(row.present for row in rows)
    # Converted with other versions of onnx, a file may be a few bytes longer.
    assert sum(row.size for row in rows) == pytest.approx(embedded.KEPT_BYTES, rel=1e-3)


def test_sizes_are_spoken_with_the_digits_that_matter():
    assert [spoken_size(n) for n in (88_254_990, 985_818_354, 7_208_204_582)] == [
        "88 MB",
        "986 MB",
        "7.2 GB",
    ]

"""How many phrases the embedded vocabulary reads correctly.

    python benchmarks/vocabulary.py [--without-wordnet] [--wordnet FOLDER] [--verbose]

Reads `phrases.tsv` beside this file and prints one line a group, then the phrases it got wrong.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from scenelift.segment.embedded.vocabulary import Reading, Vocabulary
from scenelift.segment.embedded.wordnet import WordNet

PHRASES = Path(__file__).with_name("phrases.tsv")
# Where the file's groups end; its head says what was seen when.
GROUPS = {"in sight": 60, "mended": 128, "held out": 168, "sentences": 238}


def load_phrases() -> list[tuple[str, set[str]]]:
    """Phrases and the classes each may reach; an empty set for none."""
    lines = (line for line in PHRASES.read_text("utf-8").splitlines() if line[:1] != "#")
    pairs = (line.split("\t") for line in lines if line)
    return [
        (phrase, set() if wanted == "-" else set(wanted.split("|"))) for phrase, wanted in pairs
    ]


def is_right(reading: Reading, wanted: set[str]) -> bool:
    if wanted & {"everything", "subject"}:
        return reading.how in wanted
    if not reading.classes:
        return reading.how == "unknown" and (not wanted or "-" in wanted)
    return set(reading.classes) <= wanted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without-wordnet", action="store_true")
    parser.add_argument("--wordnet", type=Path, help="folder with index.noun and data.noun")
    parser.add_argument("--verbose", action="store_true", help="print every reading")
    args = parser.parse_args()

    started = time.perf_counter()
    if args.without_wordnet:
        vocabulary = Vocabulary()
    elif args.wordnet:
        vocabulary = Vocabulary(WordNet(args.wordnet))
    else:
        vocabulary = Vocabulary.load()
    loaded = time.perf_counter()
    results = [(p, wanted, vocabulary.read(p)) for p, wanted in load_phrases()]
    done = time.perf_counter()

    start = 0
    for title, end in GROUPS.items():
        right = sum(is_right(reading, wanted) for _, wanted, reading in results[start:end])
        print(f"{title:10s} {right} of {end - start} right")
        start = end
    print(
        f"load {1e3 * (loaded - started):.1f} ms, "
        f"a phrase {1e3 * (done - loaded) / len(results):.2f} ms"
    )
    for phrase, wanted, reading in results:
        right = is_right(reading, wanted)
        if args.verbose or not right:
            mark = "  " if right else "✗ "
            print(
                f"{mark}{phrase!r}: {reading.how} {list(reading.classes)}; wanted {sorted(wanted)}"
            )
            if args.verbose and reading.note:
                print(f"      {reading.note}")


if __name__ == "__main__":
    main()

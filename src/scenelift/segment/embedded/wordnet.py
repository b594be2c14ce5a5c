"""Reads WordNet's noun files in place: the senses of a word, and what each is a kind of.

Two files matter: `index.noun` (a word → the byte offsets of its senses, sorted by word) and
`data.noun` (a sense → its words and its parents). Both are mapped into memory and searched where
they lie, so opening them costs nothing and a look-up a few microseconds.

Format: https://wordnet.princeton.edu/documentation/wndb5wn
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["ANIMAL", "ARTIFACT", "VISIBLE", "Synset", "WordNet"]

# Lexicographer files, the coarse kinds of WordNet's nouns, whose senses a photo can show. They
# leave out "mug" the quantity and "book" the work.
# https://wordnet.princeton.edu/documentation/lexnames5wn
ANIMAL, ARTIFACT, FOOD, NATURAL_OBJECT, PERSON, PLANT = 5, 6, 13, 17, 18, 20
VISIBLE = frozenset({ANIMAL, ARTIFACT, FOOD, NATURAL_OBJECT, PERSON, PLANT})

# WordNet's rules of detachment for nouns (morphy): ending → what replaces it.
# https://wordnet.princeton.edu/documentation/morphy7wn
DETACHMENTS = (
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("oes", "o"),  # ours: without it "tomatoes" finds nothing
    ("s", ""),
)

# The irregular plurals that name things in photos; `noun.exc` adds its own where it is installed.
IRREGULAR = {
    "calves": "calf",
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "halves": "half",
    "knives": "knife",
    "leaves": "leaf",
    "loaves": "loaf",
    "mice": "mouse",
    "oxen": "ox",
    "scarves": "scarf",
    "shelves": "shelf",
    "teeth": "tooth",
    "wolves": "wolf",
}


@dataclass(frozen=True, slots=True)
class Synset:
    """One sense: words that mean the same thing.

    Attributes:
        offset: its place in data.noun, which is also its identity.
        words: lower case, "_" between the parts of a compound.
        parents: offsets of its hypernyms (what it is a kind, or an instance, of).
        kind: number of its lexicographer file: `ANIMAL`, `ARTIFACT`, ….
        named: whether it is somebody or something with a name of its own, not a kind.
    """

    offset: int
    words: tuple[str, ...]
    parents: tuple[int, ...]
    kind: int
    named: bool


class WordNet:
    """The nouns of WordNet 3.x in a folder that holds `index.noun` and `data.noun`.

    Raises:
        OSError: a file is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._index = _map(folder / "index.noun")
        self._data = _map(folder / "data.noun")
        self._irregular = dict(IRREGULAR)
        exceptions = folder / "noun.exc"
        if exceptions.is_file():
            for line in exceptions.read_text("utf-8").splitlines():
                plural, *singulars = line.split()
                self._irregular.setdefault(plural, singulars[0])
        self.synset = lru_cache(maxsize=8192)(self._read_synset)

    def senses(self, word: str) -> tuple[int, ...]:
        """List the offsets of a word's senses, most frequent first; empty for an unknown word.

        Args:
            word: lower case, in its base form, "_" between the parts of a compound.
        """
        try:
            lemma = word.encode("ascii")
        except UnicodeEncodeError:  # WordNet's words are ASCII
            return ()
        if not lemma:
            return ()
        low, high = 0, len(self._index)
        while low < high:
            start = self._index.rfind(b"\n", 0, (low + high) // 2) + 1
            end = self._index.find(b"\n", start)
            line = self._index[start:end]
            # The licence text at the top starts with spaces, which sort before every word.
            entry = line.split(b" ", 1)[0]
            if entry == lemma:
                fields = line.split()
                pointer_kinds = int(fields[3])
                return tuple(int(offset) for offset in fields[6 + pointer_kinds :])
            if entry < lemma:
                low = end + 1
            else:
                high = start
        return ()

    def base_forms(self, word: str) -> Iterator[str]:
        """List forms of a word that may stand in the dictionary: itself, then its singulars."""
        earlier_forms = set[str]()
        forms = [word, *([self._irregular[word]] if word in self._irregular else [])]
        forms += [
            word[: -len(ending)] + replacement
            for ending, replacement in DETACHMENTS
            if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss")
        ]
        for form in forms:
            if form not in earlier_forms:
                earlier_forms.add(form)
                yield form

    def ancestors(self, offset: int) -> dict[int, int]:
        """Find everything that a sense is a kind of: offset → steps up, itself included at 0."""
        steps = {offset: 0}
        queue = deque([offset])
        while queue:
            current = queue.popleft()
            for parent in self.synset(current).parents:
                if parent not in steps:
                    steps[parent] = steps[current] + 1
                    queue.append(parent)
        return steps

    def _read_synset(self, offset: int) -> Synset:
        line = self._data[offset : self._data.find(b"\n", offset)]
        fields = line.split(b" | ", 1)[0].decode("ascii").split()
        word_count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * i].lower() for i in range(word_count))
        pointers = fields[5 + 2 * word_count :]
        parents = tuple(
            int(pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")
        )
        named = "@i" in pointers[::4]
        return Synset(offset, words, parents, int(fields[1]), named)


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

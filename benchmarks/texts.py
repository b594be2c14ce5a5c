"""What people write, at random and in other encodings: `python -m benchmarks.texts`.

Prints how sheets in other encodings are read, by us and by charset-normalizer where it is
installed, then how many random texts, values and files end in
an error that is not ours (none should).
"""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from scenelift.batch.encodings import PAGES, decode
from scenelift.batch.json_rows import json_rows
from scenelift.batch.sheets import csv_rows
from scenelift.coordinates import boxes_of, points_of
from scenelift.errors import InputError, SceneliftError
from scenelift.phrases import split_phrases
from scenelift.prompts import parse_prompt_phrases
from scenelift.types import Prompt

SHEETS = {
    "gb18030": ["杯子", "椅子", "台灯", "沙发", "盘子", "红色的杯子，白色的盘子"],
    "gbk": ["书", "灯", "狗；猫", "猫"],
    "cp932": ["カップ", "赤い椅子", "コップ；皿", "猫"],
    "cp950": ["杯子", "紅色的椅子", "貓"],
    "cp949": ["컵", "빨간 의자", "숟가락; 접시", "고양이와 강아지가 있는 의자"],
    "cp1251": ["чашка", "красный стул; стол", "Ложка", "СТУЛ"],
    "cp1250": ["křeslo", "łyżka", "židle", "szék; könyv", "krzesło"],
    "cp1253": ["καρέκλα", "φλιτζάνι; κουτάλι"],
    "cp1254": ["kaşık", "çatal; bıçak"],
    "cp1255": ["כיסא"],
    "cp1256": ["كرسي"],
    "cp1252": ["Schüssel", "café", "Stühle", "d’été", "“tall” cup", "ØL; Ærø", "5 €", "NIÑO"],
    "mac_roman": ["Schüssel", "écran"],
    "cp850": ["Schüssel", "Löffel"],
}  # fmt: skip
PIECES = (
    *("cup", "spoon", " and ", " or ", "1. ", "2) ", "- ", "* ", '"', "'", "“", "”", ";", ",", "|"),
    *(
        "/",
        "&",
        " ",
        "\n",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "=",
        ":",
        "0.5",
        "10",
        "1e9",
        "nan",
        "inf",
    ),
    *("杯", "，", "\\n", ".", "\ud800", "\0", "box", "label", "null", "true"),
)
FIELDS = ("box", "label", "x", "y", "x0", "positive", "width", "height", "xmin")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.texts")
    parser.add_argument("--cases", type=int, default=20_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("error")
    print(dict(Counter(verdicts())))
    if find_spec("charset_normalizer"):
        print("charset-normalizer:", dict(Counter(verdicts_of_charset_normalizer())))
    chance = random.Random(args.seed)
    for name, make, readers in (
        ("texts", text, TEXT_READERS),
        ("values", value, VALUE_READERS),
        ("files", file, FILE_READERS),
    ):
        faults = Counter(
            fault
            for _ in range(args.cases)
            for case in (make(chance),)
            for read in readers
            if (fault := fault_of(read, case))
        )
        print(f"{args.cases} {name}: {sum(faults.values())} faults", *faults.items(), sep="\n  ")


def verdicts() -> Iterator[str]:
    """How each sheet is read; what is not read right is printed."""
    for encoding, prompts in SHEETS.items():
        for prompt in prompts:
            sheet, notes = f"photo,prompt\na.png,{prompt}\n", []
            try:
                same = decode(sheet.encode(encoding), "a.csv", notes, usual="utf-8") == sheet
            except InputError:
                verdict = "refused with its readings"
            else:
                verdict = f"{'right' if same else 'wrong'}, {'said' if notes else 'not said'}"
            if not verdict.startswith("right"):
                print(f"{prompt} in {encoding}: {verdict}")
            yield verdict


def verdicts_of_charset_normalizer() -> Iterator[str]:
    """The same of the best guess of charset-normalizer, which is told our list of encodings."""
    from charset_normalizer import from_bytes

    names = ["utf_8", *(page.name for page in PAGES)]
    for encoding, prompts in SHEETS.items():
        for prompt in prompts:
            sheet = f"photo,prompt\na.png,{prompt}\n"
            best = from_bytes(sheet.encode(encoding), cp_isolation=names).best()
            yield "none" if best is None else "right" if str(best) == sheet else "wrong"


def fault_of(read: Callable[[Any], object], case: object) -> str:
    """What a reader raises that is no error of ours, "" for nothing."""
    try:
        read(case)
    except SceneliftError:
        return ""
    except Exception as exc:  # noqa: BLE001  what it is for
        return f"{type(exc).__name__}: {exc} ({case!r:.80})"
    return ""


def text(chance: random.Random) -> str:
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 14)))


def value(chance: random.Random, depth: int = 0) -> Any:
    """Lists, dictionaries and numbers as JSON and Python have them."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind == 6:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 7:
        return {chance.choice(FIELDS): value(chance, depth + 1) for _ in range(chance.randrange(5))}
    if kind == 8:
        return [chance.choice([1, 2.5, 7, 0.5]) for _ in range(chance.randrange(5))]
    return [None, 1, 2.5, "1,2,3,4", float("nan"), True][kind]


def file(chance: random.Random) -> bytes:
    beginning = f"photo,prompt\na.png,{text(chance)}".encode("utf-8", "surrogatepass")
    rest = bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
    return rest if chance.random() < 0.5 else beginning + rest


TEXT_READERS = (
    split_phrases,
    lambda case: parse_prompt_phrases([case]),
    boxes_of,
    points_of,
    lambda case: list(json_rows(case)),
    lambda case: list(csv_rows(f"photo,prompt\n{case}", ("photo", "prompt"))),
)
VALUE_READERS = (
    boxes_of,
    points_of,
    lambda case: Prompt(phrases=case),
    lambda case: Prompt(boxes=case, points=case),
    lambda case: list(json_rows(json.dumps(case))),
)
FILE_READERS = (lambda case: decode(case, "a.csv", []),)


if __name__ == "__main__":
    main()

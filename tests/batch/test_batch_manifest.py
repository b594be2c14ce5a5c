"""Manifests: every bad row is named before anything runs; names of items stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenelift.batch.encodings import decode
from scenelift.batch.items import ID_PATTERN, BatchItem, read_plan, write_plan
from scenelift.batch.manifest import COLUMNS, read_items
from scenelift.batch.sheets import plain_cell
from scenelift.errors import InputError, ManifestError
from scenelift.options import Options, SearchOptions, SeedOptions
from scenelift.prompts import parse_prompt_phrases
from scenelift.types import Prompt

CHAIR = Options(search=SearchOptions(prompt=("chair",), max_objects=3), seeds=SeedOptions(seed=7))


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "b c.png", "sub/a.jpg"):
        (tmp_path / name).write_bytes(b"not looked into here")
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_folder_gives_every_photo_below_it_with_the_defaults(photos):
    items = read_items(photos, CHAIR)
    assert [i.photo.relative_to(photos).as_posix() for i in items] == [
        "a.jpg",
        "b c.png",
        "sub/a.jpg",
    ]
    assert {i.prompt for i in items} == {CHAIR.search.to_prompt()}
    assert {i.seed for i in items} == {7}
    assert len({i.id for i in items}) == 3


def test_csv_and_json_lines_say_the_same(photos):
    table = write(
        photos,
        "m.csv",
        "photo,prompt,box,seed,max_objects,min_score,id\n"
        'a.jpg,cup; red mug,"spoon=1,2,30,40",5,2,0.5,first\n'
        "sub/a.jpg,,,,,,\n",
    )
    rows = [
        {
            "photo": "a.jpg",
            "prompt": ["cup", "red mug"],
            "box": ["spoon=1,2,30,40"],
            "seed": 5,
            "max_objects": 2,
            "min_score": 0.5,
            "id": "first",
        },
        {"photo": "sub/a.jpg", "prompt": None},
    ]
    lines = write(photos, "m.jsonl", "\n\n".join(map(json.dumps, rows)))
    assert read_items(table, CHAIR) == read_items(lines, CHAIR)
    first, second = read_items(table, CHAIR)
    assert first.id == "first"
    assert first.prompt.phrases == ("cup", "red mug")
    assert first.prompt.boxes[0].label == "spoon"
    assert second.prompt == CHAIR.search.to_prompt()


def test_a_row_may_have_meshes_of_its_own(photos):
    manifest = write(
        photos,
        "m.csv",
        "photo,faces,texture_size,vertex_colors\na.jpg,0,,\nb c.png,500,2048,yes\nsub/a.jpg,,,\n",
    )
    items = read_items(manifest, CHAIR)
    assert [i.options for i in items] == [
        {"faces": 0},
        {"faces": 500, "texture_size": 2048, "vertex_colors": True},
        {},
    ]
    (photos / "plan").write_bytes(write_plan(items))
    assert list(read_plan(photos / "plan")) == items
    # The name of a row without them is what it was before there were such columns.
    assert items[2] == read_items(write(photos, "n.csv", "photo\nsub/a.jpg\n"), CHAIR)[0]


@pytest.mark.parametrize(
    ("column", "value"),
    [("faces", "2"), ("faces", "many"), ("texture_size", "10"), ("vertex_colors", "perhaps")],
)
def test_meshes_that_cannot_be_are_refused_before_anything_runs(photos, column, value):
    manifest = write(photos, "m.csv", f"photo,{column}\na.jpg,{value}\n")
    with pytest.raises(ManifestError, match=value):
        read_items(manifest, CHAIR)


def test_all_bad_rows_are_reported_with_their_line(photos):
    manifest = write(
        photos,
        "m.csv",
        "photo,prompt,box,seed,max_objects,id\n"
        "a.jpg,cup,,,,\n"
        "gone.jpg,cup,,,,\n"
        "a.jpg,,,,,\n"
        'a.jpg,,"1,2,3",,,\n'
        "a.jpg,cup,,1.5,,\n"
        "a.jpg,cup,,,0,\n"
        "a.jpg,cup,,,,../evil\n"
        ",cup,,,,\n"
        "a.jpg,cup,,,,\n"
        "a.jpg,cup,,,,,,,more\n",
    )
    with pytest.raises(ManifestError) as caught:
        read_items(manifest)
    assert [line for line, _ in caught.value.problems] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    reasons = [reason for _, reason in caught.value.problems]
    for reason, word in zip(
        reasons,
        ("gone", "prompt", "box", "seed", "max_objects", "folder", "photo", "line 2", "fields"),
        strict=True,
    ):
        assert word in reason
    assert "line 3:" in str(caught.value)


def test_a_wrong_header_is_reported_once(photos):
    manifest = write(photos, "m.csv", "picture,prompt\na.jpg,cup\na.jpg,cup\n")
    with pytest.raises(ManifestError, match="'picture'") as caught:
        read_items(manifest)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("row", ["[1]", "{", '{"photo": "a.jpg", "prompt": "x", "sed": 1}'])
def test_bad_json_lines_are_reported(photos, row):
    with pytest.raises(ManifestError):
        read_items(write(photos, "m.jsonl", row + "\n"))


@pytest.mark.parametrize("name", ["gone.csv", "notes.txt", "empty.csv", "empty"])
def test_what_is_no_manifest_is_refused(photos, name):
    (photos / "empty.csv").write_text("photo,prompt\n")
    (photos / "empty").mkdir()
    with pytest.raises(InputError):
        read_items(photos / name, CHAIR)


def test_names_stay_when_rows_are_added_or_the_folder_moves(photos, tmp_path):
    before = {i.photo.name: i.id for i in read_items(photos, CHAIR) if i.photo.parent == photos}
    (photos / "aa.jpg").write_bytes(b"new")
    moved = photos.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    after = {i.photo.name: i.id for i in read_items(moved, CHAIR) if i.photo.parent == moved}
    assert before.items() <= after.items()


def test_a_plan_gives_the_items_back(photos):
    manifest = write(
        photos, "m.csv", 'photo,prompt,box,exclude_box\na.jpg,cup,"x=1,2,3,4","5,6,7,8"\n'
    )
    items = read_items(manifest, CHAIR)
    (photos / "plan").write_bytes(write_plan(items))
    assert list(read_plan(photos / "plan")) == items


@given(stem=st.text(min_size=1).filter(lambda s: "/" not in s and "\0" not in s))
def test_every_photo_name_gives_a_name_for_a_folder(stem):
    from pathlib import Path

    item = BatchItem.of(Path("/x") / f"{stem}.jpg", Prompt(phrases=("cup",)), 0)
    assert ID_PATTERN.fullmatch(item.id)


def test_the_documentation_names_every_column():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"`{column}`" in text


CASES = Path(__file__).parent / "sheets"


@pytest.fixture
def listed(tmp_path):
    """A folder with the photos that the sheets name."""
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "photo.png", "sub/b, c.png"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("path", sorted(CASES.glob("pd_*.csv")), ids=lambda p: p.stem)
def test_what_pandas_writes_is_read(listed, path):
    shutil.copy(path, listed / "m.csv")
    first, second = read_items(listed / "m.csv", CHAIR)
    assert (first.photo, second.photo) == (listed / "a.png", listed / "sub" / "b, c.png")
    assert first.prompt.phrases == ("cup", "spoon")
    assert (first.seed, first.prompt.min_score, dict(first.options)) == (
        7,
        0.5,
        {"vertex_colors": True},
    )
    assert second.prompt.phrases == ('person "tall"', "café")
    assert (second.seed, dict(second.options)) == (CHAIR.seeds.seed, {"vertex_colors": False})


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("excel_blank", ("cup", "spoon")),
        ("excel_blank_comma", ("cup", "spoon")),
        ("list_case", ("ball",)),
        ("list_cp1252", ("Schüssel",)),
        ("list_excel_de", ("ball",)),
        ("list_utf16", ("ball",)),
        ("sep", ("cup",)),
    ],
)
def test_what_excel_writes_is_read(listed, name, phrases):
    shutil.copy(CASES / f"{name}.csv", listed / "m.csv")
    notes = []
    (item,) = read_items(listed / "m.csv", CHAIR, notes=notes)
    assert item.prompt.phrases == phrases
    assert ["Windows-1252" in note for note in notes] == ([True] if "1252" in name else [])


def test_numbers_and_truth_are_read_as_other_countries_write_them(listed):
    text = "photo;Min Score;Vertex-Colors;seed\nphoto.png;0,5;WAHR;nan\na.png;;FAUX;3.0\n"
    first, second = read_items(write(listed, "m.csv", text), CHAIR)
    assert (first.prompt.min_score, dict(first.options), first.seed) == (
        0.5,
        {"vertex_colors": True},
        CHAIR.seeds.seed,
    )
    assert (dict(second.options), second.seed) == ({"vertex_colors": False}, 3)


@pytest.mark.parametrize(
    ("encoding", "prompt", "title"),
    [
        ("gb18030", "椅子；台灯", "GBK"),
        ("cp932", "赤い椅子", "Shift-JIS"),
        ("cp950", "紅色的椅子", "Big5"),
        ("cp949", "고양이와 강아지가 있는 의자", "EUC-KR"),
        ("cp1251", "красный стул", "Windows-1251"),
        ("cp1250", "łyżka", "Windows-1250"),
        ("cp1253", "φλιτζάνι", "Windows-1253"),
        ("cp1256", "كرسي", "Windows-1256"),
        ("cp850", "Schüssel", "850"),
    ],
)
def test_sheets_of_other_countries_are_read_with_a_word(listed, encoding, prompt, title):
    (listed / "m.csv").write_bytes(f"photo,prompt\na.png,{prompt}\n".encode(encoding))
    notes = []
    (item,) = read_items(listed / "m.csv", CHAIR, notes=notes)
    assert item.prompt.phrases == parse_prompt_phrases([prompt])
    assert title in notes[0]
    assert "--encoding" in notes[0]


@pytest.mark.parametrize("prompt", ["컵", "빨간 의자"])
def test_a_sheet_that_several_countries_could_have_written_is_refused(listed, prompt):
    data = f"photo,prompt\na.png,{prompt}\n".encode("cp949")
    (listed / "m.csv").write_bytes(data)
    with pytest.raises(InputError, match=f"'{prompt.split()[0]}'.* with --encoding cp949"):
        read_items(listed / "m.csv", CHAIR)
    (item,) = read_items(listed / "m.csv", CHAIR, encoding="cp949")
    assert item.prompt.phrases == (prompt,)
    assert decode(data, "m.csv", [], usual="cp949") == data.decode("cp949")
    (listed / "컵.png").write_bytes(b"")  # whose name is right in one of them only
    (listed / "m.csv").write_bytes(data.replace(b"a.png", "컵.png".encode("cp949")))
    (item,) = read_items(listed / "m.csv", CHAIR)
    assert (item.prompt.phrases, item.photo.name) == ((prompt,), "컵.png")
    for wrong in ("klingon", "ascii"):
        with pytest.raises(InputError, match="encoding"):
            read_items(listed / "m.csv", CHAIR, encoding=wrong)


def test_a_sheet_that_was_read_wrongly_before_is_mended_with_a_word(listed):
    text = "photo,prompt\na.png,Schüssel\n"
    write(listed, "m.csv", text.encode().decode("cp1252"))
    notes = []
    (item,) = read_items(listed / "m.csv", CHAIR, notes=notes)
    assert item.prompt.phrases == ("Schüssel",)
    assert "'SchÃ¼ssel'" in notes[0]
    with pytest.raises(ManifestError, match=r"line 2: .*lost letters"):
        read_items(write(listed, "m.csv", text.replace("ü", "\ufffd")), CHAIR)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cafe\u0301 ö.png", "caf\u00e9 o\u0308.png"),
        ("SUB\\B, C.PNG", "sub/b, c.png"),
        ('"a.png"', "a.png"),
        ("sub/b%2C%20c.png", "sub/b, c.png"),
    ],
)
def test_photos_are_found_as_other_systems_write_their_names(listed, written, name):
    (listed / name).write_bytes(b"")
    (item,) = read_items(write(listed, "m.jsonl", json.dumps({"photo": written})), CHAIR)
    assert item.photo.samefile(listed / name)
    row = json.dumps({"photo": (listed / "a.png").as_uri(), "masks": [written]})
    (item,) = read_items(write(listed, "m.jsonl", row), CHAIR)
    assert (item.photo, item.options["masks"]) == (listed / "a.png", [str(listed / name)])


def test_a_photo_that_could_be_two_or_is_elsewhere_is_refused(listed):
    (listed / "A.png").write_bytes(b"")
    with pytest.raises(ManifestError, match="no photo"):
        read_items(write(listed, "m.jsonl", json.dumps({"photo": "A.PNG"})), CHAIR)
    with pytest.raises(ManifestError, match=r"is an address\. Download"):
        read_items(write(listed, "m.jsonl", '{"photo": "https://example.org/a.png"}'), CHAIR)


@pytest.mark.parametrize("nothing", ["None", "NULL", "NaN", "N/A", "#N/A", "<NA>", "nan", " null "])
def test_cells_that_say_nothing_are_empty(listed, nothing):
    names = ("prompt", "box", "seed", "min_score", "vertex_colors", "preview_format", "formats")
    text = f"photo,{','.join(names)},id\na.png{f',{nothing}' * (len(names) + 1)}\n"
    (item,) = read_items(write(listed, "m.csv", text), CHAIR)
    (plain,) = read_items(write(listed, "m.csv", "photo\na.png\n"), CHAIR)
    assert item == plain
    with pytest.raises(ManifestError, match="no photo is given"):
        read_items(write(listed, "m.csv", f"photo\n{nothing}\n"), CHAIR)


def test_none_may_be_a_word_of_a_column(listed):
    text = "photo,background,preview_format\na.png,none,GIF\n"
    (item,) = read_items(write(listed, "m.csv", text), CHAIR)
    assert dict(item.options) == {"background": "none", "preview_format": "gif"}


@pytest.mark.parametrize("head", [b"PK\3\4", b"\xd0\xcf\x11\xe0", b"PAR1", b" <html>", b"\x1f\x8b"])
def test_what_is_no_text_is_told_whatever_it_is_called(listed, head):
    (listed / "m.csv").write_bytes(head + b"\0\1")
    with pytest.raises(InputError, match=r"m\.csv is .* Save its sheet as CSV UTF-8"):
        read_items(listed / "m.csv", CHAIR)


@pytest.mark.parametrize(
    "cell",
    [
        "mug=1,2,30,40; 5,6,70,80",
        "['mug=1,2,30,40', '5,6,70,80']",
        '[{"box": [1, 2, 30, 40], "label": "mug"}, [5, 6, 70, 80]]',
    ],
)
def test_a_cell_may_list_boxes_in_json(listed, cell):
    (item,) = read_items(write(listed, "m.jsonl", json.dumps({"photo": "a.png", "box": cell})))
    assert [(b.box, b.label) for b in item.prompt.boxes] == [
        ((1, 2, 30, 40), "mug"),
        ((5, 6, 70, 80), ""),
    ]
    quoted = cell.replace('"', '""')
    assert read_items(write(listed, "m.csv", f'photo,box\na.png,"{quoted}"\n')) == [item]


def test_json_is_read_in_every_form_that_tables_are_written_in(listed):
    rows = [{"photo": "a.png", "box": [[1, 2, 30, 40]]}, {"photo": "photo.png", "box": None}]
    columns = {name: [row[name] for row in rows] for name in ("photo", "box")}
    forms = [
        "\n".join(map(json.dumps, rows)),
        json.dumps(rows, indent=1),
        json.dumps({"items": rows, "version": 1}),
        json.dumps(columns),
        json.dumps({n: {str(k): v for k, v in enumerate(c)} for n, c in columns.items()}),
        json.dumps({"columns": [*columns], "index": [0, 1], "data": [[*r.values()] for r in rows]}),
        json.dumps({"schema": {"fields": []}, "data": rows}),
        json.dumps(
            {
                "schema": {"primaryKey": ["index"]},
                "data": [{"index": k, **row} for k, row in enumerate(rows)],
            }
        ),
        json.dumps({str(k): row for k, row in enumerate(rows)}),
    ]
    read = [
        read_items(write(listed, f"m.{suffix}", form), CHAIR)
        for form in forms
        for suffix in ("json", "jsonl", "csv")
    ]
    assert all(items == read[0] for items in read)
    assert [len(i.prompt.boxes) for i in read[0]] == [1, 0]
    with pytest.raises(ManifestError, match="line 1: expected a list"):
        read_items(write(listed, "m.json", '{"a": 1}'), CHAIR)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("photo,prompt\na.png,cup,extra\n", "more fields"),
        ("photo,,prompt\na.png,what,cup\n", "'what' stands in a column without a name"),
        ("photo,prompt,Photo\na.png,cup,b.png\n", "'photo' twice"),
        ("photo,seed\na.png,7.5\n", "whole number"),
        ('photo,faces\na.png,"30,000"\n', "write 30000"),
        ("photo;faces\na.png;1.000.000\n", "write 1000000"),
        ("file;image;prompt\na.png;a.png;cup\n", "'file'.* 'image'"),
        ("Foto;prompt\na.png;cup\n", "'foto' .do you mean 'photo'"),
        ("photo;Suchwort\na.png;cup\n", "'suchwort' .do you mean 'prompt'.*'#note'"),
        ("photo,prompt,note\na.png,cup,mine\n", "'note'; rename a column to ignore to '#note'"),
        ("a.png,cup\nsub/b.png,spoon\n", "no header; begin with a line of names"),
        ("photo,prompt\na.png,cup, spoon\n", r'quotes ."a, b"'),
        ("photo;box\na.png;0,1;0,2;0,5;0,6\n", r'quotes ."a; b"'),
        ("photo,prompt\na.png,#NAME?\n", "line 2: prompt is #NAME"),
        ("photo,prompt,seed\na.png,cup,1\na.png,cup,#REF!\n", "line 3: seed is #REF!"),
        ("photo,prompt\n#VALUE!,cup\n", "photo is #VALUE!"),
        ("photo,prompt,min_score\na.png,cup,#DIV/0!\n", "min_score is #DIV/0!"),
        ("photo,prompt,seed\na.png,cup,1E+05\n", "'1E\\+05', which a spreadsheet has rounded"),
        ("photo,prompt,min_score\na.png,cup,150%\n", "min_score"),
        ('photo,box\na.png,"1.024,60,2.048,300"\n', "thousands"),
        ('{"photo": "a.png", "photo": "b.png", "prompt": "cup"}\n', "'photo' twice"),
        ('[{"photo": "a.png", "prompt": "cup", "prompt": "b"}]', "'prompt' twice"),
        ('{"photo": "a.png", "Photo": "b.png", "prompt": "cup"}', "two columns mean 'photo'"),
        ('{"photo": "a.png", "promt": "cup"}', "'promt' .do you mean 'prompt'"),
        ("sep=;\nphoto,prompt\na.png,cup\n", "olumns are"),
        ('{"photo": "a.png", "prompt": {"a": "cup"}}', "an object of JSON"),
        ("photo,prompt,id\na.png,cup,Ab\na.png,mug,aB\n", "line 3: .*line 2 .aB, capitals do"),
        ("photo,prompt\n\u200bx.png,cup\n", r"there is no photo '.*\\u200bx.png'"),
        (f'photo,prompt\na.png,"{"x" * 140_000}"\n', "a cell has more than 131072 characters"),
    ],
)
def test_what_a_sheet_cannot_mean_is_refused(listed, text, problem):
    with pytest.raises(ManifestError, match=problem):
        read_items(write(listed, "m.csv", text), CHAIR)


@pytest.mark.parametrize(
    "text",
    [
        "filename,prompt\na.png,chair\n",
        "\ufeff\ufeffphoto,prompt\na.png,chair\n",
        "photo,prompt\n\u200ba.png,chair\n\0\0\0\0",
        '{"photo": "a.png", "prompt": {"phrases": ["chair"]}}',
        "image,text_prompt,boxes\na.png,chair,\n",
        "PHOTO;PROMPT;PO\u0130NT\na.png;chair;\n",
        "# my list\n\n# of today\nphoto,prompt\na.png,chair\n",
        "photo,prompt\r\na.png,chair\r\n\x1a",
        'photo,prompt\n"=""a.png""",chair\n',
        "photo,prompt,#note,_mine\na.png,chair,look here,1\n",
        "photo,prompt\na.png,#N/A\n",
        "a.png\n",
        '{"image": "a.png", "text_prompt": "chair", "#note": 3}',
    ],
)
def test_other_names_and_forms_of_a_table_are_read(listed, text):
    (item,) = read_items(write(listed, "m.txt", text), CHAIR)
    assert (item.photo, item.prompt.phrases) == (listed / "a.png", ("chair",))


@pytest.mark.parametrize(
    "text",
    [
        "photo,xmin,ymin,xmax,ymax\na.png,10,20,100,120\n",
        "photo;X;Y;Width;Height\na.png;10,0;20;90;100\n",
        '{"file_name": "a.png", "left": 10, "top": 20, "right": 100, "bottom": 120}',
    ],
)
def test_sides_of_a_box_may_have_columns_of_their_own(listed, text):
    (item,) = read_items(write(listed, "m.csv", text), CHAIR)
    assert [b.box for b in item.prompt.boxes] == [(10, 20, 100, 120)]


def test_lines_count_from_the_top_and_percent_is_a_share(listed):
    text = "# mine\nphoto,prompt,min_score\na.png,cup,50%\nnone.png,cup,\n"
    with pytest.raises(ManifestError, match="line 4: there is no photo"):
        read_items(write(listed, "m.csv", text), CHAIR)
    (item,) = read_items(write(listed, "m.csv", text[: text.index("none")]), CHAIR)
    assert item.prompt.min_score == 0.5
    with pytest.raises(InputError, match=r"m\.csv is empty"):
        read_items(write(listed, "m.csv", ""), CHAIR)


def test_a_workbook_is_answered_with_how_to_save_it(listed):
    (listed / "m.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match="Save its sheet as CSV UTF-8"):
        read_items(listed / "m.xlsx", CHAIR)


def test_a_list_of_json_is_a_manifest(listed):
    rows = [{"photo": "a.png", "prompt": ["cup", "spoon"], "seed": 7.0}]
    (item,) = read_items(write(listed, "m.json", json.dumps(rows)), CHAIR)
    assert (item.prompt.phrases, item.seed) == (("cup", "spoon"), 7)


def test_stray_entries_do_not_stop_a_folder_and_are_named_where_it_matters(listed):
    (listed / "._a.png").write_bytes(b"macOS")
    (listed / "dead.png").symlink_to(listed / "nowhere.png")
    (listed / "raw.CR2").write_bytes(b"")
    (listed / "phone.HEIC").write_bytes(b"")
    for folder in ("__MACOSX", "@eaDir", ".cache", "folder.png"):
        (listed / folder).mkdir()
        (listed / folder / "x.png").write_bytes(b"")
    notes = []
    items = read_items(listed, CHAIR, notes=notes)
    assert [i.photo.relative_to(listed).as_posix() for i in items] == [
        "a.png",
        "folder.png/x.png",
        "phone.HEIC",
        "photo.png",
        "sub/b, c.png",
    ]
    assert notes == [
        "2 pictures were left aside, as links to nothing or of a kind that is not read: "
        "dead.png, raw.CR2."
    ]


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "\ta", "\ra"])
def test_tables_hold_no_formulas(text):
    assert plain_cell(text) == f"'{text}"
    assert plain_cell("a=1") == "a=1"
    assert plain_cell(-1.5) == -1.5

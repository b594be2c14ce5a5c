"""An option is written once; every front end has it, or says why not."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from scenelift.batch.manifest import COLUMNS
from scenelift.cli import app
from scenelift.errors import InputError
from scenelift.options import FRONT_ENDS, OPTIONS, FinishOptions, Options, ReconstructionOptions
from scenelift.options.__main__ import START, tables
from scenelift.webapp.models import JobPrompt, JobRequest, Rerun
from scenelift.webapp.settings import Settings
from scenelift.webapp.uploads import FORM_SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "options.md"
EVERY = {f.name: f.option.example for f in OPTIONS}


def names_of(front_end: str) -> set[str]:
    """What a front end really takes."""
    if front_end == "row":
        return set(COLUMNS)
    if front_end == "job":
        form = FORM_SCHEMA["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        return set(form) & {*JobRequest.model_fields, *JobPrompt.model_fields}
    command = typer.main.get_command(app).commands[front_end]  # pyright: ignore[reportAttributeAccessIssue]
    names = {parameter.name for parameter in command.params}
    return names & set(Settings.model_fields) if front_end == "serve" else names


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_front_end_has_every_option_or_says_why_not(front_end):
    names = names_of(front_end)
    for f in OPTIONS:
        reason = f.left_out.get(front_end)
        if reason is None:
            assert f.name in names, f"{f.name} does not reach {front_end}, and no reason is given"
        elif f.name != "device":  # theirs takes several
            assert len(reason) > 10
            assert f.name not in names, f"{front_end} has {f.name} after all"


def test_plans_and_second_runs_have_what_jobs_have():
    assert set(Options().to_plain()) == set(EVERY)
    jobs = {f.name for f in OPTIONS if "job" not in f.left_out and f.group != "search"}
    assert jobs <= set(Rerun.model_fields)


def test_every_field_of_every_group_is_an_option():
    for group in fields(Options):
        value = getattr(Options(), group.name)
        named = {f.field for f in OPTIONS if f.group == group.name}
        assert {f.name for f in fields(value)} == named
    assert len({f.name for f in OPTIONS}) == len(OPTIONS)


def test_values_survive_json():
    options = Options.from_plain(EVERY)
    plain = json.loads(json.dumps(options.to_plain()))
    assert Options.from_plain(plain) == options
    usual = Options().to_plain()
    assert Options.from_plain(json.loads(json.dumps(usual))) == Options()
    assert {name for name in EVERY if plain[name] == usual[name]} == set(), "examples are others"


def test_what_is_not_said_stays():
    options = Options.from_plain({"faces": 0, "seed": 5})
    assert options.with_plain({"faces": None, "seed": None, "best_of": 2}).to_plain() == {
        **options.to_plain(),
        "best_of": 2,
    }


@pytest.mark.parametrize("f", [f for f in OPTIONS if f.option.ge is not None], ids=lambda f: f.name)
def test_a_number_out_of_range_is_refused_by_name(f):
    low, high = f.option.ge, f.option.le
    for value in (low - 1, high + 1):
        if f.option.zero_is_none and value == 0:
            continue
        with pytest.raises(InputError, match=f.name):
            Options.from_plain({f.name: value})
    Options.from_plain({f.name: low})
    Options.from_plain({f.name: high})


@pytest.mark.parametrize("f", [f for f in OPTIONS if f.choices], ids=lambda f: f.name)
def test_a_word_that_is_no_choice_is_refused_with_the_choices(f):
    with pytest.raises(InputError, match=f.choices[0]):
        Options.from_plain({f.name: "no such word"})


def test_all_faces_is_one_thing_in_all_front_ends():
    assert Options.from_plain({"faces": 0}).finish == FinishOptions(faces=None)
    assert Options(finish=FinishOptions(faces=None)).to_plain()["faces"] == 0
    with pytest.raises(InputError, match="faces is 3; expected 4"):
        FinishOptions(faces=3)


def test_steps_of_both_stages_give_way_to_those_of_one():
    options = ReconstructionOptions(steps=7, latent_steps=3)
    assert (options.steps_of("structure"), options.steps_of("latent")) == (7, 3)


def test_the_documentation_shows_what_there_is():
    _, _, shown = PAGE.read_text(encoding="utf-8").partition(START)
    assert shown.strip() == tables().strip(), (
        "run `python -m scenelift.options --write docs/options.md`"
    )

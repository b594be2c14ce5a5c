"""Every error has its own name, an exit code and a problem document."""

from __future__ import annotations

import json

import pytest

from scenelift import errors

ALL = [
    cls
    for name in errors.__all__
    if isinstance(cls := getattr(errors, name), type) and issubclass(cls, errors.SceneliftError)
]


def test_the_tree_in_the_docstring_names_every_error():
    assert errors.__doc__ is not None
    for cls in ALL:
        assert cls.__name__ in errors.__doc__


def test_slugs_are_unique():
    assert len({cls.slug for cls in ALL}) == len(ALL)


@pytest.mark.parametrize(
    ("error", "exit_code", "status"),
    [
        (errors.InputError("no"), 2, 422),
        (errors.ImageError("no"), 2, 422),
        (errors.ManifestError("m.csv", [(3, "no")]), 2, 422),
        (errors.OutputError("no"), 2, 507),
        (errors.NothingFound(["unicorn"]), 3, 422),
        (errors.WeightsError("no"), 4, 503),
        (errors.BackendUnavailable("segmenter", "x", reason="no", choices=["a"]), 4, 503),
        (errors.UnknownBackend("segmenter", "x", choices=["a"]), 2, 422),
        (errors.BackendFault("segmenter", "mine", "no"), 5, 500),
        (errors.DeviceMemoryError("no"), 4, 503),
        (errors.ReconstructionError("no"), 5, 422),
        (errors.ObjectFailed(2, "cup", "no"), 5, 500),
        (errors.Cancelled("stopped"), 130, 409),
    ],
)
def test_exit_code_status_and_problem(error, exit_code, status):
    assert (error.exit_code, error.http_status) == (exit_code, status)
    problem = json.loads(json.dumps(error.problem()))
    assert problem["status"] == status
    assert problem["detail"] == str(error)


def test_nothing_found_says_what_was_asked_what_is_there_and_what_to_do():
    text = str(errors.NothingFound(["unicorn"], reason="Unknown word.", suggestions=["cat", "cup"]))
    for part in ("'unicorn'", "Unknown word.", "cat, cup", "--box", "--mask"):
        assert part in text


def test_an_unavailable_backend_names_the_alternatives():
    error = errors.BackendUnavailable("segmenter", "x", reason="no torch", choices=["a", "b"])
    assert error.choices == ("a", "b")
    assert "no torch" in str(error)
    assert "a, b" in str(error)
    slip = str(errors.UnknownBackend("quality", "ligth", choices=["auto", "light"]))
    assert "Did you mean 'light'?" in slip

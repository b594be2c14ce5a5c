"""A part of a stage reports as a part of it."""

import pytest

from scenelift.errors import Cancelled
from scenelift.progress import CancelToken, Reporter


def test_parts_share_the_whole_and_notes_stay_notes():
    events = []
    whole = Reporter(events.append).at("reconstruct", 3)
    half = whole.part(0.5, 1.0)
    half.update(0, message="a")
    half.part(0.5, 1.0).update(0.5, message="b")
    half.note("c")
    assert [(e.kind, e.fraction, e.message) for e in events[:2]] == [
        ("stage_progress", 0.5, "a"),
        ("stage_progress", 0.875, "b"),
    ]
    assert (events[2].kind, events[2].message) == ("note", "c")
    assert {(e.stage, e.object_index) for e in events} == {("reconstruct", 3)}


def test_a_part_of_a_stopped_run_stops():
    token = CancelToken()
    part = Reporter(lambda event: None, token=token).part(0.0, 0.5)
    token.cancel()
    with pytest.raises(Cancelled):
        part.update(0)

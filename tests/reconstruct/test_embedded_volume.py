"""What the shape head draws as a shell is filled; what has legs is not."""

from __future__ import annotations

import numpy as np

from scenelift.reconstruct.embedded.volume import BINS, SIDE, filled_shells


def cupboard():
    """A box of walls two bins thick; its back was hardly guessed, its underside not at all."""
    logits = np.full((BINS, SIDE, SIDE), -4, np.float32)
    logits[30:60, 20:60, 25:55] = 3
    logits[32:58, 22:60, 27:53] = -4
    logits[58:60, 22:60, 27:53] = -0.8
    return logits


def table():
    logits = np.full((BINS, SIDE, SIDE), -4, np.float32)
    logits[30:60, 20:24, 20:60] = 3
    for d in (30, 57):
        for u in (20, 57):
            logits[d : d + 3, 20:60, u : u + 3] = 3
    return logits


def test_a_cupboard_drawn_as_a_shell_is_filled():
    inside = filled_shells(cupboard()) > 0
    assert inside[32:58, 22:60, 27:53].all()
    assert not inside[:30].any()
    assert not inside[:, :20].any()


def test_the_space_under_a_table_stays_empty():
    np.testing.assert_array_equal(filled_shells(table()), table())


def test_what_the_photo_looks_into_stays_open():
    open_to_the_camera = cupboard()
    open_to_the_camera[30:32, 22:58, 27:53] = -4
    inside = filled_shells(open_to_the_camera) > 0
    assert not inside[30:57, 30:50, 35:45].any()

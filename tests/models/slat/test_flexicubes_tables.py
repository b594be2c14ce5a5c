"""The derived case tables equal those that NVIDIA's FlexiCubes publishes, row by row."""

import pytest

from scenelift.models.slat.flexicubes_tables import case_tables

# Edges of each patch, in published order, of the cases with several patches (`dmc_table`). In every
# other case the one patch has all crossed edges, ascending, as each listed patch has.
SEVERAL_PATCHES = """\
6: 0,1,9 4,7,8 | 9: 0,3,8 4,5,9 | 18: 0,1,9 2,3,11 | 20: 4,7,8 2,3,11 |
22: 0,1,9 4,7,8 2,3,11 | 24: 4,5,9 2,3,11 | 25: 0,2,8,11 4,5,9 | 26: 0,1,4,5 2,3,11 |
28: 5,7,8,9 2,3,11 | 30: 0,1,5,7,8 2,3,11 | 33: 0,3,8 1,2,10 | 36: 4,7,8 1,2,10 |
37: 0,3,4,7 1,2,10 | 38: 0,2,9,10 4,7,8 | 40: 4,5,9 1,2,10 | 41: 0,3,8 4,5,9 1,2,10 |
44: 5,7,8,9 1,2,10 | 45: 0,3,5,7,9 1,2,10 | 52: 4,7,8 1,3,10,11 | 54: 0,3,9,10,11 4,7,8 |
56: 4,5,9 1,3,10,11 | 57: 0,1,8,10,11 4,5,9 | 60: 5,7,8,9 1,3,10,11 | 65: 0,3,8 6,7,11 |
66: 0,1,9 6,7,11 | 67: 1,3,8,9 6,7,11 | 70: 0,1,9 4,6,8,11 | 72: 4,5,9 6,7,11 |
73: 0,3,8 4,5,9 6,7,11 | 74: 0,1,4,5 6,7,11 | 75: 1,3,4,5,8 6,7,11 | 82: 0,1,9 2,3,6,7 |
86: 0,1,9 2,3,4,6,8 | 88: 4,5,9 2,3,6,7 | 89: 0,2,6,7,8 4,5,9 | 90: 0,1,4,5 2,3,6,7 |
96: 1,2,10 6,7,11 | 97: 0,3,8 1,2,10 6,7,11 | 98: 0,2,9,10 6,7,11 |
99: 2,3,8,9,10 6,7,11 | 100: 4,6,8,11 1,2,10 | 101: 0,3,4,6,11 1,2,10 |
102: 0,2,9,10 4,6,8,11 | 104: 4,5,9 1,2,10 6,7,11 | 105: 0,3,8 4,5,9 1,2,10 6,7,11 |
106: 0,2,4,5,10 6,7,11 | 107: 2,3,4,5,8,10 6,7,11 | 108: 5,6,8,9,11 1,2,10 |
109: 0,3,5,6,9,11 1,2,10 | 120: 4,5,9 1,3,6,7,10 | 121: 0,1,6,7,8,10 4,5,9 |
126: 0,3,8 5,6,10 | 129: 0,3,8 5,6,10 | 130: 0,1,9 5,6,10 | 131: 1,3,8,9 5,6,10 |
132: 4,7,8 5,6,10 | 133: 0,3,4,7 5,6,10 | 134: 0,1,9 4,7,8 5,6,10 |
135: 1,3,4,7,9 5,6,10 | 137: 0,3,8 4,6,9,10 | 144: 2,3,11 5,6,10 | 145: 0,2,8,11 5,6,10 |
146: 0,1,9 2,3,11 5,6,10 | 147: 1,2,8,9,11 5,6,10 | 148: 4,7,8 2,3,11 5,6,10 |
149: 0,2,4,7,11 5,6,10 | 150: 0,1,9 4,7,8 2,3,11 5,6,10 | 151: 1,2,4,7,9,11 5,6,10 |
152: 4,6,9,10 2,3,11 | 153: 0,2,8,11 4,6,9,10 | 154: 0,1,4,6,10 2,3,11 |
156: 6,7,8,9,10 2,3,11 | 158: 0,1,6,7,8,10 2,3,11 | 161: 0,3,8 1,2,5,6 |
164: 4,7,8 1,2,5,6 | 165: 0,3,4,7 1,2,5,6 | 166: 0,2,5,6,9 4,7,8 | 169: 0,3,8 1,2,4,6,9 |
180: 4,7,8 1,3,5,6,11 | 182: 0,3,5,6,9,11 4,7,8 | 189: 0,1,9 6,7,11 |
193: 0,3,8 5,7,10,11 | 194: 0,1,9 5,7,10,11 | 195: 1,3,8,9 5,7,10,11 |
198: 0,1,9 4,5,8,10,11 | 201: 0,3,8 4,7,9,10,11 | 210: 0,1,9 2,3,5,7,10 |
214: 0,1,9 2,3,4,5,8,10 | 219: 4,7,8 1,2,10 | 225: 0,3,8 1,2,5,7,11 | 231: 4,5,9 2,3,11 |
233: 0,3,8 1,2,4,7,9,11
"""

# Offset of the cube beyond -> the cases that `check_table` flags; it names 255 - case for each.
FLAGGED = {
    (1, 0, 0): (61, 124, 125, 199, 211, 215),
    (-1, 0, 0): (62, 188, 190, 203, 227, 235),
    (0, 1, 0): (91, 122, 123, 167, 181, 183),
    (0, -1, 0): (94, 173, 218, 222, 229, 237),
    (0, 0, 1): (103, 110, 111, 155, 157, 159),
    (0, 0, -1): (118, 185, 217, 230, 246, 249),
}


def published() -> dict[int, list[list[int]]]:
    rows = [row.split(":") for row in SEVERAL_PATCHES.replace("\n", " ").split("|")]
    return {
        int(case): [[int(edge) for edge in patch.split(",")] for patch in patches.split()]
        for case, patches in rows
    }


def patches_of(case: int) -> list[list[int]]:
    tables = case_tables()
    rows = tables.patch_edges[case][: tables.patches[case]]
    return [[edge for edge in row.tolist() if edge >= 0] for row in rows]


def test_several_patches_are_listed_as_published():
    assert {case: patches_of(case) for case in published()} == published()


def test_every_other_case_has_one_patch_or_none():
    others = set(range(256)) - published().keys()
    assert {case for case in others if len(patches_of(case)) != 1} == {0, 255}
    for case in others - {0, 255}:
        (patch,) = patches_of(case)
        assert patch == sorted(patch)


@pytest.mark.parametrize("case", range(256))
def test_an_edge_knows_its_patch(case):
    tables = case_tables()
    for number, patch in enumerate(patches_of(case)):
        assert (tables.patch_of_edge[case, patch] == number).all()
    crossed = [edge for patch in patches_of(case) for edge in patch]
    assert sorted(crossed) == sorted((tables.patch_of_edge[case] >= 0).nonzero()[0])


def test_flagged_cases_and_the_cubes_beyond_are_the_published_ones():
    tables = case_tables()
    flagged = {case: across for across, cases in FLAGGED.items() for case in cases}
    ours = {
        int(case): tuple(tables.across[case].tolist()) for case in tables.ambiguous.nonzero()[0]
    }
    assert ours == flagged

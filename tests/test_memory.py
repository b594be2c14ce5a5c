"""What was freed goes back to the system."""

import platform
from pathlib import Path

import pytest

from scenelift.memory import give_back


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do so themselves")
def test_freed_blocks_go_back():
    blocks = [b"x" * 100_000 for _ in range(2000)]  # small enough to lie in the heap
    last = blocks.pop()  # at its end: what lies before is not given back by itself
    held = resident()
    blocks.clear()
    give_back()
    assert held - resident() > 150e6, "of 200 MB"
    assert len(last) == 100_000

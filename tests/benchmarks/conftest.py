"""Benchmarks are no installed package: they are found beside `tests`, as when they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

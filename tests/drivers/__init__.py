"""What tests and benchmarks drive the product with: a browser, a live server, SLURM, a fake hub.

Processes that they start find this package too, whatever folder they run in.
"""

import os
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
_PATHS = os.environ.get("PYTHONPATH", "").split(os.pathsep)
if _ROOT not in _PATHS:
    os.environ["PYTHONPATH"] = os.pathsep.join([_ROOT, *filter(None, _PATHS)])

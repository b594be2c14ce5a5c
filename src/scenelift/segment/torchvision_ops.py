"""Makes `import torchvision` work with a PyTorch that its compiled half was not built for.

The image processors of transformers need torchvision. Its wheel on PyPI is built for the CUDA
build of PyTorch; beside a CPU build `_C.so` cannot load, and the import dies with "operator
torchvision::nms does not exist", although what the processors use (resizing, normalising) is plain
Python. Declaring the operators that the import asks for is enough; nobody here calls them. SAM 3
pools over boxes by `roi_align`, for which torchvision has a fallback in Python. Where the compiled
half loads, which is everywhere but there, nothing is touched.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

import torch

from scenelift.errors import SetupError

__all__ = ["import_torchvision"]

# Declarations live as long as their library object.
_declared: list[torch.library.Library] = []


def import_torchvision() -> bool:
    """Import torchvision, with the operators its import needs declared where they cannot load.

    Returns:
        Whether its compiled operators are there.

    Raises:
        SetupError: it is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise SetupError(
            "The image processors of transformers need torchvision, which is not installed: "
            "`pip install 'scenelift[full]'` brings it."
        )
    native = _loads(Path(spec.origin).parent)
    if not native and "torchvision" not in sys.modules:
        _declare()
    importlib.import_module("torchvision")
    if not native:
        _run_roi_align_as_written()
    return native


def _loads(package: Path) -> bool:
    """Tell whether the compiled half can be loaded here; loads it if so, as the import would."""
    for library in (*package.glob("_C*.so"), *package.glob("_C*.pyd")):
        try:
            torch.ops.load_library(library)
        except OSError:
            return False
        return True
    return False


def _declare() -> None:
    """Declare what torchvision 0.21 to 0.28 describe on import without having loaded it."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def _run_roi_align_as_written() -> None:
    """Take the fallback of `roi_align` out of `torch.compile`.

    Compiling takes 5 to 20 seconds at the first box, and a C++ compiler, to save milliseconds.
    """
    module = vars(importlib.import_module("torchvision.ops.roi_align"))
    if "_roi_align" in module:
        module["_roi_align"] = inspect.unwrap(module["_roi_align"])

"""The Khronos glTF validator, run by node."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

VALIDATOR = Path(__file__).parents[1] / "gltf_validator"


def khronos_report(path: Path) -> dict[str, Any]:
    """What the validator says of a GLB; skips the test where it is not installed."""
    node = shutil.which("node")
    installed = (VALIDATOR / "node_modules" / "gltf-validator").is_dir()
    if node is None or not installed:
        missing = "node is not installed" if node is None else f"run `npm ci` in {VALIDATOR.name}"
        if os.environ.get("SCENELIFT_REQUIRE_NODE"):
            pytest.fail(f"SCENELIFT_REQUIRE_NODE is set, but {missing}")
        pytest.skip(f"the Khronos validator is absent: {missing}")
    command = [node, str(VALIDATOR / "validate.mjs"), str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)

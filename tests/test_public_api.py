"""What `import scenelift` promises, and how little it loads."""

from __future__ import annotations

import subprocess
import sys

import scenelift


def test_every_public_name_is_there():
    for name in scenelift.__all__:
        assert getattr(scenelift, name) is not None, name
    assert sorted(scenelift.__all__) == sorted({*scenelift._HOMES, "__version__"})


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(scenelift, "Pipelin")


def test_importing_the_package_and_its_command_line_loads_nothing_heavy():
    code = (
        "import sys, scenelift, scenelift.cli, scenelift.pipeline\n"
        "heavy = {'torch', 'numba', 'onnxruntime', 'onnx', 'scipy', 'skimage', 'trimesh',"
        " 'transformers', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

#!/bin/sh
# Second stage: install the wheel beside the base image's Python. Compiles nothing.
#
#   install.sh DIST EXTRAS
#
# Run by deploy/Dockerfile and deploy/sam3d.def alike. A step that fails ends the build.
set -eu
dist=$1
extras=$2
python=/opt/scenelift/bin/python
pip=$(echo "$dist"/pip-*.whl)
wheel=$(echo "$dist"/scenelift-*.whl)

# The base's packages stay visible: PyTorch is its business.
python3 -m venv --without-pip --system-site-packages /opt/scenelift
constraints=$(mktemp)
"$python" "$dist/base_constraints.py" "$dist/constraints.txt" > "$constraints"
# The base's own pins would hold numpy back; those of its PyTorch are in ours.
unset PIP_CONSTRAINT
"$python" "$pip/pip" install --no-cache-dir --only-binary=:all: --constraint "$constraints" \
  "$pip" "${wheel}[$extras]"
rm "$constraints"

"$python" - <<'PY'
# PyTorch, where there is one, must get on with the installed numpy.
import importlib.util, warnings
import scenelift.pipeline
if importlib.util.find_spec("torch"):
    warnings.simplefilter("error")
    import torch
    assert torch.arange(2).numpy().sum() == 1
PY

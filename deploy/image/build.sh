#!/bin/sh
# First stage: the page, the wheel that holds it, and what the second stage installs it with.
#
#   build.sh SOURCE DIST
#
# Run by deploy/Dockerfile and deploy/sam3d.def alike. A step that fails ends the build.
set -eu
source=$1
dist=$2

python3 -m venv /opt/tools
/opt/tools/bin/python -m pip install --no-cache-dir -r "$source/deploy/image/tools.txt"
PATH="/opt/tools/bin:$PATH"

cd "$source/frontend"
npm ci --no-audit --no-fund
npm run build

cd "$source"
# Refuses where the page is missing: hatch_build.py.
pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir "$dist" .
pip download --no-cache-dir --no-deps --dest "$dist" "$(grep '^pip==' deploy/image/tools.txt)"
cp constraints.txt deploy/image/install.sh deploy/image/base_constraints.py "$dist/"

"""A small `sam3d_objects` with the signatures of Meta's package, for the tests."""

import os

# The real one runs an initialisation of Meta's cluster unless told not to.
assert os.environ.get("LIDRA_SKIP_INIT"), "imported without LIDRA_SKIP_INIT"

# Imported by the real one while it loads; an ImportError without the old names.
from utils3d.numpy import depth_edge, image_mesh, image_uv, normals_edge, points_to_normals  # noqa: E402, F401

__version__ = "0.0.1"

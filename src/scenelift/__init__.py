"""One photo and a phrase become a 3D scene: Gaussian splats and meshes, each object in its place.

from scenelift import Pipeline

scene = Pipeline.from_quality("auto").run("room.jpg", "chair")
"""

__version__ = "0.1.0"

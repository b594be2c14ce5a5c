"""Stage 4, compose: place objects by their poses in one scene frame."""

from scenelift.compose.merge import create_scene_mesh, make_scene

__all__ = ["create_scene_mesh", "make_scene"]

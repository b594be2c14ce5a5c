"""Scenes of free furniture meshes, rendered with everything known about them."""

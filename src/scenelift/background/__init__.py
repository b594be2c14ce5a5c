"""Rebuild what the photo shows around and behind the objects: see docs/background.md."""

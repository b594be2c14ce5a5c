"""What the photo shows around and behind the objects, as geometry: see docs/background.md."""

"""The worker of `scenelift.testing.web`: fake models, previews of two small frames."""

from __future__ import annotations

from scenelift.config import ExportOptions
from scenelift.testing.web import fake_pipeline
from scenelift.webapp.worker import main

if __name__ == "__main__":
    main(load=fake_pipeline, export=ExportOptions(preview_frames=2, preview_size=32))

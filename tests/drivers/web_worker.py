"""The worker of `tests.drivers.web`: fake models, previews of two small frames."""

from __future__ import annotations

from scenelift.options import ExportOptions
from scenelift.webapp.worker import main
from tests.drivers.web import fake_clicker, fake_pipeline

if __name__ == "__main__":
    main(
        load=fake_pipeline,
        preview=ExportOptions(preview_frames=2, preview_size=32),
        fallback=fake_clicker,
    )

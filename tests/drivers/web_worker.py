"""The worker of `tests.drivers.web`: fake models, small files, no background."""

from __future__ import annotations

from scenelift.webapp.worker import main
from tests.drivers.small import SMALL
from tests.drivers.web import fake_clicker, fake_pipeline

if __name__ == "__main__":
    main(
        load=fake_pipeline,
        groups=SMALL,
        fallback=fake_clicker,
    )

"""Schemathesis sends what the OpenAPI description allows, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.drivers.web import FakeQualities, fake_settings

from scenelift.webapp.app import create_app

POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
# Waiting calls and endless streams are tested elsewhere.
LEFT_OUT = ("/api/events", "/api/generate_3d")
EXAMPLES = 12


def cases_to_send():
    app = create_app(fake_settings(Path("never-made")), qualities=FakeQualities())
    schema = schemathesis.openapi.from_dict(app.openapi())
    for result in schema.get_all_operations():
        operation = result.ok()
        takes_input = {"parameters", "requestBody"} & set(operation.definition.raw)
        if operation.path in LEFT_OUT:
            continue
        for mode in [POSITIVE, NEGATIVE] if takes_input else [POSITIVE]:
            yield pytest.param(operation, mode, id=f"{mode.value} {operation.label}")


@pytest.mark.parametrize(("operation", "mode"), list(cases_to_send()))
def test_nothing_that_is_sent_breaks_the_server(server, operation, mode):
    @settings(
        deadline=None,
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case):
        answer = case.call(base_url=f"http://127.0.0.1:{server.port}", timeout=30)
        # 503 is an answer: /ready while the worker restarts, a quality that is not there.
        assert answer.status_code < 500 or answer.status_code == 503, answer.text

    send()

"""The objects that handlers work with, made by `create_app`, reached through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from scenelift.webapp.access import Tokens, owner_of
from scenelift.webapp.decoding import Decoder
from scenelift.webapp.events import EventFeed
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.housekeeping import Housekeeper
from scenelift.webapp.jobs import Limits, Queue
from scenelift.webapp.metrics import Metrics
from scenelift.webapp.qualities import Qualities
from scenelift.webapp.settings import Settings
from scenelift.webapp.supervisor import Supervisor

__all__ = ["Owner", "Services", "Use"]


@dataclass(slots=True, kw_only=True)
class Services:
    """Everything that lives as long as the server."""

    settings: Settings
    data: DataFolder
    queue: Queue
    feed: EventFeed
    supervisor: Supervisor
    housekeeper: Housekeeper
    metrics: Metrics
    qualities: Qualities
    tokens: Tokens
    decoder: Decoder

    @property
    def limits(self) -> Limits:
        """How many jobs may be queued."""
        return Limits(queued=self.settings.max_queued, active=self.settings.jobs_per_token)


def _services(request: Request) -> Services:
    return request.app.state.services


Use = Annotated[Services, Depends(_services)]
Owner = Annotated[str, Depends(owner_of)]

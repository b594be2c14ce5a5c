"""The event stream: one a page, for all of the caller's jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from scenelift.webapp.models import Problem
from scenelift.webapp.services import Owner, Use

__all__ = ["router"]

router = APIRouter(tags=["events"])

# SQLite's largest row id: numbers beyond it are nobody's.
EventId = Annotated[int | None, Query(ge=0, lt=2**63)]


@router.get(
    "/api/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "see docs/web.md"},
        401: {"model": Problem},
        422: {"model": Problem},
        429: {"model": Problem},
    },
)
async def events(
    use: Use,
    owner: Owner,
    last_event_id: EventId = None,
    header_id: Annotated[int | None, Header(alias="Last-Event-ID", ge=0, lt=2**63)] = None,
) -> StreamingResponse:
    """Server-sent events of the caller's jobs, from a number on or from now."""
    use.feed.check_room(owner)
    # A browser that reconnects sends the header; it is newer than the address it was given.
    after = header_id if header_id is not None else last_event_id
    return StreamingResponse(
        use.feed.stream(owner, after),
        media_type="text/event-stream",
        # Proxies would collect the events otherwise.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )

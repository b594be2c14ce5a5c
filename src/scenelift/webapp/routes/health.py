"""Health and metrics, for load balancers, Prometheus and people."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response

from scenelift import __version__
from scenelift.webapp.errors import NotReady
from scenelift.webapp.models import Problem
from scenelift.webapp.services import Owner, Use

__all__ = ["router"]

router = APIRouter(tags=["health"])

# A worker says every two seconds that it lives.
SILENT_SECONDS = 10.0


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the server answers. Touches neither disk nor worker."""
    return {"status": "ok", "version": __version__}


@router.get("/ready", responses={401: {"model": Problem}, 503: {"model": Problem}})
def ready(use: Use, owner: Owner) -> dict[str, object]:
    """Check that the queue can be read, and that a worker with loaded models is there."""
    workers = [w for w in use.queue.workers() if time.time() - w["seen"] < SILENT_SECONDS]
    if not workers:
        raise NotReady("No worker is there. It may be starting again; the log says more.", 5)
    if not any(w["ready"] for w in workers):
        raise NotReady("The models are being loaded.", 5)
    return {"status": "ready", "workers": len(workers), "jobs": use.queue.counts()}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 401: {"model": Problem}},
)
def metrics(use: Use, owner: Owner) -> Response:
    """Metrics in Prometheus's text format."""
    return Response(use.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

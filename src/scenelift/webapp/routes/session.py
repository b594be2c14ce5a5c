"""The token as a cookie, for pages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scenelift.webapp.access import COOKIE
from scenelift.webapp.bodies import JsonRoute
from scenelift.webapp.models import Login, Problem
from scenelift.webapp.services import Use

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute, prefix="/api", tags=["session"])


@router.post(
    "/login",
    status_code=204,
    responses={code: {"model": Problem} for code in (400, 401, 403, 413, 422, 429)},
)
def log_in(login: Login, request: Request, response: Response, use: Use) -> None:
    """Store a token in a cookie that scripts cannot read and other sites cannot send."""
    if not use.settings.tokens:
        return
    token = login.token.strip()
    use.tokens.owner(token, request.client.host if request.client else "unknown")
    response.set_cookie(
        COOKIE,
        token,
        max_age=30 * 24 * 3600,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


@router.post("/logout", status_code=204, responses={403: {"model": Problem}})
def log_out(request: Request, response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(
        COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )

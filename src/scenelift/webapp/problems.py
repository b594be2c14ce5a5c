"""Answers every error as an RFC 9457 problem."""

from __future__ import annotations

import errno
import logging
import sqlite3
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from scenelift.errors import SceneliftError
from scenelift.webapp.errors import NotAllowedYet, QueueBusy, StorageFull, Unauthorized
from scenelift.webapp.plain_words import bad_fields

__all__ = ["add_problem_handlers", "problem_response"]

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


def problem_response(exc: SceneliftError, path: str) -> JSONResponse:
    """Build the answer to a request that ended with an error raised on purpose."""
    headers: dict[str, str] = {}
    if isinstance(exc, NotAllowedYet):
        headers["Retry-After"] = str(exc.retry_after)
    if isinstance(exc, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return _respond(exc.problem() | {"instance": path}, headers)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of an app a problem."""

    @app.exception_handler(SceneliftError)
    async def on_purpose(request: Request, exc: SceneliftError) -> JSONResponse:
        return problem_response(exc, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
        return problem_response(bad_fields(exc.errors()), request.url.path)

    @app.exception_handler(ValidationError)
    async def invalid_form(request: Request, exc: ValidationError) -> JSONResponse:
        return problem_response(bad_fields(exc.errors()), request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(exc.status_code).phrase
        detail = exc.detail if exc.detail != phrase else f"{phrase}: {request.method} here."
        problem = {
            "type": "about:blank",
            "title": phrase,
            "status": exc.status_code,
            "detail": detail,
            "instance": request.url.path,
        }
        return _respond(problem, dict(exc.headers or {}))

    @app.exception_handler(OSError)
    async def disk(request: Request, exc: OSError) -> JSONResponse:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            return await unexpected(request, exc)
        return problem_response(_disk_full(), request.url.path)

    @app.exception_handler(sqlite3.OperationalError)
    async def queue(request: Request, exc: sqlite3.OperationalError) -> JSONResponse:
        if "full" in str(exc):
            return problem_response(_disk_full(), request.url.path)
        if "locked" in str(exc) or "busy" in str(exc):
            busy = QueueBusy("The queue is busy; another process holds its file. Try again.", 5)
            return problem_response(busy, request.url.path)
        return await unexpected(request, exc)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, exc: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
        error = SceneliftError(
            "Something went wrong on the server that should not; its log has the details."
        )
        return problem_response(error, request.url.path)


def _disk_full() -> StorageFull:
    return StorageFull(
        "The server's disk is full. Delete jobs that are no longer needed, or tell the "
        "administrator."
    )


def _respond(problem: dict[str, Any], headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(problem, problem["status"], headers, media_type=MEDIA_TYPE)

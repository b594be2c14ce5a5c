"""Decides who may call and how often, and sets what browsers are told about our answers.

One ASGI layer around everything, so that a request without a right is refused before a byte of
its body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenelift.edit.document import MOST_BYTES
from scenelift.errors import SceneliftError
from scenelift.webapp.errors import Forbidden, TooLarge, TooManyRequests, Unauthorized
from scenelift.webapp.problems import problem_response
from scenelift.webapp.settings import Settings

__all__ = ["COOKIE", "LOCAL_OWNER", "Guard", "RateLimit", "Tokens", "owner_name", "owner_of"]

COOKIE = "scenelift_token"
LOCAL_OWNER = "local"
GUARDED = ("/api", "/objects", "/metrics", "/ready")
OPEN = ("/api/login", "/api/logout")
UPLOADS = ("/api/jobs", "/api/generate_3d")
# For all form fields together, and for the bodies of all other calls.
FIELD_BYTES = 2**20
# Calls whose bodies hold masks, as run lengths.
WITH_MASKS = ("/click", "/continue")
MASK_BYTES = 8 * 2**20
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self' blob:; connect-src 'self' blob: data:; img-src 'self' blob: data:; "
    "style-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Tokens:
    """The secrets that callers may show. Without any, everybody is the local owner."""

    def __init__(self, secrets: Sequence[str], *, guesses_per_minute: int = 10) -> None:
        self._secrets = [(secret.encode(), owner_name(secret)) for secret in secrets]
        self._guesses = RateLimit(guesses_per_minute)

    @property
    def required(self) -> bool:
        return bool(self._secrets)

    def owner(self, token: str, client: str) -> str:
        """Return whose token this is. Takes as long for a wrong one as for a right one.

        A right one is let in whatever came from its address before: all callers behind a proxy
        share one.

        Args:
            client: the address that shows it; one that guesses is soon told to wait.

        Raises:
            Unauthorized, TooManyRequests: it is nobody's, or there were too many such.
        """
        owner: str | None = None
        encoded = token.encode("utf-8", "surrogateescape")
        for secret, name in self._secrets:
            if hmac.compare_digest(secret, encoded):
                owner = name
        if owner is None:
            self._guesses.take(client)
            raise Unauthorized("This token is not known here. Copy it again.")
        return owner


def owner_name(secret: str) -> str:
    """Derive an owner's name for the queue, from which the token cannot be read."""
    return hashlib.sha256(b"scenelift owner " + secret.encode()).hexdigest()[:32]


class RateLimit:
    """Allows so many requests a minute for each key; unused ones add up to a minute's worth.

    Args:
        per_minute: how many.
        keys: most keys remembered; the one used longest ago is forgotten.
    """

    def __init__(self, per_minute: int, keys: int = 10_000) -> None:
        self._per_second, self._most, self._keys = per_minute / 60, per_minute, keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: there were too many; says when to come back.
        """
        level = self._level(key)
        if level < 1:
            wait = (1 - level) / self._per_second
            raise TooManyRequests(
                f"Too many requests: {self._most} a minute are answered. Try again in "
                f"{wait:.0f} s.",
                wait,
            )
        self._set(key, level - 1)

    def _level(self, key: str) -> float:
        level, then = self._buckets.get(key, (float(self._most), time.monotonic()))
        return min(self._most, level + (time.monotonic() - then) * self._per_second)

    def _set(self, key: str, level: float) -> None:
        self._buckets[key] = (level, time.monotonic())
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)


class Guard:
    """The layer around the app: host, origin, token, rates, body size, security headers.

    Sets `scope["state"]["owner"]` for the handlers.
    """

    def __init__(self, app: ASGIApp, settings: Settings, tokens: Tokens) -> None:
        self._app, self._settings, self._tokens = app, settings, tokens
        self._requests = RateLimit(settings.requests_per_minute)
        self._uploads = RateLimit(settings.uploads_per_minute)
        self._hosts = LOOPBACK_NAMES | {settings.host} | set(settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if _guarded(scope["path"]):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            owner = self._admit(scope)
        except SceneliftError as exc:
            response = problem_response(exc, scope["path"])
            await response(scope, receive, send_safely)
            return
        scope.setdefault("state", {})["owner"] = owner
        most = self._most_bytes(scope)
        await self._app(scope, _limited(scope, receive, most), send_safely)

    def _admit(self, scope: Scope) -> str:
        """Check the request, and return its owner.

        Raises:
            Forbidden, Unauthorized, TooManyRequests, TooLarge: it is not let in.
        """
        headers, path = Headers(scope=scope), scope["path"]
        client = scope["client"][0] if scope.get("client") else "unknown"
        self._check_host(headers)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(headers)
        owner = LOCAL_OWNER
        if self._tokens.required:
            owner = ""
            if _guarded(path) and path not in OPEN:
                token = _shown_token(headers)
                if not token:
                    raise Unauthorized(
                        "A token is needed: send `Authorization: Bearer …`, or log in."
                    )
                owner = self._tokens.owner(token, client)
        self._requests.take(owner or client)
        length = headers.get("content-length", "")
        most = self._most_bytes(scope)
        if length.isdigit() and int(length) > most:
            raise _too_large(scope, most)
        if scope["method"] == "POST" and (path in UPLOADS or path.endswith("/rerun")):
            self._uploads.take(owner)
        return owner

    def _check_host(self, headers: Headers) -> None:
        # Without a token, only the name in the address bar tells our page from one that had its
        # own name resolved to this machine (DNS rebinding).
        if not self._tokens.required and _host_name(headers.get("host", "")) not in self._hosts:
            raise Forbidden(
                "This server answers to localhost. Set SCENELIFT_ALLOWED_HOSTS for other names."
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None:
            # Browsers that send no Origin still say where a request comes from.
            if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                raise Forbidden("Pages of other sites may not call this server.")
            return
        if origin in self._settings.cors_origins:
            return
        if urlsplit(origin).netloc != headers.get("host", ""):
            raise Forbidden(
                f"Pages of {origin[:100]} may not call this server; SCENELIFT_CORS_ORIGINS would "
                "allow it."
            )

    def _most_bytes(self, scope: Scope) -> int:
        if scope["method"] == "POST" and scope["path"].endswith(WITH_MASKS):
            return MASK_BYTES
        upload = scope["method"] == "POST" and scope["path"] in UPLOADS
        if scope["method"] == "PUT" and scope["path"].endswith("/edits"):
            return MOST_BYTES
        return FIELD_BYTES + (self._settings.upload_bytes if upload else 0)


def owner_of(request: Request) -> str:
    """Return whose request this is; a dependency of the handlers."""
    return request.state.owner


def _guarded(path: str) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in GUARDED)


def _shown_token(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    # Ours among those of other programs on the same host, of which one may be malformed.
    for cookie in headers.get("cookie", "").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == COOKIE:
            return _cookie_value(value.strip())
    return ""


def _cookie_value(text: str) -> str:
    try:
        cookies = SimpleCookie(f"{COOKIE}={text}")
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _host_name(host: str) -> str:
    """Strip the port; brackets of IPv6 stay."""
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower()


def _limited(scope: Scope, receive: Receive, most: int) -> Receive:
    """Limit `receive` to a body of `most` bytes, whatever its header said."""
    count = 0

    async def limited() -> Message:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > most:
                raise _too_large(scope, most)
        return message

    return limited


def _too_large(scope: Scope, most: int) -> TooLarge:
    advice = "Send less at once."
    if scope["path"] in UPLOADS:
        advice = "Export the photo as JPEG, or reduce it."
    elif scope["path"].endswith("/edits"):
        advice = "Edits name each object once, and runs of splats in place of every splat."
    size = f"{most / 2**20:.0f} MiB"
    return TooLarge(f"The request is larger than the {size} that are taken. {advice}")

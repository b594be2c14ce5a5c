"""An administrator's settings: each field is `SCENELIFT_<NAME>` in the environment.

`docs/web.md` lists them all; a test compares.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from scenelift.errors import InputError
from scenelift.options import Options, fields_for
from scenelift.options.schema import model_of
from scenelift.prompts import MAX_PHRASES

__all__ = ["Settings"]

MIB, GIB = 2**20, 2**30

# Comma-separated in the environment: JSON lists are easily mistyped in a unit file.
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(model_of("ServeOptions", "serve", base=BaseSettings)):
    """Settings of the server and its worker, after the options that all jobs share."""

    model_config = SettingsConfigDict(env_prefix="SCENELIFT_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("scenelift") / "web",
        description="Folder of queue and jobs; on a local disk.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that callers must show; several separated by commas, each seeing its "
        "own jobs. Required off loopback.",
    )
    devices: Names = Field(
        default=("auto",),
        description="One worker each, comma-separated: auto, cpu, cuda:0, cuda:1.",
    )
    preload: bool = Field(
        default=True, description="Load the default quality's models at the start."
    )

    upload_bytes: int = Field(default=64 * MIB, ge=1024, description="Largest photo file.")
    upload_seconds: float = Field(default=600, gt=0, description="Longest time an upload may take.")
    max_pixels: int = Field(default=2**26, ge=256, description="Most pixels of a photo.")
    max_phrases: int = Field(
        default=MAX_PHRASES, ge=1, le=MAX_PHRASES, description="Most phrases a job."
    )
    max_objects: int = Field(default=20, ge=1, description="Most objects a job reconstructs.")
    max_queued: int = Field(default=200, ge=1, description="Most jobs waiting, of all tokens.")
    jobs_per_token: int = Field(
        default=50, ge=1, description="Most jobs waiting or running, of one token."
    )
    uploads_per_minute: int = Field(
        default=60, ge=1, description="Jobs a caller may submit a minute."
    )
    requests_per_minute: int = Field(
        default=3000, ge=1, description="Requests a caller may send a minute."
    )
    logins_per_minute: int = Field(
        default=10, ge=1, description="Wrong tokens an address may try a minute."
    )
    streams_per_token: int = Field(
        default=50, ge=1, description="Event streams open at once, of one token."
    )
    connections: int = Field(
        default=512,
        ge=8,
        description="Most connections at once; beyond it the one is closed that waited longest.",
    )
    header_seconds: float = Field(
        default=15, gt=0, description="Longest time from a connection to its whole request header."
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        description="Longest silence within a request's body; twice that for all but a photo's.",
    )
    write_seconds: float = Field(
        default=60, gt=0, description="Longest time in which a caller takes nothing of an answer."
    )
    wait_seconds: float = Field(default=900, gt=0, description="Longest wait of /api/generate_3d.")

    min_free_bytes: int = Field(
        default=GIB, ge=0, description="Free disk space below which none is taken."
    )
    reserve_bytes: int = Field(
        default=8 * MIB,
        ge=0,
        description="Disk space held back, so that jobs can be deleted once the disk is full.",
    )
    max_stored_bytes: int = Field(
        default=50 * GIB,
        ge=0,
        description="Jobs together; beyond it the oldest finished ones are removed.",
    )
    stored_bytes_per_token: int | None = Field(
        default=None,
        ge=0,
        description="Jobs of one token; beyond it its oldest finished ones are removed. An equal "
        "share of the above where it is not set.",
    )
    keep_days: float = Field(
        default=30, gt=0, description="Finished jobs older than this are removed."
    )

    share_days: float = Field(
        default=0,
        ge=0,
        le=3650,
        description="Longest life of a read-only link to a scene, in days; 0: none can be made.",
    )

    max_attempts: int = Field(
        default=3, ge=1, description="Times a job that loses its worker is tried."
    )
    lease_seconds: float = Field(
        default=60, gt=1, description="A worker silent for so long is replaced."
    )
    job_seconds: float = Field(default=3600, gt=0, description="Longest time one attempt may take.")
    cancel_seconds: float = Field(
        default=0.6,
        gt=0,
        description="Time a cancelled stage has to stop before its worker is replaced.",
    )
    shutdown_seconds: float = Field(
        default=5, gt=0, description="Time a worker has to stop on shutdown."
    )

    cors_origins: Names = Field(
        default=(), description="Other origins whose pages may call, comma-separated."
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Further host names to answer to where no token is set, comma-separated.",
    )
    trusted_proxies: Names = Field(
        default=(),
        description="Addresses or networks of reverse proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed, comma-separated.",
    )

    @field_validator("devices", "cors_origins", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def options(self) -> Options:
        """Default options of every job.

        Raises:
            InputError: a value cannot be read.
        """
        values = {f.name: getattr(self, f.name) for f in fields_for("serve")}
        if values["weights"]:
            values["weights"] = values["weights"].absolute()  # workers have folders of their own
        return Options.from_plain(values)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The secrets that callers may show; empty where none is needed."""
        parts = self.token.get_secret_value().split(",")
        return tuple(part.strip() for part in parts if part.strip())

    @property
    def owner_bytes(self) -> int:
        """Most bytes on disk for the jobs of one token."""
        if self.stored_bytes_per_token is not None:
            return self.stored_bytes_per_token
        return self.max_stored_bytes // max(1, len(self.tokens))

    def check(self) -> Settings:
        """Refuse what would be unsafe to start with.

        Raises:
            InputError: reachable from other machines without a token, or with a guessable one; or
                an option cannot be read.
        """
        _ = self.options
        if not self.tokens and not _is_loopback(self.host):
            raise InputError(
                f"Listening on {self.host} lets other machines in: set SCENELIFT_TOKEN to a long "
                "secret first (`openssl rand -hex 24` makes one), or listen on 127.0.0.1."
            )
        short = [t for t in self.tokens if len(t) < 16]
        if short and not _is_loopback(self.host):
            raise InputError(
                "SCENELIFT_TOKEN has fewer than 16 characters, which can be guessed. "
                "`openssl rand -hex 24` makes a good one."
            )
        if any(not t.isascii() or not t.isprintable() or " " in t for t in self.tokens):
            raise InputError("SCENELIFT_TOKEN may hold ASCII letters, digits and signs only.")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError as exc:
                raise InputError(
                    f"SCENELIFT_TRUSTED_PROXIES holds {proxy[:40]!r}, which is neither an address "
                    "nor a network such as 10.0.0.0/8."
                ) from exc
        if not self.devices:
            raise InputError("SCENELIFT_DEVICES names no device. Use auto, cpu, cuda:0, ….")
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

"""Which qualities this server offers."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from typing import Protocol

from scenelift.errors import BackendUnavailable
from scenelift.options import Options
from scenelift.qualities import QUALITIES, choose_backends

__all__ = ["InstalledQualities", "Qualities"]


class Qualities(Protocol):
    """Names of qualities; tests have others than an installation has."""

    @property
    def names(self) -> list[str]:
        """Names of the qualities that can run here, the usual one first."""
        ...

    def check(self, quality: str) -> None:
        """Make sure that a job of this quality could run.

        Raises:
            BackendUnavailable: it could not; says what is missing.
        """
        ...


class InstalledQualities:
    """The qualities that this machine can run. Looked up once, when first asked."""

    def __init__(self, options: Options) -> None:
        self._options = options

    @property
    def names(self) -> list[str]:
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        return ["auto", *(name for name in QUALITIES if not self._lacks(name))]

    def _lacks(self, quality: str) -> str:
        backends = replace(self._options.backends, quality=quality)
        try:
            choose_backends(options=self._options.models, **asdict(backends))
        except BackendUnavailable as exc:
            return str(exc)
        return ""

    def check(self, quality: str) -> None:
        if quality not in self.names:
            backends = replace(self._options.backends, quality=quality)
            choose_backends(options=self._options.models, **asdict(backends))

"""Which qualities this server offers."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

from scenelift.qualities import QUALITIES, choose_backends, lacking
from scenelift.registry import BackendOptions

__all__ = ["InstalledQualities", "Qualities"]


class Qualities(Protocol):
    """Names of qualities; tests have others than an installation."""

    @property
    def names(self) -> list[str]:
        """Those that can run here, the usual one first."""
        ...

    def check(self, quality: str) -> None:
        """Make sure that a job of this quality could run.

        Raises:
            BackendUnavailable: it could not; says what is missing.
        """
        ...


class InstalledQualities:
    """What the packages and weights on this machine can do. Looked up once, when first asked."""

    def __init__(self, options: BackendOptions) -> None:
        self._options = options

    @property
    def names(self) -> list[str]:
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        able = [name for name, needs in QUALITIES.items() if not lacking(needs, self._options)]
        return ["auto", *able]

    def check(self, quality: str) -> None:
        if quality not in self.names:
            choose_backends(quality, self._options)

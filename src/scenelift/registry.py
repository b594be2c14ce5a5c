"""Named backends, each imported only when somebody asks for it.

A name maps to a `Backend`: how to load it, and a cheap check that says what it lacks without
importing anything heavy. `scenelift doctor`, `--quality auto` and the error messages all read the
same entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scenelift.errors import BackendUnavailable, UnknownBackend
from scenelift.lacks import Lack
from scenelift.options import BackendOptions
from scenelift.runtime import Runtime

__all__ = ["Backend", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend(Generic[T]):
    """One implementation of a stage.

    Attributes:
        name: what the user calls it.
        load: builds it for a run's device, memory and options; imports what it needs there, not
            before. Raises SetupError.
        lacks: what is missing here, as short sentences with the command that mends it;
            empty when it can run. Cheap: looks for packages and files, imports nothing heavy.
        licence: of code and weights, one line.
        networks: whether it runs PyTorch's networks on the run's device.
        shares_objects: whether processes on several GPUs may share one scene's objects (`crew.py`).
    """

    name: str
    load: Callable[[Runtime], T]
    lacks: Callable[[BackendOptions], Sequence[Lack]] = field(default=lambda options: [])
    licence: str = "Apache-2.0"
    networks: bool = False
    shares_objects: bool = False


class Registry(Generic[T]):
    """Named implementations of one role."""

    def __init__(self, role: str) -> None:
        self.role = role
        self._backends: dict[str, Backend[T]] = {}

    def add(self, backend: Backend[T]) -> None:
        self._backends[backend.name] = backend

    def names(self) -> tuple[str, ...]:
        return tuple(self._backends)

    def entry(self, name: str) -> Backend[T]:
        if name not in self._backends:
            raise UnknownBackend(self.role, name, choices=self.names())
        return self._backends[name]

    def load(self, name: str, options: BackendOptions | Runtime) -> T:
        """Build a backend.

        Args:
            name: of a registered one.
            options: what it is to use; of a pipeline's backends, all get the same `Runtime`.

        Raises:
            BackendUnavailable: unknown name, or something it needs is missing.
            SetupError: there is no such device here.
        """
        backend = self.entry(name)
        missing = backend.lacks(options.options if isinstance(options, Runtime) else options)
        if missing:
            raise self._unavailable(name, "; ".join(missing))
        try:
            return backend.load(Runtime.of(options, networks=backend.networks))
        except ImportError as exc:
            raise self._unavailable(name, str(exc)) from exc

    def _unavailable(self, name: str, reason: str) -> BackendUnavailable:
        return BackendUnavailable(self.role, name, reason=reason, choices=self.names())

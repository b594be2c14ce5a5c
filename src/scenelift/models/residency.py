"""Decides which networks are on the device: as many as fit, each only while there is room.

The networks' tensors stay where they were loaded, mapped from their files on the host. A network
that is to run gets copies on the device, in the type it computes in; releasing it drops the
copies. Tensors that networks share on the host (the DINOv2 of both stages) are shared there too.

Models that use one device make room for each other: whatever ran longest ago leaves first.
"""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakSet, WeakValueDictionary

import torch
from torch import Tensor, nn

from scenelift.device import keep_blocks_whole, memory_cap, when_cleared, whole_device

__all__ = ["Cast", "Residency"]

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")

Cast = Callable[[Mapping[str, Tensor]], Mapping[str, torch.dtype]]
"""Names and tensors of a network -> type that each is to have on the device."""

# Bytes of what the process may take that networks leave free: while they run, other stages draw,
# thin and bake on the same device, in pieces that take no more (`finish/bake_torch.py`, say).
ASIDE = 2 << 30
_LARGE = 4 << 30  # a network that needs more besides its tensors starts in memory that is tidy

_EVERY: WeakSet[Residency] = WeakSet()
_clock = itertools.count()
# Another thread may draw, and clear the device for that.
_moving = threading.RLock()


class Residency:
    """Moves networks to and from one device.

    Args:
        device: where they run.
        cast: the types of their tensors there; None leaves them as they are.
        limit: most bytes of device memory that this process may hold; None for what there is.
    """

    def __init__(
        self, device: torch.device, *, cast: Cast | None = None, limit: int | None = None
    ) -> None:
        self.device = device
        self.limit = limit
        self._cast = cast
        self._hosts: dict[nn.Module, dict[str, Tensor]] = {}
        # On the device, least recently used first, and when that was.
        self._resident: dict[nn.Module, dict[str, Tensor]] = {}
        self._used: dict[nn.Module, int] = {}
        self._in_use: list[nn.Module] = []
        self._beside: dict[nn.Module, Any] = {}
        self._copies: WeakValueDictionary[object, Tensor] = WeakValueDictionary()
        _EVERY.add(self)

    @property
    def resident(self) -> tuple[nn.Module, ...]:
        """The networks on the device, least recently used first."""
        return tuple(self._resident)

    @property
    def resident_bytes(self) -> int:
        """Count the bytes that their tensors take there."""
        return sum(t.nbytes for t in self._copies.values())

    @contextmanager
    def running(self, network: N, *, working: int = 0, as_stored: bool = False) -> Iterator[N]:
        """Put the network on the device, and keep it there while it runs.

        Others that are not running leave, the least recently used first, while there is too
        little room.

        Args:
            network: one whose tensors are on the host when it comes here first.
            working: bytes that it needs besides its tensors.
            as_stored: leave the types of its tensors as they are on the host.

        Raises:
            torch.OutOfMemoryError: there is too little memory even so.
        """
        self._in_use.append(network)
        self._used[network] = next(_clock)
        try:
            with _moving:
                self._bring(network, working, as_stored)
            yield network
        finally:
            self._in_use.remove(network)

    def beside(self, network: nn.Module, make: Callable[[], T]) -> T:
        """Return what was made for a running network; dropped when its copies leave the device.

        Args:
            make: makes it, once for as long as they stay; always the same for a network.
        """
        if network not in self._beside:
            self._beside[network] = make()
        return self._beside[network]

    def release(self) -> None:
        """Take every network that is not running off the device, and free its memory.

        Those of other models too.
        """
        with _moving:
            for residency in self._on_this_device():
                for network in residency.resident:
                    residency._send_back(network)
        # Frames of a traceback, and what they hold, may sit in a cycle.
        gc.collect()
        if self.device.type == "cuda":
            with whole_device:
                torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def first_that_fits(self, way: Callable[[], T], *cheaper: Callable[[], T]) -> T:
        """Return the result of the first of several ways that does not run out of memory.

        The first way is tried a second time with the device cleared of everything else.

        Raises:
            torch.OutOfMemoryError: not even the last one fits.
        """
        *early, last = (way, way, *cheaper)
        for attempt in early:
            try:
                return attempt()
            except torch.OutOfMemoryError:
                pass  # the handler is left first: the error's frames hold what is to be freed
            self.release()
            keep_blocks_whole(self.device)
        return last()

    def in_parts(self, whole: range, way: Callable[[range], Sequence[T]]) -> list[T]:
        """Compute results for all of a range: at once, or in halves where memory runs out.

        Raises:
            torch.OutOfMemoryError: not even one fits.
        """
        if len(whole) == 1:
            return list(self.first_that_fits(lambda: way(whole)))
        half = len(whole) // 2
        return list(
            self.first_that_fits(
                lambda: way(whole),
                lambda: [*self.in_parts(whole[:half], way), *self.in_parts(whole[half:], way)],
            )
        )

    def _bring(self, network: nn.Module, working: int, as_stored: bool) -> None:
        if network in self._resident:
            self._resident[network] = self._resident.pop(network)
            self._make_room(working)
            self._give_back_before(working)
            return
        host = self._hosts.setdefault(network, _tensors(network))
        types = {name: t.dtype for name, t in host.items()}
        if self._cast and not as_stored:
            types = self._cast(host)
        missing = {
            key: t.numel() * types[name].itemsize
            for name, t in host.items()
            if (key := _key(t, types[name])) not in self._copies
        }
        self._make_room(sum(missing.values()) + working)
        self._give_back_before(working)
        copies = {name: self._copy(t, types[name]) for name, t in host.items()}
        _put(network, copies)
        self._resident[network] = copies

    def _copy(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        key = _key(tensor, dtype)
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = tensor.to(self.device).to(dtype)
        return copy

    def _send_back(self, network: nn.Module) -> None:
        if network not in self._in_use:
            _put(network, self._hosts[network])
            del self._resident[network]
            self._beside.pop(network, None)

    def _make_room(self, bytes_required: int) -> None:
        while bytes_required > self._room():
            idle = [
                (residency._used[network], residency, network)
                for residency in self._on_this_device()
                for network in residency.resident
                if network not in residency._in_use
            ]
            if not idle:
                return
            _, residency, network = min(idle, key=lambda entry: entry[0])
            residency._send_back(network)

    def _give_back_before(self, working: int) -> None:
        """Give back what is free, so that something large does not start among its fragments."""
        cap = memory_cap(self.device)
        if cap is None or working <= _LARGE:
            return
        if torch.cuda.memory_reserved(self.device) + working > cap:
            with whole_device:
                torch.cuda.empty_cache()

    def _on_this_device(self) -> list[Residency]:
        return [residency for residency in _EVERY if residency.device == self.device]

    def _room(self) -> float:
        """Return how many bytes can still be taken."""
        room = float("inf")
        allocated = sum(residency.resident_bytes for residency in self._on_this_device())
        if self.device.type == "cuda":
            allocated = torch.cuda.memory_allocated(self.device)
            free, _ = torch.cuda.mem_get_info(self.device)
            room = free + torch.cuda.memory_reserved(self.device) - allocated
            cap = memory_cap(self.device)
            if cap is not None:
                room = min(room, cap - ASIDE - allocated)
        return room if self.limit is None else min(room, self.limit - allocated)


def _clear(device: torch.device) -> None:
    for residency in list(_EVERY):
        if _numbered(residency.device) == _numbered(device):
            residency.release()
            return  # the others of this device left with it


when_cleared(_clear)


def _numbered(device: torch.device) -> torch.device:
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor.data
        for tensors_by_name in (network.named_parameters, network.named_buffers)
        for name, tensor in tensors_by_name(remove_duplicate=False)
    }


def _put(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give parameters and buffers these values; the objects stay the same."""
    for tensors_by_name in (network.named_parameters, network.named_buffers):
        for name, tensor in tensors_by_name(remove_duplicate=False):
            tensor.data = tensors[name]


def _key(tensor: Tensor, dtype: torch.dtype) -> object:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.dtype, dtype

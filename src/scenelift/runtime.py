"""Where a run computes: one value, made once from its options, that every stage gets.

PyTorch is imported when a network needs it, and not before: with the embedded models, on a CPU,
nothing here loads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenelift.device import choose_device, choose_dtype, limit_memory, split_devices
from scenelift.errors import DeviceMemoryError
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.platforms import share_heaps

if TYPE_CHECKING:
    import torch

__all__ = ["Runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Device, precision, memory and threads of a run.

    Attributes:
        device: as PyTorch names it: "cpu", "cuda", "cuda:1", "mps". It is there and can be used.
        options: what the run was wanted about its models.
    """

    device: str = "cpu"
    options: ReconstructionOptions = ReconstructionOptions(device="cpu")

    @classmethod
    def of(cls, options: BackendOptions | Runtime, *, networks: bool = True) -> Runtime:
        """Choose the device that options ask for, and keep to the memory that may be used.

        Args:
            options: those of any backend; a runtime that was made before is returned as it is.
            networks: whether PyTorch's networks will run. Where none do, "auto" is the CPU:
                loading PyTorch to draw a few pictures would take longer than drawing them.

        Raises:
            SetupError: there is no such device here.
        """
        if isinstance(options, Runtime):
            return options
        complete = _complete(options)
        if complete.device == "cpu" or (complete.device == "auto" and not networks):
            share_heaps()  # before the models' threads begin
            return cls(device="cpu", options=complete)
        # Of several GPUs, which share one scene's objects, the first does everything else.
        device = choose_device(split_devices(complete.device)[0])
        limit_memory(device, complete.vram_bytes)
        return cls(device=str(device), options=complete)

    @property
    def weights(self) -> Path | None:
        """Folder with weights in place of the cache."""
        return self.options.weights

    @property
    def threads(self) -> int:
        """CPU threads; 0 lets the models choose."""
        return self.options.threads

    @property
    def memory_bytes(self) -> int | None:
        """The most device memory to use; None for all that is free, and on a CPU."""
        return None if self.device == "cpu" else self.options.vram_bytes

    @property
    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the large matrices.

        Raises:
            SetupError: the device does not compute in what was asked for.
        """
        return choose_dtype(self.torch_device, self.options.precision)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context: this thread's current CUDA device is the run's, and no other is touched.

        A device that runs out of memory is a `DeviceMemoryError`; so is a machine that does.

        Raises:
            DeviceMemoryError: in place of PyTorch's and Python's own.
        """
        if self.device == "cpu":
            try:
                yield
            except MemoryError as exc:
                raise DeviceMemoryError(_too_little("this machine", exc)) from exc
            return
        import torch

        device = self.torch_device
        numbered = device.type == "cuda" and device.index is not None
        try:
            with torch.cuda.device(device) if numbered else nullcontext():
                yield
        except (torch.OutOfMemoryError, MemoryError) as exc:
            where = "this machine" if isinstance(exc, MemoryError) else self.device
            # Without the error's frames, which hold what is to be freed.
            raise DeviceMemoryError(_too_little(where, exc)) from None

    def with_options(self, **changes: Any) -> Runtime:
        """Return this runtime for a model that has no choice in some options."""
        return replace(self, options=replace(self.options, **changes))


def _complete(options: BackendOptions) -> ReconstructionOptions:
    """Complete the options with the published settings for what they do not say."""
    if isinstance(options, ReconstructionOptions):
        return options
    return ReconstructionOptions(
        **{f.name: getattr(options, f.name) for f in fields(BackendOptions)}
    )


def _too_little(where: str, exc: BaseException) -> str:
    reason = (str(exc).splitlines() or [""])[0][:200]
    return (
        f"There is too little memory on {where}{f' ({reason})' if reason else ''}. Close what else "
        f"uses it, or try a smaller photo or fewer objects."
    )

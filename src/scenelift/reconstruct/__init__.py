"""Stage 3, reconstruct: one object's pixels and points become its shape and pose."""

from scenelift.reconstruct.base import RECONSTRUCTORS, Reconstructor
from scenelift.registry import Backend, BackendOptions

__all__ = ["RECONSTRUCTORS", "Reconstructor"]


def _load_embedded(options: BackendOptions) -> Reconstructor:
    from scenelift.reconstruct.embedded import EmbeddedReconstructor

    return EmbeddedReconstructor.load(options)


RECONSTRUCTORS.add(
    Backend(
        name="embedded",
        load=_load_embedded,
        licence="code and weights Apache-2.0 (NOTICE names each)",
    )
)

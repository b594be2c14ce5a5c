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


def _load_sam3d(options: BackendOptions) -> Reconstructor:
    from scenelift.reconstruct.sam3d import SAM3DReconstructor

    return SAM3DReconstructor.load(options)


def _sam3d_lacks(options: BackendOptions) -> list[str]:
    from importlib.util import find_spec

    from scenelift.weights import hub_models

    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        return [f"{', '.join(missing)} not installed: pip install 'scenelift[full]'"]
    if hub_models.folder("sam3d", options.weights) is None:
        return ["no weights of SAM 3D Objects: scenelift models download full"]
    return []


RECONSTRUCTORS.add(
    Backend(
        name="sam3d",
        load=_load_sam3d,
        lacks=_sam3d_lacks,
        licence="code Apache-2.0, weights SAM License (gated)",
    )
)


def _load_official(options: BackendOptions) -> Reconstructor:
    from scenelift.compat.official import OfficialReconstructor

    return OfficialReconstructor.load(options)


def _official_lacks(options: BackendOptions) -> list[str]:
    from scenelift.compat.official_setup import lacks

    return lacks(options)


RECONSTRUCTORS.add(
    Backend(
        name="official",
        load=_load_official,
        lacks=_official_lacks,
        licence="Meta's own package; code and weights SAM License (gated)",
    )
)

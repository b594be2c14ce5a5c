"""Stage 3, reconstruct: one object's pixels and points become its shape and pose."""

from scenelift.reconstruct.base import (
    RECONSTRUCTORS,
    Reconstructor,
    SeveralSeedsReconstructor,
    SeveralViewsReconstructor,
    View,
)
from scenelift.registry import Backend, BackendOptions

__all__ = [
    "RECONSTRUCTORS",
    "Reconstructor",
    "SeveralSeedsReconstructor",
    "SeveralViewsReconstructor",
    "View",
]


def _load_embedded(options: BackendOptions) -> Reconstructor:
    from scenelift.reconstruct.embedded import EmbeddedReconstructor

    return EmbeddedReconstructor.load(options)


RECONSTRUCTORS.add(
    Backend(
        name="embedded",
        load=_load_embedded,
        licence="code and weights Apache-2.0: commercial use allowed, see NOTICE",
    )
)


def _load_sam3d(options: BackendOptions) -> Reconstructor:
    from scenelift.reconstruct.sam3d import SAM3DReconstructor

    return SAM3DReconstructor.load(options)


def _sam3d_lacks(options: BackendOptions) -> list[str]:
    return _lacks(options, "full", {"sam3d": "SAM 3D Objects"})


RECONSTRUCTORS.add(
    Backend(
        name="sam3d",
        load=_load_sam3d,
        lacks=_sam3d_lacks,
        licence=(
            "code Apache-2.0; weights SAM License, gated: commercial use under its conditions, "
            "https://huggingface.co/facebook/sam-3d-objects"
        ),
    )
)


def _load_trellis(options: BackendOptions) -> Reconstructor:
    from scenelift.reconstruct.trellis import TrellisReconstructor

    return TrellisReconstructor.load(options)


def _trellis_lacks(options: BackendOptions) -> list[str]:
    return _lacks(options, "open", {"trellis": "TRELLIS", "dinov2-large": "DINOv2"})


RECONSTRUCTORS.add(
    Backend(
        name="trellis",
        load=_load_trellis,
        lacks=_trellis_lacks,
        licence=(
            "code and weights MIT, DINOv2 Apache-2.0: commercial use allowed, "
            "https://huggingface.co/microsoft/TRELLIS-image-large"
        ),
    )
)


def _lacks(options: BackendOptions, bundle: str, models: dict[str, str]) -> list[str]:
    """Packages and weights that are not here."""
    from importlib.util import find_spec

    from scenelift.weights import hub_models

    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        return [f"{', '.join(missing)} not installed: pip install 'scenelift[full]'"]
    return [
        f"no weights of {title}: scenelift models download {bundle}"
        for name, title in models.items()
        if hub_models.folder(name, options.weights) is None
    ]


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

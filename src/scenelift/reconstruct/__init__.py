"""Stage 3, reconstruct: one object's pixels and points become its shape and pose."""

from functools import partial

from scenelift.lacks import Lack, lacking_packages, lacking_weights_of
from scenelift.options import BackendOptions
from scenelift.reconstruct.base import (
    RECONSTRUCTORS,
    PreparedReconstructor,
    Reconstructor,
    SeveralSeedsReconstructor,
    SeveralViewsReconstructor,
    TidyReconstructor,
    begin_photo,
    end_photo,
)
from scenelift.registry import Backend
from scenelift.runtime import Runtime

__all__ = [
    "RECONSTRUCTORS",
    "PreparedReconstructor",
    "Reconstructor",
    "SeveralSeedsReconstructor",
    "SeveralViewsReconstructor",
    "TidyReconstructor",
    "begin_photo",
    "end_photo",
]


def _lacks(models: dict[str, str], options: BackendOptions) -> list[Lack]:
    """List packages and weights that are not here."""
    from scenelift.weights.locate import command_for, locate

    return lacking_packages("torch", "safetensors") or [
        lacking_weights_of(title, command_for(name))
        for name, title in models.items()
        if locate(name, options.weights) is None
    ]


def _load_embedded(runtime: Runtime) -> Reconstructor:
    from scenelift.reconstruct.embedded import EmbeddedReconstructor

    return EmbeddedReconstructor.load(runtime)


RECONSTRUCTORS.add(
    Backend(
        name="embedded",
        load=_load_embedded,
        licence="code and weights Apache-2.0: commercial use allowed, see NOTICE",
    )
)


def _load_sam3d(runtime: Runtime) -> Reconstructor:
    from scenelift.reconstruct.sam3d import SAM3DReconstructor

    return SAM3DReconstructor.load(runtime)


RECONSTRUCTORS.add(
    Backend(
        name="sam3d",
        load=_load_sam3d,
        networks=True,
        shares_objects=True,
        lacks=partial(_lacks, {"sam3d": "SAM 3D Objects"}),
        licence=(
            "code Apache-2.0; weights SAM License, gated: commercial use under its conditions, "
            "https://huggingface.co/facebook/sam-3d-objects"
        ),
    )
)


def _load_trellis(runtime: Runtime) -> Reconstructor:
    from scenelift.reconstruct.trellis import TrellisReconstructor

    return TrellisReconstructor.load(runtime)


RECONSTRUCTORS.add(
    Backend(
        name="trellis",
        load=_load_trellis,
        networks=True,
        shares_objects=True,
        lacks=partial(_lacks, {"trellis": "TRELLIS", "dinov2-large": "DINOv2"}),
        licence=(
            "code and weights MIT, DINOv2 Apache-2.0: commercial use allowed, "
            "https://huggingface.co/microsoft/TRELLIS-image-large"
        ),
    )
)


def _load_trellis2(runtime: Runtime) -> Reconstructor:
    from scenelift.reconstruct.trellis2 import Trellis2Reconstructor

    return Trellis2Reconstructor.load(runtime)


RECONSTRUCTORS.add(
    Backend(
        name="trellis2",
        load=_load_trellis2,
        networks=True,
        shares_objects=True,
        lacks=partial(_lacks, {"trellis2": "TRELLIS.2", "dinov3-large": "DINOv3"}),
        licence=(
            "code and weights MIT; DINOv3 under the DINOv3 License, which allows commercial use "
            "under its conditions, https://huggingface.co/microsoft/TRELLIS.2-4B"
        ),
    )
)


def _load_pixal3d(runtime: Runtime) -> Reconstructor:
    from scenelift.reconstruct.pixal3d import Pixal3DReconstructor

    return Pixal3DReconstructor.load(runtime)


RECONSTRUCTORS.add(
    Backend(
        name="pixal3d",
        load=_load_pixal3d,
        networks=True,
        shares_objects=True,
        lacks=partial(_lacks, {"pixal3d": "Pixal3D", "naf": "NAF", "dinov3-large": "DINOv3"}),
        licence=(
            "code MIT since 20 May 2026, its weights not plainly so: read "
            "https://huggingface.co/TencentARC/Pixal3D before you use them; NAF Apache-2.0; DINOv3 "
            "under the DINOv3 License"
        ),
    )
)


def _load_official(runtime: Runtime) -> Reconstructor:
    from scenelift.compat.official import OfficialReconstructor

    return OfficialReconstructor.load(runtime)


def _official_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.compat.official_setup import lacks

    return lacks(options)


RECONSTRUCTORS.add(
    Backend(
        name="official",
        load=_load_official,
        networks=True,
        lacks=_official_lacks,
        licence="Meta's own package; code and weights SAM License (gated)",
    )
)

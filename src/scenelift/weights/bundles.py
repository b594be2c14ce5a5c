"""Sets of weights that are fetched together, by the name the user calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scenelift.errors import InputError, SetupError
from scenelift.progress import Reporter
from scenelift.weights import embedded
from scenelift.weights.artefact import ArtefactStatus
from scenelift.weights.hub_models import HubBundle

__all__ = ["BUNDLES", "FULL", "OPEN", "Bundle", "bundle_named"]


class Status(Protocol):
    def __call__(
        self, weights: Path | None = None, *, verify: bool = False
    ) -> list[ArtefactStatus]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One set of weights.

    Attributes:
        name: what the user calls it; also a value of `--quality`.
        summary: one line.
        status: how each of its artefacts stands.
        download: fetches what is missing, given a reporter, the weights folder (None for the
            cache) and names of artefacts (None for all); returns a sentence for each artefact
            that could not be had.
        convert: writes its weights in the form they are loaded from fastest, given a reporter, the
            weights folder, "fp16" or "fp32", and a folder for the result (None for the usual one);
            returns that folder. None where there is nothing to convert.
    """

    name: str
    summary: str
    status: Status
    download: Callable[[Reporter, Path | None, list[str] | None], list[str]]
    convert: Callable[[Reporter, Path | None, str, Path | None], Path] | None = None


def _convert_full(report: Reporter, weights: Path | None, precision: str, out: Path | None) -> Path:
    try:
        from scenelift.weights.convert_full import convert
    except ImportError as exc:
        raise SetupError(
            f"Converting weights needs PyTorch and safetensors ({exc}): "
            "pip install 'scenelift[full]'"
        ) from exc
    return convert(report, weights, precision=precision, out=out)


FULL = HubBundle(names=("sam3", "moge", "sam3d"))
OPEN = HubBundle(names=("grounding-dino", "sam2.1", "moge", "trellis", "dinov2-large"))

BUNDLES: Mapping[str, Bundle] = {
    bundle.name: bundle
    for bundle in (
        Bundle(
            name="embedded",
            summary="small models that ship inside ordinary packages; runs on any CPU",
            status=embedded.status,
            download=embedded.download,
        ),
        Bundle(
            name="open",
            summary="Grounding DINO, SAM 2.1, MoGe and TRELLIS: 7 GB, not gated, for any use",
            status=OPEN.status,
            download=OPEN.download,
        ),
        Bundle(
            name="full",
            summary="SAM 3, MoGe and SAM 3D Objects: 17 GB from the Hugging Face hub, partly gated",
            status=FULL.status,
            download=FULL.download,
            convert=_convert_full,
        ),
    )
}


def bundle_named(name: str) -> Bundle:
    """Look a bundle up.

    Raises:
        InputError: there is none of that name.
    """
    if name not in BUNDLES:
        raise InputError(f"There is no bundle {name!r} of weights. Known: {', '.join(BUNDLES)}.")
    return BUNDLES[name]

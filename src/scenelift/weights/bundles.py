"""Sets of weights that are fetched together, by the name the user calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scenelift.errors import InputError
from scenelift.progress import Reporter
from scenelift.weights import embedded, published
from scenelift.weights.artefact import ArtefactStatus
from scenelift.weights.hub_models import HubBundle, spoken_size
from scenelift.weights.offers import Offer

__all__ = ["BUNDLES", "FULL", "HUB_BUNDLES", "LIGHT", "OPEN", "Bundle", "bundle_named"]


class Status(Protocol):
    def __call__(
        self, weights: Path | None = None, *, verify: bool = False
    ) -> list[ArtefactStatus]: ...


class Offers(Protocol):
    def __call__(
        self,
        only: Sequence[str] | None = None,
        revision: str | None = None,
        weights: Path | None = None,
    ) -> list[Offer]: ...


class Download(Protocol):
    def __call__(
        self,
        report: Reporter,
        weights: Path | None = None,
        only: Sequence[str] | None = None,
        offers: Sequence[Offer] = (),
    ) -> list[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One set of weights.

    Attributes:
        name: what the user calls it; also a value of `--quality`.
        summary: one line.
        status: how each of its artefacts stands.
        offers: looks up what the user names a revision of, as `HubBundle.offers`.
        download: fetches what is missing, given a reporter, the weights folder (None for the
            cache), names of artefacts (None for all) and offers that the user has accepted;
            returns a sentence for each artefact that could not be had.
        further: names of artefacts that are fetched by name only.
    """

    name: str
    summary: str
    status: Status
    offers: Offers
    download: Download
    further: tuple[str, ...] = ()


SHAPES_SEE_WITH = "dinov2"  # the embedded artefact that the embedded shape head needs


def _light_status(weights: Path | None = None, *, verify: bool = False) -> list[ArtefactStatus]:
    """Return the status of the hub's models, and of what the embedded shapes need."""
    shapes = embedded.status(weights, verify=verify)
    return [
        *LIGHT.status(weights, verify=verify),
        *(row for row in shapes if row.name == SHAPES_SEE_WITH),
    ]


def _light_download(
    report: Reporter,
    weights: Path | None = None,
    only: Sequence[str] | None = None,
    offers: Sequence[Offer] = (),
) -> list[str]:
    failures: list[str] = []
    hub = None if only is None else [name for name in only if name != SHAPES_SEE_WITH]
    if hub is None or hub:
        failures += LIGHT.download(report, weights, hub)
    if only is None or SHAPES_SEE_WITH in only:
        failures += embedded.download(report, weights, [SHAPES_SEE_WITH])
    return failures


def _embedded_download(
    report: Reporter,
    weights: Path | None = None,
    only: Sequence[str] | None = None,
    offers: Sequence[Offer] = (),
) -> list[str]:
    return embedded.download(report, weights, only)


def _no_offers(
    only: Sequence[str] | None = None, revision: str | None = None, weights: Path | None = None
) -> list[Offer]:
    if revision is not None:
        raise InputError(
            f"--revision {revision}: everything in this bundle is fetched at the revision that "
            "its sizes and hashes belong to. It is for `pbr --only pixal3d`."
        )
    return []


FULL, OPEN, LIGHT, PBR = (HubBundle(quality=q) for q in ("full", "open", "light", "pbr"))
HUB_BUNDLES: Mapping[str, HubBundle] = {"light": LIGHT, "open": OPEN, "pbr": PBR, "full": FULL}

BUNDLES: Mapping[str, Bundle] = {
    bundle.name: bundle
    for bundle in (
        Bundle(
            name="embedded",
            summary="small models that ship inside ordinary packages; runs on any CPU",
            status=embedded.status,
            offers=_no_offers,
            download=_embedded_download,
        ),
        Bundle(
            name="light",
            summary=(
                f"small Grounding DINO, SAM 2.1 and MoGe-2: {spoken_size(LIGHT.size)}, not gated, "
                "for any use; finds any phrase on a CPU"
            ),
            status=_light_status,
            offers=_no_offers,
            download=_light_download,
        ),
        Bundle(
            name="open",
            summary=(
                f"Grounding DINO, SAM 2.1, MoGe-2 and TRELLIS: {spoken_size(OPEN.size)}, not "
                "gated, for any use"
            ),
            status=OPEN.status,
            offers=OPEN.offers,
            download=OPEN.download,
            further=OPEN.further,
        ),
        Bundle(
            name="pbr",
            summary=(
                "Grounding DINO, SAM 2.1, MoGe-2 and TRELLIS.2, whose meshes have metal, roughness "
                f"and alpha: {spoken_size(PBR.size)}, all but DINOv3 not gated"
            ),
            status=PBR.status,
            offers=PBR.offers,
            download=PBR.download,
            further=PBR.further,
        ),
        Bundle(
            name="full",
            summary=(
                "SAM 3, MoGe, SAM 3D Objects, and MoGe-2 for metres: "
                f"{spoken_size(FULL.size)} from the Hugging Face hub, partly gated"
            ),
            status=FULL.status,
            offers=FULL.offers,
            download=FULL.download,
            further=FULL.further,
        ),
    )
}


def bundle_named(name: str) -> Bundle:
    """Look a bundle up.

    Raises:
        InputError: there is none of that name.
    """
    if name in BUNDLES:
        return BUNDLES[name]
    model = published.MODELS.get(name)
    if model is not None:
        bundle = (*model.qualities, model.bundle)[0]
        raise InputError(
            f"{name!r} is one of the models of the bundle {bundle!r}: "
            f"`scenelift models download {bundle} --only {name}`."
        )
    raise InputError(f"There is no bundle {name!r} of weights. Known: {', '.join(BUNDLES)}.")

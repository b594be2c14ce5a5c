"""Names the backends of each quality, and tells which qualities can run on this machine."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from scenelift.errors import BackendUnavailable, UnknownBackend
from scenelift.lacks import Lack
from scenelift.options import OPTIONS, BackendOptions, ReconstructionOptions

__all__ = [
    "FROM_FILES",
    "QUALITIES",
    "BackendNames",
    "Choice",
    "Quality",
    "choose_backends",
    "lacking",
    "uses_networks",
]

Quality = Literal["auto", "embedded", "light", "open", "pbr", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendNames:
    """The name of one backend for each role."""

    segmenter: str
    pointmapper: str
    reconstructor: str


FROM_FILES = "given"
"""Stands for what the user brings in place of a model: masks or depth."""


# Best first: `auto` takes the first that can run.
QUALITIES: dict[str, BackendNames] = {
    "full": BackendNames(segmenter="sam3", pointmapper="moge", reconstructor="sam3d"),
    "pbr": BackendNames(segmenter="grounded-sam2", pointmapper="moge-2", reconstructor="trellis2"),
    "open": BackendNames(segmenter="grounded-sam2", pointmapper="moge-2", reconstructor="trellis"),
    "light": BackendNames(
        segmenter="grounded-sam2-tiny", pointmapper="moge-2-small", reconstructor="embedded"
    ),
    "embedded": BackendNames(
        segmenter="embedded", pointmapper="embedded", reconstructor="embedded"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backends a run will use.

    Attributes:
        quality: the quality they make ("custom" when one was named by the user).
        names: the backends.
        notes: what the user should be told about the choice, once.
    """

    quality: str
    names: BackendNames
    notes: tuple[str, ...] = ()


def lacking(names: BackendNames, options: BackendOptions) -> list[Lack]:
    """List what a set of backends lacks on this machine; empty when it can run."""
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    missing: list[Lack] = []
    for registry, name in (
        (SEGMENTERS, names.segmenter),
        (POINT_MAPPERS, names.pointmapper),
        (RECONSTRUCTORS, names.reconstructor),
    ):
        if name == FROM_FILES:
            continue
        if name in registry.names():
            missing += registry.entry(name).lacks(options)
        else:
            text = f"the {registry.role} {name!r} is not part of this installation"
            missing.append(Lack(text))
    return list(dict.fromkeys(missing))


def uses_networks(names: BackendNames) -> bool:
    """Whether any of the backends runs PyTorch's networks, so that a run can use a GPU."""
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    return any(
        name != FROM_FILES and registry.entry(name).networks
        for registry, name in (
            (SEGMENTERS, names.segmenter),
            (POINT_MAPPERS, names.pointmapper),
            (RECONSTRUCTORS, names.reconstructor),
        )
    )


def choose_backends(
    quality: str,
    options: BackendOptions,
    *,
    segmenter: str | None = None,
    pointmapper: str | None = None,
    reconstructor: str | None = None,
) -> Choice:
    """The backends of a quality; `auto` takes the best that can run here and says so.

    Args:
        quality: one of `QUALITIES`, or "auto".
        options: what every backend is told.
        segmenter: the name of one to take in place of the quality's own, or `FROM_FILES`.
        pointmapper: likewise.
        reconstructor: the name of one in place of the quality's own.

    Raises:
        BackendUnavailable: a quality, or a backend that was named, lacks something here.
        UnknownBackend: there is none of that name.
    """
    requested_names = {
        "segmenter": segmenter,
        "pointmapper": pointmapper,
        "reconstructor": reconstructor,
    }
    overrides = {role: name for role, name in requested_names.items() if name is not None}
    qualities = {q: replace(names, **overrides) for q, names in QUALITIES.items()}
    if quality == "auto":
        reasons = {
            name: lacking(names, options) or _untested(name, options)
            for name, names in qualities.items()
        }
        for name, names in qualities.items():
            if not reasons[name]:
                notes = (*_auto_notes(name, names, reasons), *_unused(names, options))
                return Choice(quality=_called(name, names), names=names, notes=notes)
        untested = [name for name in qualities if reasons[name] == [_UNTESTED]]
        if untested:
            raise BackendUnavailable(
                "quality",
                "auto",
                reason=f"{untested[0]!r} is here, but {_UNTESTED}. Run `scenelift models verify "
                f"--run {untested[0]}`, or ask for it with `--quality {untested[0]}`",
                choices=list(QUALITIES),
            )
        quality = list(QUALITIES)[-1]
    if quality not in QUALITIES:
        raise UnknownBackend("quality", quality, choices=["auto", *QUALITIES])
    names = qualities[quality]
    _check_named(overrides, options)
    missing = lacking(names, options)
    if missing:
        raise BackendUnavailable(
            "quality", quality, reason=_reason(quality, missing), choices=list(QUALITIES)
        )
    return Choice(
        quality=_called(quality, names), names=names, notes=tuple(_unused(names, options))
    )


def _check_named(overrides: dict[str, str], options: BackendOptions) -> None:
    """Make sure that backends which the user named can run: the fault is theirs, no quality's.

    Raises:
        BackendUnavailable: one lacks something here.
        UnknownBackend: there is none of that name.
    """
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    registries = {
        "segmenter": SEGMENTERS,
        "pointmapper": POINT_MAPPERS,
        "reconstructor": RECONSTRUCTORS,
    }
    for role, name in overrides.items():
        registry = registries[role]
        if name != FROM_FILES and (missing := registry.entry(name).lacks(options)):
            raise BackendUnavailable(
                registry.role, name, reason="; ".join(missing), choices=registry.names()
            )


def _unused(names: BackendNames, options: BackendOptions) -> list[str]:
    """Name the options about sampling that were set for a reconstructor that samples nothing."""
    from scenelift.reconstruct import RECONSTRUCTORS

    if names.reconstructor == FROM_FILES or not isinstance(options, ReconstructionOptions):
        return []
    if RECONSTRUCTORS.entry(names.reconstructor).networks:
        return []
    about_sampling = {f.name for f in fields(ReconstructionOptions)}
    about_sampling -= {f.name for f in fields(BackendOptions)}
    flags = [
        f.flag
        for f in OPTIONS
        if f.field in about_sampling and getattr(options, f.field) != f.default
    ]
    if not flags:
        return []
    return [
        f"Not used: {', '.join(flags)}. The reconstructor {names.reconstructor!r} has no steps and "
        "no precision to choose."
    ]


def _untested(quality: str, options: BackendOptions) -> list[Lack]:
    """Explain why `auto` skips a quality that can run: its self-check has not passed here."""
    if quality not in ("light", "pbr"):
        return []
    from scenelift.selfcheck.record import has_passed
    from scenelift.weights.bundles import HUB_BUNDLES

    if has_passed(quality, HUB_BUNDLES[quality].names, options.weights):
        return []
    return [_UNTESTED]


def _called(quality: str, names: BackendNames) -> str:
    """Return the quality's name, with a remark where a model of another quality is used."""
    own = QUALITIES[quality]
    unchanged = all(
        getattr(names, field.name) in (getattr(own, field.name), FROM_FILES)
        for field in fields(own)
    )
    return quality if unchanged else "custom"


_UNTESTED = Lack("its self-check has not passed on this machine")

_MADE_OF = {
    "full": "SAM 3, MoGe and SAM 3D Objects are all here",
    "open": "Grounding DINO, SAM 2.1, MoGe-2 and TRELLIS are all here",
    "pbr": "Grounding DINO, SAM 2.1, MoGe-2 and TRELLIS.2 are all here",
    "light": "small Grounding DINO, SAM 2.1 and MoGe-2 on any device; backs are guesses",
    "embedded": "a preview made on this machine's CPU; depth and backs are guesses",
}


def _auto_notes(
    quality: str, names: BackendNames, reasons: dict[str, list[Lack]]
) -> tuple[str, ...]:
    """Explain which quality was taken and why, and what the next better one needs."""
    if _called(quality, names) == quality:
        note = f"Quality {quality!r}: {_MADE_OF[quality]}."
    else:
        note = (
            f"Quality 'custom', as asked for: segmenter {names.segmenter}, point mapper "
            f"{names.pointmapper}, reconstructor {names.reconstructor}."
        )
    better = list(QUALITIES)[: list(QUALITIES).index(quality)]
    offers = [
        f"{name!r}: {_remedy(name, reasons[name])}"
        for name in better
        # Who has not fetched `pbr` is pointed to `open`, which is less to fetch and to permit.
        if reasons[name] and (name != "pbr" or reasons[name] == [_UNTESTED])
    ]
    if offers:
        note += f" For {', for '.join(offers)}; `scenelift doctor` shows what is missing."
    return (note,)


def _reason(quality: str, missing: list[Lack]) -> str:
    """Say what a quality lacks; where all of it are weights, with the one command for them."""
    models = [lack.weights_of for lack in missing if lack.weights_of]
    if len(missing) == 1 or len(models) < len(missing):
        return "; ".join(missing)
    return f"no weights of {', '.join(models)}. {_remedy(quality, missing)} fetches them"


def _remedy(quality: str, missing: list[Lack]) -> str:
    """Write the commands that install what is missing."""
    from scenelift.weights.published import MODELS, of_quality

    if missing == [_UNTESTED]:
        return f"`scenelift models verify --run {quality}`"
    packages = any(lack.packages for lack in missing)
    install = "`pip install 'scenelift[full]'` and " if packages else ""
    gated = " (gated)" if any(MODELS[name].gated for name in of_quality(quality)) else ""
    return f"{install}`scenelift models download {quality}`{gated}"

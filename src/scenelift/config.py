"""Which backends make which quality, and what a run may be told.

The defaults are what the command line shows in `--help`; there is no other place for them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from scenelift.errors import BackendUnavailable, InputError
from scenelift.registry import BackendOptions
from scenelift.types import BoxPrompt

__all__ = [
    "EXTRA_FORMATS",
    "GIVEN",
    "QUALITIES",
    "BackendNames",
    "CameraPath",
    "Choice",
    "ExportOptions",
    "FinishOptions",
    "KnownLength",
    "LayoutOptions",
    "PreviewFormat",
    "Quality",
    "choose_backends",
    "parse_box",
    "parse_prompt_phrases",
]

Quality = Literal["auto", "embedded", "open", "full"]
CameraPath = Literal["swing", "circle", "flight"]
PreviewFormat = Literal["gif", "webp", "mp4"]

MAX_PHRASES = 32
MAX_PHRASE_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendNames:
    """One backend a role."""

    segmenter: str
    pointmapper: str
    reconstructor: str


GIVEN = "given"
"""Stands for what the user brings in place of a model: masks or depth."""

# Best first: `auto` takes the first that can run.
QUALITIES: dict[str, BackendNames] = {
    "full": BackendNames(segmenter="sam3", pointmapper="moge", reconstructor="sam3d"),
    "open": BackendNames(segmenter="grounded-sam2", pointmapper="moge", reconstructor="trellis"),
    "embedded": BackendNames(
        segmenter="embedded", pointmapper="embedded", reconstructor="embedded"
    ),
}


EXTRA_FORMATS = ("spz", "sog", "splat", "compressed.ply", "usdz", "stl", "compact.glb")
"""What a scene can be written as besides PLY, GLB and OBJ; each is also the file's ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written besides the manifest.

    Attributes:
        preview_frames: frames of the turntable.
        preview_size: longer side of the turntable in pixels.
        preview_path: how the turntable's camera moves: ±40° about the photo's side, all the way
            round, or round in a flight that rises and comes close.
        preview_format: file format of the turntable; MP4 needs ffmpeg.
        formats: of `EXTRA_FORMATS`, those to write as well.
        max_splats: most splats of the whole scene; those that pictures miss least are left out.
    """

    preview_frames: int = 36
    preview_size: int = 512
    preview_path: CameraPath = "swing"
    preview_format: PreviewFormat = "gif"
    formats: tuple[str, ...] = ()
    max_splats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishOptions:
    """What becomes of a decoded mesh.

    Attributes:
        faces: budget of an object's mesh; None keeps all.
        texture_size: texels on a side, 64…8192.
        vertex_colors: colours on the vertices in place of a texture.
    """

    faces: int | None = 30_000
    texture_size: int = 1024
    vertex_colors: bool = False

    def __post_init__(self) -> None:
        if self.faces is not None and self.faces < 4:
            raise InputError(f"A mesh of {self.faces} faces encloses nothing: give 4 or more.")
        if not 64 <= self.texture_size <= 8192:
            raise InputError(f"A texture of {self.texture_size} texels: give 64 to 8192.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLength:
    """The true height of something in the photo, in metres: what `--known "door=2.0m"` says."""

    label: str
    metres: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions:
    """What the compose stage does.

    Attributes:
        refine: make poses agree with mask, points and colours.
        repair: make things stand, and take apart what pierces each other.
        known: heights that give the scene its scale.
        best_of: reconstruct every object with so many seeds and keep the best.
    """

    refine: bool = True
    repair: bool = True
    known: tuple[KnownLength, ...] = ()
    best_of: int = 1


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


def lacking(names: BackendNames, options: BackendOptions) -> list[str]:
    """What a set of backends lacks on this machine; empty when it can run."""
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    found: list[str] = []
    for registry, name in (
        (SEGMENTERS, names.segmenter),
        (POINT_MAPPERS, names.pointmapper),
        (RECONSTRUCTORS, names.reconstructor),
    ):
        if name == GIVEN:
            continue
        if name in registry.names():
            found += registry.entry(name).lacks(options)
        else:
            found.append(f"the {registry.role} {name!r} is not part of this installation")
    return list(dict.fromkeys(found))


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
        segmenter: the name of one to take in place of the quality's own, or `GIVEN`.
        pointmapper: likewise.
        reconstructor: the name of one in place of the quality's own.

    Raises:
        BackendUnavailable: an unknown name, or a quality that lacks something here.
    """
    named = {
        "segmenter": segmenter,
        "pointmapper": pointmapper,
        "reconstructor": reconstructor,
    }
    chosen = {role: name for role, name in named.items() if name is not None}
    qualities = {q: replace(names, **chosen) for q, names in QUALITIES.items()}
    if quality == "auto":
        reasons = {name: lacking(names, options) for name, names in qualities.items()}
        for name, names in qualities.items():
            if not reasons[name]:
                notes = _auto_notes(name, names, reasons)
                return Choice(quality=_called(name, names), names=names, notes=notes)
        quality = list(QUALITIES)[-1]
    if quality not in QUALITIES:
        raise BackendUnavailable(
            "quality", quality, reason="there is none of that name", choices=list(QUALITIES)
        )
    names = qualities[quality]
    missing = lacking(names, options)
    if missing:
        raise BackendUnavailable(
            "quality", quality, reason="; ".join(missing), choices=list(QUALITIES)
        )
    return Choice(quality=_called(quality, names), names=names)


def _called(quality: str, names: BackendNames) -> str:
    """The quality's name, unless another model than its own is in it."""
    own = QUALITIES[quality]
    kept = all(
        getattr(names, field.name) in (getattr(own, field.name), GIVEN) for field in fields(own)
    )
    return quality if kept else "custom"


_MADE_OF = {
    "full": "SAM 3, MoGe and SAM 3D Objects are all here",
    "open": "Grounding DINO, SAM 2.1, MoGe and TRELLIS are all here",
    "embedded": "a preview made on this machine's CPU; depth and backs are guesses",
}


def _auto_notes(chosen: str, names: BackendNames, reasons: dict[str, list[str]]) -> tuple[str, ...]:
    """Which quality was taken and why, and what the next better one needs."""
    if _called(chosen, names) == chosen:
        note = f"Quality {chosen!r}: {_MADE_OF[chosen]}."
    else:
        note = (
            f"Quality 'custom', as asked for: segmenter {names.segmenter}, point mapper "
            f"{names.pointmapper}, reconstructor {names.reconstructor}."
        )
    better = list(QUALITIES)[: list(QUALITIES).index(chosen)]
    offers = [f"{name!r}: {_remedy(name, reasons[name])}" for name in better if reasons[name]]
    if offers:
        note += f" For {', for '.join(offers)}; `scenelift doctor` shows what is missing."
    return (note,)


def _remedy(quality: str, missing: list[str]) -> str:
    """The commands that bring what is missing, whatever it is."""
    packages = any("not installed" in reason for reason in missing)
    install = "`pip install 'scenelift[full]'` and " if packages else ""
    gated = " (gated)" if quality == "full" else ""
    return f"{install}`scenelift models download {quality}`{gated}"


def parse_box(text: str, *, positive: bool = True) -> BoxPrompt:
    """`[name=]x0,y0,x1,y1` in pixels.

    Raises:
        InputError: it is not that, or the box is empty.
    """
    label, _, numbers = text.rpartition("=")
    try:
        x0, y0, x1, y1 = (float(v) for v in numbers.split(","))
    except ValueError as exc:
        raise InputError(
            f"{text!r} is not a box. Give x0,y0,x1,y1 in pixels, for example 40,60,220,300 or "
            "mug=40,60,220,300."
        ) from exc
    if not (x1 > x0 and y1 > y0):
        raise InputError(f"The box {text!r} is empty: x1 must exceed x0 and y1 must exceed y0.")
    return BoxPrompt(box=(x0, y0, x1, y1), label=label.strip(), positive=positive)


def parse_prompt_phrases(texts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Phrases of one or more prompts: each may hold several, separated by semicolons.

    Raises:
        InputError: a phrase is empty or too long, or there are too many.
    """
    phrases: list[str] = []
    for text in texts:
        parts = [" ".join(part.split()) for part in text.split(";")]
        if not any(parts):
            raise InputError(
                "The prompt is empty. Name what to lift out of the photo, for example "
                '--prompt "chair", or draw a box with --box.'
            )
        phrases += [part for part in parts if part]
    for phrase in phrases:
        if len(phrase) > MAX_PHRASE_CHARACTERS:
            raise InputError(
                f"A phrase has {len(phrase)} characters ({phrase[:40]!r}…); up to "
                f"{MAX_PHRASE_CHARACTERS} are read. Name the objects in a few words each."
            )
        if not phrase.isprintable():
            raise InputError(f"The phrase {phrase!r} has control characters. Use plain words.")
    unique = tuple(dict.fromkeys(phrases))
    if len(unique) > MAX_PHRASES:
        raise InputError(
            f"{len(unique)} phrases were given; up to {MAX_PHRASES} are looked for in one run."
        )
    return unique

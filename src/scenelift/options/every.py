"""All groups of options together, as one value and as one flat list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scenelift.options.definition import FrontEnd, OptionField, fields_of
from scenelift.options.groups import (
    BackendSelection,
    ExportOptions,
    FinishOptions,
    InputOptions,
    LayoutOptions,
    PresetOptions,
    ReconstructionOptions,
    SearchOptions,
    SeedOptions,
)

__all__ = ["HEADINGS", "OPTIONS", "PUBLISHED_VALUES", "Options", "fields_for", "option_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All options of a run; its photo and output folder are separate.

    The first group says what to look for; the next three make the pipeline; the others are about
    one run of it.
    """

    search: SearchOptions = field(default_factory=SearchOptions)
    backends: BackendSelection = field(default_factory=BackendSelection)
    inputs: InputOptions = field(default_factory=InputOptions)
    models: ReconstructionOptions = field(default_factory=ReconstructionOptions)
    preset: PresetOptions = field(default_factory=PresetOptions)
    seeds: SeedOptions = field(default_factory=SeedOptions)
    layout: LayoutOptions = field(default_factory=LayoutOptions)
    finish: FinishOptions = field(default_factory=FinishOptions)
    export: ExportOptions = field(default_factory=ExportOptions)

    def to_plain(self) -> dict[str, Any]:
        """Return every option's plain value by name, ready for JSON."""
        return {f.name: f.to_plain(getattr(getattr(self, f.group), f.field)) for f in OPTIONS}

    def with_plain(self, values: Mapping[str, Any]) -> Options:
        """Return these options with the named ones replaced; None keeps an option's value.

        Args:
            values: name -> plain value; None says nothing.

        Raises:
            InputError: a value cannot be read, or is out of range.
            KeyError: there is no option of that name.
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            f = _BY_NAME[name]
            if value is not None:
                changes.setdefault(f.group, {})[f.field] = f.from_plain(value)
        groups = {g: replace(getattr(self, g), **changed) for g, changed in changes.items()}
        options = replace(self, **groups)
        return options._as_published() if options.preset.published else options

    def _as_published(self) -> Options:
        """Return these options, with SAM 3D's published settings where they have our defaults."""
        groups: dict[str, Any] = {}
        for name, value in PUBLISHED_VALUES.items():
            f = _BY_NAME[name]
            group = groups.get(f.group, getattr(self, f.group))
            if getattr(group, f.field) == f.default:
                groups[f.group] = replace(group, **{f.field: value})
        return replace(self, **groups)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Options:
        """Make options from plain values; raises as `with_plain`."""
        return cls().with_plain(values)


_GROUPS = {
    "search": SearchOptions,
    "backends": BackendSelection,
    "inputs": InputOptions,
    "models": ReconstructionOptions,
    "preset": PresetOptions,
    "seeds": SeedOptions,
    "layout": LayoutOptions,
    "finish": FinishOptions,
    "export": ExportOptions,
}

HEADINGS = {
    "search": "Objects",
    "backends": "Models",
    "inputs": "Given in place of a model",
    "models": "Devices and sampling",
    "preset": "Presets",
    "seeds": "Seeds",
    "layout": "Placing objects",
    "finish": "Mesh of an object",
    "export": "Files",
}
"""What forms and documents call the groups."""

OPTIONS: tuple[OptionField, ...] = tuple(
    OptionField(
        group=group,
        field=name,
        option=spec,
        default=default,
        plain=plain,
        left_out=spec.left_out,
    )
    for group, cls in _GROUPS.items()
    for name, (spec, default, plain) in fields_of(cls).items()
)
"""Every option there is, in the order of its groups."""

_BY_NAME = {f.name: f for f in OPTIONS}

PUBLISHED_VALUES: Mapping[str, Any] = {
    "refine": False,
    "repair": False,
    "faces": None,
    "vertex_colors": True,
    "exif_focal": "nothing",
    "same_seed": True,
}
"""What the option `published` stands for: the defaults of SAM 3D's published pipeline, where ours
are others. docs/sam3d.md says more of each."""


def option_named(name: str) -> OptionField:
    """Return the option with this name.

    Raises:
        KeyError: there is no such option.
    """
    return _BY_NAME[name]


def fields_for(front_end: FrontEnd, *groups: str) -> tuple[OptionField, ...]:
    """List the options that a front end has, of all groups or of some."""
    return tuple(
        f for f in OPTIONS if front_end not in f.left_out and (not groups or f.group in groups)
    )

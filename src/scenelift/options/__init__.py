"""The options of a run: one definition, from which every front end is made.

Commands, a batch's plan and manifest, the web app's settings, form and page, and the table in
docs/options.md all come from the fields in `groups.py`. This package is below everything else.
"""

from __future__ import annotations

from scenelift.options.checks import check_options
from scenelift.options.definition import (
    FRONT_ENDS,
    FrontEnd,
    Option,
    OptionField,
    option,
)
from scenelift.options.every import OPTIONS, Options, fields_for, option_named
from scenelift.options.groups import (
    MAX_SEED,
    BackendOptions,
    BackendSelection,
    BackgroundMode,
    CameraPath,
    ExifFocal,
    ExportOptions,
    FinishOptions,
    InputOptions,
    LayoutOptions,
    Precision,
    PresetOptions,
    PreviewFormat,
    ReconstructionOptions,
    SearchOptions,
    SeedOptions,
    SplatFrame,
    ViewMode,
    VoxelKind,
)
from scenelift.options.readers import (
    EXTRA_FORMATS,
    UNLIMITED,
    Density,
    KnownLength,
    read_bytes,
    read_densities,
    read_formats,
    read_known,
    show_densities,
)

__all__ = [
    "EXTRA_FORMATS",
    "FRONT_ENDS",
    "MAX_SEED",
    "OPTIONS",
    "UNLIMITED",
    "BackendOptions",
    "BackendSelection",
    "BackgroundMode",
    "CameraPath",
    "Density",
    "ExifFocal",
    "ExportOptions",
    "FinishOptions",
    "FrontEnd",
    "InputOptions",
    "KnownLength",
    "LayoutOptions",
    "Option",
    "OptionField",
    "Options",
    "Precision",
    "PresetOptions",
    "PreviewFormat",
    "ReconstructionOptions",
    "SearchOptions",
    "SeedOptions",
    "SplatFrame",
    "ViewMode",
    "VoxelKind",
    "check_options",
    "fields_for",
    "option",
    "option_named",
    "read_bytes",
    "read_densities",
    "read_formats",
    "read_known",
    "show_densities",
]

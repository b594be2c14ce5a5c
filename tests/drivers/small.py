"""Options of runs whose files nobody looks at: a tenth of the work of the defaults."""

from __future__ import annotations

from scenelift.options import ExportOptions, FinishOptions, LayoutOptions

SMALL = {
    "finish": FinishOptions(faces=300, texture_size=64),
    "layout": LayoutOptions(refine=False, background="none"),
    "export": ExportOptions(preview_frames=2, preview_size=32),
}
"""Groups by their names in `Options` and `RunSpec`."""

"""Edits of a finished scene: objects moved, renamed, copied, deleted, their splats cleaned.

from scenelift.edit import Edits, ObjectEdit, edit_folder, no_edits

edits = no_edits(Path("out/desk"))
cup = ObjectEdit(object=0, name="mug", splats_removed=((0, 12),))
edit_folder(Path("out/desk"), edits.model_copy(update={"objects": (cup,)}))
"""

from scenelift.edit.apply import apply_edits
from scenelift.edit.document import EDITS_NAME, Edits, ObjectEdit, TransformEdit, parse_edits
from scenelift.edit.folder import check_edits, edit_folder, edits_of, no_edits, read_edits

__all__ = [
    "EDITS_NAME",
    "Edits",
    "ObjectEdit",
    "TransformEdit",
    "apply_edits",
    "check_edits",
    "edit_folder",
    "edits_of",
    "no_edits",
    "parse_edits",
    "read_edits",
]

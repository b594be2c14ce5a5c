"""Edit a finished scene: move, rename, copy and delete objects, and clean their splats.

from scenelift.edit import ObjectEdit, no_edits
from scenelift.edit.folder import edit_folder

cup = ObjectEdit(object=0, name="mug", splats_removed=((0, 12),))
edits = no_edits(Path("out/desk")).model_copy(update={"objects": (cup,)})
edit_folder(Path("out/desk"), edits)
"""

from scenelift.edit.belonging import check_edits, edits_of, no_edits, read_edits
from scenelift.edit.document import EDITS_NAME, Edits, ObjectEdit, TransformEdit, parse_edits

__all__ = [
    "EDITS_NAME",
    "Edits",
    "ObjectEdit",
    "TransformEdit",
    "check_edits",
    "edits_of",
    "no_edits",
    "parse_edits",
    "read_edits",
]

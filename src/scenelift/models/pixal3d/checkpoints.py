"""Load Pixal3D: its repository's folder, which is TRELLIS.2's in form, DINOv3 and NAF.

Its flows are stored in float32 and were computed in bfloat16. It has no flow of materials for the
coarse shape: there are cascades only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from scenelift.errors import InputError
from scenelift.models.pixal3d.naf import NAF, naf_params
from scenelift.models.slat.checkpoints import NetworkFile
from scenelift.models.slat.config import Section
from scenelift.models.trellis2.checkpoints import Trellis2Folder, Trellis2Models
from scenelift.models.trellis2.checkpoints import load_models as load_trellis2
from scenelift.options import VoxelKind
from scenelift.weights.state_dicts import read_state_dict

__all__ = ["NAF_FILE", "Pixal3DModels", "load_models", "read_naf"]

NAF_FILE = "naf_release.pth"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixal3DModels(Trellis2Models):
    """Everything one reconstruction needs.

    Attributes:
        naf: makes coarse features as fine as the picture.
    """

    naf: NAF


def load_models(files: Trellis2Folder, naf: Path, kind: VoxelKind) -> Pixal3DModels:
    """Load the networks of a kind of run on the CPU, in the types of the files.

    Args:
        files: of Pixal3D.
        naf: NAF's file.
        kind: a cascade.

    Raises:
        InputError: the kind is none that it has.
        WeightsError: a file is missing, damaged or of another model.
    """
    if not kind.endswith("cascade"):
        raise InputError(
            f"Pixal3D has no flows for {kind!r}: take '1024_cascade' or '1536_cascade'."
        )
    plain = load_trellis2(files, kind)
    networks = {field.name: getattr(plain, field.name) for field in fields(plain)}
    return Pixal3DModels(**networks, naf=read_naf(naf))


def read_naf(path: Path) -> NAF:
    """Load NAF on the CPU.

    Raises:
        WeightsError: the file is missing, damaged or of another model.
    """
    file = NetworkFile(read_state_dict(path), Section(source=path.name), path)
    return file.load(lambda tensors, _: naf_params(tensors), NAF)

"""Where the weights of segmenters from the Hugging Face hub are, and what is missing here.

Nothing here imports PyTorch or transformers: `scenelift doctor` and `--quality auto` ask often.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from scenelift.errors import WeightsError
from scenelift.weights import content
from scenelift.weights.home import weights_folder

__all__ = ["HubModel", "fingerprint", "folder_of", "lacking_packages", "lacking_weights"]

PACKAGES = ("torch", "transformers", "torchvision", "safetensors")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json")
TOKENIZER = ("tokenizer.json", "vocab.json", "vocab.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A published model.

    Attributes:
        name: its folder, under `--weights` and in scenelift's cache, there or in the bundle's.
        hub_id: owner/name on huggingface.co.
        model_types: what its `config.json` calls itself.
        bundle: the bundle of `scenelift models download` that has it, None where none has.
        reads_text: it comes with a tokenizer.
        gated: its publisher asks for a signed-in user who has accepted the licence.
    """

    name: str
    hub_id: str
    model_types: tuple[str, ...]
    bundle: str | None = None
    reads_text: bool = True
    gated: bool = False


def lacking_packages() -> list[str]:
    """The packages that are not installed, as a sentence with the command that mends it."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return []
    return [f"{', '.join(missing)} not installed: `pip install 'scenelift[full]'` brings them"]


def lacking_weights(model: HubModel, weights: Path | None, wanted: str | None = None) -> list[str]:
    """Why the weights cannot be loaded, as a sentence with the next step; empty when they can."""
    try:
        folder_of(model, weights, wanted)
    except WeightsError as exc:
        return [str(exc)]
    return []


def folder_of(model: HubModel, weights: Path | None, wanted: str | None = None) -> Path:
    """The folder with a model's configuration, weights and processor.

    Looked for in this order: what the user wants (a folder, or another hub id), the folder of all
    weights, the hub's own cache on this machine. Nothing is downloaded.

    Args:
        model: the published model.
        weights: folder of all weights in place of scenelift's cache, or None.
        wanted: a folder or hub id of the user's, or None.

    Raises:
        WeightsError: it is nowhere, incomplete, or another kind of model.
    """
    if wanted and Path(wanted).expanduser().is_dir():
        return _checked(model, Path(wanted).expanduser())
    hub_id = wanted or model.hub_id
    if wanted and (wanted.count("/") != 1 or wanted.startswith((".", "/", "~"))):
        raise WeightsError(
            f"{wanted!r} is neither a folder nor a hub id (owner/name, such as {model.hub_id})."
        )
    for own in () if wanted else _own_folders(model, weights):
        if (own / "config.json").is_file():
            return _checked(model, own)
    cached = _in_hub_cache(hub_id)
    if cached is not None:
        return _checked(model, cached)
    raise WeightsError(_how_to_get(model, hub_id, _own_folders(model, weights)[0]))


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits that change with the configuration or the weights.

    Raises:
        WeightsError: a file cannot be read.
    """
    return content.fingerprint([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def _own_folders(model: HubModel, weights: Path | None) -> list[Path]:
    roots = dict.fromkeys((weights_folder(weights), weights_folder()))
    inside = [Path(model.name)]
    if model.bundle:
        inside.insert(0, Path(model.bundle, model.name))
    return [root / place for root in roots for place in inside]


def _checked(model: HubModel, folder: Path) -> Path:
    """The folder, if it holds this kind of model as safetensors."""
    try:
        kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
    except (OSError, ValueError, AttributeError) as exc:
        raise WeightsError(
            f"{folder} holds no model: config.json is missing or unreadable ({exc})."
        ) from exc
    if kind not in model.model_types:
        raise WeightsError(
            f"{folder} holds a model of type {kind!r}; {model.name} needs "
            f"{' or '.join(repr(t) for t in model.model_types)}, such as {model.hub_id}."
        )
    # transformers makes up a processor or a tokenizer that is missing, which reads nothing right.
    for names in (WEIGHTS, PROCESSOR, TOKENIZER) if model.reads_text else (WEIGHTS, PROCESSOR):
        if not any((folder / name).is_file() for name in names):
            raise WeightsError(
                f"{folder} lacks {names[0]}. Fetch the model again, whole; pickled weights (.bin, "
                f".pt) are not read, because they can run code."
            )
    return folder


def _in_hub_cache(hub_id: str) -> Path | None:
    """The snapshot that `main` points to in the hub's cache on this machine, if it has one."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, "config.json")
    except HFValidationError as exc:
        raise WeightsError(f"{hub_id!r} is not a hub id (owner/name): {exc}") from exc
    return Path(found).parent if isinstance(found, str) else None


def _how_to_get(model: HubModel, hub_id: str, own: Path) -> str:
    if hub_id != model.hub_id:
        return f"no weights of {hub_id} on this machine: `hf download {hub_id}` gets them"
    command = (
        f"scenelift models download {model.bundle}" if model.bundle else f"hf download {hub_id}"
    )
    get = f"`{command}` gets them"
    if model.gated:
        get = (
            f"they are gated. Accept the licence at https://huggingface.co/{hub_id}, sign in with "
            f"`hf auth login`, and {get}; where access is refused, --segmenter grounded-sam2 "
            f"needs none"
        )
    return f"no weights of {hub_id} in {own} or the hub's cache: {get}"

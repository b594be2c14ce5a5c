"""Finds segmenters' weights from the Hugging Face hub, and says what is missing here.

Nothing here imports PyTorch or transformers: `scenelift doctor` and `--quality auto` ask often.
"""

from __future__ import annotations

import json
from pathlib import Path

from scenelift.errors import WeightsError
from scenelift.lacks import Lack
from scenelift.weights import content
from scenelift.weights.locate import in_hub_cache, looked_in, places
from scenelift.weights.published import Model

__all__ = ["PACKAGES", "fingerprint", "folder_of", "lacking_weights"]

PACKAGES = ("torch", "transformers", "torchvision", "safetensors")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json")
TOKENIZER = ("tokenizer.json", "vocab.json", "vocab.txt")


def lacking_weights(
    model: Model, weights: Path | None, repository: str | None = None
) -> list[Lack]:
    """Explain why the weights cannot be loaded, and what to do; empty when they can."""
    try:
        folder = _place(model, weights, repository)
        if folder is None:
            hub_id = repository or model.hub_id
            return [Lack(_how_to_get(model, hub_id, weights), weights_of=hub_id)]
        _check(model, folder)
    except WeightsError as exc:
        return [Lack(str(exc))]
    return []


def folder_of(model: Model, weights: Path | None, repository: str | None = None) -> Path:
    """Return the folder with a model's configuration, weights and processor.

    What the user wants (a folder, or another hub id in the hub's cache), else as `weights.locate`
    looks for it. Nothing is downloaded.

    Args:
        model: the published model, in the catalogue.
        weights: folder of all weights in place of scenelift's cache, or None.
        repository: a folder or hub id of the user's, or None.

    Raises:
        WeightsError: it is nowhere, incomplete, or another kind of model.
    """
    folder = _place(model, weights, repository)
    if folder is None:
        raise WeightsError(_how_to_get(model, repository or model.hub_id, weights))
    _check(model, folder)
    return folder


def fingerprint(folder: Path) -> str:
    """Compute twelve hexadecimal digits that change with the configuration or the weights.

    Raises:
        WeightsError: a file cannot be read.
    """
    return content.fingerprint([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def _place(model: Model, weights: Path | None, repository: str | None) -> Path | None:
    """Return the folder that a model would be read from; None where it is nowhere.

    Raises:
        WeightsError: the user named what can be neither a folder nor a hub id.
    """
    if repository and Path(repository).expanduser().is_dir():
        return Path(repository).expanduser()
    if repository and (repository.count("/") != 1 or repository.startswith((".", "/", "~"))):
        raise WeightsError(
            f"{repository!r} is neither a folder nor a hub id (owner/name, such as {model.hub_id})."
        )
    folders = in_hub_cache(repository) if repository else places(model.name, weights)
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _check(model: Model, folder: Path) -> None:
    """Make sure that a folder holds this kind of model as safetensors.

    Raises:
        WeightsError: it is incomplete, or another kind of model.
    """
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


def _how_to_get(model: Model, hub_id: str, weights: Path | None) -> str:
    if hub_id != model.hub_id:
        return f"no weights of {hub_id} on this machine: `hf download {hub_id}` gets them"
    without = "; where access is refused, --segmenter grounded-sam2 needs none"
    where = looked_in(model.name, weights)
    return f"no weights of {hub_id} here: {where}{without if model.gated else ''}"

"""Finds a published model's files on this machine: one search for all models and backends.

In this order, by names of files alone:

1. the weights folder that the user names (`--weights`): `BUNDLE/NAME-safetensors` (converted),
   `BUNDLE/NAME`, `NAME`; for models that are a folder of their own kind (`Model.bare`) that folder
   itself, so that a published folder can be named as it is;
2. the same under scenelift's own store (`SCENELIFT_HOME/weights`, or the user's cache);
3. the cache of the Hugging Face hub, where other programs leave what they fetch: the snapshot of
   the revision in the catalogue, else the one that `main` points to.

Each of them may have the files in a folder `checkpoints/` of its own, as the repository of SAM 3D
Objects does. Imports neither PyTorch nor the hub's library; nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scenelift.errors import WeightsError
from scenelift.weights import published
from scenelift.weights.home import weights_folder
from scenelift.weights.hub import HubRepository

__all__ = [
    "command_for",
    "home_of",
    "hub_cache",
    "in_hub_cache",
    "locate",
    "looked_in",
    "places",
    "require",
]


def home_of(name: str, weights: Path | None = None) -> Path:
    """Return the folder that a model is downloaded to."""
    bundle, _, _ = name.partition("-safetensors")
    return weights_folder(weights) / published.MODELS[bundle].bundle / name


def places(name: str, weights: Path | None = None) -> Iterator[Path]:
    """List folders that may hold a model's files, in the order of the search.

    Args:
        name: one of `published.MODELS`.
        weights: folder of all weights in place of the cache.
    """
    model = published.MODELS[name]
    for root in dict.fromkeys((weights_folder(weights), weights_folder())):
        ours = root / model.bundle
        own = [ours / f"{name}-safetensors", ours / name, root / name]
        if model.bare:
            own.append(root)
        for place in own:
            yield from (place, place / "checkpoints")
    if isinstance(model.repository, HubRepository):
        for snapshot in in_hub_cache(model.repository.hub_id, model.repository.revision):
            yield from (snapshot, snapshot / "checkpoints")


def locate(name: str, weights: Path | None = None) -> Path | None:
    """Find the first folder with a model's main files, or None; arguments as for `places`."""
    model = published.MODELS[name]
    return next((place for place in places(name, weights) if model.lies_in(place)), None)


def require(name: str, weights: Path | None = None) -> Path:
    """Return the folder that holds a model's files; arguments as for `places`.

    Raises:
        WeightsError: there is none; it says where was looked, and how to get them.
    """
    location = locate(name, weights)
    if location is None:
        raise WeightsError(f"No weights of {name} here: {looked_in(name, weights)}.")
    return location


def command_for(name: str) -> str:
    """Return the command that fetches a model."""
    model = published.MODELS[name]
    which = model.qualities[0] if model.qualities else f"{model.bundle} --only {name}"
    return f"scenelift models download {which}"


def looked_in(name: str, weights: Path | None = None) -> str:
    """Describe where a model was searched and how to get it, as the end of a sentence."""
    model = published.MODELS[name]
    roots = dict.fromkeys((weights_folder(weights), weights_folder()))
    where = [str(root) for root in roots]
    get = f"`{command_for(name)}` fetches them"
    if model.hub_id:
        where.append(f"the Hugging Face cache ({hub_cache()})")
    if model.gated:
        get = (
            f"they are gated: once https://huggingface.co/{model.hub_id} has granted you access, "
            f"sign in with `hf auth login`, and {get}"
        )
    return f"looked in {', '.join(where)}; {get}"


def hub_cache() -> Path:
    """Return the folder in which the Hugging Face hub's library keeps repositories."""
    # As its documentation names the variables; importing it takes a quarter of a second.
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def in_hub_cache(hub_id: str, revision: str | None = None) -> list[Path]:
    """List snapshots of a repository in that cache: of a revision, then the one of `main`."""
    repository = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    commits = [revision] if revision else []
    with suppress(OSError, UnicodeDecodeError):  # never fetched by that name
        commits.append((repository / "refs" / "main").read_text("utf-8").strip())
    snapshots = (repository / "snapshots" / commit for commit in dict.fromkeys(commits) if commit)
    return [snapshot for snapshot in snapshots if snapshot.is_dir()]

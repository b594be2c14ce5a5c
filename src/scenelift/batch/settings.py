"""Settings of a whole batch: how its pipeline is built, how long its workers wait and retry."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenelift.batch.folder import BatchFolder, link_exclusively
from scenelift.errors import BackendUnavailable, InputError
from scenelift.io.files import write_json
from scenelift.options import OPTIONS, Options

if TYPE_CHECKING:
    from scenelift.pipeline import Pipeline

__all__ = ["BatchSettings", "keep_settings", "load_pipeline", "read_settings"]

# Every item says these itself, or gets them before it is written into the plan.
OF_ITEMS = frozenset({"seed", *(f.name for f in OPTIONS if f.group == "search")})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """Settings of a batch.

    Attributes:
        options: of every item that does not say otherwise; with quality "auto", what the first
            worker takes holds for all.
        pipeline: "module:function" that builds the pipeline in place of the options; "" for none.
        attempts: tries without a result before an item fails.
        lease_seconds: a worker silent for so long has lost its item.
        item_seconds: longest time that one attempt may take.
    """

    options: Options = field(default_factory=Options)
    pipeline: str = ""
    attempts: int = 3
    lease_seconds: float = 120.0
    item_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InputError(f"attempts must be at least 1, got {self.attempts}.")
        if self.lease_seconds < 1 or self.item_seconds <= 0:
            raise InputError(
                f"A lease must be at least 1 s, an item's time more than 0; got "
                f"{self.lease_seconds} and {self.item_seconds}."
            )

    def to_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**own, "options": self.options.to_plain()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BatchSettings:
        own = {name: setting for name, setting in value.items() if name != "options"}
        return cls(**own, options=Options.from_plain(value["options"]))

    def values_of_results(self) -> dict[str, Any]:
        """Return the values that results depend on, by option name."""
        values = self.options.to_plain()
        names = [f.name for f in OPTIONS if f.option.changes and f.name not in OF_ITEMS]
        return {name: values[name] for name in names} | {"pipeline": self.pipeline}


def keep_settings(folder: BatchFolder, settings: BatchSettings, plan: str) -> None:
    """Store settings and plan of a run for workers that join it later.

    Raises:
        InputError: the folder was begun with settings that give other results.
    """
    if folder.settings.exists():
        before, _ = read_settings(folder)
        old, new = before.values_of_results(), settings.values_of_results()
        differences = [f"{k}: {old[k]} → {v}" for k, v in new.items() if old.get(k) != v]
        if differences:
            raise InputError(
                f"{folder.root} holds results made with other settings ({'; '.join(differences)}). "
                "Choose another --out, or the earlier settings."
            )
    write_json(folder.settings, {"plan": plan, "settings": settings.to_json()})


def read_settings(folder: BatchFolder) -> tuple[BatchSettings, str]:
    """Read settings and plan of the latest run.

    Raises:
        InputError: no batch was begun there, or by another version of scenelift.
    """
    try:
        value = json.loads(folder.settings.read_bytes())
        return BatchSettings.from_json(value["settings"]), value["plan"]
    except FileNotFoundError as exc:
        raise InputError(
            f"No batch was begun in {folder.root}. Start one: scenelift batch MANIFEST --out "
            f"{folder.root}"
        ) from exc
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise InputError(
            f"{folder.settings} is damaged: {exc}. Remove it and give the very command that began "
            "the batch, with its manifest: what is done stays done."
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InputError(
            f"{folder.settings} was not written by this version of scenelift ({exc}). Choose "
            "another --out."
        ) from exc


def load_pipeline(settings: BatchSettings, folder: BatchFolder, writer: str) -> Pipeline:
    """Build the pipeline of a batch, and load its models.

    Args:
        writer: a name that no other process uses.

    Raises:
        SetupError: something that it needs is missing here.
    """
    from scenelift.pipeline import Pipeline

    if settings.pipeline:
        return _own(settings.pipeline)
    backends, models = settings.options.backends, settings.options.models
    quality = _settled_quality(backends.quality, folder)
    pipeline = Pipeline.build(options=models, **asdict(replace(backends, quality=quality)))
    if backends.quality == "auto" and pipeline.choice and pipeline.choice.quality != "custom":
        # Nodes may differ in what they have; the results of one batch shall not.
        quality_name = pipeline.choice.quality
        link_exclusively(_quality_file(folder), quality_name.encode(), writer, durable=True)
        if _settled_quality(backends.quality, folder) != quality_name:
            return load_pipeline(settings, folder, writer)
    return pipeline


def _settled_quality(quality: str, folder: BatchFolder) -> str:
    if quality != "auto":
        return quality
    try:
        return _quality_file(folder).read_text()
    except FileNotFoundError:
        return "auto"


def _quality_file(folder: BatchFolder) -> Path:
    return folder.state / "quality"


def _own(name: str) -> Pipeline:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as exc:
        raise BackendUnavailable(
            "pipeline",
            name,
            reason=f"{exc}; expected module:function that Python can import here",
            choices=["module:function"],
        ) from exc


def with_device(settings: BatchSettings, device: str | None, threads: int) -> BatchSettings:
    """Return the settings for one of several workers, with a device of its own."""
    models = settings.options.models
    models = replace(models, device=device or models.device, threads=models.threads or threads)
    return replace(settings, options=replace(settings.options, models=models))

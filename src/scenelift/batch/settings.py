"""What holds for a whole batch: how its pipeline is built and how patient its workers are."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenelift.batch.folder import BatchFolder, link_exclusively
from scenelift.errors import BackendUnavailable, InputError
from scenelift.io.files import write_json
from scenelift.models.slat.options import ReconstructionOptions
from scenelift.options import ExportOptions, FinishOptions

if TYPE_CHECKING:
    from scenelift.pipeline import Pipeline

__all__ = ["BatchSettings", "keep_settings", "load_pipeline", "read_settings"]

# Where and how fast, not what: these may differ from run to run, and from node to node.
FREE_OPTIONS = ("weights", "device", "threads", "vram_bytes", "compile")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """Settings of a batch.

    Attributes:
        quality: set of backends; with "auto", what the first worker finds holds for all.
        segmenter: name of one in place of the quality's own.
        options: what the backends are told.
        finish: faces and texture of the meshes.
        export: what is written.
        pipeline: "module:function" that builds the pipeline in place of `quality`; "" for none.
        attempts: tries without a result before an item fails.
        lease_seconds: a worker silent for so long has lost its item.
        item_seconds: longest time that one attempt may take.
    """

    quality: str = "auto"
    segmenter: str | None = None
    options: ReconstructionOptions = field(default_factory=ReconstructionOptions)
    finish: FinishOptions = field(default_factory=FinishOptions)
    export: ExportOptions = field(default_factory=ExportOptions)
    pipeline: str = ""
    attempts: int = 3
    lease_seconds: float = 120.0
    item_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InputError(f"attempts must be at least 1, got {self.attempts}.")
        if self.lease_seconds < 1 or self.item_seconds <= 0:
            raise InputError(
                f"A lease takes at least 1 s and an item more than none; got {self.lease_seconds} "
                f"and {self.item_seconds}."
            )

    def to_json(self) -> dict[str, Any]:
        weights = self.options.weights
        options = asdict(self.options) | {"weights": str(weights) if weights else None}
        return asdict(self) | {"options": options}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BatchSettings:
        options = dict(value["options"])
        if options["weights"]:
            options["weights"] = Path(options["weights"])
        return cls(
            **value
            | {
                "options": ReconstructionOptions(**options),
                "finish": FinishOptions(**value["finish"]),
                # JSON knows lists only.
                "export": ExportOptions(
                    **value["export"] | {"formats": tuple(value["export"]["formats"])}
                ),
            }
        )

    def fixed(self) -> dict[str, Any]:
        """What results depend on, by the name of its option."""
        values = self.to_json()
        options = {k: v for k, v in values["options"].items() if k not in FREE_OPTIONS}
        names = ("quality", "segmenter", "pipeline")
        return (
            {name: values[name] for name in names} | options | values["finish"] | values["export"]
        )


def keep_settings(folder: BatchFolder, settings: BatchSettings, plan: str) -> None:
    """Note settings and plan of a run for those who join it.

    Raises:
        InputError: the folder was begun with settings that give other results.
    """
    if folder.settings.exists():
        before, _ = read_settings(folder)
        old, new = before.fixed(), settings.fixed()
        changed = [f"{k}: {old[k]} → {v}" for k, v in new.items() if old.get(k) != v]
        if changed:
            raise InputError(
                f"{folder.root} holds results made with other settings ({'; '.join(changed)}). "
                "Choose another --out, or the settings of before."
            )
    write_json(folder.settings, {"plan": plan, "settings": settings.to_json()})


def read_settings(folder: BatchFolder) -> tuple[BatchSettings, str]:
    """Settings and plan of the latest run.

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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InputError(
            f"{folder.settings} was not written by this version of scenelift ({exc}). Choose "
            "another --out."
        ) from exc


def load_pipeline(settings: BatchSettings, folder: BatchFolder, writer: str) -> Pipeline:
    """The pipeline of a batch, with its models loaded.

    Args:
        writer: a name that no other process uses.

    Raises:
        SetupError: something that it needs is missing here.
    """
    from scenelift.pipeline import Pipeline

    if settings.pipeline:
        return _own(settings.pipeline)
    pipeline = Pipeline.from_quality(
        _settled_quality(settings, folder), settings.options, segmenter=settings.segmenter
    )
    if settings.quality == "auto" and pipeline.choice and pipeline.choice.quality != "custom":
        # Nodes may differ in what they have; the results of one batch shall not.
        chosen = pipeline.choice.quality
        link_exclusively(_quality_file(folder), chosen.encode(), writer, durable=True)
        if _settled_quality(settings, folder) != chosen:
            return load_pipeline(settings, folder, writer)
    return pipeline


def _settled_quality(settings: BatchSettings, folder: BatchFolder) -> str:
    if settings.quality != "auto":
        return settings.quality
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
    """The settings for one worker of several."""
    options = replace(
        settings.options,
        device=device or settings.options.device,
        threads=settings.options.threads or threads,
    )
    return replace(settings, options=options)

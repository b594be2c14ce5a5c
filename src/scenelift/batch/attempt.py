"""Run one attempt at one item, from its claim to the entry that ends it."""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from scenelift.batch.entry import Entry
from scenelift.batch.folder import BatchFolder
from scenelift.batch.items import BatchItem
from scenelift.batch.ledger import ClaimLost, Ledger
from scenelift.batch.settings import BatchSettings
from scenelift.batch.thumbnails import write_thumbnail
from scenelift.errors import (
    Cancelled,
    DeviceMemoryError,
    NothingFound,
    OutputError,
    SceneliftError,
    SetupError,
)
from scenelift.output.manifest import Manifest
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken, Reporter
from scenelift.runs import RunSpec, named_by_masks, run_job

__all__ = ["CRASHED", "Attempt", "Crashed"]

log = logging.getLogger(__name__)

CRASHED = 70
"""Exit code of a worker that must not go on: `EX_SOFTWARE` of sysexits.h."""


class Crashed(Exception):
    """The attempt left this process in an unknown state; the process must end."""


class Attempt:
    """Runs a claimed item to its end.

    Args:
        claim: ours.
        token: set to give the item back.
    """

    def __init__(
        self,
        folder: BatchFolder,
        ledger: Ledger,
        settings: BatchSettings,
        item: BatchItem,
        claim: Entry,
        token: CancelToken,
    ) -> None:
        self._folder, self._ledger, self._settings = folder, ledger, settings
        self._item, self._claim, self._token = item, claim, token

    def run(self, pipeline: Pipeline) -> Entry | None:
        """Run the item; return the entry that ended the attempt, or None if the claim was lost.

        Raises:
            Crashed: after what cannot be explained, or lack of memory; it is recorded.
            OutputError: the disk is full or read-only; the item was given back.
            SetupError: as the pipeline found out only now; the item was given back.
        """
        start = time.monotonic()
        try:
            with self._heartbeat(start):
                manifest = self._run(pipeline)
            return self._finish(manifest, time.monotonic() - start)
        except ClaimLost:
            log.warning("%s was taken over by another worker", self._item.id)
            return None
        except Cancelled:
            return self.give_back("stopped")
        except (OutputError, SetupError) as exc:
            if self.give_back(str(exc)) is None:
                return None  # whoever took over has moved the folder away
            raise
        except NothingFound as exc:
            return self._fail("nothing", exc.slug, exc.facts)
        except (DeviceMemoryError, MemoryError) as exc:
            self._lose("out-of-memory", str(exc) or "There is too little memory for this item.")
            raise Crashed(str(exc)) from exc
        except SceneliftError as exc:
            return self._fail("failed", exc.slug, str(exc))
        except Exception as exc:
            log.exception("%s failed", self._item.id)
            self._lose("unexpected", f"Unexpected {type(exc).__name__}: {exc}")
            raise Crashed(str(exc)) from exc

    def give_back(self, reason: str) -> Entry | None:
        """Let another worker take the item; the attempt does not count."""
        with suppress(ClaimLost):
            return self._ledger.finish(self._claim, "waiting", reason=reason)
        return None

    def _run(self, pipeline: Pipeline) -> Manifest:
        item, claim = self._item, self._claim
        work = self._folder.open_work(item.id, claim.number, after_crash=claim.losses > 0)
        options = self._settings.options.with_plain({**item.options, "seed": item.seed})
        if options.inputs.masks or options.inputs.depth:
            inputs = asdict(options.inputs)
            pipeline = pipeline.with_inputs(item.photo, **inputs, prompt=item.prompt)
        prompt = named_by_masks(item.prompt, pipeline)
        spec = RunSpec.of(item.photo, prompt, work, options)
        manifest = run_job(spec, pipeline, Reporter(lambda event: None, token=self._token))
        write_thumbnail(work, self._folder.thumbnail(item.id))
        return manifest

    def _finish(self, manifest: Manifest, seconds: float) -> Entry:
        # Right before publishing: a worker that slept through its lease must not replace a scene.
        self._ledger.renew(self._claim)
        self._folder.publish(self._item.id, self._claim.number)
        return self._ledger.finish(self._claim, "done", facts=_facts(manifest, seconds))

    def _fail(self, state: Any, error: str, reason: str) -> Entry | None:
        self._folder.discard_work(self._item.id, self._claim.number)
        with suppress(ClaimLost):
            return self._ledger.finish(self._claim, state, error=error, reason=reason)
        return None

    def _lose(self, error: str, reason: str) -> None:
        with suppress(ClaimLost):
            entry = self._ledger.lose(self._claim, error=error, reason=reason)
            if entry.state == "failed":
                self._folder.discard_work(self._item.id, self._claim.number)

    @contextmanager
    def _heartbeat(self, start: float) -> Iterator[None]:
        """Renew the claim from a thread, and end this process if the attempt takes too long."""
        over = threading.Event()
        lease, limit = self._ledger.lease, self._settings.item_seconds

        def beat() -> None:
            while not over.wait(min(lease / 4, 1.0 + limit / 4)):
                # Ends this process should Python itself stand still: C code that holds its lock.
                faulthandler.dump_traceback_later(lease, exit=True)
                try:
                    self._ledger.renew(self._claim)
                except ClaimLost:
                    self._token.cancel()
                    return
                except OSError as exc:
                    log.warning("the claim on %s cannot be renewed: %s", self._item.id, exc)
                if time.monotonic() - start > limit:
                    self._lose("too-slow", f"It was not done after {limit:.0f} s.")
                    log.error("%s takes too long", self._item.id)
                    os._exit(CRASHED)

        thread = threading.Thread(target=beat, daemon=True, name=f"lease of {self._item.id}")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()


def _facts(manifest: Manifest, seconds: float) -> dict[str, Any]:
    """Collect a scene's facts for the summary and the tables."""
    return {
        "seconds": round(seconds, 3),
        "quality": manifest.quality,
        "units": manifest.units,
        "peak_memory_bytes": manifest.peak_memory_bytes,
        "objects": [
            {
                "index": o.index,
                "label": o.label,
                "class_name": o.class_name,
                "score": o.score,
                "box": o.box,
                "gaussians": o.gaussians,
                "vertices": o.vertices,
                "faces": o.faces,
                "rotation": o.pose.rotation,
                "translation": o.pose.translation,
                "scale": o.pose.scale,
                "quality": o.quality,
            }
            for o in manifest.objects
        ],
        "failed": [
            {"index": f.index, "label": f.label, "score": f.score, "box": f.box, "reason": f.reason}
            for f in manifest.failed
        ],
    }

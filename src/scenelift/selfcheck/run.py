"""Run a quality's stages on the photo of the self-check, one by one, each on sound input.

A stage that fails, or whose result is not plausible, does not spoil those after it: they get what
is known about the photo in its place. So the page names the stage that is at fault.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from scenelift.errors import Cancelled, SceneliftError
from scenelift.options import FinishOptions, LayoutOptions
from scenelift.pipeline import Pipeline
from scenelift.progress import Reporter, silent
from scenelift.selfcheck import photo as reference
from scenelift.selfcheck.finding import STAGES, Finding, Stage, truth
from scenelift.selfcheck.judge import (
    Range,
    best_instance,
    judge_internals,
    judge_object,
    judge_points,
    judge_segmentation,
)
from scenelift.types import Image, Instance, PointMap, Prompt, Segmentation

__all__ = ["SelfCheck", "self_check"]

log = logging.getLogger(__name__)

T = TypeVar("T")

QUICK = FinishOptions(faces=5000, texture_size=256)
SEED = 42  # that of the published run of SAM 3D Objects whose figures are known


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """The outcome of a self-check.

    Attributes:
        quality: whose backends ran.
        backends: role -> name and version.
        findings: in the order of the stages.
        seconds: wall time of each stage.
        device: where it ran.
    """

    quality: str
    device: str
    backends: dict[str, str]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def failed_stages(self) -> tuple[Stage, ...]:
        """Stages whose results are not plausible, in their order."""
        failed = {finding.stage for finding in self.findings if not finding.ok}
        return tuple(stage for stage in STAGES if stage in failed)


def self_check(
    pipeline: Pipeline, quality: str, report: Reporter | None = None, *, device: str = "cpu"
) -> SelfCheck:
    """Judge every stage of a pipeline.

    Args:
        pipeline: its backends are run.
        quality: what it is called on the page.
        report: progress; raises Cancelled.
        device: where it runs, for the page.

    Raises:
        Cancelled: the user stopped it.
    """
    report = report or silent()
    image = reference.photo()
    findings: list[Finding] = []
    seconds: dict[str, float] = {}

    def attempt(stage: Stage, step: Callable[[], T]) -> T | None:
        report.at(stage).send("stage_started")
        started = time.perf_counter()
        try:
            return step()
        except Cancelled:
            raise
        except Exception as exc:
            if not isinstance(exc, SceneliftError):
                log.exception("%s failed in the self-check", stage)
            reason = (str(exc).splitlines() or [""])[0][:300]
            value = f"{type(exc).__name__}: {reason}"
            findings.append(truth(stage, "it runs", ok=False, value=value))
            return None
        finally:
            seconds[stage] = time.perf_counter() - started
            report.at(stage).send("stage_finished", fraction=1.0)

    def passes(stage: Stage, result: T | None, judge: Callable[[T], list[Finding]]) -> bool:
        """Tell whether there is a result and it is plausible."""
        if result is None:
            return False
        stage_findings = judge(result)
        findings.extend(stage_findings)
        return all(finding.ok for finding in stage_findings)

    prompt = Prompt(phrases=(reference.PHRASE,))
    segmentation = attempt(
        "segment", lambda: pipeline.segmenter.segment(image, prompt, report.at("segment"))
    )
    instance = reference.cup_instance()
    if passes("segment", segmentation, judge_segmentation) and segmentation is not None:
        best = best_instance(segmentation)
        instance = segmentation.instances[best or 0]

    points = attempt(
        "pointmap",
        lambda: pipeline.pointmapper.estimate(image, [instance], report.at("pointmap")),
    )
    if not passes("pointmap", points, judge_points) or points is None:
        points = reference.stand_in_points()

    from scenelift.reconstruct.embedded import EmbeddedReconstructor

    if isinstance(pipeline.reconstructor, EmbeddedReconstructor):
        # Without what it sees with, it inflates outlines, which would pass for a shape here.
        trained = pipeline.reconstructor.is_trained
        findings.append(truth("reconstruct", "its shapes come from the trained head", ok=trained))
    rest = Pipeline(
        _Segmented(instance),
        _Mapped(points),
        pipeline.reconstructor,
        runtime=pipeline.runtime,
    )
    as_it_comes = LayoutOptions(refine=False, repair=False)
    with _watched(pipeline.reconstructor) as ranges:
        scene = attempt(
            "reconstruct",
            lambda: rest.run(
                image, prompt, seed=SEED, layout=as_it_comes, finish=QUICK, report=report
            ),
        )
    findings.extend(judge_internals(ranges))
    passes("reconstruct", scene, lambda scene: judge_object(scene.objects[0]))
    order = {stage: k for k, stage in enumerate(STAGES)}
    return SelfCheck(
        quality=quality,
        device=device,
        backends=pipeline.backends,
        findings=tuple(sorted(findings, key=lambda finding: order[finding.stage])),
        seconds=seconds,
    )


class _Segmented:
    """A `Segmenter` that returns the known cup."""

    name, version = "self-check", "1"

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        return Segmentation(instances=(self._instance,))


class _Mapped:
    """A `PointMapper` that returns the known points."""

    name, version = "self-check", "1"

    def __init__(self, points: PointMap) -> None:
        self._points = points

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        return self._points


@contextmanager
def _watched(reconstructor: Any) -> Iterator[dict[str, Range]]:
    """Context: record the ranges of what passes between networks of SAM 3D Objects and TRELLIS."""
    ranges: dict[str, Range] = {}
    networks = getattr(getattr(reconstructor, "model", None), "models", None)
    handles = []
    # TRELLIS.2 has neither of this form: its results are judged, not what leads to them.
    decodes, draws = (
        getattr(networks, name, None) for name in ("structure_decoder", "gaussian_decoder")
    )
    if decodes is not None and draws is not None:
        handles = [
            decodes.register_forward_hook(
                lambda network, arguments, logits: _note(ranges, "structure", logits)
            ),
            draws.register_forward_pre_hook(
                lambda network, arguments: _note(ranges, "latents", arguments[0].feats)
            ),
        ]
    try:
        yield ranges
    finally:
        for handle in handles:
            handle.remove()


def _note(ranges: dict[str, Range], name: str, tensor: Any) -> None:
    """Widen a range to include a tensor's numbers."""
    values = tensor.detach().float().cpu().numpy()
    finite = values[np.isfinite(values)]
    before = ranges.get(name, Range(low=np.inf, high=-np.inf, strange=0))
    ranges[name] = Range(
        low=min(before.low, float(finite.min(initial=np.inf))),
        high=max(before.high, float(finite.max(initial=-np.inf))),
        strange=before.strange + values.size - finite.size,
    )

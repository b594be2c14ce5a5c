"""Grounding DINO and SAM 2.1 together: open vocabulary with weights that need no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.segment import hub
from scenelift.segment.candidates import MOST_INSTANCES, Candidate, settle
from scenelift.segment.filters import FilterSettings
from scenelift.segment.grounding_dino import Detection, GroundingDino
from scenelift.segment.pretrained import (
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Sam2Model,
    Sam2Processor,
    choose_dtype,
    load_model,
    load_processor,
    out_of_memory_explained,
)
from scenelift.segment.published import COMMON, GROUNDED_PAIRS, split_pair
from scenelift.segment.sam2 import SAM2Masks
from scenelift.segment.sam_clicks import SAMClicker
from scenelift.types import Dropped, Image, Prompt, Segmentation

__all__ = ["GroundedSAM2Segmenter"]

# The box threshold of the detector's published demonstration.
DEFAULT_MIN_SCORE = 0.35
# Of what is weaker, this share of the least score is still listed as left out.
WORTH_MENTIONING = 0.5


class GroundedSAM2Segmenter:
    """A `Segmenter` of two published models; both stay on their device between photos.

    Args:
        detector: finds boxes for phrases.
        masks: cuts out what boxes hold.
        name: what the manifest calls it.
        version: names the models and their weights.
        mask_threshold: probability above which a pixel belongs to an object.
        suggest: phrases to try when nothing matched.
        resident: False frees the device after every photo, for the stages that follow.
    """

    def __init__(
        self,
        detector: GroundingDino,
        masks: SAM2Masks,
        *,
        name: str = "grounded-sam2",
        version: str = "grounded-sam2",
        mask_threshold: float = 0.5,
        suggest: Sequence[str] = (),
        resident: bool = True,
    ) -> None:
        self.name, self.version = name, version
        self.mask_threshold = mask_threshold
        self._resident = resident
        self.detector, self.masks = detector, masks
        self._device = detector.model.device
        self._suggest = tuple(suggest)

    @classmethod
    def load(
        cls, options: BackendOptions | Runtime, *, name: str = "grounded-sam2"
    ) -> GroundedSAM2Segmenter:
        """Load the weights that the options name, or those in the cache.

        Args:
            options: where to look, and the device.
            name: one of `GROUNDED_PAIRS`.

        Raises:
            WeightsError: they are missing, damaged, or of other models.
            SetupError: the device is not there.
        """
        runtime = Runtime.of(options)
        options, device = runtime.options, runtime.torch_device
        repositories = split_pair(options.model, name)
        detects, cuts = (
            hub.folder_of(model, options.weights, own)
            for model, own in zip(GROUNDED_PAIRS[name], repositories, strict=True)
        )
        dtype = choose_dtype(device)
        with out_of_memory_explained(name):
            # The detector's box logits reach beyond what half precision resolves.
            detector = load_model(
                GroundingDinoForObjectDetection, detects, dtype=torch.float32, device=device
            )
            masks = load_model(Sam2Model, cuts, dtype=dtype, device=device)
        return cls(
            GroundingDino(detector, load_processor(GroundingDinoProcessor, detects)),
            SAM2Masks(masks, load_processor(Sam2Processor, cuts)),
            name=name,
            version=" + ".join(
                f"{own or model.hub_id} {hub.fingerprint(folder)}"
                for model, own, folder in zip(
                    GROUNDED_PAIRS[name], repositories, (detects, cuts), strict=True
                )
            )
            + f" {dtype}",
            suggest=COMMON if device.type == "cuda" else (),  # on a CPU it takes many seconds
            resident=device.type == "cpu" or options.vram_bytes is None,
        )

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """Find every object that a phrase names, and what lies in the user's boxes.

        Args:
            image: the photo, of any size.
            prompt: phrases and boxes. A positive box becomes an instance of score 1, called by its
                name, or by the phrase where there is one; what lies in a negative one is left out.
            report: progress; raises Cancelled between steps.

        Returns:
            Instances by score, then area, with soft edges. A box that several phrases match goes
            to the one that it matches best.

        Raises:
            DeviceMemoryError: the device has too little memory.
        """
        min_score = DEFAULT_MIN_SCORE if prompt.min_score is None else prompt.min_score
        with out_of_memory_explained(self.name):
            self._resume()
            detections = self._detect(image, prompt.phrases, WORTH_MENTIONING * min_score, report)
            sure = [d for d in detections if d.score >= min_score]
            sure = [*_box_detections(prompt), *sorted(sure, key=lambda d: -d.score)]
            report.update(0.7, message="cutting objects out")
            best, crowd = sure[:MOST_INSTANCES], sure[MOST_INSTANCES:]
            mask_logits = self.masks.cut(image.pixels, [d.box for d in best])
            result = settle(
                [
                    Candidate(label=d.phrase, score=d.score, box=d.box, logits=logits)
                    for d, logits in zip(best, mask_logits, strict=True)
                ],
                image,
                prompt,
                report,
                settings=FilterSettings(min_score=min_score),
                mask_threshold=prompt.mask_threshold or self.mask_threshold,
            )
            suggestions = () if result.instances else self._suggestions(image, min_score, report)
            if not self._resident:
                self.release()
        weak = [d for d in detections if d.score < min_score]
        dropped = (
            *result.dropped,
            *(_dropped(d, f"beyond the {MOST_INSTANCES} best objects") for d in crowd),
            *(_dropped(d, f"score {d.score:.2f} is below {min_score:g}") for d in weak),
        )
        notes = (*result.notes, *_notes(prompt.phrases, detections, min_score))
        return replace(result, dropped=dropped, notes=notes, suggestions=suggestions)

    @property
    def clicker(self) -> SAMClicker:
        """A clicker of SAM 2.1."""
        masks = self.masks
        release = (lambda: None) if self._resident else self.release
        return SAMClicker(
            self.name, masks.model, masks.processor, resume=self._resume, release=release
        )

    def release(self) -> None:
        """Free the device's memory; the next photo takes it again."""
        self._move(torch.device("cpu"))
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _resume(self) -> None:
        if self.detector.model.device != self._device:
            self._move(self._device)

    def _move(self, device: torch.device) -> None:
        for model in (self.detector.model, self.masks.model):
            nn.Module.to(model, device)

    def _detect(
        self, image: Image, phrases: Sequence[str], least: float, report: Reporter
    ) -> list[Detection]:
        report.update(0, message="looking for the phrases")
        all_detections: list[Detection] = []
        for detections in self.detector.detect(image.pixels, phrases, least):
            report.check()
            all_detections += detections
        return all_detections

    def _suggestions(self, image: Image, min_score: float, report: Reporter) -> tuple[str, ...]:
        """List common things that the photo does show, best first."""
        if not self._suggest:
            return ()
        detections = self._detect(image, self._suggest, min_score, report)
        return tuple(dict.fromkeys(d.phrase for d in sorted(detections, key=lambda d: -d.score)))


def _box_detections(prompt: Prompt) -> list[Detection]:
    """List the user's positive boxes; a single phrase names those that have no name."""
    unnamed = prompt.phrases[0] if len(prompt.phrases) == 1 else "object"
    return [
        Detection(phrase=prompt_box.label or unnamed, score=1.0, box=prompt_box.box)
        for prompt_box in prompt.boxes
        if prompt_box.positive
    ]


def _notes(phrases: Sequence[str], detections: Sequence[Detection], min_score: float) -> list[str]:
    """Write notes on phrases that nothing matched well enough."""
    best = dict.fromkeys(phrases, 0.0)
    for detection in detections:
        best[detection.phrase] = max(best[detection.phrase], detection.score)
    return [
        f"The best candidate for {phrase!r} scores {score:.2f}, below {min_score:g}."
        if score
        else f"Nothing like {phrase!r} was seen."
        for phrase, score in best.items()
        if score < min_score
    ]


def _dropped(detection: Detection, reason: str) -> Dropped:
    return Dropped(label=detection.phrase, score=detection.score, box=detection.box, reason=reason)

"""SAM 3: finds every object that a phrase or an example box names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.segment import hub
from scenelift.segment.candidates import Candidate, settle
from scenelift.segment.filters import FilterSettings
from scenelift.segment.pretrained import (
    Sam3Model,
    Sam3Processor,
    Sam3TrackerModel,
    choose_dtype,
    load_model,
    load_processor,
    out_of_memory_explained,
)
from scenelift.segment.published import COMMON, SAM3
from scenelift.segment.sam3_network import Query, SAM3Network, Sam3Result
from scenelift.segment.sam_clicks import SAMClicker
from scenelift.types import BoxPrompt, Image, Prompt, Segmentation

__all__ = ["SAM3Segmenter", "queries_of"]

# The confidence of Meta's own image processor.
DEFAULT_MIN_SCORE = 0.5
# Of what is weaker, this share of the least score is still listed as left out.
WORTH_MENTIONING = 0.5
# Measured on an H100 in bfloat16 (docs/log.md) and rounded up: weights, features and one query;
# what each more of a batch adds.
BASE_BYTES, QUERY_BYTES = 3 << 30, 256 << 20
MOST_AT_ONCE = 8


class SAM3Segmenter:
    """A `Segmenter` with the published model; stays on its device between photos.

    Args:
        model: SAM 3 of transformers on its device.
        processor: of the same checkpoint.
        version: names the model and its weights.
        at_once: most queries in one batch.
        mask_threshold: probability above which a pixel belongs to an object.
        suggest: phrases to try when nothing matched.
        resident: False frees the device after every photo, for the stages that follow.
        load_tracker: gives the tracker of the same checkpoint, which answers clicks; it is called
            when the first one comes.
    """

    name = "sam3"

    def __init__(
        self,
        model: Sam3Model,
        processor: Sam3Processor,
        *,
        version: str = "sam3",
        at_once: int = MOST_AT_ONCE,
        mask_threshold: float = 0.5,
        suggest: Sequence[str] = (),
        resident: bool = True,
        load_tracker: Callable[[], Sam3TrackerModel] | None = None,
    ) -> None:
        self.version = version
        self.mask_threshold = mask_threshold
        self._resident = resident
        self.network = SAM3Network(model, processor, at_once=at_once)
        self._device = model.device
        self._suggest = tuple(suggest)
        self._load_tracker, self._tracker = load_tracker, None

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> SAM3Segmenter:
        """Load the weights that the options name, or those in the cache.

        Raises:
            WeightsError: they are missing, gated, damaged, or of another model.
            SetupError: the device is not there.
        """
        runtime = Runtime.of(options)
        options, device = runtime.options, runtime.torch_device
        folder = hub.folder_of(SAM3, options.weights, options.model)
        dtype = choose_dtype(device)
        accelerated = device.type == "cuda"

        def load_tracker() -> Sam3TrackerModel:
            return load_model(Sam3TrackerModel, folder, dtype=dtype, device=torch.device("cpu"))

        with out_of_memory_explained(cls.name):
            return cls(
                load_model(Sam3Model, folder, dtype=dtype, device=device),
                load_processor(Sam3Processor, folder),
                version=f"{options.model or SAM3.hub_id} {hub.fingerprint(folder)} {dtype}",
                # A CPU gains nothing from batches, and can be stopped between queries.
                at_once=_fitting(options.vram_bytes) if accelerated else 1,
                suggest=COMMON if accelerated else (),  # on a CPU each takes seconds
                resident=not accelerated or options.vram_bytes is None,
                load_tracker=load_tracker,
            )

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """Find every object that a phrase names or an example box shows.

        Args:
            image: the photo, of any size.
            prompt: phrases and boxes; `queries_of` says how they combine. What lies in a negative
                box is left out in any case.
            report: progress; raises Cancelled between steps.

        Returns:
            Instances by score, then area, with soft edges. An object that several phrases match
            goes to the one that it matches best.

        Raises:
            DeviceMemoryError: the device has too little memory.
        """
        queries = queries_of(prompt)
        if not queries:
            note = "There is nothing to look for: only boxes to leave out were given."
            return Segmentation(instances=(), notes=(note,))
        min_score = DEFAULT_MIN_SCORE if prompt.min_score is None else prompt.min_score
        with out_of_memory_explained(self.name):
            candidates, best = self._propose(image, queries, WORTH_MENTIONING * min_score, report)
            result = settle(
                candidates,
                image,
                prompt,
                report,
                settings=FilterSettings(min_score=min_score),
                mask_threshold=prompt.mask_threshold or self.mask_threshold,
            )
            notes = tuple(
                f"The best candidate for {label!r} scores {score:.2f}, below {min_score:g}."
                for label, score in best.items()
                if score < min_score
            )
            suggestions = () if result.instances else self._suggestions(min_score, report)
            if not self._resident:
                self.release()
        return replace(result, notes=(*result.notes, *notes), suggestions=suggestions)

    @property
    def clicker(self) -> SAMClicker | None:
        """The tracker, with points; None for a checkpoint of the detector alone."""
        if self._load_tracker is None:
            return None
        if self._tracker is None:
            tracker = self._load_tracker()
            # Most of both models is one and the same encoder: it is held once.
            tracker.vision_encoder.backbone = self.network.model.vision_encoder.backbone
            self._tracker = tracker
        release = (lambda: None) if self._resident else self.release
        return SAMClicker(
            self.name,
            self._tracker,
            self.network.processor,
            resume=self._resume,
            release=release,
        )

    def release(self) -> None:
        """Free the device's memory; the next photo takes it again."""
        self.network.release()
        if self._tracker is not None:
            nn.Module.to(self._tracker, "cpu")

    def _resume(self) -> None:
        self.network.resume(self._device)
        if self._tracker is not None:
            nn.Module.to(self._tracker, self._device)

    def _propose(
        self, image: Image, queries: dict[str, Query], least: float, report: Reporter
    ) -> tuple[list[Candidate], dict[str, float]]:
        """Propose candidates of at least that score, and each query's best score."""
        steps = len(queries) + 1
        report.update(0, steps, "looking at the photo")
        self.network.resume(self._device)
        self.network.look(image.pixels)
        candidates: list[Candidate] = []
        best: dict[str, float] = {}
        labels = iter(queries)
        report.update(1, steps, "looking for the phrases")
        for batch in self.network.find(list(queries.values())):
            for result in batch:
                label = next(labels)
                best[label] = float(result.scores.max())
                candidates += _candidates(result, label, image, least)
            report.update(len(best) + 1, steps, "looking for the phrases")
        return candidates, best

    def _suggestions(self, min_score: float, report: Reporter) -> tuple[str, ...]:
        """List common things that the photo does show, best first."""
        scores: list[float] = []
        for batch in self.network.find([Query(text=phrase) for phrase in self._suggest]):
            report.check()
            scores += [float(result.scores.max()) for result in batch]
        ranked = sorted(zip(scores, self._suggest, strict=True), key=lambda pair: -pair[0])
        return tuple(phrase for score, phrase in ranked if score >= min_score)


def queries_of(prompt: Prompt) -> dict[str, Query]:
    """Build the network's queries, by the label that their objects get.

    A phrase is asked together with the boxes that bear its name and with every nameless negative
    box. Nameless positive boxes go to the phrase where there is one, and are a query of their own
    ("object") where there are none or several. So are boxes with a name that is no phrase; their
    name is the text.
    """
    names = {phrase.casefold(): phrase for phrase in prompt.phrases}
    only = prompt.phrases[0] if len(prompt.phrases) == 1 else None
    positive: dict[str, list[BoxPrompt]] = {phrase: [] for phrase in prompt.phrases}
    for prompt_box in prompt.boxes:
        if prompt_box.positive:
            label = (
                names.get(prompt_box.label.casefold(), prompt_box.label)
                if prompt_box.label
                else only
            )
            positive.setdefault(label or "object", []).append(prompt_box)
    queries = {}
    for label, boxes in positive.items():
        negative = [
            prompt_box
            for prompt_box in prompt.boxes
            if not prompt_box.positive and prompt_box.label.casefold() in ("", label.casefold())
        ]
        nameless = label not in names.values() and not any(prompt_box.label for prompt_box in boxes)
        queries[label] = Query(
            text=None if nameless else label,
            boxes=tuple(prompt_box.box for prompt_box in (*boxes, *negative)),
            positive=tuple(prompt_box.positive for prompt_box in (*boxes, *negative)),
        )
    return queries


def _candidates(result: Sam3Result, label: str, image: Image, least: float) -> Iterator[Candidate]:
    size = torch.tensor([image.width, image.height] * 2)
    scores = result.scores.cpu()
    boxes = result.boxes.cpu().clamp(0, 1) * size
    for k in torch.nonzero(scores >= least).flatten().tolist():
        x0, y0, x1, y1 = boxes[k].tolist()
        yield Candidate(
            label=label,
            score=float(scores[k]),
            box=(x0, y0, x1, y1),
            logits=result.logits[k].clone(),  # the network writes over it in its next step
        )


def _fitting(vram_bytes: int | None) -> int:
    """Return how many queries fit into a batch within a memory budget."""
    if vram_bytes is None:
        return MOST_AT_ONCE
    return max(1, min(MOST_AT_ONCE, 1 + (vram_bytes - BASE_BYTES) // QUERY_BYTES))

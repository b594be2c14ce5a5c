"""Stores scenes in the training device's memory: shards are read while others are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenelift.errors import InputError
from scenelift.training.scenes.generate import MOST_OBJECTS, Scenes

__all__ = ["Objects", "SceneStore"]

PATIENCE = 20.0
"""Seconds between lines that say what is waited for."""
OBJECTS_A_SCENE = 6.0
"""Room for so many objects a scene on average; what is beyond it is not trained on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """A selection of a store's objects.

    Attributes:
        scene, number, model: int64 [B].
        pose: float32 [B, 3, 4], camera_from_object; it may stretch.
        visible: float32 [B].
        box: float32 [B, 4].
    """

    scene: Tensor
    number: Tensor
    model: Tensor
    pose: Tensor
    visible: Tensor
    box: Tensor


class SceneStore:
    """Stores scenes as tensors; grows.

    Args:
        capacity: most scenes.
        size: width and height of the photos.
        device: where they are kept.
        least_visible: objects of which less is seen are not drawn.
        least_side: nor those whose box's longer side is shorter, in pixels.
    """

    def __init__(
        self,
        capacity: int,
        size: tuple[int, int],
        device: torch.device,
        *,
        least_visible: float = 0.25,
        least_side: float = 32,
    ) -> None:
        width, height = size
        self.width, self.height = width, height
        most = int(capacity * OBJECTS_A_SCENE)

        def room(*shape: int, dtype: torch.dtype) -> Tensor:
            if device.type == "cpu":  # NumPy's zeros take memory only where they are written
                return torch.from_numpy(np.zeros(shape, torch.empty(0, dtype=dtype).numpy().dtype))
            return torch.zeros(shape, dtype=dtype, device=device)

        self.device = device
        self.pixels = room(capacity, height, width, 3, dtype=torch.uint8)
        self.depth = room(capacity, height, width, dtype=torch.float16)
        self.numbers = room(capacity, height, width, dtype=torch.uint8)
        self.focal = room(capacity, dtype=torch.float32)
        self.up = room(capacity, 3, dtype=torch.float32)
        self.metric = room(capacity, dtype=torch.bool)
        # Boxes of every object of a scene by number, 0 where there is none.
        self.boxes = room(capacity, MOST_OBJECTS + 1, 4, dtype=torch.float32)
        self._objects = Objects(
            scene=room(most, dtype=torch.int64),
            number=room(most, dtype=torch.int64),
            model=room(most, dtype=torch.int64),
            pose=room(most, 3, 4, dtype=torch.float32),
            visible=room(most, dtype=torch.float32),
            box=room(most, 4, dtype=torch.float32),
        )
        self._least_visible, self._least_side = least_visible, least_side
        self.scenes = 0
        self.objects = 0
        # Beside the training's kernels: a copy in their stream waits for all that is queued there.
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._copies is not None:
            self._copies.wait_stream(torch.cuda.current_stream(device))

    @property
    def full(self) -> bool:
        return self.scenes >= len(self.pixels)

    def add(self, scenes: Scenes) -> None:
        """Add scenes, as many as there is room for."""
        with torch.cuda.stream(self._copies):
            self._add(scenes)

    def _add(self, scenes: Scenes) -> None:
        count = min(len(scenes.pixels), len(self.pixels) - self.scenes)
        here = slice(self.scenes, self.scenes + count)
        for name in ("pixels", "depth", "numbers", "focal", "up", "metric"):
            getattr(self, name)[here] = torch.from_numpy(getattr(scenes, name)[:count]).to(
                self.device, non_blocking=True
            )
        valid = scenes.scene < count
        boxes = np.zeros((count, MOST_OBJECTS + 1, 4), np.float32)
        boxes[scenes.scene[valid], scenes.number[valid]] = scenes.box[valid]
        self.boxes[here] = torch.from_numpy(boxes).to(self.device)

        sides = np.maximum(scenes.box[:, 2] - scenes.box[:, 0], scenes.box[:, 3] - scenes.box[:, 1])
        good = valid & (scenes.visible >= self._least_visible) & (sides >= self._least_side)
        rows = np.flatnonzero(good)[: len(self._objects.scene) - self.objects]
        there = slice(self.objects, self.objects + len(rows))
        for name in ("scene", "number", "model", "pose", "visible", "box"):
            values = torch.from_numpy(getattr(scenes, name)[rows]).to(self.device)
            if name == "scene":
                values = values + self.scenes
            target = getattr(self._objects, name)
            target[there] = values.to(target.dtype)
        # Counted last: another thread draws from what is counted.
        if self._copies is not None:
            self._copies.synchronize()
        self.scenes += count
        self.objects += len(rows)

    def some_scenes(self, count: int, generator: torch.Generator) -> Tensor:  # int64 [count]
        return torch.randint(self.scenes, (count,), generator=generator, device=self.device)

    def some_objects(self, count: int, generator: torch.Generator) -> Objects:
        index = torch.randint(self.objects, (count,), generator=generator, device=self.device)
        return self.these_objects(index)

    def these_objects(self, index: Tensor) -> Objects:
        o = self._objects
        return Objects(
            scene=o.scene[index],
            number=o.number[index],
            model=o.model[index],
            pose=o.pose[index],
            visible=o.visible[index],
            box=o.box[index],
        )

    def fill(self, paths: Iterable[Path]) -> None:
        """Read shards.

        Raises:
            InputError: there are none.
        """
        for path in paths:
            self.add(Scenes.load(path))
        if not self.objects:
            raise InputError("No training scenes were found: `scenelift train scenes` makes them.")

    def follow(
        self, folder: Path, pattern: str, *, at_least: int, say: Callable[[str], None]
    ) -> None:
        """Read shards as they appear, in the background; returns when there are enough."""
        names: set[str] = set()

        def watch() -> None:
            while not self.full:
                fresh = [p for p in sorted(folder.glob(pattern)) if p.name not in names]
                for path in fresh:
                    names.add(path.name)
                    self.add(Scenes.load(path))
                    if self.full:
                        break
                if not fresh:
                    time.sleep(1.0)

        threading.Thread(target=watch, daemon=True).start()
        last_message = time.monotonic()
        while self.scenes < at_least and not self.full:
            time.sleep(0.5)
            if time.monotonic() - last_message > PATIENCE:
                last_message = time.monotonic()
                say(f"waiting for {pattern} in {folder}: {self.scenes} of {at_least} scenes")
        say(f"{self.scenes} scenes, {self.objects} objects to begin with")

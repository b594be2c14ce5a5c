"""Items of a batch: each is one photo, and what to lift out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from scenelift.errors import InputError
from scenelift.stages import digest, encode_part
from scenelift.types import BoxPrompt, PointPrompt, Prompt

__all__ = ["BatchItem", "read_plan", "write_plan"]

ID_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
DIGEST_CHARACTERS = 16
# Of the part that is read off the photo's name, which a digest follows.
STEM_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """A photo and what to lift out of it.

    Attributes:
        id: name of its folder and of its ledger entries; unique in a batch.
        photo: absolute path.
        prompt: what to lift out.
        seed: makes the result repeatable.
        digest: of the row; a result counts only for the row that it was made of.
        options: name -> plain value of those that the row has in place of the batch's.
    """

    id: str
    photo: Path
    prompt: Prompt
    seed: int
    digest: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    @classmethod
    def of(
        cls,
        photo: Path,
        prompt: Prompt,
        seed: int,
        *,
        id: str = "",
        photo_text: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> BatchItem:
        """Make an item, and give it an id if it has none.

        Args:
            photo: absolute path.
            id: the user's name for it; made of the photo's name and the digest where empty.
            photo_text: the path as the user wrote it, so that moving photos and manifest together
                changes no name.
            options: as the attribute.

        Raises:
            InputError: the name cannot be that of a folder.
        """
        own = [options] if options else []  # no part of a name where the batch's options hold
        row = digest(photo_text or str(photo), _encode_prompt(prompt), seed, *own)[
            :DIGEST_CHARACTERS
        ]
        if id and not ID_PATTERN.fullmatch(id):
            raise InputError(
                f"the id {id[:120]!r} cannot name a folder: give up to 100 letters, digits, "
                "'.', '_' or '-', not starting with '.' or '-'"
            )
        name = id or f"{_plain(photo.stem)}-{row[:8]}"
        return cls(
            id=name, photo=photo, prompt=prompt, seed=seed, digest=row, options=options or {}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "photo": str(self.photo),
            "prompt": _as_dict(self.prompt),
            "seed": self.seed,
            "digest": self.digest,
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BatchItem:
        prompt = value["prompt"]
        boxes = tuple(
            BoxPrompt(box=tuple(b["box"]), label=b["label"], positive=b["positive"])
            for b in prompt["boxes"]
        )
        points = tuple(
            PointPrompt(point=tuple(p["point"]), label=p["label"], positive=p["positive"])
            for p in prompt.get("points", [])
        )
        values = prompt | {"phrases": tuple(prompt["phrases"]), "boxes": boxes, "points": points}
        own: dict[str, Any] = {"photo": Path(value["photo"]), "prompt": Prompt(**values)}
        return cls(**value | own)


def write_plan(items: Iterable[BatchItem]) -> bytes:
    """Write items as JSON lines."""
    return b"".join(json.dumps(i.to_json()).encode() + b"\n" for i in items)


def read_plan(path: Path) -> Iterator[BatchItem]:
    """Read the items that `write_plan` wrote.

    Raises:
        InputError: the file is gone, or damaged.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                yield BatchItem.from_json(json.loads(line))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InputError(
            f"The batch's plan {path} cannot be read: {exc}. Start the batch again with its "
            "manifest, which writes a new one."
        ) from exc


@lru_cache(maxsize=1000)
def _encode_prompt(prompt: Prompt) -> bytes:
    return encode_part(prompt)


@lru_cache(maxsize=1000)
def _as_dict(prompt: Prompt) -> dict[str, Any]:
    return asdict(prompt)


def _plain(stem: str) -> str:
    """Make a photo's name safe for shells and URLs."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:STEM_CHARACTERS]
    return plain or "photo"

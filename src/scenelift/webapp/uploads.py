"""Receives a multipart body and stores a checked photo in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request

from scenelift.coordinates import Mark, boxes_of, points_of
from scenelift.errors import InputError
from scenelift.json_text import parse_json
from scenelift.options import OptionField, fields_for
from scenelift.options.schema import json_schema
from scenelift.webapp.decoding import Decoder
from scenelift.webapp.errors import StorageFull, TooLarge, UnsupportedUpload
from scenelift.webapp.folders import DataFolder, JobFolder
from scenelift.webapp.forms import PHOTO, receive_form
from scenelift.webapp.jobs import new_job_id
from scenelift.webapp.models import Box, JobPrompt, JobRequest, Point, parse_phrases
from scenelift.webapp.plain_words import bad_fields
from scenelift.webapp.settings import Settings

__all__ = [
    "FORM_SCHEMA",
    "Upload",
    "check_free_space",
    "check_limits",
    "receive_upload",
]


BOXES = TypeAdapter(tuple[Box, ...])
POINTS = TypeAdapter(tuple[Point, ...])
# What an HTML form sends for a ticked box, and what people write.
TRUE, FALSE = {"true", "1", "on", "yes"}, {"false", "0", "off", "no", ""}
OPTIONS = {f.name: f for f in fields_for("job")}
FIELDS = {PHOTO, "text_prompt", "boxes", "points", "review", *OPTIONS}

FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": "JPEG, PNG, WebP, HEIC, TIFF, BMP, GIF, AVIF or PPM",
                        },
                        "text_prompt": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "what to lift out; a text may list several phrases, as "
                            "docs/prompts.md says",
                            "examples": [["cup", "spoon"]],
                        },
                        "boxes": {
                            "type": "string",
                            "description": "JSON list of {box: [x0, y0, x1, y1], label, positive}, "
                            "in pixels or all as parts of the photo, in 0…1",
                            "examples": ['[{"box": [40, 60, 220, 300], "label": "mug"}]'],
                        },
                        "points": {
                            "type": "string",
                            "description": "JSON list of {point: [x, y], label, positive}, "
                            "likewise",
                            "examples": ['[{"point": [120, 80], "label": "mug"}]'],
                        },
                        "review": {
                            "type": "boolean",
                            "default": False,
                            "description": "stop after the masks, see /continue",
                        },
                        **{name: json_schema(f) for name, f in OPTIONS.items()},
                    },
                },
                "encoding": {"text_prompt": {"style": "form", "explode": True}},
            }
        },
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A photo that can be queued.

    Attributes:
        id: of the job it will be.
        folder: holds photo, shown and thumbnail; still below `incoming`.
        width, height: of the photo as the models see it.
    """

    id: str
    folder: JobFolder
    request: JobRequest
    width: int
    height: int


def check_free_space(data: DataFolder, least: int) -> None:
    """Refuse before the disk is full, so that what runs can end.

    Raises:
        StorageFull: there is too little left.
    """
    if shutil.disk_usage(data.path).free < least:
        raise StorageFull(
            "The server's disk is nearly full, so no new jobs are taken. Delete some that are no "
            "longer needed, or tell the administrator."
        )


async def receive_upload(
    request: Request, settings: Settings, data: DataFolder, decoder: Decoder
) -> Upload:
    """Read a form to its end, store the photo and make sure that it is one.

    Args:
        decoder: looks at the photo.

    Raises:
        UnsupportedUpload: it is no multipart form.
        InputError: a field, or the photo, cannot be used.
        TooLarge, StorageFull: the photo is too large, or does not fit on the disk.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise UnsupportedUpload(
            f"The body is {kind or 'of no type'}; send multipart/form-data with the file 'image'."
        )
    job_id = new_job_id()
    folder = JobFolder(data.incoming / job_id)
    try:
        async with (
            asyncio.timeout(settings.upload_seconds),
            receive_form(request, data.spool) as form,
        ):
            job_request, image = _read_fields(form, settings)
            await asyncio.to_thread(_store, image, folder, settings.upload_bytes)
        width, height = await asyncio.to_thread(decoder.check, folder)
    except BaseException as exc:
        await asyncio.to_thread(shutil.rmtree, folder.path, ignore_errors=True)
        if isinstance(exc, TimeoutError):
            raise InputError(
                f"The upload took longer than {settings.upload_seconds:g} s. Try a smaller photo."
            ) from exc
        if isinstance(exc, ClientDisconnect):
            raise InputError("The connection was closed before the photo was there.") from exc
        raise
    return Upload(id=job_id, folder=folder, request=job_request, width=width, height=height)


def _read_fields(form: FormData, settings: Settings) -> tuple[JobRequest, UploadFile]:
    unknown = sorted(set(form) - FIELDS)
    if unknown:
        raise InputError(
            f"There is no field {unknown[0][:40]!r}. Known: {', '.join(sorted(FIELDS))}."
        )
    images = form.getlist(PHOTO)
    if len(images) != 1 or not isinstance(images[0], UploadFile):
        raise InputError("Send the photo as one file in the field 'image'.")
    texts: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):  # all but the photo: `receive_form` takes no other file
            texts.setdefault(name, []).append(value.strip())
    phrases = texts.pop("text_prompt", [])
    lists = {name for name, f in OPTIONS.items() if f.is_list}
    twice = [name for name, values in texts.items() if len(values) > 1 and name not in lists]
    if twice:
        raise InputError(f"The field {twice[0]!r} was sent twice.")
    review, boxes, points = (texts.pop(name, [""])[0] for name in ("review", "boxes", "points"))
    values = {
        name: _plain(OPTIONS[name], texts_of) for name, texts_of in texts.items() if any(texts_of)
    }
    numbers = {name: values.pop(name) for name in JobPrompt.model_fields if name in values}
    prompt = {
        "phrases": parse_phrases(phrases, settings.max_phrases),
        "boxes": _parse_marks(
            "boxes", boxes, BOXES, boxes_of, '{"box": [40, 60, 220, 300], "label": "mug"}'
        ),
        "points": _parse_marks(
            "points", points, POINTS, points_of, '{"point": [120, 80], "label": "mug"}'
        ),
        **numbers,
    }
    usual = {"quality": settings.options.backends.quality}
    request = JobRequest.model_validate(
        {**usual, **values, "prompt": prompt, "review": _flag("review", review)}
    )
    request.options()  # reads what the model takes as text
    return check_limits(request, settings), images[0]


def _plain(f: OptionField, texts: list[str]) -> Any:
    """Return a field's value; lists come in several fields, or in one with semicolons between."""
    if f.is_list:
        return [part.strip() for text in texts for part in text.split(";") if part.strip()]
    return _flag(f.name, texts[0]) if f.plain is bool else texts[0]


def check_limits(request: JobRequest, settings: Settings) -> JobRequest:
    """Refuse a request whose prompt is empty, or that asks for more objects than allowed.

    One that stops for a look at the masks may say nothing: objects are then pointed at.

    Raises:
        InputError: no phrase, box or point was given.
    """
    prompt = request.prompt
    has_drawing = any(mark.positive for mark in (*prompt.boxes, *prompt.points))
    if not (prompt.phrases or has_drawing or request.review):
        raise InputError(
            "Say what to lift out: a phrase in 'text_prompt', a box in 'boxes' or a point in "
            "'points'."
        )
    most = min(prompt.to_prompt().max_objects or settings.max_objects, settings.max_objects)
    return request.model_copy(update={"prompt": prompt.model_copy(update={"max_objects": most})})


def _parse_marks(
    name: str, text: str, kind: TypeAdapter[Any], read: Callable[[Any], list[Mark]], example: str
) -> Any:
    """Read a field of boxes or points: a list in JSON, or as the command line has them."""
    if text in ("", "null"):  # as JavaScript writes what was not said
        return ()
    try:
        value: Any = parse_json(text) if text[0] in "[{" else text
        key = name.removesuffix("es").removesuffix("s")
        entries = [
            {key: d.numbers, "label": d.label, "positive": d.positive is not False}
            for d in read(value)
        ]
        return kind.validate_python(entries)
    except (ValueError, RecursionError, InputError) as exc:
        is_ours = not isinstance(exc, ValidationError)
        reason = str(exc if is_ours else bad_fields(exc.errors()[:1])).rstrip(".")
        raise InputError(
            f"The field {name!r} must be a JSON list such as [{example}]: {reason}."
        ) from exc


def _flag(name: str, text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise InputError(f"The field {name!r} is {text[:20]!r}; send true or false.")


def _store(image: UploadFile, folder: JobFolder, most: int) -> None:
    folder.path.mkdir(parents=True)
    remaining = most
    with folder.photo.open("xb") as file:
        while chunk := image.file.read(2**20):
            remaining -= len(chunk)
            if remaining < 0:
                raise TooLarge(
                    f"The photo is larger than {most / 2**20:.0f} MiB. Export it as JPEG, or "
                    "reduce it."
                )
            file.write(chunk)
        file.flush()
        # The job is answered for once it is accepted, so its photo must be on the disk.
        os.fsync(file.fileno())

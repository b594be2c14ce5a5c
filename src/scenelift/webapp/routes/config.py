"""Settings for the page before the first job, and photos to try."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse

from scenelift import __version__
from scenelift.options import fields_for
from scenelift.options.schema import json_schema
from scenelift.webapp.errors import NotFound
from scenelift.webapp.models import Config, Example, Limits, OptionSchema, Problem
from scenelift.webapp.services import Owner, Use

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["config"], responses={401: {"model": Problem}})

ExampleName = Annotated[str, Path(pattern="^[a-z]{1,40}$")]
# Free photos that come with scikit-image; see examples/photos.py for who took them.
EXAMPLES = {"coffee": ("coffee.png", "cup"), "cat": ("chelsea.png", "cat")}


@router.get("/config")
def get_config(use: Use, owner: Owner) -> Config:
    """Qualities, options of a job, limits and examples."""
    settings = use.settings
    server = settings.options.to_plain()
    return Config(
        version=__version__,
        qualities=use.qualities.names,
        default_quality=settings.options.backends.quality,
        limits=Limits(
            upload_bytes=settings.upload_bytes,
            max_pixels=settings.max_pixels,
            max_phrases=settings.max_phrases,
        ),
        options={f.name: OptionSchema.model_validate(json_schema(f)) for f in fields_for("job")},
        server={f.name: server[f.name] for f in fields_for("serve") if not f.option.private},
        auth=bool(settings.tokens),
        share_days=settings.share_days,
        examples=[
            Example(name=name, url=f"/api/examples/{name}", prompt=prompt)
            for name, (_, prompt) in EXAMPLES.items()
            if _example(name)
        ],
    )


@router.get("/examples/{name}", response_class=FileResponse, responses={404: {"model": Problem}})
def get_example(name: ExampleName, owner: Owner) -> FileResponse:
    """A photo to try."""
    path = _example(name)
    if path is None:
        raise NotFound(f"There is no example of that name. Known: {', '.join(EXAMPLES)}.")
    return FileResponse(path, media_type="image/png", headers={"Cache-Control": "max-age=86400"})


def _example(name: str) -> pathlib.Path | None:
    # Found without importing the package, which would take a second.
    package = importlib.util.find_spec("skimage")
    if name not in EXAMPLES or package is None or package.origin is None:
        return None
    path = pathlib.Path(package.origin).parent / "data" / EXAMPLES[name][0]
    return path if path.is_file() else None

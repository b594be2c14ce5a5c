"""Running stages and keeping their results, so that an interrupted run continues where it stopped.

A result is stored under its stage's name together with a key: a digest of everything it depends
on (photo, prompt, backend and version, seed, the key of the stage before). It is used again only
when the key still fits. The format is a plain `.npz` with a JSON description: nothing in it can
execute.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging
import struct
import time
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from scenelift import __version__, types
from scenelift.errors import Cancelled, OutputError, SceneliftError, SetupError
from scenelift.io.files import atomic_write, explain_failure
from scenelift.memory import give_back
from scenelift.progress import Reporter
from scenelift.runtime import Runtime

__all__ = ["COMPILING", "StageStore", "Steps", "digest", "encode_part", "outcome_of"]

log = logging.getLogger(__name__)

T = TypeVar("T")

COMPILING = "Compiling kernels that draw and fit: a first run takes some twenty seconds more."

# What a file raises that was damaged just so: zip archive, NumPy header, JSON, or a claimed size.
DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, SyntaxError, SceneliftError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)

# The only classes a stored result may name.
_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        types.Background,
        types.BoxPrompt,
        types.PointPrompt,
        types.Camera,
        types.Dropped,
        types.FailedObject,
        types.Gaussians,
        types.Instance,
        types.Layout,
        types.Material,
        types.MaterialVolume,
        types.Mesh,
        types.Placement,
        types.PointMap,
        types.Pose,
        types.Reconstruction,
        types.Segmentation,
        types.Shape,
    )
}


def digest(*parts: Any) -> str:
    """Compute SHA-256 over arrays, dataclasses, strings and numbers, as hex.

    Order and type matter; equal parts give equal digests in every process.
    """
    h = hashlib.sha256()
    _feed(parts, h.update)
    return h.hexdigest()


class EncodedPart(bytes):
    """A part of a `digest` that was encoded before: many parts of many rows are equal."""

    __slots__ = ()


def encode_part(part: Any) -> EncodedPart:
    """Encode a part for `digest`, which gives the same as for the part itself."""
    content = bytearray()
    _feed(part, content.extend)
    return EncodedPart(content)


def _feed(part: Any, update: Callable[[bytes], object]) -> None:
    def add(value: Any) -> None:
        if isinstance(value, EncodedPart):
            update(value)
        elif isinstance(value, np.ndarray):
            array = cast("NDArray[Any]", value)
            update(f"array {array.dtype.str} {array.shape}\0".encode())
            update(np.ascontiguousarray(array).tobytes())
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            update(f"{type(value).__name__}\0".encode())
            for field in dataclasses.fields(value):
                add(getattr(value, field.name))
        elif isinstance(value, Mapping):
            add(sorted(cast("Mapping[Any, Any]", value).items()))
        elif isinstance(value, list | tuple):
            items = cast("Sequence[Any]", value)
            update(f"sequence {len(items)}\0".encode())
            for item in items:
                add(item)
        else:
            update(f"{type(value).__name__} {value!r}\0".encode(errors="surrogatepass"))

    add(part)


def outcome_of(step: Callable[[], T], name: str) -> T | Exception:
    """Run a step, and return its result or its error, so that others can go on.

    The error comes without its frames: they hold what the step held, memory of a device too.

    Args:
        step: is called once.
        name: of the step, for the log of an error that nobody expected.

    Raises:
        Cancelled, SetupError, OutputError: they concern the whole run.
    """
    try:
        return step()
    except (Cancelled, SetupError, OutputError):
        raise
    except SceneliftError as exc:
        error: Exception = exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise explain_failure(Path(str(exc.filename or "a temporary file")), exc) from exc
        log.exception("%s failed", name)
        error = exc
    except Exception as exc:
        log.exception("%s failed", name)
        error = exc
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


class StageStore:
    """A folder of stage results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        return self._folder

    def load(self, stage: str, key: str, kind: type[T]) -> T | None:
        """Load a stored result, or return None where there is none for this key."""
        try:
            # The one reader of stage files: pickles are refused and the key is checked.
            with (
                self._path(stage).open("rb") as raw,
                np.load(raw, allow_pickle=False) as file,  # noqa: TID251
            ):
                description = json.loads(bytes(file["description"]))
                if description["key"] != key:
                    return None
                value = _from_tree(description["value"], file)
        except FileNotFoundError:
            return None
        except DAMAGE:
            return None  # a file damaged outside our control: the stage simply runs again
        return value if isinstance(value, kind) else None

    def has(self, stage: str) -> bool:
        """Whether a result of a stage is stored, for whatever key."""
        return self._path(stage).is_file()

    def save(self, stage: str, key: str, value: Any) -> None:
        """Store a result, replacing an older one of that stage.

        Raises:
            OutputError: the folder cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {}
        description = {"key": key, "value": _to_tree(value, arrays)}
        text = np.frombuffer(json.dumps(description).encode(), np.uint8)
        with atomic_write(self._path(stage)) as file:
            np.savez(file, allow_pickle=False, description=text, **arrays)

    def clear(self) -> None:
        """Remove every stored result and the folder."""
        for path in self._folder.glob("*.npz"):
            path.unlink(missing_ok=True)
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _path(self, stage: str) -> Path:
        return self._folder / f"{stage}.npz"


def _to_tree(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        name = f"a{len(arrays)}"
        if array.dtype == np.bool_:
            arrays[name] = np.packbits(array)
            return {"bits": name, "shape": list(array.shape)}
        arrays[name] = array
        return {"array": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _to_tree(getattr(value, f.name), arrays) for f in dataclasses.fields(value)
        }
        return {"class": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {"map": {str(k): _to_tree(v, arrays) for k, v in entries.items()}}
    if isinstance(value, list | tuple):
        return {"items": [_to_tree(item, arrays) for item in cast("Sequence[Any]", value)]}
    if isinstance(value, np.generic):
        return cast("np.generic[Any]", value).item()
    return value


def _from_tree(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(tree, dict):
        return tree
    node = cast("dict[str, Any]", tree)
    if "array" in node:
        return arrays[node["array"]]
    if "bits" in node:
        shape = tuple(node["shape"])
        bits = np.unpackbits(arrays[node["bits"]], count=int(np.prod(shape)))
        return bits.reshape(shape).astype(np.bool_)
    if "items" in node:
        return tuple(_from_tree(item, arrays) for item in node["items"])
    if "map" in node:
        return {k: _from_tree(v, arrays) for k, v in node["map"].items()}
    fields = {k: _from_tree(v, arrays) for k, v in node["fields"].items()}
    return _CLASSES[node["class"]](**fields)


class Steps:
    """Runs the stages of one photo in order: resumes, times, reports, isolates failed objects.

    Stages of different objects may run in several threads.

    Args:
        report: where progress goes and cancellation comes from.
        store: where results are kept and looked for; None keeps none.
        runtime: where stages compute.
        depends: what every result depends on: photo and prompt.
    """

    def __init__(
        self,
        report: Reporter,
        store: StageStore | None = None,
        runtime: Runtime | None = None,
        *,
        depends: Sequence[Any] = (),
    ) -> None:
        self._report, self._store, self._runtime = report, store, runtime or Runtime()
        self._key = digest(__version__, *depends)
        self._later: Callable[[Callable[[], object]], object] | None = None
        self._compile_note_sent = False
        self._order: dict[str, None] = {}  # stages, as they first began
        self._timings: list[types.StageTiming] = []

    @property
    def timings(self) -> tuple[types.StageTiming, ...]:
        """One entry for each stage (of each object) so far, stage by stage."""
        order = list(self._order)
        return tuple(
            sorted(self._timings, key=lambda t: (order.index(t.stage), t.object_index or 0))
        )

    @property
    def folder(self) -> Path | None:
        """The folder where results are stored, if they are."""
        return None if self._store is None else self._store.folder

    def add(self, timings: Sequence[types.StageTiming]) -> None:
        """Add the timings of this photo from another process."""
        for timing in timings:
            self._order.setdefault(timing.stage)
        self._timings += timings

    def is_stored(self, stage: str) -> bool:
        """Whether there is a stored result of a stage, though its key may no longer fit."""
        return self._store is not None and self._store.has(stage)

    @contextmanager
    def storing_objects(self, later: Callable[[Callable[[], object]], object]) -> Iterator[None]:
        """Context: results of objects, some 60 MB each, are stored by calls that `later` makes.

        Whoever makes them sees to it that all were made when a run ends, however it does.
        """
        self._later = later
        try:
            yield
        finally:
            self._later = None

    def check(self) -> None:
        """Raise `Cancelled` if the user has stopped the run."""
        self._report.check()

    def run(
        self,
        stage: str,
        key: str,
        kind: type[T],
        compute: Callable[[Reporter], T],
        *,
        object_index: int | None = None,
    ) -> T:
        """Return the stored result for this key, or compute one and store it."""
        report = self._report.at(stage, object_index)
        report.check()
        report.send("stage_started")
        self._order.setdefault(stage)
        start = time.perf_counter()
        name = stage if object_index is None else f"{stage}-{object_index:03d}"
        value = self._store.load(name, key, kind) if self._store else None
        resumed = value is not None
        if value is None:
            from scenelift.jit import on_compilation

            with self._runtime.active(), on_compilation(self._tell_compiling):
                value = compute(report)
            if self._store:
                save = partial(self._store.save, name, key, value)
                save() if object_index is None or self._later is None else self._later(save)
            give_back()
        self._timings.append(
            types.StageTiming(
                stage=stage,
                object_index=object_index,
                seconds=time.perf_counter() - start,
                resumed=resumed,
            )
        )
        report.send("stage_resumed" if resumed else "stage_finished", fraction=1.0)
        return value

    def then(self, stage: str, kind: type[T], compute: Callable[[Reporter], T], *depends: Any) -> T:
        """Run a stage of the whole photo, or take its stored result.

        Args:
            depends: what its result depends on, besides what earlier stages depend on.
        """
        return self.run(stage, self.after(*depends), kind, compute)

    def after(self, *depends: Any) -> str:
        """Extend the resume key by what all further stages depend on, and return it."""
        self._key = digest(self._key, *depends)
        return self._key

    def _tell_compiling(self) -> None:
        if not self._compile_note_sent:
            self._compile_note_sent = True
            self._report.note(COMPILING)

    def attempt(
        self,
        stage: str,
        key: str,
        kind: type[T],
        compute: Callable[[Reporter], T],
        *,
        object_index: int,
        instance: types.Instance,
    ) -> T | types.FailedObject:
        """Do as `run`, for one object: its failure is returned, so that the others go on.

        What concerns the whole run (cancellation, a missing set-up, a full disk) is still raised.
        """
        outcome = outcome_of(
            lambda: self.run(stage, key, kind, compute, object_index=object_index),
            f"{stage} of object {object_index} ({instance.label})",
        )
        if not isinstance(outcome, Exception):
            return outcome
        error, reason = type(outcome).__name__, str(outcome)
        if isinstance(outcome, SceneliftError):
            error = outcome.slug
        else:
            reason = f"unexpected {error} in {stage}: {reason}"
        failed = types.FailedObject(
            index=object_index, instance=instance, error=error, reason=reason
        )
        self._report.at(stage, object_index).send("object_failed", failed.reason)
        return failed

"""The errors that this package raises on purpose.

SceneliftError                 exit code
├── InputError              2  the photo, prompt, mask or option cannot be used as given
│   ├── ImageError          2  the file is not a photo we can read safely
│   ├── ManifestError       2  rows of a batch's manifest cannot be used
│   ├── EditsError          2  edits of a scene cannot be used
│   │   └── OtherScene      2  they belong to another scene
│   └── OutputError         2  the output folder cannot be written, or another run is using it
├── NothingFound            3  the prompt matched no object
├── SetupError              4  this installation lacks something the run needs
│   ├── WeightsError        4  weights are missing, gated, damaged, or do not fit the model
│   └── BackendUnavailable  4  a chosen backend cannot run here
│       └── UnknownBackend  2  nothing has that name
├── BackendFault            5  a backend returned what its protocol does not allow
├── DeviceMemoryError       4  a device, or the machine, has too little memory for what was asked
├── ReconstructionError     5  a model made nothing usable of an object
├── ObjectFailed            5  one object failed; the others went on
└── Cancelled             130  the user stopped the run; running again resumes it

A message says what came, what was expected and what to do next. Facts a user interface needs
are attributes; `problem()` gives them as an RFC 9457 problem for the web API.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

__all__ = [
    "BackendFault",
    "BackendUnavailable",
    "Cancelled",
    "DeviceMemoryError",
    "EditsError",
    "ImageError",
    "InputError",
    "ManifestError",
    "NothingFound",
    "ObjectFailed",
    "OtherScene",
    "OutputError",
    "ReconstructionError",
    "SceneliftError",
    "SetupError",
    "UnknownBackend",
    "WeightsError",
    "first_few",
    "first_line",
]


class SceneliftError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        exit_code: what the command line exits with.
        http_status: what the web API answers with.
        slug: stable machine-readable name of the error class.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    slug: ClassVar[str] = "error"

    def problem(self) -> dict[str, Any]:
        """Describe the error as an RFC 9457 problem (`application/problem+json`)."""
        return {
            "type": f"urn:scenelift:problem:{self.slug}",
            "title": self.slug.replace("-", " "),
            "status": self.http_status,
            "detail": str(self),
        }


class InputError(SceneliftError):
    """The photo, prompt, mask or option cannot be used as given."""

    exit_code = 2
    http_status = 422
    slug = "bad-input"


class ImageError(InputError):
    """The file is not a photo we can read safely."""

    slug = "bad-image"


class ManifestError(InputError):
    """Rows of a batch's manifest cannot be used.

    Attributes:
        problems: line (or place in a folder) and reason of every bad row.
    """

    slug = "bad-manifest"

    MOST_LINES: ClassVar[int] = 20

    def __init__(self, manifest: str, problems: Sequence[tuple[int, str]]) -> None:
        self.problems = tuple(problems)
        lines = [f"  line {line}: {reason}" for line, reason in problems[: self.MOST_LINES]]
        if len(problems) > self.MOST_LINES:
            lines.append(f"  … and {len(problems) - self.MOST_LINES} more")
        rows, them = ("1 row", "it") if len(problems) == 1 else (f"{len(problems)} rows", "them")
        super().__init__(
            f"{rows} of {manifest} cannot be used; nothing was run. Mend {them} and start again.\n"
            + "\n".join(lines)
        )

    def problem(self) -> dict[str, Any]:
        rows = [{"line": line, "reason": reason} for line, reason in self.problems]
        return super().problem() | {"rows": rows}


class EditsError(InputError):
    """Edits of a scene cannot be used: their form, a number, or an object that does not exist."""

    slug = "bad-edits"


class OtherScene(EditsError):
    """Edits belong to another scene than the one that they are applied to."""

    http_status = 409
    slug = "other-scene"


class OutputError(InputError):
    """The output folder cannot be written, or another run is using it."""

    http_status = 507
    slug = "bad-output"


class NothingFound(SceneliftError):
    """The prompt matched no object in the photo.

    Attributes:
        prompts: the phrases that were looked for.
        suggestions: phrases that would match something in this photo, best first.
        facts: the message without its advice, which depends on where it is read.
        reason: why, where that is known.
    """

    exit_code = 3
    http_status = 422
    slug = "nothing-found"

    def __init__(
        self, prompts: Sequence[str], *, reason: str = "", suggestions: Sequence[str] = ()
    ) -> None:
        self.prompts, self.suggestions, self.reason = tuple(prompts), tuple(suggestions), reason
        names = ", ".join(repr(p) for p in prompts) or "the prompt"
        parts = [f"Nothing in the photo matches {names}."]
        if reason:
            parts.append(reason)
        if suggestions:
            parts.append(f"Seen in this photo: {', '.join(suggestions)}.")
        self.facts = " ".join(parts)
        super().__init__(
            f"{self.facts} Try another phrase, or point at the object with --point x,y, "
            "--box x0,y0,x1,y1 or --mask."
        )

    def problem(self) -> dict[str, Any]:
        return super().problem() | {
            "prompts": list(self.prompts),
            "suggestions": list(self.suggestions),
        }


class FormatError(OutputError):
    """A scene, or part of it, cannot be written in a format; other formats are not affected."""

    exit_code = 5
    slug = "format"


class SetupError(SceneliftError):
    """This installation lacks something the run needs."""

    exit_code = 4
    http_status = 503
    slug = "setup"


class WeightsError(SetupError):
    """Weights are missing, gated, damaged, or do not fit the model."""

    slug = "weights"


class BackendUnavailable(SetupError):
    """A chosen backend cannot run here. Carries what a UI needs to offer another.

    Attributes:
        role: what the backend does: "segmenter", "point mapper", "reconstructor", an operation.
        wanted: the name that was asked for.
        reason: why it cannot be used.
        choices: the names that exist.
    """

    slug = "backend-unavailable"

    def __init__(self, role: str, name: str, *, reason: str, choices: Sequence[str]) -> None:
        self.role, self.requested, self.reason = role, name, reason
        self.choices = tuple(choices)
        super().__init__(
            f"The {role} {name!r} cannot be used: {reason.rstrip('.')}. "
            f"Known: {', '.join(self.choices)}. `scenelift doctor` shows what each one lacks."
        )

    def problem(self) -> dict[str, Any]:
        return super().problem() | {"wanted": self.requested, "choices": list(self.choices)}


class UnknownBackend(BackendUnavailable):
    """No backend, or quality, has the name that was asked for: a slip, and nothing is missing."""

    exit_code = 2
    http_status = 422
    slug = "unknown-backend"

    def __init__(self, role: str, name: str, *, choices: Sequence[str]) -> None:
        super().__init__(role, name, reason="nothing has that name", choices=choices)
        close = get_close_matches(name, self.choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        self.args = (f"There is no {role} {name!r}.{hint} Known: {', '.join(self.choices)}.",)


class BackendFault(SceneliftError):
    """A backend returned what its protocol does not allow; its author must mend it.

    Attributes:
        role: what the backend does: "segmenter", "point mapper", "reconstructor".
        backend: its name.
        reason: what was wrong with the result.
    """

    exit_code = 5
    slug = "backend-fault"

    def __init__(self, role: str, backend: str, reason: str) -> None:
        self.role, self.backend, self.reason = role, backend, reason
        super().__init__(
            f"The {role} {backend!r} is at fault: {reason}. `docs/pipeline.md` says what each "
            "backend returns."
        )


class DeviceMemoryError(SceneliftError):
    """A device or the machine has too little memory, even after all that was possible was freed.

    The only error of its kind: PyTorch's and Python's own are turned into it (`Runtime.active`).
    """

    exit_code = 4
    http_status = 503
    slug = "out-of-memory"


class ReconstructionError(SceneliftError):
    """A model produced nothing usable for an object."""

    exit_code = 5
    http_status = 422
    slug = "no-shape"


class ObjectFailed(SceneliftError):
    """One object could not be reconstructed; the others are not affected.

    Attributes:
        index: position of the object among the instances, from 0.
        label: its label.
    """

    exit_code = 5
    slug = "object-failed"

    def __init__(self, index: int, label: str, reason: str) -> None:
        self.index, self.label, self.reason = index, label, reason
        super().__init__(f"Object {index} ({label}) failed: {reason}")


class Cancelled(SceneliftError):
    """The user stopped the run. Finished stages are kept: running again resumes."""

    exit_code = 130
    http_status = 409
    slug = "cancelled"


def first_few(names: Sequence[str]) -> str:
    """List up to five names for a message; "…" stands for the rest."""
    return ", ".join((*names[:5], "…") if len(names) > 5 else names)


def first_line(exc: BaseException, most: int = 200) -> str:
    """Return the first line of an error's message, at most `most` characters, or its class name."""
    return (str(exc).splitlines() or [""])[0][:most] or type(exc).__name__

"""Writes docs/api.md from the docstrings of everything public.

python -m scenelift.testing.api_page > docs/api.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import scenelift

__all__ = ["text"]

HEAD = """# Python

Everything that `import scenelift` offers, from its docstrings: made by
`python -m scenelift.testing.api_page > docs/api.md`. Frames, units and value ranges are those of
[conventions.md](conventions.md); errors are a tree below `SceneliftError`.

Backends of your own: any object with the methods of `scenelift.segment.Segmenter`,
`scenelift.pointmap.PointMapper` or `scenelift.reconstruct.Reconstructor` can be given to
`Pipeline`; what it returns is checked, and a wrong result is blamed on it by name.

Poses that a reconstructor returns are improved by default, against mask, points and colours, and
things are made to stand. `layout=LayoutOptions(refine=False, repair=False)` keeps them as they are;
so does `in_place=True` on a `Reconstruction`, for that object.

Photos are paths, pictures of Pillow's or arrays uint8 in sRGB: [H, W, 3] (RGB, not BGR), grey
[H, W] or [H, W, 1], and RGBA, which is laid on a ground as a file's would be. Floating-point
numbers, 16 bits, channels first and batches can mean several things and are refused with the line
that makes a photo of them. `Image(pixels=…)` is what stages exchange, uint8 [H, W, 3] only.
`Prompt("cup; spoon")` is its phrases; its numbers are checked where it is made. `report` is a
`Reporter` or a function of each event, `store` a `StageStore` or a folder.
"""


def text() -> str:
    """Write the whole page."""
    return HEAD + "".join(_entry(name) for name in scenelift.__all__ if name != "__version__")


def _entry(name: str) -> str:
    value = getattr(scenelift, name)
    parts = [f"\n## {name}\n", _code(f"{name}{_signature(value)}"), _doc(value)]
    if inspect.isclass(value):
        for method, function in _methods(value):
            if isinstance(function, property):
                parts += [f"\n### {name}.{method}\n", _doc(function)]
            else:
                signature = _signature(getattr(value, method))
                parts += [
                    f"\n### {name}.{method}()\n",
                    _code(f"{method}{signature}"),
                    _doc(function),
                ]
    return "".join(parts)


def _methods(kind: type) -> Iterator[tuple[str, Any]]:
    """List public methods and properties in the source's order, with our base classes'."""
    names = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("scenelift"):
            continue
        for name, value in vars(base).items():
            callable_ = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
            if name.startswith("_") or name in names:
                continue
            if callable_ or isinstance(value, property):
                names.add(name)
                yield name, value


def _signature(value: Any) -> str:
    try:
        return str(inspect.signature(value)).replace("'", "")
    except (TypeError, ValueError):
        return ""


def _code(line: str) -> str:
    return f"\n```\n{line}\n```\n"


def _doc(value: Any) -> str:
    """Return the docstring, with its lists as they are written."""
    docstring = inspect.getdoc(value) or ""
    first, _, rest = docstring.partition("\n")
    if not rest.strip():
        return f"\n{first}\n"
    return f"\n{first}\n\n```text\n{rest.strip(chr(10))}\n```\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 - the page is what this command is for

"""What a backend lacks on this machine: a sentence for people, and its kind for programs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["Lack", "lacking_packages", "lacking_weights_of"]


class Lack(str):
    """A short sentence on what is not here, with what mends it.

    Attributes:
        packages: the Python packages that are not installed, if that is what is missing.
        weights_of: the model whose weights are nowhere on this machine, if that is.
    """

    __slots__ = ("packages", "weights_of")

    packages: tuple[str, ...]
    weights_of: str | None

    def __new__(
        cls, text: str, *, packages: Sequence[str] = (), weights_of: str | None = None
    ) -> Lack:
        lack = super().__new__(cls, text)
        lack.packages, lack.weights_of = tuple(packages), weights_of
        return lack


def lacking_packages(*names: str) -> list[Lack]:
    """Name those of some packages that are not installed, in one sentence; none imports anything.

    Args:
        names: packages that the extra `full` brings.
    """
    missing = [name for name in names if find_spec(name) is None]
    if not missing:
        return []
    text = f"{', '.join(missing)} not installed: `pip install 'scenelift[full]'` brings them"
    return [Lack(text, packages=missing)]


def lacking_weights_of(title: str, command: str) -> Lack:
    """Say that a model's weights are nowhere, and which command fetches them."""
    return Lack(f"no weights of {title}: {command}", weights_of=title)

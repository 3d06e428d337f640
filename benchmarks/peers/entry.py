"""How a loss of somebody else is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A loss as a function of the logits and further arrays, and which loss of ours it is.

    Attributes
    ----------
    call
        The value as a function of the logits and `arrays`.
    options : dict
        The options with which our loss is this one.
    scale : float
        Its value over ours.
    same : bool
        Whether the values can agree at all.
    channels_last : bool
        Whether the logits must have the classes last.
    note : str
        How it was configured, where that is not plain.
    """

    call: Callable[..., Any]
    arrays: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    same: bool = True
    channels_last: bool = False
    note: str = ""


Offer = dict[str, Callable[[], Entry]]
"""The losses that a peer has, by name; an entry is built when it is measured."""


def calling(build: Callable[[], Any], *arrays: Any, **facts: Any) -> Callable[[], Entry]:
    """An entry for an object that is built once and called with the logits and arrays."""
    return lambda: Entry(build(), arrays, **facts)


def added(
    first: Callable[[], Entry], second: Callable[[], Entry], note: str = ""
) -> Callable[[], Entry]:
    """The sum of two entries, with the options of the first."""

    def entry() -> Entry:
        a, b = first(), second()
        cut = len(a.arrays)

        def call(x: Any, *arrays: Any) -> Any:
            return a.call(x, *arrays[:cut]) + b.call(x, *arrays[cut:])

        return Entry(
            call, (*a.arrays, *b.arrays), a.options, channels_last=a.channels_last, note=note
        )

    return entry

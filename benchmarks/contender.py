"""One of those who are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OURS = "xploss"
NAIVE = "plain code"


@dataclass(frozen=True)
class Contender:
    """A way to compute a loss: callables without arguments, everything prepared before.

    Attributes
    ----------
    forward, both
        Compute the value; the value and the gradient by the logits.
    agrees : bool or None
        Whether the value is ours, or that of our loss with the peer's options; None if the
        conventions cannot be mapped.
    note : str
        How the peer was configured, where that is not plain.
    temporaries
        The bytes of temporaries that a compiler plans for a pass, where it says so.
    """

    name: str
    forward: Callable[[], Any]
    both: Callable[[], Any]
    agrees: bool | None = None
    note: str = ""
    temporaries: Callable[[str], int] | None = None

    def step(self, name: str) -> Callable[[], Any]:
        """The callable of a pass."""
        return self.forward if name == "forward" else self.both


@dataclass
class Field:
    """The contenders of a workload, and who is absent and why."""

    contenders: list[Contender] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)


def agreement(value: float, expected: float, dtype: str) -> bool:
    """Whether two values are the same up to the arithmetic of a peer."""
    tolerance = 3e-2 if dtype == "bfloat16" else 2e-3
    return abs(value - expected) <= tolerance * max(abs(value), abs(expected), 1e-3)


def reason(error: Exception) -> str:
    """The first line of an error, short."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {first}"[:160]

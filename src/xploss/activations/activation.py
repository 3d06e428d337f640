"""A tile's probabilities from its logits, and the way back for derivatives.

Each activation is computed once per tile for all terms of a sum, and pulled back once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import lazy

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend
    from ..reading import Reading


@dataclass
class Activation(ABC):
    """Probabilities of a tile; `x` (k, C, m) is what the caller passed, widened."""

    backend: Backend
    x: Array
    room: Array | None = None
    """An array of the tile's shape to be used meanwhile, whose content `pull` is given again."""
    ready: bool = False
    """Whether `room` or `notes` holds what was left there."""
    notes: Array | None = None
    """The same for the only term, in the place of `room`; or where slopes by x may be."""

    def settle(self) -> None:
        """Leave in `room` what `pull` is given again."""
        _ = self.p

    @lazy
    def finite(self) -> bool:
        """Whether all of `x` is known to be finite, and not near the largest number."""
        b, most = self.backend, self.half_of_largest
        if not (b.concrete(self.x) and b.on_host(self.x)):
            return False
        low, high = b.extent(self.x)
        return low >= -most and high <= most

    @property
    def half_of_largest(self) -> float:
        """Half of the largest number of the dtype."""
        return float(self.backend.xp.finfo(self.x.dtype).max) / 2

    @property
    @abstractmethod
    def p(self) -> Array:
        """The probabilities, (k, C, m)."""

    @property
    def q(self) -> Array:
        """One minus the probabilities."""
        return self.backend.maximum(1 - self.p, 0.0)

    @property
    @abstractmethod
    def log_p(self) -> Array:
        """The logarithm of the probabilities, finite."""

    @property
    def log_q(self) -> Array:
        """The logarithm of one minus the probabilities, finite; none for a softmax."""
        raise AttributeError(f"{type(self).__name__} has no log_q")

    def has_truth(self, reading: Reading) -> bool:
        """Whether each pixel, or each entry, has one true side: that of its label."""
        return reading.labels is not None

    def true(self, reading: Reading) -> Array:
        """P of the truth: at each pixel's label, (k, 1, m)."""
        if "true" not in reading.memory:
            reading.memory["true"] = reading.at_truth(self.p)
        return reading.memory["true"]

    def overlap(self, reading: Reading) -> Array:
        """P times the target, (k, C, m)."""
        return self.backend.multiply(self.p, reading.truth)

    def sum_of_overlap(self, reading: Reading) -> Array:
        """Σ w·p·t over the pixels, (k, C)."""
        return reading.sum_where_target(self.p, reading.truth)

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        """1 − p and −log p of the truth, each to its own last digits."""
        return self.backend.maximum(1 - self.true(reading), 0.0), self.cost_true(reading)

    @abstractmethod
    def cost_true(self, reading: Reading) -> Array:
        """−log p of the truth."""

    def focal_true(self, reading: Reading, focus: float) -> tuple[Array, Array] | None:
        """(1 − p)^γ·(−log p) of the truth, and its slope `away`, if both come from one kernel."""
        return None

    def sum_of_costs(self, reading: Reading) -> Array:
        """Σ w·cost over the pixels of the cost of the truth, (k, C), or (k, 1) of labels."""
        return reading.sum(self.cost_true(reading))

    def sum_of_both(self, reading: Reading, target: Array) -> Array:
        """Σ w·(−t·log p − (1 − t)·log(1 − p)) over the pixels, (k, C), of a sigmoid."""
        raise AttributeError(f"{type(self).__name__} has no cost of two sides")

    def slope_of_both(self, target: Array, scale: Array) -> Array:
        """`scale` times the derivative of −t·log p − (1 − t)·log(1 − p) by the logit."""
        raise AttributeError(f"{type(self).__name__} has no cost of two sides")

    @abstractmethod
    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """The derivative by `x`, (k, C, m), weight included, from a reading's slopes.

        It may be in `place`, if the activation is not asked for anything after.
        """


def weighted(pulled: Array, reading: Reading) -> Array:
    """What is pulled back, which may be used up, times the weight of the pixels."""
    if reading.weight is None:
        return pulled
    return reading.backend.multiply(pulled, reading.weight, pulled)


def summed(a: Array | None, b: Array | None) -> Array | None:
    """The sum of two arrays, None standing for 0."""
    if a is None:
        return b
    return a if b is None else a + b

"""Sigmoid of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import lazy
from .activation import Activation, summed, weighted

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend
    from ..reading import Reading


@dataclass
class Sigmoid(Activation):
    """Sigmoid of each class.

    With a hard target the true side of an entry is p or 1 − p, the sigmoid of its margin
    m = (2t − 1)·z.
    """

    _kept: Array | None = None
    """What the backend's `sigmoid` gives beside p, once p has been asked for, or from `room`."""

    def __post_init__(self) -> None:
        if self.ready:
            self._kept = self.room

    def has_truth(self, reading: Reading) -> bool:
        # the exponential of a margin is that of z, but its derivative at 0 is one-sided
        return reading.hard and not self.backend.traces

    def _margin(self, reading: Reading) -> Array:
        """m, (k, C, m)."""
        if "margin" not in reading.memory:
            reading.memory["margin"] = reading.toward(self.x)
        return reading.memory["margin"]

    def cost_true(self, reading: Reading) -> Array:
        cost, kept = self.backend.cost_of_margin(self._margin(reading), self._bent)
        reading.memory["cost"] = kept
        return cost

    def sum_of_costs(self, reading: Reading) -> Array:
        if reading.weight is not None or self.backend.group == 1:
            return super().sum_of_costs(reading)
        margin, accumulator = self._margin(reading), reading.accumulator
        total, kept = self.backend.sum_cost_of_margin(margin, self._bent, accumulator)
        reading.memory["cost"] = kept
        return total

    def sum_of_both(self, reading: Reading, target: Array) -> Array:
        b, z = self.backend, self._finite
        if reading.weight is None:
            return b.sum_cost_of_both(z, target, self._bent, reading.accumulator)
        return reading.sum(b.cost_of_both(z, target, self._bent))

    def slope_of_both(self, target: Array, scale: Array) -> Array:
        b = self.backend
        at_once = b.pull_both(self.x, target, scale, self.notes)
        return b.slope_of_both(self.p, self.q, target, scale) if at_once is None else at_once

    def focal_true(self, reading: Reading, focus: float) -> tuple[Array, Array] | None:
        return self.backend.focal_of_away(reading.away(self.x), focus)

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        cost, margin = self.cost_true(reading), self._margin(reading)
        return self.backend.miss(margin, reading.memory["cost"]), cost

    @lazy
    def p(self) -> Array:
        p, kept = self.backend.sigmoid(self.x, None if self.ready else self.room)
        self._kept = kept if self._kept is None else self._kept
        return p

    @property
    def _bent(self) -> Array | None:
        """exp(−abs(z)), if p has been asked for."""
        return None if self._kept is None else self.backend.bent(self._kept)

    @lazy
    def q(self) -> Array:
        return self.backend.miss(self.x, self._bent)

    @lazy
    def _finite(self) -> Array:
        """The logits without infinities, which a target of 0 would turn into NaN."""
        if self.finite:
            return self.x
        most = self.half_of_largest
        return self.backend.minimum(self.backend.maximum(self.x, -most), most)

    @lazy
    def _logs(self) -> tuple[Array, Array]:
        return self.backend.log_sides(self._finite, self._bent)

    @property
    def log_p(self) -> Array:
        return self._logs[0]

    @property
    def log_q(self) -> Array:
        return self._logs[1]

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = p·q·g + q·r − p·r' + z' + (1 − 2t)·a.

        g, r and r' are the slopes by p, log p and log q, z' that by the logit, and a that `away`.
        Of the truth, with the slopes g and r by its p and log p: dm = q·(r + p·g).
        """
        s, b, pulled = reading.slopes, self.backend, None
        # before what is kept is used up
        q = None if s.log_p is None else self.q
        if s.by_p and self._kept is None:
            _ = self.p
        if s.log_p_true is not None or s.p_true is not None:
            # before what is kept is used up
            pulled = self._pull_true(reading, None if s.by_p else place)
        if s.by_p:
            pulled = _added(b, self._pull_p(reading, place), pulled)
        if q is not None:
            pulled = _added(b, pulled, q * s.log_p)
        if s.log_q is not None:
            pulled = _added(b, pulled, -(self.p * s.log_q))
        if s.z is not None:
            pulled = _added(b, pulled, s.z)
        pulled = _added(b, pulled, reading.pull_away(place if pulled is None else None))
        return weighted(b.xp.zeros_like(self.x) if pulled is None else pulled, reading)

    def _pull_p(self, reading: Reading, place: Array | None) -> Array:
        """The part of the slopes by p."""
        s, b = reading.slopes, self.backend
        if s.only_line is None:
            return b.sigmoid_pull(self.x, reading.slope_by_p, self._kept, place)
        start, rise = s.only_line
        pulled = b.sigmoid_pull(self.x, None, self._kept, place)
        return b.times_line(pulled, rise, reading.truth, start, pulled)

    def _pull_true(self, reading: Reading, place: Array | None) -> Array:
        """The part of the slopes by the truth."""
        b, s, margin = self.backend, reading.slopes, self._margin(reading)
        kept, by_truth = reading.memory.get("cost"), s.log_p_true
        kept = self._bent if kept is None else kept
        if s.p_true is not None:
            away = b.multiply(margin, b.constant(-1.0, margin))
            by_truth = _added(b, b.pull_cost(away, s.p_true, kept), by_truth)
        assert by_truth is not None
        pulled = b.pull_cost(margin, by_truth, kept, place)
        return reading.toward(pulled, pulled if place is None else place)


def _added(backend: Backend, total: Array | None, x: Array | None) -> Array | None:
    """The sum of two arrays, None standing for 0; the first may be used up."""
    if total is None or x is None:
        return summed(total, x)
    return backend.add_to(total, x)

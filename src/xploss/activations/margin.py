"""Sigmoid beside a hard target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import lazy
from .activation import summed, weighted
from .sigmoid import Sigmoid

if TYPE_CHECKING:
    from .._xp import Array
    from ..reading import Reading


@dataclass
class MarginSigmoid(Sigmoid):
    """Sigmoid of each class beside the only target of a tile, if that is hard.

    All comes from one exponential, o = exp(−m), with the margin m = (2t − 1)·z: the odds against
    the true side of an entry, whose probability is 1/(1 + o) and whose cost is log(1 + o). They
    are in `room` in the place of p.
    """

    truth: Array | None = None
    """The target, (k, C, m)."""

    def __post_init__(self) -> None:
        """Nothing beside the odds is kept."""

    def _against(self) -> Array:
        """1 − 2t."""
        assert self.truth is not None
        return self.backend.against(self.truth)

    @lazy
    def _away(self) -> Array:
        """−m; used up by the cost, before which the odds are asked for."""
        chosen = self.backend.chosen(self.x, self.truth, -1.0, 1.0)
        if chosen is not None:
            return chosen
        against = self._against()
        return self.backend.multiply(against, self.x, against)

    @lazy
    def _odds(self) -> Array:
        if self.ready:
            return self.room
        return self.backend.odds(self._away, self.room)

    def _sides(self) -> tuple[Array, Array]:
        """P of the wrong and of the true side."""
        right = self.backend.inverse_of_odds(self._odds)
        return self.backend.multiply(self._odds, right), right

    @lazy
    def p(self) -> Array:
        wrong, right = self._sides()
        return self.backend.either(wrong, right, self.truth, right)

    @property
    def q(self) -> Array:
        wrong, right = self._sides()
        return self.backend.either(right, wrong, self.truth, wrong)

    @lazy
    def _cost(self) -> Array:
        odds = self._odds
        return self.backend.cost_of_away(self._away, odds)

    def cost_true(self, reading: Reading) -> Array:
        return self._cost

    def sum_of_costs(self, reading: Reading) -> Array:
        # to find the odds of at most 1, whose logarithms can be shared, costs what that would spare
        return reading.sum(self._cost)

    def focal_true(self, reading: Reading, focus: float) -> tuple[Array, Array] | None:
        # the other terms share the odds
        return None

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        return self._sides()[0], self._cost

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = w·((g + s·g')·r + s·u), with the sides r and w = 1 − r and the sign s = 2t − 1.

        g is the slope by p, g' and u are those by p and log p of the truth.
        """
        s, b = reading.slopes, self.backend
        rest = s.z
        if s.log_p is not None:
            rest = summed(rest, self.q * s.log_p)
        if s.log_q is not None:
            rest = summed(rest, -(self.p * s.log_q))
        wrong, right = self._sides()
        slope = self._times_slope(right, reading)
        if s.log_p_true is not None:
            slope = b.less(slope, self._against(), s.log_p_true)
        pulled = rest
        if slope is not None:
            pulled = summed(b.multiply(wrong, slope, place), rest)
        return weighted(b.xp.zeros_like(self.x) if pulled is None else pulled, reading)

    def _times_slope(self, right: Array, reading: Reading) -> Array | None:
        """(g + s·g')·r, in the place of r; None for 0."""
        s, b = reading.slopes, self.backend
        if s.only_line is not None and s.p_true is None:
            start, rise = s.only_line
            return b.times_line(right, rise, reading.truth, start, right)
        slope = reading.slope_by_p
        if s.p_true is not None:
            slope = b.less(slope, self._against(), s.p_true)
        return None if slope is None else b.multiply(slope, right, right)

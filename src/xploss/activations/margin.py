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

    All but p comes from one exponential, o = exp(−m), with the margin m = (2t − 1)·z: the odds
    against the true side of an entry, whose probability is 1/(1 + o) and whose cost is
    log(1 + o). They are in `room` in the place of p.
    """

    truth: Array | None = None
    """The target, (k, C, m)."""
    alone: bool = False
    """Whether one term only reads this, once, so that the odds may be used up."""

    def __post_init__(self) -> None:
        """Nothing beside the odds is kept."""

    def _against(self) -> Array:
        """1 − 2t."""
        assert self.truth is not None
        return self.backend.against(self.truth)

    @lazy
    def _bounded(self) -> tuple[Array, float]:
        """The odds, and a number they are not above."""
        b = self.backend
        if self.ready:
            assert self.room is not None
            return self.room, b.largest_odds(self.room)
        assert self.truth is not None
        return b.odds_against(self.x, self.truth, self.room)

    @property
    def _odds(self) -> Array:
        return self._bounded[0]

    def settle(self) -> None:
        _ = self._odds

    @lazy
    def p(self) -> Array:
        return self.backend.sigmoid(self.x)[0]

    @lazy
    def _cost(self) -> Array:
        b, (odds, most) = self.backend, self._bounded
        if most < b.largest_odds(odds):
            return b.log1p(odds)
        return b.cost_of_away(b.multiply(self._against(), self.x), odds)

    def cost_true(self, reading: Reading) -> Array:
        return self._cost

    def sum_of_costs(self, reading: Reading) -> Array:
        b, (odds, most) = self.backend, self._bounded
        if reading.weight is None and most < b.largest_odds(odds):
            return b.sum_of_logs(odds, reading.accumulator, most)
        return reading.sum(self._cost)

    def focal_true(self, reading: Reading, focus: float) -> tuple[Array, Array] | None:
        if not self.alone:
            # the other terms share the odds
            return None
        return self.backend.focal_of_odds(self._odds, self._cost, focus)

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        return self.backend.share_of_odds(self._odds), self._cost

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = w·((g + s·g')·r + s·u), with the sides r and w = 1 − r and the sign s = 2t − 1.

        g is the slope by p, g' and u are those by p and log p of the truth.
        """
        s, b = reading.slopes, self.backend
        rest = summed(s.z, reading.pull_away(place))
        if s.log_p is not None:
            rest = summed(rest, self.q * s.log_p)
        if s.log_q is not None:
            rest = summed(rest, -(self.p * s.log_q))
        pulled = summed(self._pull_sides(reading, place), rest)
        return weighted(b.xp.zeros_like(self.x) if pulled is None else pulled, reading)

    def _pull_sides(self, reading: Reading, place: Array | None) -> Array | None:
        """What there is by p, and by the truth; None for 0."""
        s, b, by_cost = reading.slopes, self.backend, reading.slopes.log_p_true
        # nobody asks for the odds after this
        odds, used_up = self._odds, self.room
        if not (s.by_p or s.p_true is not None):
            if by_cost is None:
                return None
            wrong = b.share_of_odds(odds, used_up)
            return b.times_line(wrong, 2 * by_cost, reading.truth, -by_cost, place)
        right = b.inverse_of_odds(odds)
        wrong = b.multiply(odds, right, used_up)
        slope = self._times_slope(right, reading)
        if by_cost is not None:
            slope = b.less(slope, self._against(), by_cost)
        return b.multiply(wrong, slope, place)

    def _times_slope(self, right: Array, reading: Reading) -> Array:
        """(g + s·g')·r, in the place of r."""
        s, b = reading.slopes, self.backend
        if s.only_line is not None and s.p_true is None:
            start, rise = s.only_line
            return b.times_line(right, rise, reading.truth, start, right)
        slope = reading.slope_by_p
        if s.p_true is not None:
            slope = b.less(slope, self._against(), s.p_true)
        assert slope is not None
        return b.multiply(slope, right, right)

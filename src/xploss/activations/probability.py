"""Probabilities from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy
from .activation import Activation, summed, weighted

if TYPE_CHECKING:
    from .._xp import Array
    from ..reading import Reading

CLIP = 1e-7
"""Probabilities from outside are clipped to [CLIP, 1 − CLIP] for the logarithm only."""


class Probability(Activation):
    """Probabilities from outside, never renormalised."""

    @property
    def p(self) -> Array:
        return self.x

    @lazy
    def log_p(self) -> Array:
        return self._log(self.p)

    @lazy
    def log_q(self) -> Array:
        return self._log(self.q)

    def _log(self, p: Array) -> Array:
        b = self.backend
        return b.xp.log(b.minimum(b.maximum(p, CLIP), 1 - CLIP))

    def cost_true(self, reading: Reading) -> Array:
        costs = -self._log(self.true(reading))
        return costs if reading.labelled is None else costs * reading.labelled

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dp = g + r/p − r'/q, without the logarithms where they are clipped."""
        s, b = reading.slopes, self.backend
        pulled = reading.slope_by_p
        if s.log_p is not None:
            pulled = summed(pulled, s.log_p * self._inverse(self.p))
        if s.log_q is not None:
            pulled = summed(pulled, -(s.log_q * self._inverse(self.q)))
        pulled = b.xp.zeros_like(self.x) if pulled is None else pulled + b.xp.zeros_like(self.x)
        at_truth = s.p_true
        if s.log_p_true is not None:
            at_truth = summed(at_truth, s.log_p_true * self._inverse(self.true(reading)))
        if at_truth is not None:
            pulled = b.add_at(pulled, reading.place, at_truth)
        return weighted(pulled, reading)

    def _inverse(self, p: Array) -> Array:
        """1/p where the logarithm of p is not clipped, else 0."""
        xp = self.backend.xp
        free = (p >= CLIP) & (p <= 1 - CLIP)
        return xp.where(free, 1 / xp.where(free, p, xp.ones_like(p)), xp.zeros_like(p))

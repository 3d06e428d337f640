"""Sigmoid of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy
from .activation import Activation, summed, weighted

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend
    from ..reading import Reading


class Sigmoid(Activation):
    """Sigmoid of each class.

    With a hard target the true side of an entry is p or 1 − p, the sigmoid of its margin
    m = (2t − 1)·z.
    """

    def has_truth(self, reading: Reading) -> bool:
        return reading.hard

    def _margin(self, reading: Reading) -> Array:
        """m, (k, C, m)."""
        if "margin" not in reading.memory:
            reading.memory["margin"] = self.backend.multiply(reading.signed, self.x)
        return reading.memory["margin"]

    def cost_true(self, reading: Reading) -> Array:
        cost, reading.memory["cost"] = self.backend.cost_of_margin(self._margin(reading))
        return cost

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        b, margin = self.backend, self._margin(reading)
        return b.sigmoid(b.multiply(margin, b.constant(-1.0, margin)))[0], self.cost_true(reading)

    @lazy
    def _parts(self) -> tuple[Array, Array | None]:
        """P, and what `pull` is spared work by."""
        return self.backend.sigmoid(self.x, None if self.ready else self.room)

    @property
    def p(self) -> Array:
        return self._parts[0]

    @lazy
    def q(self) -> Array:
        return self.backend.sigmoid(-self.x)[0]

    @lazy
    def _finite(self) -> Array:
        """The logits without infinities, which a target of 0 would turn into NaN."""
        most = float(self.backend.xp.finfo(self.x.dtype).max) / 2
        return self.backend.minimum(self.backend.maximum(self.x, -most), most)

    @lazy
    def _bend(self) -> Array:
        """−log of the sigmoid of abs(z), which both sides share."""
        return self.backend.cost_of_margin(self.backend.xp.abs(self._finite))[0]

    @lazy
    def log_p(self) -> Array:
        return self.backend.minimum(self._finite, 0.0) - self._bend

    @lazy
    def log_q(self) -> Array:
        return self.backend.minimum(-self._finite, 0.0) - self._bend

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = p·q·g + q·r − p·r', with g, r and r' the slopes by p, log p and log q.

        Of the truth, with the slopes g and r by its p and log p: dm = q·(r + p·g).
        """
        s, b, pulled = reading.slopes, self.backend, None
        g = summed(s.p_class, s.p)
        if g is not None:
            pulled = b.sigmoid_pull(self.x, g, self.room if self.ready else self._parts[1], place)
        if s.log_p_true is not None:
            margin, free = self._margin(reading), place if pulled is None else None
            by_truth, kept = s.log_p_true, reading.memory.get("cost")
            if s.p_true is not None:
                away = b.multiply(margin, b.constant(-1.0, margin))
                by_truth = b.add_to(b.pull_cost(away, s.p_true), by_truth)
            slope = b.multiply(reading.signed, by_truth)
            pulled = _added(b, pulled, b.pull_cost(margin, slope, kept, free))
        if s.log_p is not None:
            pulled = _added(b, pulled, self.q * s.log_p)
        if s.log_q is not None:
            pulled = _added(b, pulled, -(self.p * s.log_q))
        if s.z is not None:
            pulled = _added(b, pulled, s.z)
        return weighted(b.xp.zeros_like(self.x) if pulled is None else pulled, reading)


def _added(backend: Backend, total: Array | None, x: Array) -> Array:
    """The sum of a total, if there is one, which may be used up, and `x`."""
    return x if total is None else backend.add_to(total, x)

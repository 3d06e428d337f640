"""A tile's probabilities from its logits, and the way back for derivatives.

Each activation is computed once per tile for all terms of a sum, and pulled back once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .lazy import lazy

if TYPE_CHECKING:
    from ._xp import Array, Namespace
    from .backend import Backend
    from .reading import Reading

SMALLEST = 1e-30
"""Above it, a probability in float32 has all its digits, and so has its inverse."""
CLIP = 1e-7
"""Probabilities from outside are clipped to [CLIP, 1 − CLIP] for the logarithm only."""


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
    """The same for the single term that reads the activation, in the place of `room`."""

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

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        """1 − p and −log p of the truth, each to its own last digits."""
        return self.backend.maximum(1 - self.true(reading), 0.0), self.cost_true(reading)

    @abstractmethod
    def cost_true(self, reading: Reading) -> Array:
        """−log p of the truth."""

    def settle(self) -> None:  # noqa: B027 - nothing, unless something spares `pull` work
        """Leave in `room` what `pull` is spared by; after it, p is gone."""

    @abstractmethod
    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """The derivative by `x`, (k, C, m), weight included, from a reading's slopes.

        It may be in `place`, if the activation is not asked for anything after.
        """


def _weighted(pulled: Array, reading: Reading) -> Array:
    return pulled if reading.weight is None else pulled * reading.weight


class Softmax(Activation):
    """Softmax over the classes; the probabilities stay in `room`."""

    @lazy
    def _parts(self) -> tuple[Array, Array, Array]:
        if not self.ready:
            return self.backend.softmax(self.x, self.room)
        xp = self.backend.xp
        # the largest p is 1/Σ
        total = 1 / xp.max(self.p, axis=1, keepdims=True)
        return self.p, xp.max(self.x, axis=1, keepdims=True), total

    @lazy
    def _log_total(self) -> Array:
        # the total is used up
        return self.backend.log_total(self._parts[2])

    @property
    def p(self) -> Array:
        return self.room if self.ready else self._parts[0]

    @lazy
    def log_p(self) -> Array:
        _, shift, _ = self._parts
        lowest = -float(self.backend.xp.finfo(self.x.dtype).max) / 2
        return self.backend.maximum(self.x - shift, lowest) - self._log_total

    @lazy
    def _rest(self) -> Array:
        """Σ p of all classes but one above 1/2, (k, 1, m): what that one leaves of 1."""
        small = self.backend.below(self.p, 0.5)
        return self.backend.xp.sum(small, axis=1, keepdims=True, dtype=small.dtype)

    @lazy
    def q(self) -> Array:
        return self.backend.xp.where(self.p > 0.5, self._rest, 1 - self.p)

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        b, xp, p = self.backend, self.backend.xp, self.true(reading)
        q = b.rest_of_one(p, self._rest)
        if self._all_digits(reading, p):
            return q, b.cost_of_odds(q, p)
        some = p > SMALLEST
        near = b.cost_of_odds(q, xp.where(some, p, xp.ones_like(p)))
        return q, xp.where(some, near, self.cost_true(reading))

    def _all_digits(self, reading: Reading, p: Array) -> bool:
        """Whether every pixel is known to have a label, and its p none but full digits."""
        b = self.backend
        return reading.known and b.concrete(p) and b.on_host(p) and b.extent(p)[0] > SMALLEST

    def cost_true(self, reading: Reading) -> Array:
        _, shift, _ = self._parts
        log_total = self._log_total
        at_label, known = reading.at_truth(self.x), reading.labelled(self.x.dtype)
        if known is None:
            return self.backend.cost_of_label(at_label, shift, log_total)
        return known * log_total - (at_label - known * shift)

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = p·(g − Σp·g − Σr) + r, with g the slope by p and r the slope by log p.

        From dp_c = p_c·(dz_c − Σ_k p_k·dz_k) and d log p_c = dz_c − Σ_k p_k·dz_k.
        """
        s, b = reading.slopes, self.backend
        spread = reading.weight is not None and reading.weight.shape[1] > 1
        if s.log_p is None and not spread:
            at_truth = None if s.cost_true is None else -s.cost_true
            if s.by_p_true is not None:
                at_truth = _sum(at_truth, b.multiply(s.by_p_true, self.true(reading)))
            truth = None if at_truth is None else reading.place
            slope = _sum(s.p_class, s.p)
            return _weighted(b.softmax_pull(self.p, slope, truth, at_truth, place), reading)
        return self._pull_dense(reading)

    def _pull_dense(self, reading: Reading) -> Array:
        s, b, xp = reading.slopes, self.backend, self.backend.xp
        g, r = _sum(s.p_class, s.p), s.log_p
        if s.by_p_true is not None:
            g = b.add_at(_whole(g, self.p, xp), reading.place, s.by_p_true)
        if s.cost_true is not None:
            r = b.add_at(_whole(r, self.p, xp), reading.place, -s.cost_true)
        spread = reading.weight is not None and reading.weight.shape[1] > 1
        if spread:
            g, r = (None if x is None else x * reading.weight for x in (g, r))
        if g is None:
            pulled = r - self.p * xp.sum(_whole(r, self.p, xp), axis=1, keepdims=True)
        else:
            mean = xp.sum(self.p * g, axis=1, keepdims=True)
            if r is not None:
                mean = mean + xp.sum(_whole(r, self.p, xp), axis=1, keepdims=True)
            pulled = self.p * (g - mean)
            pulled = pulled if r is None else pulled + r
        return pulled if spread else _weighted(pulled, reading)


def _whole(x: Array | None, like: Array, xp: Namespace) -> Array:
    """A new array of the shape of `like`, of `x` or zeros."""
    zero = xp.zeros_like(like)
    return zero if x is None else x + zero


class Sigmoid(Activation):
    """Sigmoid of each class; the smaller of p and 1 − p is left in `room`.

    With a hard target the true side of an entry is p or 1 − p, the sigmoid of −a, where
    a = (1 − 2t)·z.
    """

    def has_truth(self, reading: Reading) -> bool:
        return reading.hard

    def _away(self, reading: Reading) -> Array:
        """a, (k, C, m)."""
        if "away" not in reading.memory:
            reading.memory["away"] = self.backend.multiply(reading.against, self.x)
        return reading.memory["away"]

    def cost_true(self, reading: Reading) -> Array:
        return self.backend.softplus(self._away(reading))

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        return self.backend.sigmoid(self._away(reading)), self.cost_true(reading)

    @lazy
    def p(self) -> Array:
        return self.backend.sigmoid(self.x, None if self.ready else self.room)

    def settle(self) -> None:
        if self.room is not None:
            self.backend.lesser_side(self.x, self.room)

    @lazy
    def q(self) -> Array:
        return self.backend.sigmoid(-self.x)

    @lazy
    def _finite(self) -> Array:
        """The logits without infinities, which a target of 0 would turn into NaN."""
        most = float(self.backend.xp.finfo(self.x.dtype).max) / 2
        return self.backend.minimum(self.backend.maximum(self.x, -most), most)

    @lazy
    def log_p(self) -> Array:
        return -self.backend.softplus(-self._finite)

    @lazy
    def log_q(self) -> Array:
        return -self.backend.softplus(self._finite)

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = p·q·g + q·r − p·r', with g, r and r' the slopes by p, log p and log q.

        Of the truth, with the slopes g and r by its 1 − p and −log p: da = q·(r + p·g).
        """
        s, b, pulled = reading.slopes, self.backend, None
        g = _sum(s.p_class, s.p)
        if g is not None:
            pulled = b.sigmoid_pull(self.x, g, self.room if self.ready else None, place)
        if s.cost_true is not None:
            away, free = self._away(reading), place if pulled is None else None
            by_truth = s.cost_true
            if s.q_true is not None:
                p = b.softplus_pull(b.multiply(away, b.constant(-1.0, away)), s.q_true)
                by_truth = b.add_to(p, by_truth)
            slope = b.multiply(reading.against, by_truth)
            pulled = _added(b, pulled, b.softplus_pull(away, slope, free))
        if s.log_p is not None:
            pulled = _added(b, pulled, self.q * s.log_p)
        if s.log_q is not None:
            pulled = _added(b, pulled, -(self.p * s.log_q))
        if s.z is not None:
            pulled = _added(b, pulled, s.z)
        return _weighted(b.xp.zeros_like(self.x) if pulled is None else pulled, reading)


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
        costs, known = -self._log(self.true(reading)), reading.labelled(self.x.dtype)
        return costs if known is None else costs * known

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dp = g + r/p − r'/q, without the logarithms where they are clipped."""
        s, b = reading.slopes, self.backend
        pulled = _sum(s.p_class, s.p)
        if s.log_p is not None:
            pulled = _sum(pulled, s.log_p * self._inverse(self.p))
        if s.log_q is not None:
            pulled = _sum(pulled, -(s.log_q * self._inverse(self.q)))
        pulled = b.xp.zeros_like(self.x) if pulled is None else pulled + b.xp.zeros_like(self.x)
        at_truth = s.by_p_true
        if s.cost_true is not None:
            at_truth = _sum(at_truth, -s.cost_true * self._inverse(self.true(reading)))
        if at_truth is not None:
            pulled = b.add_at(pulled, reading.place, at_truth)
        return _weighted(pulled, reading)

    def _inverse(self, p: Array) -> Array:
        """1/p where the logarithm of p is not clipped, else 0."""
        xp = self.backend.xp
        free = (p >= CLIP) & (p <= 1 - CLIP)
        return xp.where(free, 1 / xp.where(free, p, xp.ones_like(p)), xp.zeros_like(p))


def _added(backend: Backend, total: Array | None, x: Array) -> Array:
    """The sum of a total, if there is one, which may be used up, and `x`."""
    return x if total is None else backend.add_to(total, x)


def _sum(a: Array | None, b: Array | None) -> Array | None:
    if a is None:
        return b
    return a if b is None else a + b

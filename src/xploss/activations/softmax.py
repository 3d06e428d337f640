"""Softmax over the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import lazy
from .activation import Activation, summed, weighted

if TYPE_CHECKING:
    from .._xp import Array, Namespace
    from ..reading import Reading

SURE = 0.75
"""Above it 1 − p loses digits; and of the classes of a pixel only one can be near it."""
SMALLEST = 1e-30
"""Above it, a probability in float32 has all its digits, and so has its inverse."""
DIVISOR = 1e-12
"""Above it, slopes may be divided by a probability in float32, and stay finite up to 1e26."""


@dataclass
class Softmax(Activation):
    """Softmax over the classes.

    Of what only costs are asked for, the exponentials are not divided by their sum.
    """

    _p: Array | None = None

    def __post_init__(self) -> None:
        if self.ready:
            self._p = self.room

    @lazy
    def _parts(self) -> tuple[Array, Array, Array]:
        """The exponentials of the logits, or p once it is known, their shift, and their sum."""
        if self._p is None:
            return self.backend.exponentials(self.x, self.room)
        xp = self.backend.xp
        # the largest p is 1/Σ
        total = 1 / xp.max(self.p, axis=1, keepdims=True)
        return self.p, xp.max(self.x, axis=1, keepdims=True), total

    @lazy
    def _log_total(self) -> Array:
        return self.backend.log_total(self._parts[2])

    def _fuse(self) -> None:
        """Let p be what the library has at once, unless somebody has asked for the exponentials."""
        if self._p is None and "_parts" not in self.__dict__:
            self._p = self.backend.softmax(self.x, self.room)

    @property
    def p(self) -> Array:
        self._fuse()
        if self._p is None:
            e, _, total = self._parts
            self._p = self.backend.over_total(e, total, e)
        return self._p

    @lazy
    def log_p(self) -> Array:
        _, shift, _ = self._parts
        b = self.backend
        shifted = b.minus(self.x, shift)
        if not self.finite:
            shifted = b.maximum(shifted, -self.half_of_largest)
        return b.minus(shifted, self._log_total, shifted)

    @lazy
    def _rest(self) -> Array:
        """Σ p of all classes but one above SURE, (k, 1, m): what that one leaves of 1."""
        return self.backend.add_below(self.p, SURE)

    @lazy
    def q(self) -> Array:
        return self.backend.rest_of_one(self.p, self._rest, SURE)

    def overlap(self, reading: Reading) -> Array:
        if "overlap" not in reading.memory:
            reading.memory["overlap"] = super().overlap(reading)
            reading.memory["masks"] = True
        return reading.memory["overlap"]

    def sum_of_overlap(self, reading: Reading) -> Array:
        # p of the truth may be asked for, which the overlap is the parts of
        return reading.sum_where_target(self.overlap(reading))

    def true(self, reading: Reading) -> Array:
        if "true" not in reading.memory and self._has_masks(reading):
            # of a pixel, one class at most is not 0; who wants the overlap had it before
            b, overlap = self.backend, reading.memory.pop("overlap", None)
            if overlap is None:
                reading.memory["true"] = b.add_products(self.p, reading.truth)
            else:
                reading.memory["true"] = b.add_classes(overlap)
        return super().true(reading)

    def _has_masks(self, reading: Reading) -> bool:
        """Whether p of the truth is added over a mask of each class, not looked up."""
        if reading.labels is None or reading.looked_up:
            return False
        return "masks" in reading.memory or self.backend.prefers_masks(self.x)

    def sides_true(self, reading: Reading) -> tuple[Array, Array]:
        b, xp = self.backend, self.backend.xp
        self._fuse()
        if self._p is None and b.in_place and reading.looked_up:
            q = self._part_from_truth(reading)
            p = self.true(reading)
        else:
            p = self.true(reading)
            q = b.rest_of_one(p, self._rest, SURE)
        if self._true_above(SMALLEST, reading):
            return q, b.where_kept(b.cost_of_odds(q, self._true_or_one(reading)), reading.labelled)
        # the derivative of q/p divides by p twice
        some = p > DIVISOR
        near = b.cost_of_odds(q, xp.where(some, p, xp.ones_like(p)))
        return q, xp.where(some, near, self.cost_true(reading))

    def _part_from_truth(self, reading: Reading) -> Array:
        """1 − p of the truth, from the exponentials of the other classes; p is remembered."""
        b, (e, shift, _) = self.backend, self._parts
        own = reading.at_truth(e)
        others = b.put_at(e, reading.place, b.xp.zeros_like(own))
        rest = b.add_classes(others)
        total = rest + own
        self._parts = b.put_at(others, reading.place, own), shift, total
        reading.memory["true"] = b.over_total(own, total)
        return b.over_total(rest, total)

    def _true_or_one(self, reading: Reading) -> Array:
        """P of the truth, and 1 where a label is no class."""
        if reading.labelled is None:
            return self.true(reading)
        if "true or one" not in reading.memory:
            none = self.backend.complement(reading.labelled)
            reading.memory["true or one"] = self.backend.add_to(none, self.true(reading))
        return reading.memory["true or one"]

    def _true_above(self, limit: float, reading: Reading) -> bool:
        """Whether p of the truth is known to be above a limit wherever a label is a class."""
        b = self.backend
        if not (b.concrete(self.x) and b.on_host(self.x)):
            return False
        if "smallest" not in reading.memory:
            reading.memory["smallest"] = b.extent(self._true_or_one(reading))[0]
        return bool(reading.memory["smallest"] > limit)

    def cost_true(self, reading: Reading) -> Array:
        if self._has_masks(reading) and self._true_above(SMALLEST, reading):
            # of the digits of a small cost, p has as many as the sum of the exponentials
            cost = self.backend.cost_of(self._true_or_one(reading))
            return self.backend.where_kept(cost, reading.labelled)
        _, shift, _ = self._parts
        log_total = self._log_total
        cost = self.backend.cost_of_label(reading.at_truth(self.x), shift, log_total)
        # not by a product, which would turn infinite logits into NaN
        return self.backend.where_kept(cost, reading.labelled)

    def pull(self, reading: Reading, place: Array | None = None) -> Array:
        """Dz = p·(g − Σp·g − Σr) + r, with g the slope by p and r the slope by log p.

        From dp_c = p_c·(dz_c − Σ_k p_k·dz_k) and d log p_c = dz_c − Σ_k p_k·dz_k.
        """
        s, b = reading.slopes, self.backend
        if s.log_p is not None or reading.spread:
            return self._pull_dense(reading)
        slope = reading.slope_by_p
        if slope is None:
            return self._pull_truth(reading, place)
        if self._by_masks(reading):
            return weighted(self._pull_masks(slope, reading, place), reading)
        at_truth = self._log_slope(reading)
        truth = None if at_truth is None else reading.place
        return weighted(b.softmax_pull(self.p, slope, truth, at_truth, place), reading)

    def _by_masks(self, reading: Reading) -> bool:
        """Whether slopes by the truth are better pulled over a mask of each class."""
        by_truth = reading.slopes.p_true is not None or reading.slopes.log_p_true is not None
        return by_truth and self._has_masks(reading) and self._true_above(DIVISOR, reading)

    def _pull_truth(self, reading: Reading, place: Array | None) -> Array:
        """`pull` of slopes by the truth alone: one per pixel, which its weight is multiplied by."""
        b, at_truth = self.backend, self._log_slope(reading)
        assert at_truth is not None
        if reading.weight is not None:
            at_truth = b.multiply(reading.weight, at_truth)
        if self._by_masks(reading):
            return b.pull_masks(self.p, reading.truth, at_truth, place)
        x, share = self._p, at_truth
        if x is None:
            # one division per pixel, not per class
            x, _, total = self._parts
            share = b.over_total(at_truth, total)
        return b.pull_truth(x, share, reading.place, at_truth, place)

    def _log_slope(self, reading: Reading) -> Array | None:
        """The slope by log p of the truth."""
        s = reading.slopes
        if s.p_true is None:
            return s.log_p_true
        by_log = self.backend.multiply(s.p_true, self.true(reading))
        return by_log if s.log_p_true is None else self.backend.add_to(by_log, s.log_p_true)

    def _pull_masks(self, slope: Array, reading: Reading, place: Array | None) -> Array:
        """`pull` over a mask of each class, with the slopes by the truth among those by p.

        `slope` is that by p of all classes, (k, C, m), and may be used up.
        """
        s, b = reading.slopes, self.backend
        by_true = s.p_true
        if s.log_p_true is not None:
            by_true = summed(by_true, b.over_total(s.log_p_true, self._true_or_one(reading)))
        assert by_true is not None
        return b.softmax_pull(self.p, b.less(slope, reading.truth, -by_true), None, None, place)

    def _pull_dense(self, reading: Reading) -> Array:
        s, b, xp = reading.slopes, self.backend, self.backend.xp
        g, r = reading.slope_by_p, s.log_p
        if s.p_true is not None:
            g = b.add_at(_whole(g, self.p, xp), reading.place, s.p_true)
        if s.log_p_true is not None:
            r = b.add_at(_whole(r, self.p, xp), reading.place, s.log_p_true)
        spread = reading.spread
        if spread:
            g, r = (None if x is None else x * reading.weight for x in (g, r))
        if g is None:
            pulled = b.less(r, self.p, b.add_classes(r))
        else:
            mean = b.add_classes(b.multiply(self.p, g))
            if r is not None:
                mean = mean + b.add_classes(r)
            pulled = b.minus(g if g.shape == self.p.shape else _whole(g, self.p, xp), mean)
            pulled = b.multiply(pulled, self.p, pulled)
            pulled = pulled if r is None else b.add_to(pulled, r)
        return pulled if spread else weighted(pulled, reading)


def _whole(x: Array | None, like: Array, xp: Namespace) -> Array:
    """A new array of the shape of `like`, of `x` or zeros."""
    zero = xp.zeros_like(like)
    return zero if x is None else x + zero

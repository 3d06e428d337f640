"""The arithmetic of tiles, with the Array API standard alone.

An adapter overrides what its library does faster. Shapes: k samples, C classes and m pixels of a
tile, pixels last.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ._xp import Array, Dtype
from .histograms import Histograms

HUGE = 1e15
"""More than any cost that has a share in a gradient."""


class Kernels(Histograms):
    """What the activations, the readings and the losses compute with."""

    few_classes: ClassVar[int] = 0
    """Up to so many classes, regions are added over a mask of each class, not by look-ups."""

    one_exponential: ClassVar[bool] = True
    """Whether functions of a margin are better computed from one exponential than each alone."""

    group: ClassVar[int] = 1
    """How many numbers of up to 2 share a logarithm: a power of 2, up to 64, for 2^64 is finite."""
    many: ClassVar[int] = 1 << 12
    """The pixels from which on they do."""

    def multiply(self, x: Array, y: Array, place: Array | None = None) -> Array:
        """x·y, of which one has the shape of the product; it may be in `place`."""
        return x * y

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """A call's array in another shape."""
        return self.xp.reshape(x, shape)

    def equals(self, x: Array, value: int) -> Array:
        """Where `x` is an integer, which may lie outside its dtype."""
        xp = self.xp
        if self.isdtype(x, "bool"):
            return x if value == 1 else ~x if value == 0 else xp.zeros_like(x)
        if self.isdtype(x, "integral"):
            limits = xp.iinfo(x.dtype)
            if not limits.min <= value <= limits.max:
                return xp.zeros_like(x, dtype=xp.bool)
            return x == value
        return x == float(value)

    def equal(self, x: Array, value: int) -> Array:
        """1 where floats are an integer, else 0, in their dtype."""
        return self.xp.astype(x == float(value), x.dtype)

    def not_equal(self, labels: Array, label: int, dtype: Dtype) -> Array:
        """1 where labels are not a certain one, which may lie outside their dtype, else 0."""
        return self.numbers(~self.equals(labels, label), dtype)

    def somewhere(self, mask: Array | None) -> Array | None:
        """`mask`, or None if it is known to hold nowhere."""
        if mask is None or not (self.concrete(mask) and self.on_host(mask)):
            return mask
        return mask if bool(self.xp.any(mask)) else None

    def log1p(self, x: Array) -> Array:
        """log(1 + x) of finite numbers of at least 0."""
        return self.xp.log1p(x)

    def numbers(self, x: Array, dtype: Dtype) -> Array:
        """A tile of bools or numbers in a floating dtype."""
        return self.xp.astype(x, dtype, copy=False)

    def positive(self, x: Array) -> bool:
        """Whether a tile is known to be above 0 everywhere; False if that is not free to tell."""
        return False

    def blanked(self, x: Array, kept: Array) -> Array:
        """`x`, whose numbers are finite, where `kept` is 1, and 0 where it is 0."""
        # not −0
        return x * kept + 0.0

    def where_kept(self, x: Array, kept: Array | None) -> Array:
        """`x` where `kept` is 1, and 0 where it is 0, whatever x is there; None stands for 1."""
        if kept is None:
            return x
        return self.xp.where(kept > 0.5, x, self.xp.zeros_like(x))

    def is_hard(self, x: Array) -> bool:
        """Whether a tile is known to hold 0 and 1 only; False if that is not free to tell."""
        return False

    def contiguous(self, x: Array) -> Array:
        """`x` with its pixels adjacent in memory, where the library knows strides."""
        return x

    def maximum(self, x: Array, value: float) -> Array:
        """The larger of each element and a number."""
        return self.xp.maximum(x, self.constant(value, x))

    def minimum(self, x: Array, value: float) -> Array:
        """The smaller of each element and a number."""
        return self.xp.minimum(x, self.constant(value, x))

    def exponentials(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        """exp(z − shift), the shift, which is the maximum over axis 1, and the sum over axis 1.

        The first may be in `room`, which only a backend that `holds` is given.
        """
        xp = self.xp
        shift = xp.max(z, axis=1, keepdims=True)
        e = xp.exp(z - shift)
        return e, shift, self.add_classes(e)

    def softmax(self, z: Array, room: Array | None = None) -> Array | None:
        """The softmax over axis 1, where the library has it for less than its parts; else None.

        It may be in `room`, which only a backend that `holds` is given.
        """
        return None

    def over_total(self, x: Array, total: Array, place: Array | None = None) -> Array:
        """`x` over the sum that `exponentials` gives; of the exponentials, the softmax.

        The result may be in `place`, which may be x.
        """
        return x / total

    def log_total(self, total: Array) -> Array:
        """The logarithm of the sum that `exponentials` gives."""
        return self.xp.log(total)

    def cost_of(self, p: Array) -> Array:
        """−log p."""
        return -self.xp.log(p)

    def cost_of_label(self, at_label: Array, shift: Array, log_total: Array) -> Array:
        """−log softmax at the labels, from the logits there, which may be used up."""
        return log_total - (at_label - shift)

    def rest_of_one(self, p: Array, rest: Array, limit: float) -> Array:
        """1 − p, for which `rest` is taken where p is above a limit."""
        return self.xp.where(p > limit, rest, 1 - p)

    def cost_of_odds(self, q: Array, p: Array) -> Array:
        """−log p to full precision, of p with q = 1 − p."""
        return self.log1p(q / p)

    def add_below(self, p: Array, limit: float) -> Array:
        """Σ over the classes of the probabilities that are below `limit`."""
        return self.add_classes(self.xp.where(p < limit, p, self.xp.zeros_like(p)))

    def sigmoid(self, z: Array, room: Array | None = None) -> tuple[Array, Array | None]:
        """The sigmoid, and what `sigmoid_pull` is spared work by, which is in `room` if given.

        The sigmoid may be in `room` too, which only a backend that `holds` is given.
        """
        # written so that all derivatives are right at 0 too
        xp, above = self.xp, z > 0
        e = xp.exp(xp.where(above, -z, z))
        return xp.where(above, xp.ones_like(e), e) / (1 + e), e

    def sigmoid_pull(
        self,
        z: Array,
        slope: Array | None,
        kept: Array | None = None,
        place: Array | None = None,
    ) -> Array:
        """slope·p·(1 − p) of the sigmoid p, to full precision on both sides; None is 1.

        `kept` is what `sigmoid` gives beside the sigmoid. The result may be in `place`, which may
        be `kept`, or where the slope was.
        """
        assert kept is not None
        pulled = kept / ((1 + kept) * (1 + kept))
        return pulled if slope is None else slope * pulled

    def complement(self, x: Array) -> Array:
        """1 − x."""
        return 1 - x

    def distance(self, x: Array, y: Array) -> Array:
        """abs(x − y), of arrays of one shape."""
        return self.xp.abs(x - y)

    def signed(self, t: Array) -> Array:
        """2t − 1."""
        return 2 * t - 1

    def against(self, t: Array) -> Array:
        """1 − 2t."""
        return 1 - 2 * t

    def chosen(
        self, x: Array, truth: Array, one: float, zero: float, place: Array | None = None
    ) -> Array | None:
        """`x` times `one` where a hard target is 1, and times `zero` where it is 0.

        None where that is not to be had in fewer steps than its parts. It may be in `place`, which
        may be x.
        """
        return None

    def bent(self, kept: Array) -> Array | None:
        """exp(−abs(z)), from what `sigmoid` gives beside the sigmoid; None if that is no help."""
        return kept

    def cost_of_margin(
        self, margin: Array, bent: Array | None = None
    ) -> tuple[Array, Array | None]:
        """−log of the sigmoid to full precision on both sides, and what `miss` is spared work by.

        `bent` is exp(−abs(margin)), if it is known.
        """
        xp, above = self.xp, margin > 0
        # written so that all derivatives are right at 0 too
        e = xp.exp(xp.where(above, -margin, margin)) if bent is None else bent
        return xp.where(above, xp.zeros_like(margin), -margin) + self.log1p(e), e

    def bend(self, x: Array) -> Array:
        """exp(−abs(x))."""
        # written so that all derivatives are right at 0 too
        return self.xp.exp(self.xp.where(x > 0, -x, x))

    def sum_cost_of_margin(
        self, margin: Array, bent: Array | None, dtype: Dtype
    ) -> tuple[Array, Array | None]:
        """Σ over the pixels of what `cost_of_margin` gives, (k, C), and the same beside it."""
        e = self.bend(margin) if bent is None else bent
        far = self.sum_pixels(self.minimum(margin, 0.0), None, dtype)
        return self.sum_of_logs(e, dtype) - far, e

    def sum_of_logs(self, x: Array, dtype: Dtype, most: float = 1.0) -> Array:
        """Σ log(1 + x) over the pixels, (k, C), of numbers in [0, most].

        Numbers are joined before, as (1 + a)(1 + b) = 1 + (a + b + ab), where small ones keep
        their digits.
        """
        group = self.group if x.shape[-1] >= self.many else 1
        if group > 1:
            largest = math.log2(float(self.xp.finfo(x.dtype).max))
            while group * math.log2(1 + most) >= largest:
                group //= 2
        count = x.shape[-1] // group
        joined, rest = x, None
        if count * group < x.shape[-1]:
            joined, rest = x[..., : count * group], x[..., count * group :]
        joined = self.joined(joined, count)
        total = self.sum_pixels(self.log1p(joined), None, dtype)
        if rest is None:
            return total
        return total + self.sum_pixels(self.log1p(rest), None, dtype)

    def joined(self, x: Array, count: int) -> Array:
        """The products of 1 + x, less 1: halves along the last axis until so many are left."""
        while x.shape[-1] > count:
            half = x.shape[-1] // 2
            a, b = x[..., :half], x[..., half:]
            x = a + b + a * b
        return x

    def miss(self, margin: Array, kept: Array | None) -> Array:
        """The sigmoid of −margin; `kept` is what `cost_of_margin` gives, if it is known."""
        if kept is None:
            return self.sigmoid(-margin)[0]
        return self.xp.where(margin > 0, kept, self.xp.ones_like(kept)) / (1 + kept)

    def log_sides(self, z: Array, bent: Array | None = None) -> tuple[Array, Array]:
        """The logarithms of the sigmoid of finite logits and of 1 minus it.

        `bent` is exp(−abs(z)), if it is known.
        """
        # −log of the larger side is shared; written so that all derivatives are right at 0 too
        xp = self.xp
        above, zero = z > 0, xp.zeros_like(z)
        cost = self.log1p(xp.exp(xp.where(above, -z, z)) if bent is None else bent)
        return xp.where(above, zero, z) - cost, xp.where(above, -z, zero) - cost

    def cost_of_both(self, z: Array, t: Array, bent: Array | None = None) -> Array:
        """−t·log p − (1 − t)·log(1 − p) of finite logits and a target in [0, 1], exact at its ends.

        `bent` is exp(−abs(z)), if it is known.
        """
        return self.beyond(z, t) + self.log1p(self.bend(z) if bent is None else bent)

    def sum_cost_of_both(self, z: Array, t: Array, bent: Array | None, dtype: Dtype) -> Array:
        """Σ over the pixels of what `cost_of_both` gives, (k, C)."""
        if self.group == 1:
            return self.sum_pixels(self.cost_of_both(z, t, bent), None, dtype)
        e = self.bend(z) if bent is None else bent
        return self.sum_pixels(self.beyond(z, t), None, dtype) + self.sum_of_logs(e, dtype)

    def pull_both(
        self, z: Array, t: Array, scale: Array, place: Array | None = None
    ) -> Array | None:
        """What `slope_of_both` gives, where the library has it for less from z itself; else None.

        It may be in `place`.
        """
        return None

    def beyond(self, z: Array, t: Array) -> Array:
        """The larger of z and 0, less t·z."""
        return (self.numbers(z > 0, z.dtype) - t) * z

    def slope_of_both(self, p: Array, q: Array, t: Array, scale: Array) -> Array:
        """scale·(p·(1 − t) − q·t), the derivative of `cost_of_both` by z; q = 1 − p."""
        return scale * (p * (1 - t) - q * t)

    def pull_cost(
        self, margin: Array, slope: Array, kept: Array | None, place: Array | None = None
    ) -> Array:
        """slope·sigmoid(−margin), as `miss` gives it.

        The result may be in `place`, or where the slope was.
        """
        return self.miss(margin, kept) * slope

    def odds(self, away: Array) -> Array:
        """exp(away), up to the `largest_odds`."""
        # not bounded after, for some libraries warn where an exponential overflows
        return self.xp.exp(self.minimum(away, math.log(self.largest_odds(away))))

    def odds_against(
        self, x: Array, truth: Array, room: Array | None = None
    ) -> tuple[Array, float]:
        """exp((1 − 2t)·x) of a hard target, up to the `largest_odds`, and at least their largest.

        It may be in `room`, which only a backend that `holds` is given.
        """
        odds = self.odds(self.against(truth) * x)
        return odds, self.largest_odds(odds)

    def largest_odds(self, like: Array) -> float:
        """The largest number whose inverse has all its digits."""
        return 1 / float(self.xp.finfo(like.dtype).smallest_normal)

    def inverse_of_odds(self, odds: Array) -> Array:
        """1/(1 + odds), the probability that `odds` are against."""
        return 1 / (1 + odds)

    def share_of_odds(self, odds: Array, place: Array | None = None) -> Array:
        """odds/(1 + odds); it may be in `place`, where the odds may be."""
        return odds / (1 + odds)

    def cost_of_away(self, away: Array, odds: Array) -> Array:
        """−log of the sigmoid of −away, which may be used up, to full precision on both sides."""
        return self.xp.maximum(self.log1p(odds), away)

    def sides_of_away(self, away: Array) -> tuple[Array, Array, Array]:
        """Of the side that `away` is the logit against: p, 1 − p, −log p. It may be used up."""
        odds = self.odds(away)
        p, cost = self.inverse_of_odds(odds), self.cost_of_away(away, odds)
        return p, self.multiply(odds, p, odds), cost

    def focal_of_away(self, away: Array, focus: float) -> tuple[Array, Array]:
        """F = q^γ·c of the side that `away` is the logit against, and F's derivative by `away`.

        With p, q = 1 − p and c = −log p of that side: dF = q^γ·(q + γ·p·c). `away` may be used up.
        """
        return self._focal(*self.sides_of_away(away), focus)

    def focal_of_odds(self, odds: Array, cost: Array, focus: float) -> tuple[Array, Array]:
        """The same from the odds against a side, and its c; both may be used up."""
        p = self.inverse_of_odds(odds)
        return self._focal(p, self.multiply(odds, p, odds), cost, focus)

    def _focal(self, p: Array, q: Array, cost: Array, focus: float) -> tuple[Array, Array]:
        """F and its derivative from p, 1 − p and −log p, which may be used up."""
        power = q * q if focus == 2.0 else self.power(q, focus)
        # an infinite cost, whose p is 0, adds 0 to the slope
        return power * cost, power * (q + focus * (p * self.minimum(cost, HUGE)))

    def power(self, q: Array, exponent: float) -> Array:
        """Q^exponent of numbers in [0, 1], with an exponent above 0."""
        return q**exponent

    def flat_power(self, q: Array, exponent: float) -> Array:
        """The same with a derivative of 0 towards q = 0, where that of a root is infinite."""
        xp = self.xp
        some = q > float(xp.finfo(q.dtype).smallest_normal)
        return xp.where(some, xp.where(some, q, xp.ones_like(q)) ** exponent, xp.zeros_like(q))

    def less(self, x: Array | None, y: Array, z: Array) -> Array:
        """X − y·z in the shape of y, with 0 for None; x may be used up if it has that shape."""
        return -(y * z) if x is None else x - y * z

    def line(self, slope: Array, x: Array, start: Array) -> Array:
        """Start + slope·x, in the shape of x."""
        return start + slope * x

    def times_line(
        self, x: Array, slope: Array, truth: Array, start: Array, place: Array | None = None
    ) -> Array:
        """`x` times what `line` gives of a hard target; it may be in `place`, which may be x."""
        return self.multiply(x, self.line(slope, truth, start), place)

    def add_to(self, x: Array, y: Array) -> Array:
        """The sum of x and y in the shape of x, which may be used up."""
        return x + y

    def softmax_pull(
        self,
        p: Array,
        slope: Array,
        truth: Any,
        at_truth: Array | None,
        place: Array | None = None,
    ) -> Array:
        """p·(slope − Σp·slope − u) + onehot·u, with `slope` (k|1, C, m|1).

        u is `at_truth`, (k, 1, m). The result may be in `place`, which may be p; a slope of each
        pixel may be used up.
        """
        mean = self.add_classes(p * slope)
        pulled = p * (slope - (mean if at_truth is None else mean + at_truth))
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def pull_truth(
        self, x: Array, share: Array, truth: Any, at_truth: Array, place: Array | None = None
    ) -> Array:
        """onehot·u − x·share, of `x` (k, C, m), `share` and u, `at_truth`, (k, 1, m).

        The result may be in `place`, which may be x.
        """
        return self.add_at(-x * share, truth, at_truth)

    def prefers_masks(self, x: Array) -> bool:
        """Whether of few classes, p of the truth too is added over masks, not looked up."""
        return False

    def pull_masks(
        self, p: Array, truth: Array, at_truth: Any, place: Array | None = None
    ) -> Array:
        """(truth − p)·u, with a `truth` of 0 and 1 and u, `at_truth`, (k, 1, m)."""
        return (truth - p) * at_truth

    def one_hot(self, labels: Array, classes: int, dtype: Dtype) -> Array:
        """(k, C, m) from labels (k, 1, m); a label that is no class has no one."""
        index = self.xp.arange(classes, dtype=labels.dtype, device=self.device(labels))
        return self.xp.astype(labels == index[None, :, None], dtype, copy=False)

    def locate(self, labels: Array, classes: int, labelled: Array | None) -> Any:
        """The place of each pixel's label (k, 1, m), as the methods below take it: a mask.

        `labelled` is 1 where a label is a class, else 0; None stands for 1.
        """
        return self.one_hot(labels, classes, self.xp.bool)

    def take_at(self, x: Array, truth: Any) -> Array:
        """`x` (k|1, C, m|1) at each pixel's label, (k, 1, m); 0 where the label is no class."""
        return self.add_classes(self.xp.where(truth, x, self.xp.zeros_like(x)))

    def add_at(self, x: Array, truth: Any, values: Array) -> Array:
        """`x` (k, C, m) plus `values` (k, 1, m) at each pixel's label; `x` may be reused."""
        return x + self.xp.astype(truth, x.dtype) * values

    def copied(self, x: Array) -> Array:
        """`x`, or a copy of it where `put_at` works in place."""
        return x

    def put_at(self, x: Array, truth: Any, values: Array) -> Array:
        """`x` (k, C, m) with `values` (k, 1, m) at each pixel's label; `x` may be reused."""
        return self.xp.where(truth, values, x)

    def sum_classes(self, values: Array, truth: Any, classes: int, dtype: Dtype) -> Array:
        """Σ values (k, 1, m) of the pixels of each label, (k, C)."""
        # not by a product, which infinite values would spoil for all classes
        return self.add_pixels(self.xp.where(truth, values, self.xp.zeros_like(values)), dtype)

    def count_classes(self, truth: Any, classes: int) -> Array:
        """The number of pixels of each label, (k, C), in integers."""
        dtype = self.index_dtype()
        return self.xp.sum(self.xp.astype(truth, dtype), axis=-1, dtype=dtype)

    def sum_pixels(self, x: Array, weight: Array | None, dtype: Dtype) -> Array:
        """Σ weight·x over the pixels: (k, C) from (k, C, m) and a weight (k, 1|C, m)."""
        return self.add_pixels(x if weight is None else x * weight, dtype)

    def add_pixels(self, x: Array, dtype: Dtype) -> Array:
        """Σ over the last axis."""
        return self.xp.sum(x, axis=-1, dtype=dtype)

    def add_all(self, x: Array) -> Array:
        """Σ over all axes, 0-d."""
        return self.xp.sum(x, dtype=x.dtype)

    def add_classes(self, x: Array) -> Array:
        """Σ over the classes, axis 1 of 2 or 3, which is kept."""
        return self.xp.sum(x, axis=1, keepdims=True, dtype=x.dtype)

    def minus(self, x: Array, y: Array, place: Array | None = None) -> Array:
        """The difference of x and y in the shape of x; it may be in `place`, which may be x."""
        return x - y

    def lesser(self, x: Array, y: Array) -> Array:
        """The smaller of each element of two arrays."""
        return self.xp.minimum(x, y)

    def rise_of_lesser(self, p: Array, t: Array) -> Array:
        """The derivative of min(p, t) by p: 1 below t, 0 above, and t where they are equal."""
        xp = self.xp
        return xp.where(p < t, xp.ones_like(t), xp.where(p > t, xp.zeros_like(t), t))

    def add_products(self, x: Array, y: Array) -> Array:
        """Σ x·y over the classes, axis 1, which is kept."""
        return self.add_classes(x * y)

    def hinge(self, z: Array, t: Array) -> Array:
        """The hinge errors max(0, 1 − (2t − 1)·z)."""
        return self.maximum(1 - self.signed(t) * z, 0.0)

"""The arithmetic of tiles in torch without a graph: in place."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar

import torch

from .._xp import Array, Dtype
from ..histograms import ABOVE_ONE, TINY
from ..kernels import HUGE, Kernels
from ._torch_lookups import EagerLookUps

# of what elu() gave, which is what `is_result` says, its derivative asks for the sign only
_CHOOSE = torch.ops.aten.elu_backward.grad_input
_PULL_SOFTMAX = torch.ops.aten._softmax_backward_data.out  # noqa: SLF001
_EXACT = 1 << 24
"""Up to it float32 has all integers, and what is above does not round to one below."""
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
_number = lru_cache(maxsize=64)(torch.tensor)
"""A number as a tensor: making one anew costs more than adding two short arrays."""

LOG2_E = math.log2(math.e)
"""For exp2 in place of exp, a third of whose time it takes; it rounds x, and errs by abs(x) ulp."""


class EagerKernels(EagerLookUps):
    """What is computed in place."""

    few_classes = 6
    fused_classes: ClassVar[int] = 6
    """Up to so many classes, torch's softmax of what is in one piece is faster than its parts."""
    one_exponential = True
    group = 8
    many = 1 << 18

    def prefers_masks(self, x: Array) -> bool:
        return bool(x.is_contiguous())

    def constant(self, values: Any, like: Array) -> Array:
        if isinstance(values, float):
            return _number(values, dtype=like.dtype, device=like.device)
        return super().constant(values, like)

    def exponentials(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = torch.amax(z, 1, keepdim=True, out=self._fresh(z[:, :1]))
        power = torch.sub(z, shift, out=self._fresh(z) if room is None else room)
        e = self._exp(power, power)
        return e, shift, torch.sum(e, 1, keepdim=True, out=self._fresh(shift))

    def softmax(self, z: Array, room: Array | None = None) -> Array | None:
        if z.shape[1] > self.fused_classes or not _in_one_piece(z, z if room is None else room):
            return None
        return torch.softmax(z, 1, out=self._fresh(z) if room is None else room)

    def over_total(self, x: Array, total: Array, place: Array | None = None) -> Array:
        return torch.div(x, total, out=self._fresh(x) if place is None else place)

    def _exp(self, x: Array, place: Array) -> Array:
        """exp(x), in `place`, which may be x."""
        return torch.mul(x, LOG2_E, out=place).exp2_()

    def log_total(self, total: Array) -> Array:
        # of a total of at least 1; log1p() takes two thirds of the time of log()
        return torch.sub(total, self.constant(1.0, total), out=self._fresh(total)).log1p_()

    def maximum(self, x: Array, value: float) -> Array:
        return torch.clamp(x, min=value, out=self._fresh(x))

    def minimum(self, x: Array, value: float) -> Array:
        return torch.clamp(x, max=value, out=self._fresh(x))

    def minus(self, x: Array, y: Array, place: Array | None = None) -> Array:
        return torch.sub(x, y, out=self._fresh(x) if place is None else place)

    def lesser(self, x: Array, y: Array) -> Array:
        return torch.minimum(x, y, out=self._fresh(x))

    def power(self, q: Array, exponent: float) -> Array:
        return torch.pow(q, exponent, out=self._fresh(q))

    def log1p(self, x: Array) -> Array:
        return torch.log1p(x, out=self._fresh(x))

    def cost_of(self, p: Array) -> Array:
        return torch.log(p, out=self._fresh(p)).neg_()

    def cost_of_label(self, at_label: Array, shift: Array, log_total: Array) -> Array:
        return torch.sub(log_total, at_label.sub_(shift), out=at_label)

    def softmax_pull(
        self,
        p: Array,
        slope: Array,
        truth: Any,
        at_truth: Array | None,
        place: Array | None = None,
    ) -> Array:
        apart, whole = slope.shape[2] > 1, slope.shape == p.shape
        if whole and at_truth is None and _in_one_piece(p, slope, p if place is None else place):
            out = self._fresh(p) if place is None else place
            return _PULL_SOFTMAX(slope, p, 1, p.dtype, grad_input=out)
        if apart or not self.on_host(p) or torch.is_autocast_enabled(p.device.type):
            # a product of matrices may be one of few digits
            held = self.multiply(p, slope, slope if apart and whole else None)
            mean = torch.sum(held, 1, keepdim=True, out=self._fresh(p[:, :1]))
        else:
            held = self._fresh(p)
            mean = torch.matmul(slope.permute(0, 2, 1), p, out=self._fresh(p[:, :1]))
        mean = mean if at_truth is None else mean.add_(at_truth)
        if apart:
            pulled = torch.addcmul(held, p, mean, value=-1, out=held if place is None else place)
        else:
            pulled = torch.sub(slope, mean, out=held)
            pulled = torch.mul(p, pulled, out=pulled if place is None else place)
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def pull_truth(
        self, x: Array, share: Array, truth: Any, at_truth: Array, place: Array | None = None
    ) -> Array:
        less = torch.neg(share, out=self._fresh(share))
        pulled = torch.mul(x, less, out=self._fresh(x) if place is None else place)
        return self.add_at(pulled, truth, at_truth)

    def pull_masks(
        self, p: Array, truth: Array, at_truth: Any, place: Array | None = None
    ) -> Array:
        pulled = torch.sub(truth, p, out=self._fresh(p) if place is None else place)
        return pulled.mul_(at_truth)

    def numbers(self, x: Array, dtype: Dtype) -> Array:
        # bools convert four times faster as bytes
        return self.cast(x.view(torch.uint8) if x.dtype == torch.bool else x, dtype)

    def one_hot(self, labels: Array, classes: int, dtype: Dtype) -> Array:
        if not dtype.is_floating_point:
            return super().one_hot(labels, classes, dtype)
        # numbers of one dtype are compared, and written, four times as fast
        index = torch.arange(classes, dtype=dtype, device=labels.device)[:, None]
        out = self._fresh(labels.expand((-1, classes, -1)), dtype)
        return torch.eq(self.cast(labels, dtype), index, out=out)

    def extent(self, x: Array) -> tuple[float, float]:
        if not x.is_floating_point() and x.is_contiguous():
            return super().extent(x)
        # of what is not in one piece, both at once take twice as long
        return float(torch.amin(x)), float(torch.amax(x))

    def equal(self, x: Array, value: int) -> Array:
        # numbers of one dtype are compared, and written, four times as fast
        return torch.eq(x, float(value), out=self._fresh(x))

    def not_equal(self, labels: Array, label: int, dtype: Dtype) -> Array:
        if abs(label) >= _EXACT:
            return super().not_equal(labels, label, dtype)
        # numbers of one dtype are compared, and written, four times as fast
        held = self.cast(labels, dtype)
        return torch.ne(held, float(label), out=self._fresh(held))

    def equals(self, x: Array, value: int) -> Array:
        if x.dtype not in _BITS or not self.on_host(x):
            return super().equals(x, value)
        return self.equal(x, value).to(torch.bool)

    def positive(self, x: Array) -> bool:
        # comparing takes five times as long
        return self.on_host(x) and x.is_floating_point() and bool(torch.amin(x) > 0)

    def blanked(self, x: Array, kept: Array) -> Array:
        return torch.addcmul(self.constant(0.0, x), x, kept, out=self._fresh(x))

    def is_hard(self, x: Array) -> bool:
        if not self.on_host(x):
            return False
        # t − t² is 0 everywhere; of integers, the smallest and largest are found twice as fast
        rest = torch.addcmul(x, x, x, value=-1, out=self._fresh(x))
        low, high = self.extent(rest.view(_BITS[rest.dtype]))
        return low == 0 == high

    def rest_of_one(self, p: Array, rest: Array, limit: float) -> Array:
        q = torch.sub(p.new_ones(()), p, out=self._fresh(p))
        return torch.lerp(q, rest, torch.gt(p, limit, out=self._fresh(p)), out=q)

    def cost_of_odds(self, q: Array, p: Array) -> Array:
        return torch.div(q, p, out=self._fresh(q)).log1p_()

    def add_below(self, p: Array, limit: float) -> Array:
        # on a CPU, where() costs as much as three exponentials
        def below(x: Array, place: Array) -> Array:
            return torch.ops.aten.hardtanh_backward.grad_input(x, x, -1.0, limit, grad_input=place)

        if p.shape[1] > self.few_classes:
            return self.add_classes(below(p, self._fresh(p)))
        # class by class, without an array for all of them
        first, *others = p.unsafe_split(1, 1)
        total = below(first, self._fresh(first))
        room = self._fresh(first) if others else total
        for x in others:
            total.add_(below(x, room))
        return total

    def add_products(self, x: Array, y: Array) -> Array:
        # class by class, without an array for all of them
        total = self._fresh(x[:, :1]).zero_()
        for own, other in zip(x.unsafe_split(1, 1), y.unsafe_split(1, 1), strict=True):
            torch.addcmul(total, own, other, out=total)
        return total

    def bent(self, kept: Array) -> Array | None:
        # what is kept is p: the exponential is to be had for less anew
        return None

    def bend(self, x: Array) -> Array:
        return torch.abs(x, out=self._fresh(x)).mul_(-LOG2_E).exp2_()

    def joined(self, x: Array, count: int) -> Array:
        # in one array of a tile's size, which is found again: halves, beside them quarters
        room, start = self._fresh(x) if x.shape[-1] > count else x, 0
        while x.shape[-1] > count:
            a, b = x.chunk(2, -1)
            x = room.narrow(-1, start, a.shape[-1])
            torch.addcmul(torch.add(a, b, out=x), a, b, out=x)
            start += a.shape[-1]
        return x

    def cost_of_margin(
        self, margin: Array, bent: Array | None = None
    ) -> tuple[Array, Array | None]:
        cost, e = self._fresh(margin), self._fresh(margin)
        torch.ops.aten.log_sigmoid_forward.output(margin, output=cost, buffer=e)
        return torch.sub(self.constant(0.0, cost), cost, out=cost), e

    def log_sides(self, z: Array, bent: Array | None = None) -> tuple[Array, Array]:
        # nothing here is differentiated; on a CPU, where() costs as much as three exponentials
        cost, _ = self.cost_of_margin(torch.abs(z, out=self._fresh(z)), bent)
        lower, upper = (torch.clamp(x, max=0, out=self._fresh(z)) for x in (z, -z))
        return lower.sub_(cost), upper.sub_(cost)

    def beyond(self, z: Array, t: Array) -> Array:
        return torch.gt(z, 0.0, out=self._fresh(z)).sub_(t).mul_(z)

    def sum_cost_of_both(self, z: Array, t: Array, bent: Array | None, dtype: Dtype) -> Array:
        # not as compilers want it
        return Kernels.sum_cost_of_both(self, z, t, bent, dtype)

    def pull_both(
        self, z: Array, t: Array, scale: Array, place: Array | None = None
    ) -> Array | None:
        place = self._fresh(z) if place is None else place
        # the sigmoids of both sides, times the factor; 1 from 40 on
        sigmoid = torch.ops.aten.softplus_backward.grad_input
        q = sigmoid(-scale, z, -1, 40, grad_input=self._fresh(z))
        # exact at both ends
        return torch.lerp(sigmoid(scale, z, 1, 40, grad_input=place), q, t, out=place)

    def rise_of_lesser(self, p: Array, t: Array) -> Array:
        # on a CPU, where() costs as much as three exponentials
        same = torch.eq(p, t, out=self._fresh(p))
        return torch.lt(p, t, out=self._fresh(p)).addcmul_(t, same)

    def miss(self, margin: Array, kept: Array | None) -> Array:
        return self.pull_cost(margin, self.constant(1.0, margin), kept)

    def pull_cost(
        self, margin: Array, slope: Array, kept: Array | None, place: Array | None = None
    ) -> Array:
        if place is None:
            place = slope if slope.shape == margin.shape else self._fresh(margin)
        if kept is None:
            # with beta of the other sign, the sigmoid of −margin: 1 from −40 on
            return torch.ops.aten.softplus_backward.grad_input(
                slope, margin, -1, 40, grad_input=place
            )
        return torch.ops.aten.log_sigmoid_backward.grad_input(slope, margin, kept, grad_input=place)

    def odds(self, away: Array) -> Array:
        return self._exp(away, self._fresh(away)).clamp_(max=self.largest_odds(away))

    def odds_against(
        self, x: Array, truth: Array, room: Array | None = None
    ) -> tuple[Array, float]:
        # the factor that exp2() needs, with the sign in one step
        odds = self.chosen(x, truth, -LOG2_E, LOG2_E, room)
        assert odds is not None
        most, limit = float(torch.amax(odds.exp2_())), self.largest_odds(odds)
        if most < limit:
            return odds, most
        return odds.clamp_(max=limit), limit

    def share_of_odds(self, odds: Array, place: Array | None = None) -> Array:
        whole = torch.add(self.constant(1.0, odds), odds, out=self._fresh(odds))
        return torch.div(odds, whole, out=whole if place is None else place)

    def inverse_of_odds(self, odds: Array) -> Array:
        return torch.add(self.constant(1.0, odds), odds, out=self._fresh(odds)).reciprocal_()

    def cost_of_away(self, away: Array, odds: Array) -> Array:
        cost = torch.log1p(odds, out=self._fresh(odds))
        return torch.maximum(cost, away, out=away)

    def _focal(self, p: Array, q: Array, cost: Array, focus: float) -> tuple[Array, Array]:
        # an infinite cost, whose p is 0, adds 0 to the slope; as does one above HUGE
        slope = torch.ops.aten.hardtanh_backward.grad_input(
            p.mul_(cost), cost, -1.0, HUGE, grad_input=p
        )
        torch.add(q, slope, alpha=focus, out=slope)
        power = q.pow_(focus)
        return cost.mul_(power), slope.mul_(power)

    def less(self, x: Array | None, y: Array, z: Array) -> Array:
        if x is None:
            return torch.mul(y, -z, out=self._fresh(y))
        return torch.addcmul(x, y, z, value=-1, out=x if x.shape == y.shape else self._fresh(y))

    def chosen(
        self, x: Array, truth: Array, one: float, zero: float, place: Array | None = None
    ) -> Array | None:
        # where a target of 1 counts by nothing, or as good as that, the parts are as right
        if not 1e-30 < abs(one) < 1e30:
            return None
        # x times `one` where truth is above 0, else times zero·(truth ± 1), of the sign of `one`
        sign, out = math.copysign(1.0, one), self._fresh(x) if place is None else place
        return _CHOOSE(x, 1 / abs(one), one, zero * sign, True, truth, grad_input=out)

    def times_line(
        self, x: Array, slope: Array, truth: Array, start: Array, place: Array | None = None
    ) -> Array:
        if slope.numel() == 1 and self.on_host(slope):
            zero = float(start)
            chosen = self.chosen(x, truth, zero + float(slope), zero, place)
            if chosen is not None:
                return chosen
        return super().times_line(x, slope, truth, start, place)

    def line(self, slope: Array, x: Array, start: Array) -> Array:
        if slope.numel() > 1 or not self.on_host(slope):
            return torch.mul(x, slope, out=self._fresh(x)).add_(start)
        return torch.add(start, x, alpha=float(slope), out=self._fresh(x))

    def add_to(self, x: Array, y: Array) -> Array:
        return x.add_(y)

    def sigmoid(self, z: Array, room: Array | None = None) -> tuple[Array, Array | None]:
        p = torch.sigmoid(z, out=self._fresh(z) if room is None else room)
        return p, p

    def sigmoid_pull(
        self,
        z: Array,
        slope: Array | None,
        kept: Array | None = None,
        place: Array | None = None,
    ) -> Array:
        assert kept is not None
        if slope is None:
            return self.pull_cost(z, kept, None, self._fresh(z) if place is None else place)
        by_p = self.multiply(kept, slope, slope if slope.shape == z.shape else None)
        return self.pull_cost(z, by_p, None, place)

    def add_classes(self, x: Array) -> Array:
        return torch.sum(x, 1, keepdim=True, out=self._fresh(x[:, :1]))

    def complement(self, x: Array) -> Array:
        return torch.sub(self.constant(1.0, x), x, out=self._fresh(x))

    def distance(self, x: Array, y: Array) -> Array:
        return torch.sub(x, y, out=self._fresh(x)).abs_()

    def signed(self, t: Array) -> Array:
        return torch.add(self.constant(-1.0, t), t, alpha=2, out=self._fresh(t))

    def against(self, t: Array) -> Array:
        return torch.add(self.constant(1.0, t), t, alpha=-2, out=self._fresh(t))

    def place_errors(
        self,
        errors: Array,
        bins: int,
        hinge: bool,
        truth: Array | None = None,
        room: Array | None = None,
    ) -> Array:
        root = self._fresh(errors) if room is None else room
        tiny, above = self.constant(TINY, root), self.constant(ABOVE_ONE, root)
        if hinge:
            torch.add(errors, tiny, out=root)
        else:
            torch.addcdiv(tiny, errors, torch.sub(above, errors, out=root), out=root)
        # rounded as elsewhere, for the place of a mean error is that of its pixels
        most = self.constant(float(bins - 1), root)
        place = torch.div(most, root.sqrt_().add_(1), out=root)
        return place if truth is None else place.add_(truth, alpha=bins)

    def hinge(self, z: Array, t: Array) -> Array:
        signed = self.signed(t)
        return torch.addcmul(z.new_ones(()), signed, z, value=-1, out=signed).relu_()

    def whole_part(self, x: Array, most: int) -> Array:
        # a number becomes an int32, and then an int64, in half the time of one step
        return self._converted(x, torch.int32).clamp_(0, most)

    def within(self, place: Array) -> Array:
        return place.frac_()

    def sum_pixels(self, x: Array, weight: Array | None, dtype: Dtype) -> Array:
        # the float32 sum over adjacent pixels is a cascade: its error does not grow with them
        return torch.sum(x if weight is None else self.multiply(x, weight), -1)


def _in_one_piece(*arrays: Array) -> bool:
    """Whether the elements of each are adjacent in memory."""
    return all(x.is_contiguous() for x in arrays)

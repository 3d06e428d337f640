"""Errors in bins and the look-up of what is known of a bin, with the Array API standard alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._xp import Array, Dtype
from .library import Library

if TYPE_CHECKING:
    from .walk import Measured

ABOVE_ONE = 1 + 2.0**-23
"""The number after 1 in float32."""
TINY = 1e-33
"""Keeps square roots away from 0 and from denormal numbers, where some processors are slow; its
own, added to 1, is lost in float64 too."""


class Histograms(Library):
    """What a histogram of errors is made of and read by."""

    def place_errors(
        self,
        errors: Array,
        bins: int,
        hinge: bool,
        truth: Array | None = None,
        room: Array | None = None,
    ) -> Array:
        """The place of errors in [0, bins), or in [bins, 2·bins) where the truth is 1.

        It falls with the error, and goes by the square root of the odds e/(1 − e): the bins are
        fine near 0 and 1, where trained predictions are, and 2/bins wide at 1/2. The odds of a
        hinge error are the error itself, so that the bins cover [0, ∞]. The last bin is for
        errors of 0 alone. It may be in `room`.
        """
        odds = errors if hinge else errors / (ABOVE_ONE - errors)
        place = (bins - 1) / (self.xp.sqrt(odds + TINY) + 1)
        return place if truth is None else place + bins * truth

    def whole_part(self, x: Array, most: int) -> Array:
        """Numbers of at least 0 as integers of at most `most`; NaN as any of them."""
        xp = self.xp
        whole = xp.astype(x, self.index_dtype())
        return xp.clip(whole, 0, most)

    def within(self, place: Array) -> Array:
        """What is left of places, which may be used up, beyond their whole parts."""
        return place - self.xp.floor(place)

    def index_bins(self, place: Array, shape: tuple[int, ...]) -> Array:
        """Where places (k, C, m) are in an array (k|1, C, 2, bins), flat.

        It is for `histogram` and `look_up_lines`, and may be `place` itself, still to be rounded.
        """
        samples, classes, sides, bins = shape
        both = sides * bins
        index = self.whole_part(place, both - 1)
        if both * classes * samples >= 1 << 31:
            index = self.cast(index, self.xp.int64)
        if classes > 1:
            index += self._steps(classes, both, index, (1, -1, 1))
        if samples > 1:
            index += self._steps(samples, both * classes, index, (-1, 1, 1))
        return index

    def leave_out(self, index: Array, weight: Array, end: int) -> Array:
        """`index`, which may be used up, or at least `end` where a weight is 0."""
        xp = self.xp
        return xp.where(weight > 0, index, xp.full_like(index, end))

    def _steps(self, count: int, step: int, like: Array, shape: tuple[int, ...]) -> Array:
        """0, step, and so on, `count` of them, in `shape`."""
        xp, device = self.xp, self.device(like)
        return xp.reshape(xp.arange(0, count * step, step, dtype=like.dtype, device=device), shape)

    def histogram(
        self,
        index: Array,
        values: Array,
        weight: Array | None,
        shape: tuple[int, ...],
        held: Measured | None,
        dtype: Dtype,
    ) -> Measured:
        """The number (or Σ weight) and Σ weight·values of each index, of `shape`, plus `held`.

        Numbers have the dtype that `count_dtype` says. An index, as `index_bins` gives it, may be
        one past the end, and counts nowhere; the values may be used up. By the standard alone:
        the values are sorted by index, and running sums differenced.
        """
        xp, length = self.xp, math.prod(shape)
        flat = xp.reshape(index, (-1,))
        order = xp.argsort(flat)
        edges = xp.arange(length + 1, dtype=flat.dtype, device=self.device(flat))
        ends = xp.searchsorted(xp.take(flat, order), edges)
        value = xp.astype(xp.reshape(values, (-1,)), dtype)
        size = xp.astype(ends, self.count_dtype(dtype))
        if weight is not None:
            w = xp.astype(xp.reshape(xp.broadcast_to(weight, values.shape), (-1,)), dtype)
            value, size = value * w, self._running(xp.take(w, order), ends)
        # what is infinite is counted apart: it would spoil the differences after it
        beyond = value == math.inf
        total = self._running(xp.take(xp.where(beyond, 0.0, value), order), ends)
        many = self._running(xp.take(xp.astype(beyond, dtype), order), ends)
        size, total, many = (xp.reshape(x[1:] - x[:-1], shape) for x in (size, total, many))
        found = size, xp.where(many > 0, math.inf, total)
        return found if held is None else tuple(a + b for a, b in zip(held, found, strict=True))

    def united(self, held: Measured) -> Measured:
        """The histograms that the tiles of a run have come to: a backend may hold several."""
        return held

    def _running(self, x: Array, ends: Array) -> Array:
        """The sums of the first elements of `x`, as many as `ends` says."""
        xp = self.xp
        return xp.take(xp.concat([xp.zeros_like(x[:1]), self.running_sum(x)]), ends)

    def look_up_lines(self, lines: Array, index: Array, place: Array) -> Array:
        """Start + rise·w of the line of each flat index, of a table (..., 2) of both.

        w is what places, which may be used up, are beyond their whole parts.
        """
        xp, within = self.xp, self.within(place)
        found = xp.take(xp.reshape(lines, (-1, 2)), xp.reshape(index, (-1,)), axis=0)
        start, rise = (xp.reshape(found[:, side], index.shape) for side in (0, 1))
        return start + rise * within

    def sums_along(self, x: Array, dtype: Dtype | None = None) -> tuple[Array, Array]:
        """The sums of what is before each element of the last axis, and of that and the element.

        Neither is a difference: what is light beside all that came before keeps its digits.
        """
        xp, through = self.xp, self.running_sum(x, dtype)
        none = xp.zeros_like(through[..., :1])
        return xp.concat([none, through[..., :-1]], axis=-1), through

    def running_sum(self, x: Array, dtype: Dtype | None = None) -> Array:
        """The sums of the first elements along the last axis."""
        return self.xp.cumulative_sum(x, axis=-1, dtype=dtype)

    def unsort(self, x: Array, order: Array) -> Array:
        """`x` with element i of the last axis moved to place `order`[i]."""
        return self.xp.take_along_axis(x, self.xp.argsort(order, axis=-1), axis=-1)

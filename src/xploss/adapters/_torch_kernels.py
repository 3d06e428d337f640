"""The arithmetic of tiles in torch without a graph: in place, in memory that is found again."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .._xp import Array, Device, Dtype
from ..kernels import ABOVE_ONE, TINY
from ._torch_graph import Place, TorchBackend

if TYPE_CHECKING:
    from ..walk import Measured

NUMPY_DTYPES = {
    torch.float64: np.float64, torch.float32: np.float32,
    torch.int64: np.int64, torch.int32: np.int32, torch.complex128: np.complex128,
}  # fmt: skip
LOG2_E = math.log2(math.e)
_RUN = 1 << 16
"""Elements that are looked up at a time, so that their indices stay in the cache."""
_LONGEST = 1 << 19
"""Numbers to count that are kept."""


_counted = lru_cache(maxsize=4)(torch.arange)


def _counting(length: int, device: Device) -> Array:
    """0, 1, and so on: that for tiles, which are many, is kept."""
    keep = length <= _LONGEST and device.type == "cpu"
    count = _counted if keep else torch.arange
    return count(length, device=device)


class EagerKernels(TorchBackend):
    """What is computed in place."""

    def cast(self, x: Array, dtype: Dtype) -> Array:
        return x if x.dtype == dtype else self._converted(x, dtype)

    def _fresh(self, like: Array, dtype: Dtype | None = None) -> Array:
        """An uninitialised array of a tile's shape.

        Of torch's own, aligned beyond what malloc gives, glibc would keep up to eight copies.
        """
        kind = dtype or like.dtype
        if kind not in NUMPY_DTYPES:
            return torch.empty(like.shape, dtype=kind, device=like.device)
        return torch.from_numpy(np.empty(like.shape, NUMPY_DTYPES[kind]))

    def _converted(self, x: Array, dtype: Dtype) -> Array:
        return self._fresh(x, dtype).copy_(x)

    def concrete(self, x: Array) -> bool:
        return True

    def contiguous(self, x: Array) -> Array:
        return x if x.stride(-1) == 1 else x.contiguous()

    def softmax(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = torch.amax(z, 1, keepdim=True, out=self._fresh(z[:, :1]))
        power = torch.sub(z, shift, out=self._fresh(z) if room is None else room)
        e = self._raise_e(power)
        total = torch.sum(e, 1, keepdim=True, out=self._fresh(shift))
        return e.div_(total), shift, total

    def _raise_e(self, x: Array) -> Array:
        """E to the power of `x`, in its place."""
        # torch's exp2 takes half the time of its exp
        return x.mul_(LOG2_E).exp2_()

    def log_total(self, total: Array) -> Array:
        return total.log_()

    def cost_of_label(self, at_label: Array, shift: Array, log_total: Array) -> Array:
        return torch.sub(log_total, at_label.sub_(shift), out=at_label)

    def softmax_pull(
        self,
        p: Array,
        slope: Array | None,
        truth: Any,
        at_truth: Array | None,
        place: Array | None = None,
    ) -> Array:
        if slope is None:
            assert at_truth is not None
            place = self._fresh(p) if place is None else place
            less = torch.neg(at_truth, out=self._fresh(at_truth))
            pulled = torch.mul(p, less, out=place)
        else:
            if slope.shape[2] > 1 or torch.is_autocast_enabled(p.device.type):
                held = self.multiply(p, slope)
                mean = torch.sum(held, 1, keepdim=True, out=self._fresh(p[:, :1]))
            else:
                mean = torch.matmul(slope.permute(0, 2, 1), p, out=self._fresh(p[:, :1]))
            mean = mean if at_truth is None else mean.add_(at_truth)
            pulled = torch.sub(slope, mean, out=self._fresh(p))
            pulled = torch.mul(p, pulled, out=pulled if place is None else place)
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def numbers(self, x: Array, dtype: Dtype) -> Array:
        # bools convert four times faster as bytes
        return self.cast(x.view(torch.uint8) if x.dtype == torch.bool else x, dtype)

    def is_hard(self, x: Array) -> bool:
        if not self.on_host(x):
            return False
        low, high = self.extent(torch.addcmul(x, x, x, value=-1, out=self._fresh(x)))
        return low == 0 == high

    def rest_of_one(self, p: Array, rest: Array, limit: float) -> Array:
        q = torch.sub(p.new_ones(()), p, out=self._fresh(p))
        return torch.lerp(q, rest, torch.gt(p, limit, out=self._fresh(p)), out=q)

    def cost_of_odds(self, q: Array, p: Array) -> Array:
        return torch.div(q, p, out=self._fresh(q)).log1p_()

    def below(self, p: Array, limit: float) -> Array:
        # on a CPU, where() costs as much as three exponentials
        return torch.ops.aten.hardtanh_backward.grad_input(
            p, p, -1.0, limit, grad_input=self._fresh(p)
        )

    def cost_of_margin(self, margin: Array) -> tuple[Array, Array | None]:
        log_p, kept = self._fresh(margin), self._fresh(margin)
        torch.ops.aten.log_sigmoid_forward.output(margin, output=log_p, buffer=kept)
        return log_p.neg_(), kept

    def pull_cost(
        self, margin: Array, slope: Array, kept: Array | None = None, place: Array | None = None
    ) -> Array:
        place = slope if place is None else place
        if kept is None:
            # with beta of the other sign, the sigmoid of −margin: 1 from −40 on
            return torch.ops.aten.softplus_backward.grad_input(
                slope, margin, -1, 40, grad_input=place
            )
        return torch.ops.aten.log_sigmoid_backward.grad_input(slope, margin, kept, grad_input=place)

    def add_to(self, x: Array, y: Array) -> Array:
        return x.add_(y)

    def sigmoid(self, z: Array, room: Array | None = None) -> tuple[Array, Array | None]:
        p = torch.sigmoid(z, out=self._fresh(z) if room is None else room)
        return p, p

    def sigmoid_pull(
        self, z: Array, slope: Array, kept: Array | None = None, place: Array | None = None
    ) -> Array:
        p = self.sigmoid(z)[0] if kept is None else kept
        by_p = self.multiply(p, slope, slope if slope.shape == z.shape else None)
        return self.pull_cost(z, by_p, None, place)

    def multiply(self, x: Array, y: Array, place: Array | None = None) -> Array:
        if place is None:
            place = self._fresh(x if x.numel() >= y.numel() else y)
        return torch.mul(x, y, out=place)

    def signed(self, t: Array) -> Array:
        return torch.add(t, t, out=self._fresh(t)).sub_(1)

    def take_at(self, x: Array, truth: Place) -> Array:
        samples, _, pixels = truth.index.shape
        found = self._fresh(truth.index, x.dtype)
        if x.shape[0] == 1 and x.shape[2] == 1:
            # one number per class
            torch.index_select(x.view(-1), 0, truth.index.reshape(-1), out=found.view(-1))
        elif x.shape[0] == samples and x.shape[2] == pixels:
            line, place = self._on_a_line(x, truth)
            torch.index_select(line, 0, place, out=found.view(-1))
        else:
            torch.gather(x.expand((samples, -1, pixels)), 1, truth.index, out=found)
        return truth.only_known(found)

    def add_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        line.scatter_add_(0, place, truth.only_known(values).reshape(-1))
        return x

    def _on_a_line(self, x: Array, truth: Place) -> tuple[Array, Array]:
        """The memory of `x` (k, C, m), and where each pixel's label is on it.

        On a CPU, torch looks up and adds along a line two to four times as fast as across.
        """
        strides, index = x.stride(), truth.index
        if strides not in truth.flat:
            sample, label, pixel = strides
            start = _counting(x.shape[2], x.device)
            start = start if pixel == 1 else start * pixel
            if x.shape[0] > 1:
                samples = torch.arange(x.shape[0], device=x.device)
                start = start + sample * samples[:, None, None]
            out = self._fresh(index)
            truth.flat[strides] = torch.add(start, index, alpha=label, out=out)
        length = 1 + sum((n - 1) * stride for n, stride in zip(x.shape, strides, strict=True))
        return x.as_strided((length,), (1,)), truth.flat[strides].view(-1)

    def histogram(
        self,
        index: Array,
        values: Array,
        weight: Array | None,
        shape: tuple[int, ...],
        held: Measured | None,
        dtype: Dtype,
    ) -> Measured:
        # size and total are one complex number, so that a bin is visited once;
        # counts are exact up to 2^53, and one bin more takes what counts nowhere
        length = math.prod(shape)
        if held is None:
            sums = torch.zeros(length + 1, dtype=torch.complex128, device=index.device)
            held = tuple(part[:length].view(shape) for part in (sums.real, sums.imag))
        else:
            sums = torch.view_as_complex(held[0].as_strided((length + 1, 2), (2, 1)))
        flat, value = index.reshape(-1), values.reshape(-1)
        if weight is not None:
            weight = weight.expand(values.shape).reshape(-1)
            value = self.multiply(value, weight)
        bins = torch.from_numpy(np.empty(min(len(flat), _RUN), np.int64))
        pairs = torch.from_numpy(np.ones(len(bins), np.complex128))
        sizes, totals = pairs.real, pairs.imag
        for first in range(0, len(flat), _RUN):
            count = min(_RUN, len(flat) - first)
            totals[:count].copy_(value.narrow(0, first, count))
            if weight is not None:
                sizes[:count].copy_(weight.narrow(0, first, count))
            own = bins[:count].copy_(flat.narrow(0, first, count))
            sums.scatter_add_(0, own, pairs[:count])
        return held

    def look_up_lines(self, lines: Array, index: Array, within: Array) -> Array:
        # start and rise are found as one number of twice the bits
        kind = torch.float64 if lines.dtype == torch.float32 else torch.complex128
        table, flat, along = lines.view(kind).view(-1), index.reshape(-1), within.reshape(-1)
        found = self._fresh(index, lines.dtype)
        out = found.view(-1)
        pairs = torch.from_numpy(np.empty(min(len(flat), _RUN), NUMPY_DTYPES[kind]))
        for first in range(0, len(flat), _RUN):
            count = min(_RUN, len(flat) - first)
            own, place = pairs[:count], out.narrow(0, first, count)
            torch.index_select(table, 0, flat.narrow(0, first, count), out=own)
            start, rise = own.view(lines.dtype).view(count, 2).unbind(1)
            torch.addcmul(start, rise, along.narrow(0, first, count), out=place)
        return found

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
        if truth.known is not None:
            return super().put_at(x, truth, values)
        put = self._converted(x, x.dtype)
        line, place = self._on_a_line(put, truth)
        line.scatter_(0, place, values.reshape(-1))
        return put

    def place_errors(
        self, errors: Array, bins: int, hinge: bool, room: Array | None = None
    ) -> Array:
        root = self._fresh(errors) if room is None else room
        tiny, above, most = (errors.new_tensor(x) for x in (TINY, ABOVE_ONE, bins))
        if hinge:
            torch.sqrt(errors, out=root)
        else:
            away = torch.sub(above, errors, out=root)
            torch.addcdiv(tiny, errors, away, out=root).sqrt_()
        return torch.sub(most, root.add_(1).reciprocal_(), alpha=bins, out=root)

    def hinge(self, z: Array, t: Array) -> Array:
        signed = self.signed(t)
        return torch.addcmul(z.new_ones(()), signed, z, value=-1, out=signed).relu_()

    def positive(self, x: Array) -> Array:
        return torch.sign(x, out=self._fresh(x))

    def whole_part(self, x: Array, most: int) -> Array:
        return self._converted(x, torch.int32).clamp_(0, most)

    def within(self, place: Array, whole: Array) -> Array:
        return place.sub_(whole)

    def sum_pixels(self, x: Array, weight: Array | None, dtype: Dtype) -> Array:
        # the float32 sum over adjacent pixels is a cascade: its error does not grow with them
        return torch.sum(x if weight is None else self.multiply(x, weight), -1)

    def sum_classes(self, values: Array, truth: Place, classes: int, dtype: Dtype) -> Array:
        held = self.cast(truth.only_known(values), dtype).reshape(-1)
        return self._add_up(held, truth, classes)

    def count_classes(self, truth: Place, classes: int) -> Array:
        if truth.known is None:
            index, length = self._by_sample(truth, classes)
            return torch.bincount(index, minlength=length).view(-1, classes)
        return self._add_up(truth.known.reshape(-1).to(torch.int64), truth, classes)

    def _add_up(self, values: Array, truth: Place, classes: int) -> Array:
        """The sum of the values of each sample and label, (k, C)."""
        index, length = self._by_sample(truth, classes)
        return values.new_zeros(length).scatter_add_(0, index, values).view(-1, classes)

    @staticmethod
    def _by_sample(truth: Place, classes: int) -> tuple[Array, int]:
        """The place of each pixel's label among those of all samples, flat, and their number."""
        index, samples = truth.index, truth.index.shape[0]
        if samples > 1:
            first = classes * torch.arange(samples, device=index.device)
            index = index + first[:, None, None]
        return index.reshape(-1), samples * classes

"""Look-ups and sums by label or bin in torch without a graph, in memory that is found again."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from .._xp import Array, Device, Dtype
from ._torch_graph import Place, TorchBackend

if TYPE_CHECKING:
    from ..walk import Measured

NUMPY_DTYPES = {
    torch.float64: np.float64, torch.float32: np.float32,
    torch.int64: np.int64, torch.int32: np.int32, torch.complex128: np.complex128,
}  # fmt: skip
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


def _array(shape: tuple[int, ...], dtype: Dtype) -> Array:
    """An uninitialised array, which NumPy allocates.

    torch's own are aligned further, and of such blocks glibc keeps up to eight for later.
    """
    return torch.from_numpy(np.empty(shape, NUMPY_DTYPES[dtype]))


class EagerLookUps(TorchBackend):
    """Tiles in fresh memory, and what is found and added in them."""

    def cast(self, x: Array, dtype: Dtype) -> Array:
        return x if x.dtype == dtype else self._converted(x, dtype)

    def _fresh(self, like: Array, dtype: Dtype | None = None) -> Array:
        """An uninitialised array of a tile's shape."""
        kind = dtype or like.dtype
        if kind not in NUMPY_DTYPES:
            return torch.empty(like.shape, dtype=kind, device=like.device)
        return _array(like.shape, kind)

    def _converted(self, x: Array, dtype: Dtype) -> Array:
        return self._fresh(x, dtype).copy_(x)

    def copied(self, x: Array) -> Array:
        return self._converted(x, x.dtype)

    def concrete(self, x: Array) -> bool:
        return True

    def contiguous(self, x: Array) -> Array:
        return x if x.stride(-1) == 1 else x.contiguous()

    def multiply(self, x: Array, y: Array, place: Array | None = None) -> Array:
        if place is None:
            place = self._fresh(x if x.numel() >= y.numel() else y)
        return torch.mul(x, y, out=place)

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
            truth.flat[strides] = torch.add(start, index, alpha=label, out=out).view(-1)
        place = truth.flat[strides]
        if x.is_contiguous():
            return x.view(-1), place
        length = 1 + sum((n - 1) * stride for n, stride in zip(x.shape, strides, strict=True))
        return x.as_strided((length,), (1,)), place

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
        bins = _array((min(len(flat), _RUN),), torch.int64)
        pairs = _array(bins.shape, torch.complex128).fill_(1.0)
        sizes, totals = pairs.real, pairs.imag
        runs = [x.unsafe_split(_RUN) for x in (flat, value, *(() if weight is None else (weight,)))]
        for own, errors, *weights in zip(*runs, strict=True):
            count = own.shape[0]
            if count < bins.shape[0]:
                bins, pairs, sizes, totals = (x[:count] for x in (bins, pairs, sizes, totals))
            totals.copy_(errors)
            for w in weights:
                sizes.copy_(w)
            sums.scatter_add_(0, bins.copy_(self._as_integers(own, length)), pairs)
        return held

    def index_bins(self, place: Array, shape: tuple[int, ...]) -> Array:
        # of a single class, a run of them is converted when it is counted or looked up
        return place if shape[0] == shape[1] == 1 else super().index_bins(place, shape)

    def _as_integers(self, index: Array, most: int) -> Array:
        """A run of what `index_bins` gives, as integers of at most `most`."""
        return self.whole_part(index, most) if index.is_floating_point() else index

    def look_up_lines(self, lines: Array, index: Array, place: Array) -> Array:
        # start and rise are found as one number of twice the bits
        kind = torch.float64 if lines.dtype == torch.float32 else torch.complex128
        found = place if place.is_contiguous() else self.copied(place)
        table, flat, along = lines.view(kind).view(-1), index.reshape(-1), found.view(-1)
        pairs = _array((min(len(flat), _RUN),), kind)
        for own, within in zip(flat.unsafe_split(_RUN), along.unsafe_split(_RUN), strict=True):
            pairs = pairs[: own.shape[0]]
            torch.index_select(table, 0, self._as_integers(own, len(table) - 1), out=pairs)
            start, rise = pairs.view(lines.dtype).view(-1, 2).unbind(1)
            torch.addcmul(start, rise, within.frac_(), out=within)
        return found

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        if truth.known is not None:
            values = torch.where(truth.known, values, line[place].view(values.shape))
        line.scatter_(0, place, values.reshape(-1))
        return x

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

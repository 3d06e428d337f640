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
    from collections.abc import Iterator, Sequence

    from ..walk import Measured

NUMPY_DTYPES = {
    torch.float64: np.float64, torch.float32: np.float32,
    torch.int64: np.int64, torch.int32: np.int32, torch.complex128: np.complex128,
}  # fmt: skip
_RUN = 1 << 15
"""Elements that each of several threads counts or looks up at a time: they stay in its cache."""
_ROWS = 8
"""The most histograms that are filled at the same time, and added in the end."""
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


def _longest_run(length: int, rows: int) -> int:
    """What scratch is made for, which all runs share."""
    return min(length, _RUN * max(rows, 2))


def _runs(length: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """Where runs begin, how long each is, and into how many rows it may be cut.

    One line is for the runs of full length, and one for what is left.
    """
    run = _longest_run(length, rows)
    whole = length // max(run, 1) * run
    for start, size in ((0, run), (whole, length - whole)):
        if size:
            yield start, size, 1 if size % rows else rows


def _split(arrays: Sequence[Array], start: int, run: int) -> list[Sequence[Array]]:
    """The runs of each array from `start` on; full runs leave off what is less than one."""
    end = start + (len(arrays[0]) - start) // run * run
    return [x[start:end].unsafe_split(run) for x in arrays]


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

    def locate(self, labels: Array, classes: int, labelled: Array | None) -> Place:
        if labelled is None:
            return Place(labels, None)
        # any class where there is none
        return Place(torch.clamp(labels, 0, classes - 1, out=self._fresh(labels)), labelled)

    def where_kept(self, x: Array, kept: Array | None) -> Array:
        if kept is None or kept.dtype != x.dtype or kept.shape != x.shape:
            return super().where_kept(x, kept)
        # on a CPU, where() takes eight times as long
        return torch.ops.aten.hardtanh_backward.grad_input(
            x, kept, 0.5, 1.5, grad_input=self._fresh(x)
        )

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
        return self.where_kept(found, truth.labelled)

    def add_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        line.scatter_add_(0, place, self.where_kept(values, truth.labelled).reshape(-1))
        return x

    def _on_a_line(self, x: Array, truth: Place) -> tuple[Array, Array]:
        """The memory of `x` (k, C, m), and where each pixel's label is on it.

        On a CPU, torch looks up and adds along a line two to four times as fast as across.
        """
        strides, index = x.stride(), truth.index
        if strides not in truth.flat:
            # one at a time, for each is as large as a quarter of a tile of 8 classes
            truth.flat.clear()
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
        length, flat, value = math.prod(shape), index.reshape(-1), values.reshape(-1)
        rounded = index.is_floating_point()
        if weight is not None:
            weight = weight.expand(values.shape).reshape(-1)
            value = self.multiply(value, weight)
        if held is None:
            # torch adds along several rows at once, one for each of its threads
            rows = min(torch.get_num_threads(), _ROWS) if len(flat) > _RUN else 1
            sums, held = self._no_sums(rows, shape)
        else:
            rows = held[0].shape[0]
            memory = held[0].as_strided((rows, length + 1, 2), (2 * length + 2, 2, 1))
            sums = torch.view_as_complex(memory)
        # whole parts are taken where values were
        integers = value.view(torch.int32 if value.element_size() == 4 else torch.int64)
        given = (flat, value, integers, *(() if weight is None else (weight,)))
        longest = _longest_run(len(flat), rows)
        scratch = _array((longest,), torch.int64)
        ones = _array((longest,), torch.complex128).fill_(1.0)
        for start, run, shares in _runs(len(flat), rows):
            bins, pairs = scratch[:run], ones[:run]
            sizes, totals = pairs.real, pairs.imag
            places, added, table = bins.view(shares, -1), pairs.view(shares, -1), sums[:shares]
            for own, errors, whole, *weights in zip(*_split(given, start, run), strict=True):
                totals.copy_(errors)
                for w in weights:
                    sizes.copy_(w)
                bins.copy_(whole.copy_(own).clamp_(0, length) if rounded else own)
                table.scatter_add_(1, places, added)
        return held

    @staticmethod
    def _no_sums(rows: int, shape: tuple[int, ...]) -> tuple[Array, tuple[Array, ...]]:
        """Complex numbers of 0, and their parts as histograms."""
        length = math.prod(shape)
        sums = torch.from_numpy(np.zeros((rows, length + 1), np.complex128))
        parts = (sums.real, sums.imag)
        return sums, tuple(part[:, :length].view(rows, *shape) for part in parts)

    def united(self, held: Measured) -> Measured:
        if held[0].shape[0] == 1:
            return tuple(part[0] for part in held)
        return tuple(torch.sum(x, 0, out=_array(x.shape[1:], x.dtype)) for x in held)

    def index_bins(self, place: Array, shape: tuple[int, ...]) -> Array:
        # of a single class, a run of them is converted when it is counted or looked up
        return place if shape[0] == shape[1] == 1 else super().index_bins(place, shape)

    def leave_out(self, index: Array, weight: Array, end: int) -> Array:
        if not index.is_floating_point() or weight.shape != index.shape:
            return super().leave_out(index, weight, end)
        # to be rounded, and bounded, when it is counted; where() takes twenty times as long
        out = torch.le(weight, 0.0, out=self._fresh(weight))
        return index.add_(out, alpha=end)

    def look_up_lines(self, lines: Array, index: Array, place: Array) -> Array:
        # start and rise are found as one number of twice the bits
        kind = torch.float64 if lines.dtype == torch.float32 else torch.complex128
        found = place if place.is_contiguous() else self.copied(place)
        table, flat = lines.view(kind).view(-1), index.reshape(-1)
        most, given = len(table) - 1, (flat, found.view(-1))
        threads = torch.get_num_threads()
        longest = _longest_run(len(flat), threads)
        scratch, numbers = _array((longest,), torch.int64), _array((longest,), kind)
        integers = _array((longest,), torch.int32) if flat.is_floating_point() else None
        for start, run, rows in _runs(len(flat), threads):
            bins, pairs = scratch[:run], numbers[:run]
            whole = None if integers is None else integers[:run]
            starts, rises = pairs.view(lines.dtype).view(-1, 2).unbind(1)
            tables, places = table.expand(rows, -1), bins.view(rows, -1)
            looked_up = pairs.view(rows, -1)
            for own, within in zip(*_split(given, start, run), strict=True):
                along = own if whole is None else whole.copy_(own).clamp_(0, most)
                if rows == 1:
                    torch.index_select(table, 0, along, out=pairs)
                else:
                    # along several rows, torch looks up by all its threads
                    bins.copy_(along)
                    torch.gather(tables, 1, places, out=looked_up)
                torch.addcmul(starts, rises, within.frac_(), out=within)
        return found

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        if truth.labelled is not None:
            values = torch.where(truth.labelled > 0, values, line[place].view(values.shape))
        line.scatter_(0, place, values.reshape(-1))
        return x

    def sum_classes(self, values: Array, truth: Place, classes: int, dtype: Dtype) -> Array:
        held = self.cast(self.where_kept(values, truth.labelled), dtype).reshape(-1)
        return self._add_up(held, truth, classes)

    def count_classes(self, truth: Place, classes: int) -> Array:
        if truth.labelled is None:
            index, length = self._by_sample(truth, classes)
            return torch.bincount(index, minlength=length).view(-1, classes)
        return self._add_up(truth.labelled.reshape(-1).to(torch.int64), truth, classes)

    def _add_up(self, values: Array, truth: Place, classes: int) -> Array:
        """The sum of the values of each sample and label, (k, C)."""
        index, length = self._by_sample(truth, classes)
        return self.add_along(index, values, length).view(-1, classes)

    @staticmethod
    def _by_sample(truth: Place, classes: int) -> tuple[Array, int]:
        """The place of each pixel's label among those of all samples, flat, and their number."""
        index, samples = truth.index, truth.index.shape[0]
        if samples > 1:
            first = classes * torch.arange(samples, device=index.device)
            index = index + first[:, None, None]
        return index.reshape(-1), samples * classes

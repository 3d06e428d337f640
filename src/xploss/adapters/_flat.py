"""What NumPy and CuPy share beyond the standard: flat indices and bincount."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..backend import Backend

if TYPE_CHECKING:
    from .._xp import Array, Dtype
    from ..walk import Measured


@dataclass(frozen=True)
class Place:
    """The labels of a tile as indices: 0 where a label is no class, which `known` tells."""

    index: Array
    bins: Array
    """One per sample and class, with one more per sample for what is no class."""
    known: Array | None
    """(k, 1, m), or None if every label is a class."""
    flat: dict[tuple[int, ...], Array] = field(default_factory=dict)
    """Where each pixel's label is on a line of an array, by the size of its numbers and strides."""


class FlatBackend(Backend):
    """Look-ups and counts by flat indices in the place of one-hot arrays."""

    one_exponential = False

    def locate(self, labels: Array, classes: int, labelled: Array | None) -> Place:
        labels = labels[:, 0, :]
        xp, mask, safe = self.xp, None, labels
        if labelled is not None:
            mask = labelled[:, 0, :] > 0
            safe = xp.where(mask, labels, 0)
        samples = labels.shape[0]
        bins = safe if mask is None else xp.where(mask, labels, classes)
        if samples > 1:
            bins = bins + xp.arange(samples)[:, None] * (classes + 1)
        return Place(safe, bins.reshape(-1), None if mask is None else mask[:, None, :])

    def take_at(self, x: Array, truth: Place) -> Array:
        samples, pixels = truth.index.shape
        if x.shape[2] == pixels and x.shape[0] == samples:
            line, place = self._on_a_line(x, truth)
            taken = line[place] if isinstance(place, tuple) else line.take(place)
        elif x.shape[0] == 1:
            taken = x[0, :, 0].take(truth.index)
        else:
            taken = self.xp.take_along_axis(x[:, :, 0], truth.index, axis=1)
        return self._only_known(taken[:, None, :], truth)

    def add_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        line[place] += self._only_known(values, truth)[:, 0, :]
        return x

    def _only_known(self, x: Array, truth: Place) -> Array:
        """`x` (k, 1, m) with 0 where the label is no class."""
        if truth.known is None:
            return x
        return self.xp.where(truth.known, x, self.xp.zeros_like(x))

    def copied(self, x: Array) -> Array:
        return x.copy(order="C")

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
        line, place = self._on_a_line(x, truth)
        new = values[:, 0, :]
        if truth.known is not None:
            new = self.xp.where(truth.known[:, 0, :], new, line[place])
        line[place] = new
        return x

    def _on_a_line(self, x: Array, truth: Place) -> tuple[Array, Any]:
        """A tile (k, C, m), its memory as a line if that may be, and where each label is there."""
        xp, (samples, pixels), line = self.xp, truth.index.shape, self._line(x)
        if line is None:
            return x, (xp.arange(samples)[:, None], truth.index, xp.arange(pixels))
        key = (x.itemsize, *x.strides)
        if key not in truth.flat:
            sample, label, pixel = (stride // x.itemsize for stride in x.strides)
            place = truth.index * label + xp.arange(pixels) * pixel
            if samples > 1:
                place += xp.arange(samples)[:, None] * sample
            truth.flat[key] = place
        return line, truth.flat[key]

    def _line(self, x: Array) -> Array | None:
        """The memory of a tile as one axis; None where that is not to be had, or no gain."""
        return x.reshape(-1) if x.flags.c_contiguous else None

    def sum_classes(self, values: Array, truth: Place, classes: int, dtype: Dtype) -> Array:
        samples = truth.index.shape[0]
        length = samples * (classes + 1)
        summed = self.xp.bincount(truth.bins, values.reshape(-1), minlength=length)
        return summed.reshape(samples, classes + 1)[:, :classes].astype(dtype, copy=False)

    def count_classes(self, truth: Place, classes: int) -> Array:
        samples = truth.index.shape[0]
        counts = self.xp.bincount(truth.bins, minlength=samples * (classes + 1))
        return counts.reshape(samples, classes + 1)[:, :classes]

    def look_up_lines(self, lines: Array, index: Array, place: Array) -> Array:
        # start and rise are found as one complex number
        pairs = lines.view(self.xp.result_type(lines.dtype, self.xp.complex64)).reshape(-1)
        found = pairs.take(index)
        return found.real + found.imag * self.within(place)

    def histogram(
        self,
        index: Array,
        values: Array,
        weight: Array | None,
        shape: tuple[int, ...],
        held: Measured | None,
        dtype: Dtype,
    ) -> Measured:
        xp, length, flat = self.xp, math.prod(shape), index.reshape(-1)
        value, w = values.reshape(-1), None
        if weight is not None:
            w = xp.broadcast_to(weight, values.shape).reshape(-1)
            value = w * value
        size = xp.bincount(flat, w, minlength=length)[:length].reshape(shape).astype(dtype)
        total = xp.bincount(flat, value, minlength=length)[:length].reshape(shape)
        if held is None:
            return size, total
        xp.add(held[0], size, out=held[0])
        xp.add(held[1], total, out=held[1])
        return held

"""NumPy: look-ups and counts by flat indices, tiles in buffers that are used again, threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _xp
from ..backend import Backend
from ..threads import Workers, default_count

if TYPE_CHECKING:
    from .._xp import Array, Dtype
    from ..engine import Measured


class NumpyBackend(Backend):
    """NumPy arrays."""

    name = "numpy"

    def owns(self, x: Array) -> bool:
        return isinstance(x, np.ndarray | np.generic)

    def device(self, x: Array) -> str:
        return "cpu"

    def workers(self) -> int:
        return default_count()

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return _WORKERS.map(function, items, self.workers())

    def scored(self, x: Array, like: Array, dtype: Dtype) -> Array:
        return np.asarray(x, dtype)

    def contiguous(self, x: Array) -> Array:
        return np.ascontiguousarray(x)

    def maximum(self, x: Array, value: float) -> Array:
        return np.maximum(x, x.dtype.type(value))

    def minimum(self, x: Array, value: float) -> Array:
        return np.minimum(x, x.dtype.type(value))

    def softmax(self, z: Array) -> tuple[Array, Array, Array]:
        shift = np.max(z, axis=1, keepdims=True)
        e = np.subtract(z, shift)
        np.exp(e, out=e)
        total = np.sum(e, axis=1, keepdims=True)
        e *= 1 / total
        return e, shift, np.log(total)

    def sigmoid(self, z: Array) -> Array:
        e = np.abs(z)
        np.negative(e, out=e)
        np.exp(e, out=e)
        p = 1 / (1 + e)
        return np.where(z >= 0, p, np.multiply(e, p, out=e))

    def softmax_pull(
        self, p: Array, slope: Array | None, truth: Any, at_truth: Array | None
    ) -> Array:
        if slope is None:
            pulled = np.multiply(p, -at_truth)
        else:
            mean = np.matmul(np.swapaxes(slope, 1, 2), p)
            mean = mean if at_truth is None else np.add(mean, at_truth, out=mean)
            pulled = np.subtract(slope, mean)
            pulled *= p
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def is_hard(self, x: Array) -> bool:
        return bool(np.all(x * x == x))

    def locate(self, labels: Array, classes: int, known: bool) -> _Place:
        mask: Array | None = None
        safe = labels
        if not known:
            mask = (labels >= 0) & (labels < classes)
            safe = np.where(mask, labels, 0)
        samples, pixels = labels.shape
        bins = safe if mask is None else np.where(mask, labels, classes)
        if samples > 1:
            bins = bins + np.arange(samples)[:, None] * (classes + 1)
        flat = safe * pixels
        flat += np.arange(pixels)
        if samples > 1:
            flat += np.arange(samples)[:, None] * (classes * pixels)
        return _Place(safe, flat, bins.reshape(-1), None if mask is None else mask[:, None, :])

    def take_at(self, x: Array, truth: _Place) -> Array:
        samples, pixels = truth.index.shape
        if x.shape[2] == pixels and x.shape[0] == samples:
            taken = x.reshape(-1).take(truth.flat)
        elif x.shape[0] == 1:
            taken = x[0, :, 0].take(truth.index)
        else:
            taken = np.take_along_axis(x[:, :, 0], truth.index, axis=1)
        return truth.only_known(taken[:, None, :])

    def add_at(self, x: Array, truth: _Place, values: Array) -> Array:
        x.reshape(-1)[truth.flat] += truth.only_known(values)[:, 0, :]
        return x

    def put_at(self, x: Array, truth: _Place, values: Array) -> Array:
        out = x.copy()
        flat, new = truth.flat, values[:, 0, :]
        if truth.known is not None:
            known = truth.known[:, 0, :]
            flat, new = flat[known], new[known]
        out.reshape(-1)[flat] = new
        return out

    def sum_classes(self, values: Array, truth: _Place, classes: int, dtype: Dtype) -> Array:
        samples = truth.index.shape[0]
        summed = np.bincount(truth.bins, values.reshape(-1), minlength=samples * (classes + 1))
        return summed.reshape(samples, classes + 1)[:, :classes].astype(dtype, copy=False)

    def count_classes(self, truth: _Place, classes: int) -> Array:
        samples = truth.index.shape[0]
        counts = np.bincount(truth.bins, minlength=samples * (classes + 1))
        return counts.reshape(samples, classes + 1)[:, :classes]


    def whole_part(self, x: Array, most: int) -> Array:
        with np.errstate(invalid="ignore"):
            whole = x.astype(np.int64)
        return np.clip(whole, 0, most, out=whole)

    def histogram(
        self,
        index: Array,
        values: Array,
        weight: Array | None,
        shape: tuple[int, ...],
        held: Measured | None,
        dtype: Dtype,
    ) -> Measured:
        length, flat = math.prod(shape), index.reshape(-1)
        if weight is None:
            size = np.bincount(flat, minlength=length)[:length]
            total = np.bincount(flat, values.reshape(-1), minlength=length)[:length]
        else:
            w = np.broadcast_to(weight, values.shape).reshape(-1)
            size = np.bincount(flat, w, minlength=length)[:length]
            total = np.bincount(flat, w * values.reshape(-1), minlength=length)[:length]
        if held is not None:
            for sums, new in zip(held, (size, total), strict=True):
                sums += new.reshape(shape)
            return held
        return size.reshape(shape), total.reshape(shape)

    def unsort(self, x: Array, order: Array) -> Array:
        out = np.empty_like(x)
        np.put_along_axis(out, order, x, axis=-1)
        return out


@dataclass(frozen=True)
class _Place:
    """The labels of a tile as indices: 0 where a label is no class, which `known` tells."""

    index: Array
    flat: Array
    """Into a tile's (k, C, m) elements."""
    bins: Array
    """One per sample and class, with one more per sample for what is no class."""
    known: Array | None
    """(k, 1, m), or None if every label is a class."""

    def only_known(self, x: Array) -> Array:
        """`x` (k, 1, m) with 0 where the label is no class."""
        return x if self.known is None else x * self.known


_WORKERS = Workers()
BACKEND = NumpyBackend(_xp.namespace(np.empty(0)))

"""NumPy: flat indices, operations in place, and threads across tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _xp
from ..threads import CALMING, Workers, default_count
from ._flat import FlatBackend

if TYPE_CHECKING:
    from .._xp import Array, Dtype


class NumpyBackend(FlatBackend):
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
            assert at_truth is not None
            pulled = np.multiply(p, -at_truth)
        else:
            mean = np.matmul(np.swapaxes(slope, 1, 2), p)
            mean = mean if at_truth is None else np.add(mean, at_truth, out=mean)
            pulled = np.subtract(slope, mean)
            pulled *= p
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def is_hard(self, x: Array) -> bool:
        return bool(np.all(x * x == x))

    def whole_part(self, x: Array, most: int) -> Array:
        with np.errstate(invalid="ignore"):
            whole = x.astype(np.int64)
        return np.clip(whole, 0, most, out=whole)

    def unsort(self, x: Array, order: Array) -> Array:
        out = np.empty_like(x)
        np.put_along_axis(out, order, x, axis=-1)
        return out


np.empty(CALMING, dtype=np.uint8)
_WORKERS = Workers()
BACKEND = NumpyBackend(_xp.namespace(np.empty(0)))

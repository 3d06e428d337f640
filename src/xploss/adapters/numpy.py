"""NumPy: flat indices, operations in place, and threads across tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _xp
from ..histograms import ABOVE_ONE, TINY
from ..threads import CALMING, Workers, default_count
from ._flat import FlatBackend

if TYPE_CHECKING:
    from .._xp import Array, Dtype
    from ..plan import Part
    from ..walk import Measured


LONG = 1 << 12
"""From so many elements on, passes over them cost more than calling functions."""

_RUN = 1 << 8
"""Pixels whose sum is taken in float32; those of runs are added in float64."""
_ONES = np.ones(_RUN, np.float32)

_FOREIGN = 2
"""What `isbuiltin` says of a dtype that another package has registered, such as bfloat16."""

_quiet = np.errstate(under="ignore")
_is_kind = lru_cache(maxsize=256)(np.isdtype)


class NumpyBackend(FlatBackend):
    """NumPy arrays."""

    name = "numpy"
    holds = True
    by_class = True
    few_classes = 16
    group = 64

    def owns(self, x: Array) -> bool:
        return isinstance(x, np.ndarray | np.generic)

    def device(self, x: Array) -> str:
        return "cpu"

    def on_host(self, x: Array) -> bool:
        return True

    def isdtype(self, x: Array, kind: str | tuple[str, ...]) -> bool:
        return bool(_is_kind(x.dtype, kind))

    def apart(self, x: Array, y: Array) -> bool:
        return False

    def refuse_kind(self, name: str, x: Array) -> None:
        if x.dtype.isbuiltin == _FOREIGN:
            raise TypeError(
                f"{name} has dtype {x.dtype}, which is not NumPy's own; expected one of those; "
                f"convert {name}, for example to float32"
            )
        if type(x) is np.ndarray:
            return
        if isinstance(x, np.ma.MaskedArray):
            raise TypeError(
                f"{name} is a MaskedArray; expected an array without a mask; pass {name}.filled() "
                "with weight=0, or in labels an ignore_index, where it is masked"
            )
        if isinstance(x, np.matrix):
            raise TypeError(
                f"{name} is a matrix; expected an array; convert it by numpy.asarray({name})"
            )

    def compute_dtype(self, dtype: Dtype) -> Dtype:
        return np.float64 if np.dtype(dtype).itemsize == 8 else np.float32

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        # without what a subclass adds, such as the file of a memmap
        return np.asarray(x).reshape(shape)

    def tile_limit(self, part: Part) -> int:
        limit = super().tile_limit(part)
        if part.entrywise or part.bulky:
            return limit
        # of larger tiles fewer functions are called, for each of which a thread may wait
        return max(limit, min(2 * limit, part.size >> 5))

    def workers(self, part: Part) -> int:
        return default_count()

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> list[Any]:
        return _WORKERS.map(function, items, workers)

    # a probability that underflows is 0, and no error even where the caller has errors raised

    @_quiet
    def value(self, *arguments: Any) -> Array:
        return super().value(*arguments)

    @_quiet
    def value_and_grad(self, *arguments: Any) -> tuple[Array, Array]:
        return super().value_and_grad(*arguments)

    @_quiet
    def from_statistics(self, *arguments: Any) -> Array:
        return super().from_statistics(*arguments)

    @_quiet
    def statistics(self, *arguments: Any) -> tuple[list[Measured], Dtype]:
        return super().statistics(*arguments)

    def constant(self, values: Any, like: Array) -> Array:
        return np.asarray(values, like.dtype)

    def full(self, shape: tuple[int, ...], value: float, dtype: Dtype, like: Array) -> Array:
        return np.full(shape, value, dtype)

    def one_hot(self, labels: Array, classes: int, dtype: Dtype) -> Array:
        return (labels == np.arange(classes, dtype=labels.dtype)[:, None]).astype(dtype, copy=False)

    def scored(self, x: Array, dtype: Dtype) -> Array:
        return np.asarray(x, dtype)

    def contiguous(self, x: Array) -> Array:
        return x if _runs_on(x) else np.ascontiguousarray(x)

    def _line(self, x: Array) -> Array | None:
        if x.flags.c_contiguous:
            return x.reshape(-1)
        if not _runs_on(x):
            return None
        # looking up and adding along a line takes a third of the time of that across
        steps = (step // x.itemsize for step in x.strides)
        length = 1 + sum((n - 1) * step for n, step in zip(x.shape, steps, strict=True))
        return np.lib.stride_tricks.as_strided(x, (length,), (x.itemsize,))

    def maximum(self, x: Array, value: float) -> Array:
        return np.maximum(x, x.dtype.type(value))

    def minimum(self, x: Array, value: float) -> Array:
        return np.minimum(x, x.dtype.type(value))

    # np.sum() itself costs as much to call as it takes to add a thousand numbers

    def extent(self, x: Array) -> tuple[float, float]:
        return float(np.minimum.reduce(x, None)), float(np.maximum.reduce(x, None))

    def add_pixels(self, x: Array, dtype: Dtype) -> Array:
        return np.add.reduce(x, -1, dtype)

    def sum_pixels(self, x: Array, weight: Array | None, dtype: Dtype) -> Array:
        if x.dtype != np.float32 or x.shape[-1] < LONG or x.strides[-1] != x.itemsize:
            return super().sum_pixels(x, weight, dtype)
        # a scalar product takes a fifth of the time, and makes no array of products
        whole = x.shape[-1] // _RUN * _RUN
        by = _ONES if weight is None else _runs(weight, whole)
        with np.errstate(over="ignore", invalid="ignore"):
            total = self.add_pixels(np.vecdot(_runs(x, whole), by), dtype)
        if not np.isfinite(total).all():
            # beyond float32, maybe not beyond the sum's own dtype
            return super().sum_pixels(x, weight, dtype)
        if whole < x.shape[-1]:
            rest = None if weight is None else weight[..., whole:]
            total += super().sum_pixels(x[..., whole:], rest, dtype)
        return total

    def add_all(self, x: Array) -> Array:
        return np.add.reduce(x, None)

    def add_classes(self, x: Array) -> Array:
        return np.add.reduce(x, 1, keepdims=True)

    def cast(self, x: Array, dtype: Dtype) -> Array:
        return x.astype(dtype, copy=False)

    def exponentials(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = np.maximum.reduce(z, 1, keepdims=True)
        e = np.subtract(z, shift, out=room)
        np.exp(e, out=e)
        return e, shift, self.add_classes(e)

    def rest_of_one(self, p: Array, rest: Array, limit: float) -> Array:
        # where() takes ten times as long as a product with what is true
        above, q = p > p.dtype.type(limit), 1 - p
        q *= ~above
        q += rest * above
        return q

    def add_below(self, p: Array, limit: float) -> Array:
        return self.add_products(p, p < p.dtype.type(limit))

    def add_products(self, x: Array, y: Array) -> Array:
        if x.shape[1] > self.few_classes:
            return self.add_classes(x * y)
        # class by class, without an array for all of them
        total = x[:, :1] * y[:, :1]
        room = np.empty_like(total)
        for c in range(1, x.shape[1]):
            total += np.multiply(x[:, c : c + 1], y[:, c : c + 1], out=room)
        return total

    def over_total(self, x: Array, total: Array, place: Array | None = None) -> Array:
        return np.multiply(x, 1 / total, out=place)

    def sigmoid(self, z: Array, room: Array | None = None) -> tuple[Array, Array | None]:
        e = self.bend(z)
        lesser = np.divide(e, 1 + e, out=e if room is None else room)
        return _of_lesser(lesser, z > 0), lesser

    def bend(self, x: Array) -> Array:
        e = np.abs(x)
        np.negative(e, out=e)
        return np.exp(e, out=e)

    def log1p(self, x: Array) -> Array:
        if x.dtype != np.float32 or x.size < LONG:
            return np.log1p(x)
        # log(u) + (x − (u − 1))/u with u = 1 + x rounded: np.log1p has SIMD on few processors
        whole = x + 1
        rest = whole - 1
        np.subtract(x, rest, out=rest)
        rest /= whole
        np.log(whole, out=whole)
        whole += rest
        return whole

    def bent(self, kept: Array) -> Array | None:
        return kept / (1 - kept)

    def cost_of_margin(
        self, margin: Array, bent: Array | None = None
    ) -> tuple[Array, Array | None]:
        e = self.bend(margin) if bent is None else bent
        cost = self.log1p(e)
        cost -= np.minimum(margin, 0)
        return cost, e

    def miss(self, margin: Array, kept: Array | None) -> Array:
        e = self.bend(margin) if kept is None else kept
        return _of_lesser(e / (1 + e), margin < 0)

    def sigmoid_pull(
        self,
        z: Array,
        slope: Array | None,
        kept: Array | None = None,
        place: Array | None = None,
    ) -> Array:
        assert kept is not None
        pulled = np.multiply(1 - kept, kept, out=place)
        return pulled if slope is None else np.multiply(pulled, slope, out=pulled)

    def multiply(self, x: Array, y: Array, place: Array | None = None) -> Array:
        return np.multiply(x, y, out=place)

    def line(self, slope: Array, x: Array, start: Array) -> Array:
        out = x * slope
        out += start
        return out

    def signed(self, t: Array) -> Array:
        out = t + t
        out -= 1
        return out

    def minus(self, x: Array, y: Array, place: Array | None = None) -> Array:
        return np.subtract(x, y, out=place)

    def add_to(self, x: Array, y: Array) -> Array:
        return np.add(x, y, out=x)

    def softmax_pull(
        self,
        p: Array,
        slope: Array,
        truth: Any,
        at_truth: Array | None,
        place: Array | None = None,
    ) -> Array:
        if slope.shape[2] > 1:
            mean = self.add_classes(p * slope)
        else:
            # not by matmul(): the threads of a BLAS look for more work on the cores of ours
            mean = np.einsum("kco,kcm->kom", slope, p)
        mean = mean if at_truth is None else np.add(mean, at_truth, out=mean)
        pulled = np.multiply(p, slope - mean, out=place)
        return pulled if at_truth is None else self.add_at(pulled, truth, at_truth)

    def pull_truth(
        self, x: Array, share: Array, truth: Any, at_truth: Array, place: Array | None = None
    ) -> Array:
        return self.add_at(np.multiply(x, -share, out=place), truth, at_truth)

    def prefers_masks(self, x: Array) -> bool:
        # of more classes or fewer pixels, look-ups are as fast
        return bool(x.shape[1] <= 8 and x.shape[2] >= 1 << 14)

    def pull_masks(
        self, p: Array, truth: Array, at_truth: Any, place: Array | None = None
    ) -> Array:
        pulled = np.subtract(truth, p, out=place)
        pulled *= at_truth
        return pulled

    def positive(self, x: Array) -> bool:
        return bool(np.minimum.reduce(x, None) > 0)

    def rise_of_lesser(self, p: Array, t: Array) -> Array:
        # where() takes ten times as long as a product with what is true
        rise = t * (p == t)
        rise += p < t
        return rise

    def is_hard(self, x: Array) -> bool:
        return bool(np.all(x * x == x))

    def whole_part(self, x: Array, most: int) -> Array:
        with np.errstate(invalid="ignore"):
            whole = x.astype(np.int64)
        return np.clip(whole, 0, most, out=whole)

    def leave_out(self, index: Array, weight: Array, end: int) -> Array:
        # where() makes another array
        np.copyto(index, end, where=weight <= 0)
        return index

    def within(self, place: Array) -> Array:
        return np.subtract(place, np.floor(place), out=place)

    def place_errors(
        self,
        errors: Array,
        bins: int,
        hinge: bool,
        truth: Array | None = None,
        room: Array | None = None,
    ) -> Array:
        kind = errors.dtype.type
        if hinge:
            root = np.add(errors, kind(TINY), out=room)
        else:
            root = np.subtract(kind(ABOVE_ONE), errors, out=room)
            np.divide(errors, root, out=root)
            root += kind(TINY)
        np.sqrt(root, out=root)
        root += 1
        np.divide(kind(bins - 1), root, out=root)
        if truth is not None:
            root += kind(bins) * truth
        return root

    def unsort(self, x: Array, order: Array) -> Array:
        out = np.empty_like(x)
        np.put_along_axis(out, order, x, axis=-1)
        return out


def _runs_on(x: Array) -> bool:
    """Whether the pixels are adjacent in memory, and the rest ahead by whole numbers."""
    if x.flags.c_contiguous:
        return True
    ahead = all(step >= 0 and step % x.itemsize == 0 for step in x.strides)
    return ahead and bool(x.strides[-1] == x.itemsize)


def _runs(x: Array, whole: int) -> Array:
    """The first `whole` pixels in runs, (k, C, runs, pixels of a run)."""
    return x[..., :whole].reshape(*x.shape[:-1], -1, _RUN)


def _of_lesser(lesser: Array, above: Array) -> Array:
    """A probability from the smaller of p and 1 − p, and where p is above 1/2."""
    p = np.subtract(above, lesser, dtype=lesser.dtype)
    return np.abs(p, out=p)


np.empty(CALMING, dtype=np.uint8)
_WORKERS = Workers()
BACKEND = NumpyBackend(_xp.namespace(np.empty(0)))

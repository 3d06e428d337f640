"""JAX: one custom derivative rule for all losses, and loops over tiles that XLA compiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.experimental.layout import Layout, with_layout_constraint

from ..backend import Backend
from ..engine import Problem, check_cotangent
from ..inputs import check_arrays
from ..statistics import Statistics
from ..tiles import LARGE, Block, Grid
from ._jax_mesh import automatic

if TYPE_CHECKING:
    from .._xp import Array, Device, Dtype
    from ..loss import Loss, Term
    from ..plan import Part
    from ..walk import Measured


_ROW = 128
"""So many numbers are added one by one."""


class JaxBackend(Backend):
    """JAX arrays; everything is a pure function of them, compiled once per loss and shape."""

    name = "jax"
    array = "jax.Array"
    in_place = False
    keeps_tiles = False
    fuses = True
    one_exponential = False

    def owns(self, x: Array) -> bool:
        return isinstance(x, jax.Array)

    def device(self, x: Array) -> Device:
        """The device of a concrete array; a traced one is where it is put later."""
        return x.device if self.concrete(x) else None

    def apart(self, x: Array, y: Array) -> bool:
        # arrays on several devices may be divided among them in different ways, and one that was
        # put on none goes where `x` is
        at_hand = self.concrete(x) and self.concrete(y) and y.committed
        return at_hand and bool(x.devices() != y.devices())

    def accumulator(self, device: Device) -> Dtype:
        return jnp.float64 if jax.config.jax_enable_x64 else jnp.float32

    def index_dtype(self) -> Dtype:
        return jnp.int64 if jax.config.jax_enable_x64 else jnp.int32

    def concrete(self, x: Array) -> bool:
        return not isinstance(x, jax.core.Tracer)

    def constant(self, values: Any, like: Array) -> Array:
        return jnp.asarray(values, dtype=like.dtype)

    def isdtype(self, x: Array, kind: str | tuple[str, ...]) -> bool:
        # floats of 8 bits and fewer are to store, not to compute with
        narrow = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 16
        return not narrow and super().isdtype(x, kind)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        if self.concrete(x):
            return jnp.reshape(x, shape)
        # XLA orders axes of length 1 as it likes, and copies the array where a loop does not
        return _in_order(jnp.reshape(_in_order(x), shape))

    def add_pixels(self, x: Array, dtype: Dtype) -> Array:
        length = x.shape[-1] // _ROW * _ROW
        if dtype == jnp.float64 or x.dtype == jnp.float64 or not length:
            return jnp.sum(x, -1, dtype=dtype)
        # XLA adds one by one, whose error grows with the pixels, and makes one sum of two
        rows = jnp.sum(jnp.reshape(x[..., :length], (*x.shape[:-1], -1, _ROW)), -1, dtype=dtype)
        whole = jnp.sum(jax.lax.optimization_barrier(rows), -1, dtype=dtype)
        return whole + jnp.sum(x[..., length:], -1, dtype=dtype)

    def add_classes(self, x: Array) -> Array:
        if not _on_host() or x.ndim < 3:
            return super().add_classes(x)
        # on a CPU, XLA computes a sum anew for each class that it is used for, but not a product
        ones = jnp.ones((x.shape[0], 1, x.shape[1]), x.dtype)
        return jnp.matmul(ones, x, precision="highest")

    def maximum(self, x: Array, value: float) -> Array:
        return jnp.maximum(x, value)

    def minimum(self, x: Array, value: float) -> Array:
        return jnp.minimum(x, value)

    power = Backend.flat_power

    def sigmoid(self, z: Array, room: Array | None = None) -> tuple[Array, Array | None]:
        return _sigmoid(z), None

    def sigmoid_pull(
        self,
        z: Array,
        slope: Array | None,
        kept: Array | None = None,
        place: Array | None = None,
    ) -> Array:
        # of one tile, XLA takes this p and that of the sums for one
        pulled = _sigmoid(z) * _sigmoid(-z)
        return pulled if slope is None else slope * pulled

    def cost_of_margin(
        self, margin: Array, bent: Array | None = None
    ) -> tuple[Array, Array | None]:
        # what two loops need XLA stores; what each computes anew it does not
        return super().cost_of_margin(margin, bent)[0], None

    def sides_of_away(self, away: Array) -> tuple[Array, Array, Array]:
        # of 1/(1 + odds), the derivative squares what float32 cannot hold
        return _sigmoid(-away), _sigmoid(away), self.cost_of_margin(-away)[0]

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
        value = values.reshape(-1).astype(dtype)
        one = jnp.ones_like(flat, dtype=self.count_dtype(dtype))
        if weight is not None:
            one = jnp.broadcast_to(weight, values.shape).reshape(-1).astype(dtype)
            value = value * one
        # an index past the end is dropped
        size = jnp.zeros(length, one.dtype).at[flat].add(one, mode="drop")
        total = jnp.zeros(length, dtype).at[flat].add(value, mode="drop")
        return size.reshape(shape), total.reshape(shape)

    def unsort(self, x: Array, order: Array) -> Array:
        rows = jnp.arange(math.prod(x.shape[:-1]))[:, None]
        flat, place = (y.reshape(len(rows), -1) for y in (x, order))
        moved = jnp.zeros_like(flat).at[rows, place].set(flat, unique_indices=True)
        return moved.reshape(x.shape)

    def tile_limit(self, part: Part) -> int:
        if not _on_host():
            return 1 << 24
        limit = super().tile_limit(part)
        # a loop's temporaries are to be small beside a large array
        return min(limit, part.size >> 5) if part.size >= LARGE else limit

    # loops

    def cut(self, x: Array, block: Block) -> Array:
        start = (block.sample, 0, block.pixel)
        return jax.lax.dynamic_slice(x, start, (block.samples, x.shape[1], block.pixels))

    def rows(self, x: Array, block: Block) -> Array:
        if x.shape[0] == 1:
            return x
        return jax.lax.dynamic_slice_in_dim(x, block.sample, block.samples)

    def fold(
        self,
        grid: Grid,
        measure: Callable[[Block, list[Measured] | None], list[Measured]],
        terms: Sequence[Term],
    ) -> list[Measured]:
        per_sample = [term.per_sample for term in terms]

        def measured(block: Block) -> list[Measured]:
            return [
                parts if stacked else tuple(map(self.add_samples, parts))
                for parts, stacked in zip(measure(block, None), per_sample, strict=True)
            ]

        block = next(iter(grid))
        shapes = jax.eval_shape(lambda: measured(block))
        zeros = [
            tuple(
                jnp.zeros(((grid.samples if stacked else s.shape[0]), *s.shape[1:]), s.dtype)
                for s in term
            )
            for term, stacked in zip(shapes, per_sample, strict=True)
        ]

        def add(block: Block, sums: Any) -> Any:
            parts = [
                tuple(_placed(p, block, grid.samples) if stacked else p for p in term)
                for term, stacked in zip(measured(block), per_sample, strict=True)
            ]
            return jax.tree.map(_add, sums, parts, is_leaf=lambda x: isinstance(x, _Sum))

        sums = jax.tree.map(lambda zero: _Sum(zero, zero), zeros)
        sums = _loop(grid, add, sums)
        added: list[Measured] = jax.tree.map(
            lambda s: s.high + s.low, sums, is_leaf=lambda x: isinstance(x, _Sum)
        )
        return added

    def fill(
        self,
        grid: Grid,
        function: Callable[[Block, Array | None], Array],
        dtype: Dtype,
        make: Callable[[], Array],
        room: Array | None = None,
    ) -> Array:
        blocks = list(grid)
        if len(blocks) == 1:
            return function(blocks[0], None).astype(dtype)

        def write(block: Block, out: Array) -> Array:
            tile = function(block, None).astype(dtype)
            return jax.lax.dynamic_update_slice(out, tile, (block.sample, 0, block.pixel))

        return _loop(grid, write, make())

    # entries

    def value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        def call(pred: Array, target: Array, weight: Array | None) -> Array:
            self._check(loss, pred, target, weight)
            return _jitted_value(loss, pred, target, weight)

        check_arrays(self, pred, target, weight)
        return automatic(call, pred, target, weight)

    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        def call(
            pred: Array,
            target: Array,
            weight: Array | None,
            cotangent: Array | None,
            statistics: Sequence[Measured] | None,
        ) -> Any:
            problem = self._check(loss, pred, target, weight)
            if statistics is not None:
                problem.check_statistics(statistics)
            return _value_and_grad(loss, pred, target, weight, cotangent, statistics)

        check_arrays(self, pred, target, weight)
        check_cotangent(self, pred, None, cotangent)
        found: tuple[Array, Array] = automatic(
            call, pred, target, weight, cotangent, statistics, gradient=True
        )
        return found

    def statistics(
        self, loss: Loss, pred: Array, target: Array, weight: Array | None
    ) -> tuple[list[Measured], Dtype]:
        def call(pred: Array, target: Array, weight: Array | None) -> Any:
            self._check(loss, pred, target, weight)
            return _measure(loss, pred, target, weight)

        check_arrays(self, pred, target, weight)
        return automatic(call, pred, target, weight), self.compute_dtype(pred.dtype)

    def from_statistics(self, loss: Loss, parts: Sequence[Measured], dtype: Dtype) -> Array:
        scored = super().from_statistics
        return automatic(lambda held: scored(loss, held, dtype), parts)

    def _check(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Problem:
        """All checks of a call, before it is compiled."""
        # within a trace, operations even on arrays that are none of its own would be traced
        with jax.ensure_compile_time_eval():
            problem = Problem(self, loss, pred, target, weight, lay=False)
            problem.check(target, weight)
        return problem


BACKEND = JaxBackend(jnp)


@jax.custom_jvp
def _sigmoid(z: Array) -> Array:
    """The sigmoid; of jax.nn.sigmoid, the derivative is p·(1 − p), which loses digits near 1."""
    return jax.nn.sigmoid(z)


@_sigmoid.defjvp
def _sigmoid_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    p = _sigmoid(primals[0])
    return p, tangents[0] * (p * _sigmoid(-primals[0]))


@partial(jax.tree_util.register_dataclass, data_fields=["high", "low"], meta_fields=[])
class _Sum:
    """A running sum and the rounding that it has lost so far."""

    def __init__(self, high: Array, low: Array) -> None:
        self.high, self.low = high, low


def _on_host() -> bool:
    """Whether what is not put anywhere else is computed on a CPU."""
    device = jax.config.jax_default_device
    chosen = jax.default_backend() if device is None else getattr(device, "platform", device)
    return bool(chosen == "cpu")


def _in_order(x: Array) -> Array:
    held = with_layout_constraint(x, Layout(tuple(range(x.ndim))))
    # where it is what a compiled function returns, JAX leaves XLA the order of all that returns,
    # and takes what has no such constraint for in order still: so it is returned by another
    return jnp.squeeze(jnp.expand_dims(held, 0), 0)


def _add(total: _Sum, part: Array) -> _Sum:
    """Neumaier's sum, for the tiles of float32 where there is no float64."""
    if part.dtype != jnp.float32:
        return _Sum(total.high + part, total.low)
    high = total.high + part
    larger = jnp.abs(total.high) >= jnp.abs(part)
    lost = jnp.where(larger, (total.high - high) + part, (part - high) + total.high)
    return _Sum(high, total.low + jnp.where(jnp.isfinite(high), lost, 0))


def _placed(part: Array, block: Block, samples: int) -> Array:
    """A block's rows among those of all samples."""
    zeros = jnp.zeros((samples, *part.shape[1:]), part.dtype)
    return jax.lax.dynamic_update_slice_in_dim(zeros, part, block.sample, 0)


def _loop(grid: Grid, step: Callable[[Block, Any], Any], carry: Any) -> Any:
    """`step` over all blocks: one compiled loop per block size."""
    for size, starts in _by_size(grid):
        if len(starts) == 1:
            carry = step(Block(starts[0][0], size[0], starts[0][1], size[1]), carry)
            continue
        table = jnp.asarray(starts)

        def body(i: Array, held: Any, size: tuple[int, int] = size, table: Array = table) -> Any:
            return step(Block(table[i, 0], size[0], table[i, 1], size[1]), held)

        carry = jax.lax.fori_loop(0, len(starts), body, carry)
    return carry


def _by_size(grid: Grid) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """The starts of the blocks of each size."""
    starts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for block in grid:
        starts.setdefault((block.samples, block.pixels), []).append((block.sample, block.pixel))
    yield from starts.items()


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
    return Backend.value(BACKEND, loss, pred, target, weight)


@partial(_value.defjvp, symbolic_zeros=True)
def _value_jvp(loss: Loss, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """The value and Σ gradient·tangent; with terms, the transpose of pull at the tangent."""
    for name, tangent in zip(("target", "weight"), tangents[1:], strict=True):
        if tangent is not None and not isinstance(tangent, SymbolicZero):
            raise TypeError(
                f"{name} requires a gradient; gradients flow to pred only; "
                f"pass jax.lax.stop_gradient({name})"
            )
    pred, target, weight = (_plain(x) for x in primals)
    problem = Problem(BACKEND, loss, pred, target, weight)
    value, slopes = problem.score(problem.measure())
    if value.ndim == 0:
        # a scale of the loss comes after, and float16 would have lost what it is to save
        wide = value.dtype if pred.dtype == jnp.float16 else None
        gradient = problem.gradient(slopes, None, wide).astype(value.dtype)
        return value, jnp.sum(gradient * tangents[0].astype(value.dtype))
    pull = jax.linear_transpose(lambda cot: problem.gradient(slopes, cot), value)
    return value, pull(tangents[0])[0]


def _plain(x: Any) -> Any:
    return getattr(x, "primal", x)


_jitted_value = jax.jit(_value, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _value_and_grad(loss: Loss, *arguments: Any) -> tuple[Array, Array]:
    return Backend.value_and_grad(BACKEND, loss, *arguments)


@partial(jax.jit, static_argnums=0)
def _measure(loss: Loss, pred: Array, target: Array, weight: Array | None) -> list[Measured]:
    return Problem(BACKEND, loss, pred, target, weight, adding=True).measure()


def _flatten(statistics: Statistics) -> tuple[Any, Any]:
    return statistics.parts, (statistics.loss, statistics.dtype)


def _unflatten(held: Any, parts: Any) -> Statistics:
    return Statistics(held[0], tuple(tuple(part) for part in parts), held[1])


jax.tree_util.register_pytree_node(Statistics, _flatten, _unflatten)

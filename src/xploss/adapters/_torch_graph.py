"""torch tensors in one piece of pure functions, where a graph or a trace is made."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .._xp import Array, Device, Dtype
from ..backend import Backend
from ..engine import Problem
from . import _torch_op
from ._torch_call import Call, EagerCall, ForwardCall, State
from ._torch_watch import in_forward_mode, refuse_nested, transforms

if TYPE_CHECKING:
    from ..loss import Loss
    from ..tiles import Block
    from ..walk import Measured

_INTEGRAL = (
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip
_GROUP = 8
"""Costs that share a logarithm."""
_STORED = (torch.uint16, torch.uint32, torch.uint64)
"""Integers that torch can store but hardly compute with."""
KINDS = {
    "bool": (torch.bool,),
    "integral": _INTEGRAL,
    "real floating": (torch.float64, torch.float32, torch.float16, torch.bfloat16),
}


@dataclass(frozen=True)
class Place:
    """The labels of a tile as indices (k, 1, m): 0 where a label is no class."""

    index: Array
    labelled: Array | None
    """1 where a label is a class, else 0, (k, 1, m); None for 1 everywhere."""
    flat: dict[tuple[int, ...], Array] = field(default_factory=dict)
    """The same places in memory, by the strides of an array (k, C, m)."""


class TorchBackend(Backend):
    """torch tensors, by functions that autograd, torch.func and torch.compile can trace."""

    name = "torch"
    array = "torch.Tensor"
    in_place = False
    traces = True
    one_exponential = False

    power = Backend.flat_power

    def owns(self, x: Array) -> bool:
        return isinstance(x, torch.Tensor)

    def device(self, x: Array) -> Device:
        return x.device

    def apart(self, x: Array, y: Array) -> bool:
        return bool(x.device != y.device)

    def accumulator(self, device: Device) -> Dtype:
        return torch.float32 if device.type == "mps" else torch.float64

    def isdtype(self, x: Array, kind: str | tuple[str, ...]) -> bool:
        kinds = (kind,) if isinstance(kind, str) else kind
        return any(x.dtype in KINDS[k] for k in kinds)

    def concrete(self, x: Array) -> bool:
        return False

    def on_host(self, x: Array) -> bool:
        return bool(x.device.type == "cpu")

    def refuse_kind(self, name: str, x: Array) -> None:
        if torch.compiler.is_compiling():
            return
        parallel = sys.modules.get("torch.distributed.tensor")
        if parallel is not None and isinstance(x, getattr(parallel, "DTensor", ())):
            raise TypeError(
                f"{name} is a DTensor; expected the tensor of this process; pass "
                f"{name}.to_local(), and add the statistics of all processes"
            )
        if x.is_nested:
            raise TypeError(
                f"{name} is a nested tensor; expected a dense one; pad it by "
                "torch.nested.to_padded_tensor(), with weight=0 where it is padded"
            )
        if x.layout != torch.strided:
            raise TypeError(
                f"{name} has layout {x.layout}; expected a dense tensor; pass {name}.to_dense()"
            )

    def refuse_gradients(self, target: Array, weight: Array | None) -> None:
        """Raise TypeError if a tensor other than pred asks for a gradient."""
        for name, x in (("target", target), ("weight", weight)):
            if isinstance(x, torch.Tensor) and x.requires_grad:
                raise TypeError(
                    f"{name} requires a gradient; gradients flow to pred only; pass {name}.detach()"
                )

    def compute_dtype(self, dtype: Dtype) -> Dtype:
        return torch.float64 if dtype == torch.float64 else torch.float32

    def widened(self, x: Array) -> Array:
        return x.to(torch.int64) if x.dtype in _STORED else x

    def extent(self, x: Array) -> tuple[float, float]:
        low, high = torch.aminmax(x)
        return float(low), float(high)

    def cut(self, x: Array, block: Block) -> Array:
        return x

    def rows(self, x: Array, block: Block) -> Array:
        return x

    def maximum(self, x: Array, value: float) -> Array:
        return torch.clamp(x, min=value)

    def minimum(self, x: Array, value: float) -> Array:
        return torch.clamp(x, max=value)

    def log1p(self, x: Array) -> Array:
        if x.device.type != "cpu":
            return torch.log1p(x)
        # log(u) + (x − (u − 1))/u with u = 1 + x rounded takes two thirds of the time
        whole = 1 + x
        return torch.log(whole) + (x - (whole - 1)) / whole

    def bend(self, x: Array) -> Array:
        if transforms() or in_forward_mode():
            # these differentiate what is compiled as it is
            return super().bend(x)
        return torch.exp(-torch.abs(x))

    def sum_cost_of_both(self, z: Array, t: Array, bent: Array | None, dtype: Dtype) -> Array:
        if z.device.type != "cpu" or z.shape[-1] < _GROUP:
            return super().sum_cost_of_both(z, t, bent, dtype)
        # eight costs share a logarithm; in one loop over eighths, which nothing is stored between,
        # nor is what may be known of the whole
        length = z.shape[-1] // _GROUP
        whole = _GROUP * length
        eighths = (x[..., :whole].unflatten(-1, (_GROUP, length)).unbind(-2) for x in (z, t))
        linear, joined = torch.zeros_like(z[..., :1]), torch.zeros_like(z[..., :1])
        for own, target in zip(*eighths, strict=True):
            e = self.bend(own)
            linear, joined = linear + self.beyond(own, target), joined + e + joined * e
        total = self.sum_pixels(linear, None, dtype)
        total = total + self.sum_pixels(self.log1p(joined), None, dtype)
        rest = self.cost_of_both(z[..., whole:], t[..., whole:])
        return total + self.sum_pixels(rest, None, dtype)

    def slope_of_both(self, p: Array, q: Array, t: Array, scale: Array) -> Array:
        # in the products, so that a compiler computes it where it is needed, and keeps nothing
        return p * (scale * (1 - t)) - q * (scale * t)

    # torch's own softmax stands for the exponentials, and the logarithm for their sum

    def exponentials(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = torch.amax(z, 1, keepdim=True).detach()
        log_total = torch.logsumexp(z - shift, 1, keepdim=True)
        return torch.softmax(z, 1), shift, log_total

    def over_total(self, x: Array, total: Array, place: Array | None = None) -> Array:
        return x

    def log_total(self, total: Array) -> Array:
        return total

    def locate(self, labels: Array, classes: int, labelled: Array | None) -> Place:
        if labelled is None:
            return Place(labels, None)
        return Place(torch.where(labelled > 0, labels, 0), labelled)

    def take_at(self, x: Array, truth: Place) -> Array:
        samples, _, pixels = truth.index.shape
        taken = torch.gather(x.expand((samples, x.shape[1], pixels)), 1, truth.index)
        return self.where_kept(taken, truth.labelled)

    def add_at(self, x: Array, truth: Place, values: Array) -> Array:
        return x.scatter_add(1, truth.index, self.where_kept(values, truth.labelled))

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
        if truth.labelled is not None:
            values = torch.where(truth.labelled > 0, values, torch.gather(x, 1, truth.index))
        return x.scatter(1, truth.index, values)

    def whole_part(self, x: Array, most: int) -> Array:
        return x.to(torch.int64).clamp(0, most)

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
        value = values.reshape(-1).to(dtype)
        if weight is None:
            kind = self.count_dtype(dtype)
            one = torch.ones((), dtype=kind, device=flat.device).expand(flat.shape)
        else:
            one = weight.expand(values.shape).reshape(-1).to(dtype)
            value = value * one
        # one place more, for what counts nowhere
        lines = (self.add_along(flat, source, length + 1)[:length] for source in (one, value))
        found = [line.reshape(shape) for line in lines]
        return tuple(found) if held is None else (held[0] + found[0], held[1] + found[1])

    def add_along(self, index: Array, values: Array, length: int) -> Array:
        """The sum of the values of each place on a line."""
        zeros = torch.zeros(length, dtype=values.dtype, device=values.device)
        return zeros.scatter_add(0, index, values)

    def running_sum(self, x: Array, dtype: Dtype | None = None) -> Array:
        return torch.cumsum(x, -1, dtype=dtype)

    def unsort(self, x: Array, order: Array) -> Array:
        return torch.zeros_like(x).scatter(-1, order, x)

    def sum_classes(self, values: Array, truth: Place, classes: int, dtype: Dtype) -> Array:
        zeros = torch.zeros_like(values[:, 0, :1], dtype=dtype).expand(-1, classes)
        held = self.where_kept(values, truth.labelled)[:, 0, :].to(dtype)
        return zeros.scatter_add(1, truth.index[:, 0, :], held)

    def count_classes(self, truth: Place, classes: int) -> Array:
        ones = torch.ones_like(truth.index)
        if truth.labelled is not None:
            ones = truth.labelled.to(ones.dtype)
        zeros = torch.zeros_like(ones[:, 0, :1]).expand(-1, classes)
        return zeros.scatter_add(1, truth.index[:, 0, :], ones[:, 0, :])

    def value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        self.refuse_gradients(target, weight)
        if not self.traces:
            pred, target, weight = map(_bare, (pred, target, weight))
        if self.traces and torch.compiler.is_dynamo_compiling() and _torch_op.fits(loss, pred):
            Problem(self, loss, pred, target, weight)  # its checks, while tracing
            return _torch_op.value(loss, pred, target, weight)
        if self.traces and not torch.compiler.is_compiling():
            return self._watched_value(loss, pred, target, weight)
        if not (pred.requires_grad and torch.is_grad_enabled()):
            return self.value_alone(loss, pred, target, weight)
        call = Call if self.traces else EagerCall
        return call.apply(State(self, loss), pred, target, weight)

    def _watched_value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        """The value where a transformation, a tracer or forward mode is at work."""
        if torch.jit.is_tracing():
            # a node of ours would be called back in Python, and others have other derivatives
            return self.value_alone(loss, pred.detach(), target, weight)
        call = Call
        if in_forward_mode():
            refuse_nested(pred)
            call = ForwardCall
        return call.apply(State(self, loss), pred, target, weight)

    value_alone = Backend.value

    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        pred, target, weight = self._plain(pred, target, weight)
        if not self.traces:
            cotangent = _bare(cotangent)
        plain = self.traces and cotangent is None and statistics is None
        if plain and torch.compiler.is_dynamo_compiling() and _torch_op.fits(loss, pred):
            Problem(self, loss, pred, target, weight)  # its checks, while tracing
            return _torch_op.value_and_grad(loss, pred, target, weight)
        with torch.no_grad():
            return super().value_and_grad(loss, pred, target, weight, cotangent, statistics)

    def _plain(
        self, pred: Array, target: Array, weight: Array | None
    ) -> tuple[Array, Array, Array | None]:
        """The tensors of a call without graphs, tangents and what subclasses add."""
        self.refuse_gradients(target, weight)
        if not self.traces:
            return _bare(pred), _bare(target), _bare(weight)
        if not isinstance(target, torch.Tensor):
            return pred, target, weight
        weighed = weight.detach() if isinstance(weight, torch.Tensor) else weight
        return pred.detach(), target.detach(), weighed

    def statistics(
        self, loss: Loss, pred: Array, target: Array, weight: Array | None
    ) -> tuple[list[Measured], Dtype]:
        pred, target, weight = self._plain(pred, target, weight)
        with torch.no_grad():
            return super().statistics(loss, pred, target, weight)

    def forward(self, state: State, pred: Array, target: Array, weight: Array | None) -> Array:
        """The value, for autograd."""
        # who records these operations is not to differentiate them
        x = pred if torch.compiler.is_compiling() else pred.detach()
        problem = Problem(self, state.loss, x, target, weight)
        return problem.score(problem.measure())[0]

    def backward(
        self, state: State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        """The gradient, for autograd: a differentiable function of `pred` and `cotangent`."""
        problem = Problem(self, state.loss, pred, target, weight)
        _, slopes = problem.score(problem.measure())
        return problem.gradient(slopes, cotangent)

    def push(
        self, state: State, tangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        """The derivative of the value along a tangent of `pred`, for autograd's forward mode."""
        # a gradient of few digits would lose what the sum of so small numbers is made of
        pred = pred.to(self.compute_dtype(pred.dtype))
        problem = Problem(self, state.loss, pred, target, weight)
        value, slopes = problem.score(problem.measure())
        if value.ndim == 0:
            return (problem.gradient(slopes, None).to(value.dtype) * tangent).sum()
        # the transpose of what a cotangent of the terms is pulled by
        _, transposed = torch.func.vjp(lambda cot: problem.gradient(slopes, cot), value)
        return transposed(tangent)[0]


def _bare(x: Any) -> Any:
    """A tensor of a subclass as a plain one, whose operations only compute."""
    known = type(x) is torch.Tensor or not isinstance(x, torch.Tensor)
    return x if known else x.as_subclass(torch.Tensor)

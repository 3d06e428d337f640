"""PyTorch: tiles in eager mode, one piece of pure functions where a graph or trace is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
import torch

from .. import _xp
from .._xp import Array, Device, Dtype, Namespace
from ..backend import TINY, Backend
from ..engine import Problem
from ..threads import CALMING, Workers

if TYPE_CHECKING:
    from ..engine import Measured, Memory
    from ..loss import Loss
    from ..tiles import Block

_INTEGRAL = (
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip
_STORED = (torch.uint16, torch.uint32, torch.uint64)
"""Integers that torch can store but hardly compute with."""
_KINDS = {
    "bool": (torch.bool,),
    "integral": _INTEGRAL,
    "real floating": (torch.float64, torch.float32, torch.float16, torch.bfloat16),
}
_NUMPY = {
    torch.float64: numpy.float64, torch.float32: numpy.float32,
    torch.int64: numpy.int64, torch.int32: numpy.int32,
}  # fmt: skip
_HUGE = 1 << 22
"""From so many bytes on, NumPy asks the system for huge pages."""


@dataclass(frozen=True)
class _Place:
    """The labels of a tile as indices (k, 1, m): 0 where a label is no class."""

    index: Array
    known: Array | None
    """Where a label is a class, (k, 1, m); None if everywhere."""

    def only_known(self, x: Array) -> Array:
        """`x` (k, 1, m) with 0 where the label is no class."""
        return x if self.known is None else x * self.known


class TorchBackend(Backend):
    """torch tensors, by functions that autograd, torch.func and torch.compile can trace."""

    name = "torch"
    traces = True

    def owns(self, x: Array) -> bool:
        return isinstance(x, torch.Tensor)

    def device(self, x: Array) -> Device:
        return x.device

    def accumulator(self, dtype: Dtype, device: Device) -> Dtype:
        return torch.float32 if device.type == "mps" else torch.float64

    def isdtype(self, x: Array, kind: str | tuple[str, ...]) -> bool:
        kinds = (kind,) if isinstance(kind, str) else kind
        return any(x.dtype in _KINDS[k] for k in kinds)

    def concrete(self, x: Array) -> bool:
        return False

    def on_host(self, x: Array) -> bool:
        return bool(x.device.type == "cpu")

    def refuse_gradient(self, name: str, x: Array) -> None:
        if x.requires_grad:
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

    def softmax(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = torch.amax(z, 1, keepdim=True).detach()
        log_total = torch.logsumexp(z - shift, 1, keepdim=True)
        return torch.softmax(z, 1), shift, log_total

    def sigmoid(self, z: Array, room: Array | None = None) -> Array:
        return torch.sigmoid(z, out=room)

    def softplus(self, z: Array) -> Array:
        return -torch.nn.functional.logsigmoid(-z)

    def locate(self, labels: Array, classes: int, known: bool) -> _Place:
        if known:
            return _Place(labels, None)
        mask = (labels >= 0) & (labels < classes)
        return _Place(torch.where(mask, labels, 0), mask)

    def take_at(self, x: Array, truth: _Place) -> Array:
        samples, _, pixels = truth.index.shape
        taken = torch.gather(x.expand((samples, x.shape[1], pixels)), 1, truth.index)
        return truth.only_known(taken)

    def add_at(self, x: Array, truth: _Place, values: Array) -> Array:
        return x.scatter_add(1, truth.index, truth.only_known(values))

    def put_at(self, x: Array, truth: _Place, values: Array) -> Array:
        if truth.known is not None:
            values = torch.where(truth.known, values, torch.gather(x, 1, truth.index))
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
        past: bool,
    ) -> Measured:
        length, flat = math.prod(shape), index.reshape(-1)
        value = values.reshape(-1).to(dtype)
        if weight is None:
            one = torch.ones((), dtype=torch.int64, device=flat.device).expand(flat.shape)
        else:
            one = weight.expand(values.shape).reshape(-1).to(dtype)
            value = value * one
        found = []
        for source in (one, value):
            # one place more, for what counts nowhere
            zeros = torch.zeros(length + 1, dtype=source.dtype, device=flat.device)
            found.append(zeros.scatter_add(0, flat, source)[:length].reshape(shape))
        return tuple(found) if held is None else (held[0] + found[0], held[1] + found[1])

    def look_up(self, table: Array, index: Array) -> Array:
        return table.reshape(-1).index_select(0, index.reshape(-1)).reshape(index.shape)

    def running_sum(self, x: Array, dtype: Dtype | None = None) -> Array:
        return torch.cumsum(x, -1, dtype=dtype)

    def unsort(self, x: Array, order: Array) -> Array:
        return torch.zeros_like(x).scatter(-1, order, x)

    def sum_classes(self, values: Array, truth: _Place, classes: int, dtype: Dtype) -> Array:
        zeros = torch.zeros_like(values[:, 0, :1], dtype=dtype).expand(-1, classes)
        held = truth.only_known(values)[:, 0, :].to(dtype)
        return zeros.scatter_add(1, truth.index[:, 0, :], held)

    def count_classes(self, truth: _Place, classes: int) -> Array:
        ones = torch.ones_like(truth.index)
        ones = ones if truth.known is None else ones * truth.known
        zeros = torch.zeros_like(ones[:, 0, :1]).expand(-1, classes)
        return zeros.scatter_add(1, truth.index[:, 0, :], ones[:, 0, :])

    def value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        refused = (target, weight)
        for name, x in zip(("target", "weight"), refused, strict=True):
            if isinstance(x, torch.Tensor):
                self.refuse_gradient(name, x)
        if not ((pred.requires_grad and torch.is_grad_enabled()) or _traced(pred)):
            return super().value(loss, pred, target, weight)
        call = _Call if self.traces else _EagerCall
        return call.apply(_State(self, loss), pred, target, weight)

    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        with torch.no_grad():
            return super().value_and_grad(loss, pred, target, weight, cotangent, statistics)

    def statistics(
        self, loss: Loss, pred: Array, target: Array, weight: Array | None
    ) -> tuple[list[Measured], Dtype]:
        with torch.no_grad():
            return super().statistics(loss, pred, target, weight)

    def forward(self, state: _State, pred: Array, target: Array, weight: Array | None) -> Array:
        """The value, for autograd."""
        problem = Problem(self, state.loss, pred, target, weight)
        return problem.score(problem.measure())[0]

    def backward(
        self, state: _State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        """The gradient, for autograd: a differentiable function of `pred` and `cotangent`."""
        problem = Problem(self, state.loss, pred, target, weight)
        _, slopes = problem.score(problem.measure())
        return problem.gradient(slopes, cotangent)


class EagerBackend(TorchBackend):
    """torch tensors outside of any trace: tiles in place, without a graph."""

    def __init__(self, xp: Namespace, graph: TorchBackend) -> None:
        super().__init__(xp)
        self._graph = graph

    traces = False
    holds = True
    tile_elements = 1 << 19

    def cut(self, x: Array, block: Block) -> Array:
        first, second, third = x.stride()
        offset = x.storage_offset() + block.sample * first + block.pixel * third
        shape = (block.samples, x.shape[1], block.pixels)
        return x.as_strided(shape, (first, second, third), offset)

    def cast(self, x: Array, dtype: Dtype) -> Array:
        return x if x.dtype == dtype else self._converted(x, dtype)

    def _fresh(self, like: Array, dtype: Dtype | None = None) -> Array:
        """An uninitialised array of a tile's shape.

        Of torch's own, aligned beyond what malloc gives, glibc would keep up to eight copies.
        """
        kind = dtype or like.dtype
        if kind not in _NUMPY:
            return torch.empty(like.shape, dtype=kind)
        return torch.from_numpy(numpy.empty(like.shape, _NUMPY[kind]))

    def _converted(self, x: Array, dtype: Dtype) -> Array:
        return self._fresh(x, dtype).copy_(x)

    def empty_like(self, x: Array) -> Array:
        size = x.numel() * x.element_size()
        if size < _HUGE or not x.is_contiguous():
            return torch.empty_like(x)
        # NumPy asks for huge pages, whose first touch costs a fifth
        return torch.from_numpy(numpy.empty(size, numpy.uint8)).view(x.dtype).view(x.shape)

    def write(self, place: Array, x: Array) -> None:
        place.copy_(x)

    def total(self, parts: Sequence[Array], per_sample: bool) -> Array:
        dtype = self.accumulator(parts[0].dtype, parts[0].device)
        if len(parts) == 1 and (per_sample or parts[0].shape[0] == 1):
            return parts[0].to(dtype)
        if per_sample:
            return torch.stack(list(parts)).to(dtype).sum(0)
        return torch.cat(list(parts)).to(dtype).sum(0, keepdim=True)

    def rows(self, x: Array, block: Block) -> Array:
        return Backend.rows(self, x, block)

    def concrete(self, x: Array) -> bool:
        return True

    def tile_limit(self, x: Array, size: int) -> int:
        # a tile is to be small beside the array, with all that is computed from it
        most = self.tile_elements if x.element_size() > 2 else self.tile_elements >> 1
        return min(most, max(size >> 4, 1 << 17))

    def workers(self) -> int:
        return int(torch.get_num_threads())

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        work, inference = list(items), torch.is_inference_mode_enabled()
        if len(work) < 2:
            return [function(item) for item in work]

        def quietly(item: Any) -> Any:
            # these modes hold for the calling thread only
            with torch.inference_mode(inference), torch.no_grad():
                return function(item)

        return _WORKERS.map(quietly, work, self.workers())

    def contiguous(self, x: Array) -> Array:
        return x if x.stride(-1) == 1 else x.contiguous()

    def softmax(self, z: Array, room: Array | None = None) -> tuple[Array, Array, Array]:
        shift = torch.amax(z, 1, keepdim=True, out=self._fresh(z[:, :1]))
        e = torch.sub(z, shift, out=self._fresh(z) if room is None else room).exp_()
        total = torch.sum(e, 1, keepdim=True, out=self._fresh(shift))
        return e.div_(total), shift, total.log_()

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
            pulled = torch.mul(p, at_truth, out=place).neg_()
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
        low, high = self.extent(self.multiply(x, x).sub_(x))
        return low == 0 == high

    def zero_above(self, x: Array, limit: float) -> Array:
        # on a CPU, where() costs as much as three exponentials
        return x - torch.threshold(x, limit, 0.0)

    def softplus(self, z: Array) -> Array:
        if z.dtype == torch.float32:
            fresh = self._fresh(z)
            softened: Array = torch._C._nn.softplus(z, out=fresh)  # noqa: SLF001
            return softened
        return super().softplus(z)

    def sigmoid(self, z: Array, room: Array | None = None) -> Array:
        return torch.sigmoid(z, out=self._fresh(z) if room is None else room)

    def lesser_side(self, z: Array, room: Array) -> None:
        torch.abs(z, out=room).neg_().sigmoid_()

    def sigmoid_pull(
        self, z: Array, slope: Array, lesser: Array | None = None, place: Array | None = None
    ) -> Array:
        if lesser is None:
            lesser = self._fresh(z)
            self.lesser_side(z, lesser)
        # slope·(1 − s)·s, which is the same for both sides
        place = lesser if place is None else place
        return torch.ops.aten.sigmoid_backward(slope, lesser, grad_input=place)

    def multiply(self, x: Array, y: Array, place: Array | None = None) -> Array:
        if place is None:
            place = self._fresh(x if x.numel() >= y.numel() else y)
        return torch.mul(x, y, out=place)

    def against(self, t: Array) -> Array:
        return torch.mul(t, -2, out=self._fresh(t)).add_(1)

    def sum_others(self, x: Array, truth: _Place, at_truth: Array) -> Array:
        if truth.known is not None:
            return super().sum_others(x, truth, at_truth)
        x.scatter_(1, truth.index, 0)
        summed = torch.sum(x, 1, keepdim=True, out=self._fresh(at_truth))
        x.scatter_(1, truth.index, at_truth)
        return summed

    def take_at(self, x: Array, truth: _Place) -> Array:
        if truth.known is not None:
            return super().take_at(x, truth)
        samples, _, pixels = truth.index.shape
        whole = x.expand((samples, x.shape[1], pixels))
        return torch.gather(whole, 1, truth.index, out=self._fresh(truth.index, x.dtype))

    def add_at(self, x: Array, truth: _Place, values: Array) -> Array:
        return x.scatter_add_(1, truth.index, truth.only_known(values))

    def histogram(
        self,
        index: Array,
        values: Array,
        weight: Array | None,
        shape: tuple[int, ...],
        held: Measured | None,
        dtype: Dtype,
        past: bool,
    ) -> Measured:
        if held is None:
            kind = torch.int64 if weight is None else dtype
            held = tuple(torch.zeros(shape, dtype=d, device=index.device) for d in (kind, dtype))
        size, total = (sums.view(-1) for sums in held)
        flat = self.cast(index.reshape(-1), torch.int64)
        if weight is None:
            one = self._ones(flat)
        else:
            one = weight.expand(values.shape).reshape(-1).to(dtype)
        counts = flat < size.shape[0] if past else None
        if counts is not None:
            flat, one = flat[counts], one[counts]
        size.scatter_add_(0, flat, one)
        value = self.cast(values.reshape(-1), dtype)
        value = value if counts is None else value[counts]
        total.scatter_add_(0, flat, value if weight is None else value * one)
        return held

    def _ones(self, like: Array) -> Array:
        """Ones for counting, which all tiles share; a single one would be read more slowly."""
        length, ones = like.shape[0], self._shared
        if ones is None or ones.shape[0] < length or ones.device != like.device:
            ones = torch.ones(length, dtype=torch.int64, device=like.device)
            self._shared = ones
        return ones[:length]

    _shared: Array | None = None

    def look_up(self, table: Array, index: Array) -> Array:
        found = self._fresh(index, table.dtype)
        torch.index_select(table.view(-1), 0, index.view(-1), out=found.view(-1))
        return found

    def look_up_line(self, start: Array, rise: Array, index: Array, within: Array) -> Array:
        return self.look_up(rise, index).mul_(within).add_(self.look_up(start, index))

    def put_at(self, x: Array, truth: _Place, values: Array) -> Array:
        if truth.known is not None:
            return super().put_at(x, truth, values)
        return self._converted(x, x.dtype).scatter_(1, truth.index, values)

    def place_errors(self, errors: Array, bins: int, hinge: bool) -> Array:
        root = self._fresh(errors)
        if hinge:
            torch.add(errors, TINY, out=root)
        else:
            torch.neg(errors, out=root).add_(1)
            torch.div(errors, root.add_(TINY), out=root).add_(TINY)
        whole = torch.add(root.sqrt_(), 1, out=self._fresh(root))
        return root.div_(whole).mul_(bins)

    def hinge(self, z: Array, t: Array) -> Array:
        return self.against(t).mul_(z).add_(1).clamp_(min=0)

    def positive(self, x: Array) -> Array:
        return torch.sign(x, out=self._fresh(x)).clamp_(min=0)

    def bin_errors(
        self, errors: Array, bins: int, hinge: bool, within: bool = False
    ) -> tuple[Array, Array | None]:
        place = self.place_errors(errors, bins, hinge)
        whole = self._converted(place, torch.int32).clamp_(0, bins - 1)
        return whole, place.sub_(whole) if within else None

    def sum_pixels(self, x: Array, weight: Array | None, dtype: Dtype) -> Array:
        # the float32 sum over adjacent pixels is a cascade: its error does not grow with them
        return torch.sum(x if weight is None else self.multiply(x, weight), -1)

    def sum_classes(self, values: Array, truth: _Place, classes: int, dtype: Dtype) -> Array:
        samples = values.shape[0]
        # bincount adds in the dtype of its weights, one by one
        held = self.cast(truth.only_known(values), dtype).reshape(-1)
        summed = torch.bincount(self._bins(truth, classes), held, minlength=samples * classes)
        return summed.reshape(samples, classes)

    def count_classes(self, truth: _Place, classes: int) -> Array:
        samples, bins = truth.index.shape[0], self._bins(truth, classes)
        if truth.known is None:
            counts = torch.bincount(bins, minlength=samples * classes)
        else:
            # sums of ones in float64 are counts, exact up to 2^53
            ones = truth.known.reshape(-1).to(torch.float64)
            counts = torch.bincount(bins, ones, minlength=samples * classes).to(torch.int64)
        return counts.reshape(samples, classes)

    @staticmethod
    def _bins(truth: _Place, classes: int) -> Array:
        """A bin per sample and label."""
        index = truth.index
        if index.shape[0] == 1:
            return index.view(-1)
        samples = torch.arange(index.shape[0], device=index.device)
        return (index + samples[:, None, None] * classes).view(-1)

    def scoring(self, arrays: Sequence[Array]) -> tuple[Backend, Sequence[Array]]:
        if all(isinstance(a, torch.Tensor) and a.device.type == "cpu" for a in arrays):
            from .numpy import BACKEND as NUMPY

            return NUMPY, [a.numpy() for a in arrays]
        return super().scoring(arrays)

    def scored(self, x: Array, like: Array, dtype: Dtype) -> Array:
        return torch.as_tensor(x, dtype=dtype, device=like.device)

    def forward(self, state: _State, pred: Array, target: Array, weight: Array | None) -> Array:
        problem = Problem(self, state.loss, pred, target, weight)
        value, state.slopes = problem.score(problem.measure(ahead=True))
        state.memories = problem.memories
        state.problem = problem if problem.small else None
        return value

    def backward(
        self, state: _State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        if torch.is_grad_enabled():
            return self._graph.backward(state, cotangent, pred, target, weight)
        problem = state.problem
        if problem is None:
            problem = Problem(self, state.loss, pred, target, weight, memories=state.memories)
        return problem.gradient(state.slopes, cotangent)


def _work_alone() -> None:
    """Set this thread's number of intra-op threads to 1."""
    # where it has not been asked for, torch sets it to the last one set anywhere, and at any time
    torch.get_num_threads()
    torch.set_num_threads(1)


# threads yet to come take the last number that was set: so the caller's is set again
_WORKERS = Workers(_work_alone, torch.set_num_threads)


class DeviceBackend(EagerBackend):
    """torch tensors on a device: large tiles, by the calling thread and on its stream."""

    def workers(self) -> int:
        return 1

    def _fresh(self, like: Array, dtype: Dtype | None = None) -> Array:
        return torch.empty(like.shape, dtype=dtype or like.dtype, device=like.device)

    def empty_like(self, x: Array) -> Array:
        return torch.empty_like(x)

    def tile_limit(self, x: Array, size: int) -> int:
        return 1 << 24


class _State:
    """What one call keeps between forward and backward, beside the tensors."""

    def __init__(self, backend: TorchBackend, loss: Loss) -> None:
        self.backend = backend
        self.loss = loss
        self.problem: Any = None
        self.slopes: Any = None
        self.memories: list[Memory] = []


class _Call(torch.autograd.Function):
    """One node of the graph for all losses."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        state: _State, pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None
    ) -> torch.Tensor:
        return state.backend.forward(state, pred, target, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        state, *tensors = inputs
        ctx.state = state
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        state: _State = ctx.state
        pred, target, weight = ctx.saved_tensors
        return None, state.backend.backward(state, cotangent, pred, target, weight), None, None


class _EagerCall(torch.autograd.Function):
    """The same outside of any trace, in the form that costs torch less."""

    @staticmethod
    def forward(
        ctx: Any,
        state: _State,
        pred: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.state = state
        ctx.save_for_backward(pred, target, weight)
        return state.backend.forward(state, pred, target, weight)

    backward = _Call.backward


torch.empty(CALMING, dtype=torch.uint8)
_NAMESPACE = _xp.namespace(torch.empty(0))
_GRAPH = TorchBackend(_NAMESPACE)
_EAGER = EagerBackend(_NAMESPACE, _GRAPH)
_DEVICE = DeviceBackend(_NAMESPACE, _GRAPH)


def backend(*arrays: Any) -> TorchBackend:
    """The backend for tensors, by whether operations on them are being traced."""
    if torch.compiler.is_compiling() or any(map(_traced, arrays)):
        return _GRAPH
    return _EAGER if arrays[0].device.type == "cpu" else _DEVICE


def _traced(x: Any) -> bool:
    """Whether `x` is a tensor under a transformation, or of a class of somebody else's."""
    if not isinstance(x, torch.Tensor) or torch.compiler.is_compiling():
        return False
    plain = type(x) is torch.Tensor or type(x) is torch.nn.Parameter
    return not plain or torch._C._functorch.is_functorch_wrapped_tensor(x)  # noqa: SLF001

"""torch tensors outside of any trace: tiles in place, without a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .._xp import Array, Dtype, Namespace
from ..backend import TINY, Backend
from ..engine import Problem
from ..threads import CALMING, Workers
from ._torch_call import State
from ._torch_graph import Place, TorchBackend

if TYPE_CHECKING:
    from ..tiles import Block
    from ..walk import Measured

_NUMPY = {
    torch.float64: np.float64, torch.float32: np.float32,
    torch.int64: np.int64, torch.int32: np.int32,
}  # fmt: skip
_HUGE = 1 << 22
"""From so many bytes on, NumPy asks the system for huge pages."""


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
        return torch.from_numpy(np.empty(like.shape, _NUMPY[kind]))

    def _converted(self, x: Array, dtype: Dtype) -> Array:
        return self._fresh(x, dtype).copy_(x)

    def empty_like(self, x: Array) -> Array:
        size = x.numel() * x.element_size()
        if size < _HUGE or not x.is_contiguous():
            return torch.empty_like(x)
        # NumPy asks for huge pages, whose first touch costs a fifth
        return torch.from_numpy(np.empty(size, np.uint8)).view(x.dtype).view(x.shape)

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

    def sum_others(self, x: Array, truth: Place, at_truth: Array) -> Array:
        if truth.known is not None:
            return super().sum_others(x, truth, at_truth)
        x.scatter_(1, truth.index, 0)
        summed = torch.sum(x, 1, keepdim=True, out=self._fresh(at_truth))
        x.scatter_(1, truth.index, at_truth)
        return summed

    def take_at(self, x: Array, truth: Place) -> Array:
        if truth.known is not None:
            return super().take_at(x, truth)
        if x.shape[0] == 1 and x.shape[2] == 1:
            # one number per class
            return self.look_up(x, truth.index)
        samples, _, pixels = truth.index.shape
        whole = x.expand((samples, x.shape[1], pixels))
        return torch.gather(whole, 1, truth.index, out=self._fresh(truth.index, x.dtype))

    def add_at(self, x: Array, truth: Place, values: Array) -> Array:
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
        torch.index_select(table.reshape(-1), 0, index.reshape(-1), out=found.view(-1))
        return found

    def look_up_line(self, start: Array, rise: Array, index: Array, within: Array) -> Array:
        return self.look_up(rise, index).mul_(within).add_(self.look_up(start, index))

    def put_at(self, x: Array, truth: Place, values: Array) -> Array:
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

    def sum_classes(self, values: Array, truth: Place, classes: int, dtype: Dtype) -> Array:
        samples = values.shape[0]
        # bincount adds in the dtype of its weights, one by one
        held = self.cast(truth.only_known(values), dtype).reshape(-1)
        summed = torch.bincount(self._bins(truth, classes), held, minlength=samples * classes)
        return summed.reshape(samples, classes)

    def count_classes(self, truth: Place, classes: int) -> Array:
        samples, bins = truth.index.shape[0], self._bins(truth, classes)
        if truth.known is None:
            counts = torch.bincount(bins, minlength=samples * classes)
        else:
            # sums of ones in float64 are counts, exact up to 2^53
            ones = truth.known.reshape(-1).to(torch.float64)
            counts = torch.bincount(bins, ones, minlength=samples * classes).to(torch.int64)
        return counts.reshape(samples, classes)

    @staticmethod
    def _bins(truth: Place, classes: int) -> Array:
        """A bin per sample and label."""
        index = truth.index
        if index.shape[0] == 1:
            return index.reshape(-1)
        samples = torch.arange(index.shape[0], device=index.device)
        return (index + samples[:, None, None] * classes).reshape(-1)

    def scoring(self, arrays: Sequence[Array]) -> tuple[Backend, Sequence[Array]]:
        if all(isinstance(a, torch.Tensor) and a.device.type == "cpu" for a in arrays):
            from .numpy import BACKEND as NUMPY

            return NUMPY, [a.numpy() for a in arrays]
        return super().scoring(arrays)

    def scored(self, x: Array, like: Array, dtype: Dtype) -> Array:
        return torch.as_tensor(x, dtype=dtype, device=like.device)

    def forward(self, state: State, pred: Array, target: Array, weight: Array | None) -> Array:
        problem = Problem(self, state.loss, pred, target, weight)
        value, state.slopes = problem.score(problem.measure(ahead=True))
        state.memories = problem.memories
        state.problem = problem if problem.small else None
        return value

    def backward(
        self, state: State, cotangent: Array, pred: Array, target: Array, weight: Array | None
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


torch.empty(CALMING, dtype=torch.uint8)

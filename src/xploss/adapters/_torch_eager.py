"""torch tensors outside of any trace: tiles in place, without a graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .._xp import Array, Device, Dtype, Namespace
from ..backend import Backend
from ..engine import Problem
from ..threads import Workers
from ..tiles import KEPT, LARGE, device_limit
from ._torch_call import State
from ._torch_graph import Place, TorchBackend
from ._torch_kernels import EagerKernels
from ._torch_lookups import NUMPY_DTYPES
from ._torch_watch import carries_tangent, is_batched

if TYPE_CHECKING:
    from ..plan import Part
    from ..tiles import Block

_HUGE = 1 << 22
"""From so many bytes on, NumPy asks the system for huge pages."""
_ROWS = 64
"""The most rows of sums on a device, which are added in the end."""
_PLACES = 1 << 20
"""The most places of all rows."""


class EagerBackend(EagerKernels):
    """torch tensors outside of any trace: tiles in place, without a graph."""

    def __init__(self, xp: Namespace, graph: TorchBackend) -> None:
        super().__init__(xp)
        self._graph = graph

    in_place = True
    traces = False
    holds = True
    by_class = True
    tile_elements = 1 << 19

    def cut(self, x: Array, block: Block) -> Array:
        first, second, third = x.stride()
        offset = x.storage_offset() + block.sample * first + block.pixel * third
        shape = (block.samples, x.shape[1], block.pixels)
        return x.as_strided(shape, (first, second, third), offset)

    def empty_like(self, x: Array) -> Array:
        size = x.numel() * x.element_size()
        if size < _HUGE or not x.is_contiguous():
            return torch.empty_like(x)
        # NumPy asks for huge pages, whose first touch costs a fifth
        return torch.from_numpy(np.empty(size, np.uint8)).view(x.dtype).view(x.shape)

    def somewhere(self, mask: Array | None) -> Array | None:
        if mask is None or not self.on_host(mask):
            return mask
        # the largest of bytes is found three times as fast as any of bools
        return mask if bool(mask.view(torch.uint8).amax()) else None

    def write(self, place: Array, x: Array) -> None:
        place.copy_(x)

    def total(self, parts: Sequence[Array], per_sample: bool) -> Array:
        # a call for each tile would take longer than the sums of a small one
        dtype = self.accumulator(parts[0].device)
        if per_sample:
            return torch.stack(list(parts)).sum(0, dtype=dtype)
        return torch.cat(list(parts)).sum(0, keepdim=True, dtype=dtype)

    def added(self, parts: Sequence[Array]) -> Array:
        # by NumPy: torch's own threads, once called, would look for more work for a while
        total = parts[0].numpy()
        for part in parts[1:]:
            total += part.numpy()
        return parts[0]

    def rows(self, x: Array, block: Block) -> Array:
        return Backend.rows(self, x, block)

    def tile_limit(self, part: Part) -> int:
        half: bool = part.pred.dtype.itemsize < 4
        limit, size = self.tile_elements >> half, part.size
        if part.entrywise:
            roomy = not part.crowded or (not part.accumulates and (half or size <= limit))
            return limit if roomy else limit >> 1
        if part.bulky or (part.accumulates and size <= KEPT):
            # beside large statistics, the tiles of all threads are to be smaller still; and what
            # is small is not left to torch's own threads
            return min(limit, max(limit >> 2, size // 120))
        if size <= KEPT >> half:
            # kept, so that nothing is read again for the way back
            return size
        if size <= LARGE:
            return limit
        # the tiles of all threads are to be small beside the array, with what is computed from
        # them; of large ones fewer operations are called, for each of which a thread may wait
        return min(2 * limit, size // (48 if part.accumulates else 34))

    def workers(self, part: Part) -> int:
        # torch's own threads divide each operation on entries well; and for as long as a small
        # array takes, after operations of the caller's, they spin on the cores that ours would need
        alone = part.entrywise or (part.size <= LARGE and not part.accumulates)
        return 1 if alone else int(torch.get_num_threads())

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> list[Any]:
        work, inference = list(items), torch.is_inference_mode_enabled()
        if workers < 2 or len(work) < 2:
            return [function(item) for item in work]

        @contextmanager
        def quietly() -> Iterator[None]:
            # these modes hold for the calling thread only
            with torch.inference_mode(inference), torch.no_grad():
                yield

        return _WORKERS.map(function, work, workers, quietly)

    def scoring(self, arrays: Sequence[Array]) -> tuple[Backend, Sequence[Array]]:
        if all(isinstance(a, torch.Tensor) and a.device.type == "cpu" for a in arrays):
            from .numpy import BACKEND as NUMPY

            return NUMPY, [(a.float() if a.dtype == torch.bfloat16 else a).numpy() for a in arrays]
        return super().scoring(arrays)

    def scored(self, x: Array, dtype: Dtype) -> Array:
        if isinstance(x, torch.Tensor):
            return x.to(dtype)
        return torch.from_numpy(np.asarray(x, NUMPY_DTYPES[dtype]))

    def forward(self, state: State, pred: Array, target: Array, weight: Array | None) -> Array:
        problem = Problem(self, state.loss, pred, target, weight)
        value, state.slopes = problem.score(problem.measure(ahead=True))
        state.problem, state.lock = problem, threading.Lock()
        # autograd has them, and may have hooks for what it saves
        problem.let_go()
        return value

    def backward(
        self, state: State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        if torch.compiler.is_compiling():
            # compiled autograd traces what eager calls are to do on the way back
            return self._graph.backward(state, cotangent, pred, target, weight)
        watched = torch.is_grad_enabled() or is_batched(cotangent) or carries_tangent(cotangent)
        with state.lock:
            if not watched:
                return self.gradient(state, cotangent, pred, target, weight)
            state.problem.let_go(done=True)
        return self._graph.backward(state, cotangent, pred, target, weight)

    def gradient(
        self, state: State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        """The gradient by what `forward` has kept."""
        problem: Problem = state.problem
        try:
            problem.hold(pred, target, weight)
            return problem.gradient(state.slopes, cotangent)
        finally:
            # the value may live on
            problem.let_go(done=True)


def _work_alone() -> None:
    """Set this thread's number of intra-op threads to 1."""
    # where it has not been asked for, torch sets it to the last one set anywhere, and at any time
    torch.get_num_threads()
    torch.set_num_threads(1)


# threads yet to come take the last number that was set: so the caller's is set again
_WORKERS = Workers(_work_alone, torch.set_num_threads)


class DeviceBackend(EagerBackend):
    """torch tensors on a device: large tiles, by the calling thread and on its stream."""

    by_class = False
    scored_bins = 1 << 24
    one_exponential = False
    fused_classes = 1 << 16
    group = 1

    def workers(self, part: Part) -> int:
        return 1

    def _fresh(self, like: Array, dtype: Dtype | None = None) -> Array:
        return torch.empty(like.shape, dtype=dtype or like.dtype, device=like.device)

    def _exp(self, x: Array, place: Array) -> Array:
        return torch.exp(x, out=place)

    def prefers_masks(self, x: Array) -> bool:
        return False

    def empty_like(self, x: Array) -> Array:
        return torch.empty_like(x)

    def tile_limit(self, part: Part) -> int:
        return device_limit(part.size)

    def constant(self, values: Any, like: Array) -> Array:
        return _constant(_frozen(values), like.dtype, like.device)

    def count_classes(self, truth: Place, classes: int) -> Array:
        ones = torch.ones_like(truth.index) if truth.labelled is None else truth.labelled
        return self._add_up(ones.reshape(-1).to(torch.int64), truth, classes)

    def add_along(self, index: Array, values: Array, length: int) -> Array:
        # who adds to the same place waits: so neighbours do so in rows of their own
        rows = max(1, min(_ROWS, _PLACES // length))
        if rows > 1:
            row = torch.arange(len(index), device=index.device).remainder_(rows)
            index = row.mul_(length).add_(index)
        found = super().add_along(index, values, rows * length)
        return found.view(rows, length).sum(0)

    def cost_of_margin(
        self, margin: Array, bent: Array | None = None
    ) -> tuple[Array, Array | None]:
        return -torch.nn.functional.logsigmoid(margin), None

    whole_part = TorchBackend.whole_part
    extent = TorchBackend.extent
    take_at = TorchBackend.take_at
    added = TorchBackend.added
    histogram = TorchBackend.histogram
    united = TorchBackend.united
    index_bins = TorchBackend.index_bins
    hinge = TorchBackend.hinge
    look_up_lines = TorchBackend.look_up_lines
    chosen = TorchBackend.chosen

    def place_errors(
        self,
        errors: Array,
        bins: int,
        hinge: bool,
        truth: Array | None = None,
        room: Array | None = None,
    ) -> Array:
        place = TorchBackend.place_errors(self, errors, bins, hinge, truth)
        return place if room is None else room.copy_(place)


@lru_cache(maxsize=1024)
def _constant(values: Any, dtype: Dtype, device: Device) -> Array:
    """Numbers on a device: to copy them anew would wait for all that is under way there."""
    return torch.tensor(values, dtype=dtype, device=device)


def _frozen(values: Any) -> Any:
    """Lists as tuples."""
    return tuple(map(_frozen, values)) if isinstance(values, list | tuple) else values

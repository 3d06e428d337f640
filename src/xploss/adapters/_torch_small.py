"""Small torch tensors outside of any trace: computed by NumPy, from copies."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .._xp import Array
from ..engine import Problem
from ._torch_call import State
from ._torch_eager import EagerBackend
from ._torch_graph import KINDS
from ._torch_watch import in_dispatch_mode
from .numpy import BACKEND as NUMPY

if TYPE_CHECKING:
    from ..loss import Loss
    from ..walk import Measured

MOST = 1 << 15
"""The most elements of what is small: torch does not divide so few among threads."""

_DTYPES = frozenset(dtype for kind in KINDS.values() for dtype in kind)
_HALF = (torch.float16, torch.bfloat16)
_quiet = np.errstate(all="ignore")


class SmallBackend(EagerBackend):
    """Small tensors on a CPU: calling a function of NumPy costs a fraction of calling torch's.

    What adds up over several calls, statistics and what is made of them, stays with torch.
    """

    @_quiet
    def value_alone(self, loss: Loss, *arrays: Array | None) -> Array:
        return _tensor(NUMPY.value(loss, *map(_own, arrays)))

    @_quiet
    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        if cotangent is not None or statistics is not None:
            return super().value_and_grad(loss, pred, target, weight, cotangent, statistics)
        arrays = map(_own, self._plain(pred, target, weight))
        value, gradient = NUMPY.value_and_grad(loss, *arrays, None, None)
        return _tensor(value), _tensor(gradient).to(pred.dtype)

    @_quiet
    def forward(self, state: State, pred: Array, target: Array, weight: Array | None) -> Array:
        problem = Problem(NUMPY, state.loss, _own(pred), _own(target), _own(weight))
        value, state.slopes = problem.score(problem.measure(ahead=True))
        state.problem, state.lock = problem, threading.Lock()
        return _tensor(value)

    @_quiet
    def gradient(
        self, state: State, cotangent: Array, pred: Array, target: Array, weight: Array | None
    ) -> Array:
        arrays = (None, None, None)
        if state.problem.pred is None:
            arrays = tuple(map(_own, (pred, target, weight)))
        return _tensor(super().gradient(state, _own(cotangent), *arrays)).to(pred.dtype)


def is_small(*arrays: Any) -> bool:
    """Whether all are tensors of few numbers on a CPU, and nobody watches operations.

    The last, a weight, may be None.
    """
    for x in arrays if arrays[-1] is not None else arrays[:-1]:
        if not (
            isinstance(x, torch.Tensor)
            and x.numel() <= MOST
            and x.dtype in _DTYPES
            and x.device.type == "cpu"
            and x.layout == torch.strided
            and not x.is_nested
        ):
            return False
    return not in_dispatch_mode()


def _own(x: Array | None) -> Any:
    """A copy of a tensor as an array of NumPy; half precision as float32.

    Not in the tensor's memory, which torch would not resize any more.
    """
    if x is None:
        return None
    return (x.float() if x.dtype in _HALF else x.clone()).numpy(force=True)


def _tensor(x: Any) -> Array:
    return torch.from_numpy(np.asarray(x))

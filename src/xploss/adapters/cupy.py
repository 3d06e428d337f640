"""CuPy: flat indices, and large tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cupy as cp

from .. import _xp
from ..tiles import device_limit
from ._flat import FlatBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._xp import Array, Dtype
    from ..loss import Loss
    from ..plan import Part
    from ..walk import Measured


class CupyBackend(FlatBackend):
    """CuPy arrays."""

    name = "cupy"
    scored_bins = 1 << 24

    def owns(self, x: Array) -> bool:
        return isinstance(x, cp.ndarray)

    def tile_limit(self, part: Part) -> int:
        return device_limit(part.size)

    def on_host(self, x: Array) -> bool:
        return False

    def contiguous(self, x: Array) -> Array:
        return cp.ascontiguousarray(x)

    # CuPy computes on the current device, which need not be that of the arrays

    def value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        with pred.device:
            return super().value(loss, pred, target, weight)

    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        with pred.device:
            return super().value_and_grad(loss, pred, target, weight, cotangent, statistics)

    def statistics(
        self, loss: Loss, pred: Array, target: Array, weight: Array | None
    ) -> tuple[list[Measured], Dtype]:
        with pred.device:
            return super().statistics(loss, pred, target, weight)

    def from_statistics(self, loss: Loss, parts: Sequence[Measured], dtype: Dtype) -> Array:
        with parts[0][0].device:
            return super().from_statistics(loss, parts, dtype)


BACKEND = CupyBackend(_xp.namespace(cp.empty(0)))

"""CuPy: flat indices, and large tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cupy as cp

from .. import _xp
from ._flat import FlatBackend

if TYPE_CHECKING:
    from .._xp import Array
    from ..plan import Part


class CupyBackend(FlatBackend):
    """CuPy arrays."""

    name = "cupy"
    tile_elements = 1 << 24

    def owns(self, x: Array) -> bool:
        return isinstance(x, cp.ndarray)

    def tile_limit(self, part: Part) -> int:
        return self.tile_elements

    def on_host(self, x: Array) -> bool:
        return False

    def contiguous(self, x: Array) -> Array:
        return cp.ascontiguousarray(x)


BACKEND = CupyBackend(_xp.namespace(cp.empty(0)))

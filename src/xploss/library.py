"""What is to be known of an array library, answered with the Array API standard alone."""

from __future__ import annotations

from typing import Any, ClassVar

from . import _xp
from ._xp import Array, Device, Dtype, Namespace


class Library:
    """An array library: its dtypes, its devices, and whether its arrays can be looked at."""

    name: ClassVar[str] = "generic"
    array: ClassVar[str] = ""
    """What its arrays are called, if not by their type."""
    in_place: ClassVar[bool] = True
    """Whether arrays can be written to."""

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp

    def compute_dtype(self, dtype: Dtype) -> Dtype:
        """The dtype in which a tile is computed, and of the result."""
        return self.xp.float64 if self.xp.finfo(dtype).bits == 64 else self.xp.float32

    def accumulator(self, device: Device) -> Dtype:
        """The dtype in which tiles are added up: float64 where the device has it."""
        return self.xp.float64

    def index_dtype(self) -> Dtype:
        """The dtype of labels within a tile."""
        return self.xp.int64

    def count_dtype(self, dtype: Dtype) -> Dtype:
        """The dtype of large counts beside sums in `dtype`: integers where that is float32."""
        return dtype if dtype == self.xp.float64 else self.index_dtype()

    def device(self, x: Array) -> Device:
        return _xp.device(x)

    def apart(self, x: Array, y: Array) -> bool:
        """Whether two arrays are known to be on different devices."""
        places = self.device(x), self.device(y)
        return None not in places and places[0] != places[1]

    def concrete(self, x: Array) -> bool:
        """Whether `x` has values that Python can look at (not under a trace)."""
        return True

    def on_host(self, x: Array) -> bool:
        """Whether looking at values of `x` costs no device synchronisation."""
        return "cpu" in str(self.device(x)).lower()

    def refuse_kind(self, name: str, x: Array) -> None:
        """Raise TypeError if `x` is of a kind of this library that means more than its numbers."""

    def owns(self, x: Array) -> bool:
        """Whether `x` is an array of this library."""
        return _xp.is_array(x) and _xp.namespace(x) is self.xp

    def isdtype(self, x: Array, kind: str | tuple[str, ...]) -> bool:
        """Whether the dtype of `x` is of a kind, in the words of the standard."""
        return bool(self.xp.isdtype(x.dtype, kind))

    def widened(self, x: Array) -> Array:
        """`x`, in another dtype if the library cannot compute with its own."""
        return x

    def extent(self, x: Array) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(self.xp.min(x)), float(self.xp.max(x))

    def cast(self, x: Array, dtype: Dtype) -> Array:
        """`x` in a dtype; itself if it has it."""
        return self.xp.astype(x, dtype, copy=False)

    def write(self, place: Array, x: Array) -> None:
        """Put `x` into `place`, in its dtype."""
        place[...] = self.cast(x, place.dtype)

    def empty_like(self, x: Array) -> Array:
        """An array for a gradient by `x`."""
        return self.xp.empty_like(x)

    def constant(self, values: Any, like: Array) -> Array:
        """Numbers as an array beside `like`, of its dtype."""
        return self.xp.asarray(values, dtype=like.dtype, device=self.device(like))

    def full(self, shape: tuple[int, ...], value: float, dtype: Dtype, like: Array) -> Array:
        """One number in every place, beside `like`."""
        return self.xp.full(shape, value, dtype=dtype, device=self.device(like))

"""Statistics of a loss: small sums that add."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._xp import Array, Dtype
    from .loss import Loss


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a loss measured on some pixels; ``a + b`` is what it would measure on both.

    Attributes
    ----------
    loss : Loss
        The loss that measured.
    parts : tuple of tuples of arrays
        The sums that each term of the loss measured, in the namespace and on the device of the
        predictions.
    dtype : dtype
        That of the value.

    Examples
    --------
    The exact loss of a batch that is spread over torch ranks::

        statistics = loss.statistics(logits, target)
        for array in statistics.arrays:
            torch.distributed.all_reduce(array)
        value, gradient = loss.value_and_grad(logits, target, statistics=statistics)

    ``DistributedDataParallel`` divides by the number of ranks: there, pass
    ``gradient * torch.distributed.get_world_size()`` to ``logits.backward``.
    """

    loss: Loss
    parts: tuple[tuple[Array, ...], ...]
    dtype: Dtype

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All arrays, in one tuple."""
        return tuple(array for part in self.parts for array in part)

    def __add__(self, other: Statistics | int) -> Statistics:
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, Statistics):
            return NotImplemented
        if other.loss != self.loss:
            raise ValueError(
                f"statistics of {other.loss} were added to those of {self.loss}; "
                "expected statistics of one loss"
            )
        for mine, theirs in zip(self.arrays, other.arrays, strict=True):
            if mine.dtype != theirs.dtype or self.dtype != other.dtype:
                raise TypeError(
                    f"statistics of dtypes {mine.dtype} and {theirs.dtype}, for values of "
                    f"{self.dtype} and {other.dtype}, were added; expected one library and dtype"
                )
            if mine.shape != theirs.shape:
                raise ValueError(
                    f"statistics of shapes {tuple(mine.shape)} and {tuple(theirs.shape)} were "
                    "added; expected equal shapes: the same number of classes and, with "
                    "per_image=True, the same samples"
                )
        return self._with(a + b for a, b in zip(self.arrays, other.arrays, strict=True))

    __radd__ = __add__

    def map(self, function: Callable[[Array], Array]) -> Statistics:
        """These statistics with `function` applied to each array, such as JAX's ``psum``.

        What changes arrays in place, such as torch's ``all_reduce``, is for those of `arrays`.
        """
        found = [function(array) for array in self.arrays]
        if any(array is None for array in found):
            raise TypeError(
                "function returned None; expected an array; if it changes its argument in place, "
                "apply it to each of statistics.arrays"
            )
        return self._with(found)

    def _with(self, arrays: Iterable[Array]) -> Statistics:
        """These statistics with other arrays in the place of theirs."""
        rest = iter(arrays)
        return replace(self, parts=tuple(tuple(next(rest) for _ in part) for part in self.parts))

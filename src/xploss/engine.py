"""The way that every loss takes: measure the tiles, add, score, and pull the slopes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import inputs, values
from .plan import plan
from .scoring import add_values, scale_slopes, score_term
from .walk import Measured, Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array, Dtype
    from .backend import Backend
    from .loss import Loss


class Problem:
    """A loss and the arrays of one call, checked and laid out.

    With `adding`, the statistics are to be added to others. Without `lay`, the arrays are
    checked only.
    """

    def __init__(
        self,
        backend: Backend,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        *,
        adding: bool = False,
        lay: bool = True,
    ) -> None:
        self.backend, self.loss, self.pred = backend, loss, pred
        planned = plan(backend, loss, pred, target, weight, adding)
        self.terms, self.dtype = planned.terms, planned.dtype
        self.looking = values.are_checked(backend, pred, target, weight)
        # what is compiled has tiles without values, even of arrays that have some
        self.walks = [Walk(part, self.looking and backend.eager) for part in planned.parts]
        if lay:
            for walk in self.walks:
                walk.laid.hold(pred, target, weight)

    def let_go(self, done: bool = False) -> None:
        """Forget the arrays of the call, but what was found of them.

        Until a gradient is `done`, what is `small` is kept for it.
        """
        if self.small and not done:
            return
        self.pred = None
        for walk in self.walks:
            walk.let_go()
            if done:
                walk.memory.whole.clear()

    def hold(self, pred: Array, target: Array, weight: Array | None) -> None:
        """Take the same arrays again, if they were let go."""
        if self.pred is not None:
            return
        for walk in self.walks:
            walk.laid.hold(pred, target, weight)
        self.pred = pred

    def check(self, target: Array, weight: Array | None) -> None:
        """Look at all values, where that is asked for, before anything is computed."""
        if self.looking:
            for walk in self.walks:
                # of logits, any value has a meaning
                pred = None if walk.part.first.from_logits else self.pred
                walk.laid.hold(pred, target, weight)
                walk.check()

    @property
    def small(self) -> bool:
        """Whether the arrays are so small that they may be kept from measure to pull."""
        return all(walk.small for walk in self.walks)

    def check_statistics(self, statistics: Sequence[Measured]) -> None:
        """Raise unless `statistics` fit the samples and classes of the call."""
        for walk in self.walks:
            samples, classes, _ = walk.part.layout.sizes
            for index, _, term in walk.part.terms:
                expected = (samples if term.per_sample else 1, classes)
                for array in statistics[index]:
                    self._check_statistic(array, expected)

    def _check_statistic(self, array: Array, expected: tuple[int, int]) -> None:
        if not self.backend.owns(array):
            raise TypeError(
                f"statistics hold a {type(array).__name__} and pred is a "
                f"{type(self.pred).__name__}; expected arrays of one library"
            )
        if self.backend.apart(self.pred, array):
            device = self.backend.device(self.pred)
            raise ValueError(
                f"statistics are on device {self.backend.device(array)} and pred on {device}; "
                f"expected one device; move the parts of the statistics to {device}, by map()"
            )
        if tuple(array.shape[:2]) != expected:
            raise ValueError(
                f"statistics are of {array.shape[0]} samples and {array.shape[1]} classes "
                f"and pred asks for {expected[0]} and {expected[1]}; expected those of "
                "the whole that pred is a part of, with per_image=True of the same samples"
            )

    def measure(self, ahead: bool = False) -> list[Measured]:
        """The statistics of each term, in their order; `ahead` of a gradient to be asked for."""
        found: dict[int, Measured] = {}
        for walk in self.walks:
            if ahead:
                walk.hold()
            for (index, *_), part in zip(walk.part.terms, walk.measure(), strict=True):
                found[index] = part
        return [found[index] for index in range(len(found))]

    def score(self, statistics: Sequence[Measured]) -> tuple[Array, list[tuple[Array, ...]]]:
        """The value, and the slopes of each term by its statistics."""
        b = self.backend
        scores = [
            score_term(b, factor, term, arrays, self.dtype)
            for (factor, term), arrays in zip(self.terms, statistics, strict=True)
        ]
        slopes = [scored.slopes for scored in scores]
        parts = [scored.value for scored in scores]
        for walk in self.walks:
            for position, (index, _, term) in enumerate(walk.part.terms):
                if term.maps:
                    parts[index] = walk.maps(position, slopes[index])
        return b.scored(add_values(self.loss, parts), self.dtype), slopes

    def gradient(
        self,
        slopes: Sequence[tuple[Array, ...]],
        cotangent: Array | None,
        dtype: Dtype | None = None,
    ) -> Array:
        """The gradient of Σ cotangent·value by `pred`, in its dtype or a wider one."""
        b, total = self.backend, None
        for walk in self.walks:
            own, maps = [], []
            for index, _, term in walk.part.terms:
                own.append(scale_slopes(b, term, slopes[index], cotangent))
                maps.append(walk.lay_cotangent(term, cotangent) if term.maps else None)
            part = inputs.restore(b, walk.pull(own, maps, dtype), walk.part.layout)
            total = part if total is None else b.add_to(total, part)
        return total


def check_cotangent(
    backend: Backend, pred: Array, value: Array | None, cotangent: Array | None
) -> None:
    """Raise unless `cotangent` is an array of floats, in the shape of the value if it is known."""
    if cotangent is None:
        return
    if not backend.owns(cotangent) or not backend.isdtype(cotangent, "real floating"):
        raise TypeError(
            f"cotangent is {cotangent!r}; expected an array of floats of the library of pred"
        )
    backend.refuse_kind("cotangent", cotangent)
    if backend.apart(pred, cotangent):
        device = backend.device(pred)
        raise ValueError(
            f"cotangent is on device {backend.device(cotangent)} and pred on {device}; expected "
            f"one device; move cotangent to {device}"
        )
    if value is not None and tuple(cotangent.shape) != tuple(value.shape):
        raise ValueError(
            f"cotangent has shape {tuple(cotangent.shape)}; expected that of the value, "
            f"{tuple(value.shape)}"
        )

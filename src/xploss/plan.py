"""What shapes and dtypes tell of a call: its checks, and all that depends on no value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from . import inputs
from .inputs import Facts
from .lazy import lazy
from .shapes import place
from .tiles import KEPT

if TYPE_CHECKING:
    from ._xp import Array, Dtype
    from .backend import Backend
    from .loss import Loss, Term

UNDERFLOW = 1e-30
"""Less than any slope of a pixel's loss that counts."""


@dataclass
class Part:
    """The terms of a loss that share an activation, and the layout of what they read."""

    backend: Backend
    layout: inputs.Layout
    pred: Facts
    target: Facts
    weight: Facts | None
    adding: bool
    """Whether the statistics are to be added to others."""
    terms: list[tuple[int, float, Term]]
    """Each with its place among the terms of the loss, and its factor."""

    @lazy
    def first(self) -> Term:
        return self.terms[0][2]

    @lazy
    def size(self) -> int:
        """The elements of the array of predictions."""
        return math.prod(self.layout.sizes)

    @lazy
    def dtype(self) -> Dtype:
        """The dtype in which tiles are computed."""
        return self.backend.compute_dtype(self.pred.dtype)

    @lazy
    def float_target(self) -> bool:
        return self.backend.isdtype(self.target, "real floating")

    @lazy
    def bool_target(self) -> bool:
        return self.backend.isdtype(self.target, "bool")

    @lazy
    def float_weight(self) -> bool:
        return self.weight is not None and self.backend.isdtype(self.weight, "real floating")

    @lazy
    def wide(self) -> bool:
        """Whether the gradient's array can hold what tiles compute."""
        return bool(self.pred.dtype == self.dtype)

    @lazy
    def order(self) -> list[int]:
        """The terms, pointwise ones last: these take p of the truth from the regions' overlap."""
        return sorted(range(len(self.terms)), key=lambda i: self.terms[i][2].pointwise)

    @lazy
    def ignored(self) -> tuple[int | None, ...]:
        """The ignore labels of the terms."""
        return tuple(dict.fromkeys(term.ignore_index for *_, term in self.terms))

    @lazy
    def masked(self) -> bool:
        """Whether the integers of a dense target are looked at once the ignored ones are 0."""
        dense = not (self.layout.labels or self.float_target or self.bool_target)
        return dense and None not in self.ignored and self.weight is None

    @lazy
    def entrywise(self) -> bool:
        """Whether what is computed of an entry depends on no other."""
        return self.first.mode != "multiclass"

    @lazy
    def accumulates(self) -> bool:
        return any(term.accumulates for *_, term in self.terms)

    @lazy
    def bulky(self) -> bool:
        """Whether the statistics of all classes are so large that tiles should be smaller."""
        return self.accumulates and self.term_by_class is None

    @lazy
    def crowded(self) -> bool:
        """Whether the terms need more arrays of a tile at a time than most losses."""
        return len(self.terms) > 1 or self.first.crowded

    @lazy
    def term_by_class(self) -> int | None:
        """The place of the only term with large statistics, if they may be taken class by class.

        That is from all of p in the gradient's array, with one label and one weight per pixel.
        """
        large = [place for place, (*_, term) in enumerate(self.terms) if term.accumulates]
        if len(large) != 1 or self.entrywise or not (self.backend.by_class and self.settles):
            return None
        if not self.layout.labels or len(self.ignored) > 1:
            return None
        if self.weight is not None and self.weight.shape == self.layout.shape:
            return None
        return None if any(term.maps for *_, term in self.terms) else large[0]

    @lazy
    def whole(self) -> bool:
        """Whether a term must see all pixels in one tile."""
        return any(term.whole for *_, term in self.terms)

    @lazy
    def noted(self) -> bool:
        """Whether the gradient's array is for notes of the only term, and not for its p."""
        # p may be read until the last of a gradient is written
        ahead = self.ahead and self.entrywise
        return ahead or (len(self.terms) == 1 and self.first.takes_notes)

    @lazy
    def by_margin(self) -> bool:
        """Whether a hard target's margins are better than the logits to begin from."""
        by_margin = self.entrywise and any(term.by_margin for *_, term in self.terms)
        return by_margin and self.backend.one_exponential

    @lazy
    def once(self) -> bool:
        """Whether the slopes are likely not to differ from those known beforehand by a factor.

        By one, what is rounded to few digits would be rounded twice. Losses are scaled up where
        gradients would underflow, and where pixels are left out the divisor is another, unless
        labels tell them.
        """
        first = self.first
        if self.weight is not None or not first.uniform:
            return False
        if first.ignore_index is not None and not self.layout.labels:
            return False
        return float(self.backend.xp.finfo(self.pred.dtype).smallest_normal) < UNDERFLOW

    @lazy
    def ahead(self) -> bool:
        """Whether the gradient can be made, up to a factor, in the walk that measures."""
        return len(self.terms) == 1 and self.first.foreseen and (self.wide or self.once)

    @lazy
    def settles(self) -> bool:
        """Whether the gradient's array can hold what spares the second walk some work."""
        by_p = not self.entrywise or any(term.by_p for *_, term in self.terms)
        settles = self.first.from_logits and by_p and not self.whole
        return self.wide and (settles or self.noted)


@dataclass
class Plan:
    """A loss and the kind of arrays of a call, checked, and told apart by activation."""

    parts: list[Part]
    terms: list[tuple[float, Term]]
    """The terms of the loss, each as it is best computed, with its factor."""
    dtype: Dtype
    """The dtype of the value."""


def plan(
    backend: Backend, loss: Loss, pred: Array, target: Array, weight: Array | None, adding: bool
) -> Plan:
    """The plan of a call; of arrays that are at hand, it is kept for the next of its kind.

    With `adding`, the statistics are to be added to others, so that no term may take a way of
    its own for few pixels.
    """
    inputs.check_arrays(backend, pred, target, weight)
    make = _kept if backend.eager else _made
    weighed = None if weight is None else _facts(weight)
    return make(backend, loss, adding, _facts(pred), _facts(target), weighed)


_FEW = 16
"""Classes up to which pointwise losses of samples of one pixel are faster along the samples."""


def _facts(x: Array) -> Facts:
    return Facts(tuple(x.shape), x.dtype)


def _made(
    backend: Backend,
    loss: Loss,
    adding: bool,
    pred: Facts,
    target: Facts,
    weight: Facts | None,
) -> Plan:
    parts: dict[tuple[str, bool, int], Part] = {}
    terms: list[tuple[float, Term]] = []
    merges = 0.0 if any(t.per_sample or t.maps for _, t in loss.terms) else float("inf")
    if all(t.pointwise for _, t in loss.terms):
        merges = min(merges, _FEW)
    for index, (factor, term) in enumerate(loss.terms):
        key = (term.mode, term.from_logits, place(term.class_axis, len(pred.shape)))
        if key not in parts:
            layout = inputs.lay_out(backend, term, pred, target, weight, merges)
            parts[key] = Part(backend, layout, pred, target, weight, adding, [])
        part = parts[key]
        inputs.check_term(term, part.layout)
        samples, _, pixels = part.layout.sizes
        used = term
        if not adding and part.size <= KEPT:
            used = term.for_size(pixels * (1 if term.per_sample else samples))
        part.terms.append((index, factor, used))
        terms.append((factor, used))
    return Plan(list(parts.values()), terms, backend.compute_dtype(pred.dtype))


_kept = lru_cache(maxsize=64)(_made)

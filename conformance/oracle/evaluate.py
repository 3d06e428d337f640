"""The value and the gradient of a loss, or of a weighted sum of losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

from conformance.cases import Array, Loss, Sum
from conformance.oracle import lovasz, overlap, pointwise
from conformance.oracle.activation import Entries, activate
from conformance.oracle.layout import Problem, layout, moved, pred_places
from conformance.oracle.numbers import STEP, Grid, Number, isfinite, number, total
from conformance.oracle.options import options
from conformance.oracle.regions import reduce_regions

Result = tuple[tuple[int, ...], list[Number]]  # shape and row-major numbers


@dataclass(frozen=True)
class Term:
    """One loss of a sum with its call laid out."""

    factor: Number
    o: SimpleNamespace
    pred: Array
    problem: Problem

    def result(self, entries: Entries) -> Result:
        """The loss of these entries, times its factor."""
        shape, numbers = finish(self.o, self.pred, self.problem, entries)
        return shape, [self.factor * v for v in numbers]

    def at(self, x: Sequence[Number]) -> Result:
        """The loss at the numbers `x` in place of those of pred."""
        problem = moved(self.o, self.pred, self.problem, x)
        return replace(self, problem=problem).result(activate(self.o, problem))


def terms(loss: Loss | Sum, pred: Array, target: Array, weight: Array | None) -> list[Term]:
    """A loss, or the losses of a sum, laid out."""
    parts = loss.terms if isinstance(loss, Sum) else ((1.0, loss),)
    result = []
    for factor, part in parts:
        o = options(part)
        result.append(Term(number(factor), o, pred, layout(o, pred, target, weight)))
    return result


def value(loss: Loss | Sum, pred: Array, target: Array, weight: Array | None = None) -> Result:
    """The loss: the shape of the result and its numbers."""
    return add(terms(loss, pred, target, weight), [number(v) for v in pred.data])


def gradient(
    loss: Loss | Sum,
    pred: Array,
    target: Array,
    weight: Array | None = None,
    cotangent: Array | None = None,
) -> list[Number]:
    """The derivative of the sum of cotangent * value by every number of `pred`.

    By central differences (f(x+h) - f(x-h)) / 2h. A logit of -inf, and NaN where nothing is read,
    have derivative 0.
    """
    x = [number(v) for v in pred.data]
    parts = terms(loss, pred, target, weight)

    def contracted(i: int, step: Number) -> Number:
        return contract(add(parts, [*x[:i], x[i] + step, *x[i + 1 :]])[1], cotangent)

    return [
        (contracted(i, STEP) - contracted(i, -STEP)) / (2 * STEP) if isfinite(v) else number(0)
        for i, v in enumerate(x)
    ]


def add(parts: list[Term], x: Sequence[Number]) -> Result:
    """The sum of the terms at `x`."""
    results = [term.at(x) for term in parts]
    shapes = {shape for shape, _ in results}
    if len(shapes) != 1:
        raise ValueError(f"the terms of a sum differ in shape: {shapes}")
    return shapes.pop(), [total(v) for v in zip(*(numbers for _, numbers in results), strict=True)]


def contract(numbers: Sequence[Number], cotangent: Array | None) -> Number:
    """The sum of cotangent * value, with ones where no cotangent is given."""
    if cotangent is None:
        return total(numbers)
    return total(number(c) * v for c, v in zip(cotangent.data, numbers, strict=True))


def finish(o: SimpleNamespace, pred: Array, problem: Problem, entries: Entries) -> Result:
    """From activated entries to the result of one loss."""
    if o.name in ("CrossEntropyLoss", "FocalLoss"):
        cost, share = pointwise.costs(o, problem, entries)
        return pointwise.reduce_pixels(o, problem, cost, share, lambda g: arrange(o, pred, g))
    if o.name == "LovaszLoss":
        losses = lovasz.class_losses(o, problem, entries)
        return reduce_regions(o, problem.class_weights, losses)
    return finish_overlap(o, problem, overlap.statistics(o, problem, entries))


def finish_overlap(o: SimpleNamespace, problem: Problem, table: overlap.Table) -> Result:
    """From the statistics to the result of an overlap loss."""
    weights = (number(1),) if o.average == "micro" else problem.class_weights
    return reduce_regions(o, weights, overlap.class_losses(o, problem, table))


def arrange(o: SimpleNamespace, pred: Array, grid: Grid) -> Result:
    """[sample][class][pixel] in the layout of pred; multi-class has no class axis left."""
    if o.mode == "binary":
        return pred.shape, [v for sample in grid for row in sample for v in row]
    axis = o.class_axis % len(pred.shape)
    if o.mode == "multiclass":
        shape = tuple(size for i, size in enumerate(pred.shape) if i != axis)
        return shape, [v for sample in grid for row in sample for v in row]
    shape = tuple(len(grid[0]) if i == axis else size for i, size in enumerate(pred.shape))
    at = pred_places(o, shape)
    flat: list[Number] = [None] * sum(len(row) for sample in grid for row in sample)
    for sample, places in zip(grid, at, strict=True):
        for row, positions in zip(sample, places, strict=True):
            for v, position in zip(row, positions, strict=True):
                flat[position] = v
    return shape, flat

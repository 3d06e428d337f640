"""What overlap and Lovasz losses share: groups of samples, and the reduction of class losses."""

from __future__ import annotations

from types import SimpleNamespace

from conformance.oracle.layout import Problem
from conformance.oracle.numbers import Number, number, total


def groups(o: SimpleNamespace, problem: Problem) -> list[list[int]]:
    """The samples that are summed over together: each alone, or the whole batch."""
    samples = list(range(len(problem.x)))
    return [[n] for n in samples] if o.per_image else [samples]


def has_pixel(problem: Problem, samples: list[int]) -> bool:
    """Whether any entry of these samples is valid."""
    return any(any(row) for n in samples for row in problem.valid[n])


def reduce_regions(
    o: SimpleNamespace, class_weights: tuple[Number, ...], losses: list[list[Number | None]]
) -> tuple[tuple[int, ...], list[Number]]:
    """Shape and numbers of the result; a loss of None enters neither value nor divisor."""
    terms = [
        [number(0) if v is None else w * v for w, v in zip(class_weights, row, strict=True)]
        for row in losses
    ]
    if o.reduction == "none":
        classes = len(class_weights)
        shape = (len(losses), classes) if o.per_image else (classes,)
        return shape, [v for row in terms for v in row]
    if o.reduction == "sum":
        return (), [total(v for row in terms for v in row)]
    means = []
    for row, values in zip(terms, losses, strict=True):
        divisor = total(w for w, v in zip(class_weights, values, strict=True) if v is not None)
        if divisor != 0:
            means.append(total(row) / divisor)
    return (), [total(means) / len(means) if means else number(0)]

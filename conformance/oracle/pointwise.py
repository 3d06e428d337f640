"""Cross-entropy and focal loss: a cost per pixel, or per entry in binary and multi-label mode.

Sources: Szegedy et al. 2016 for label smoothing, Xie and Tu 2015 (HED) for the balanced form,
Lin et al. 2017 (arXiv:1708.02002, eq. 4 and 5) for the focal loss.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from conformance.oracle.activation import Entries, Entry
from conformance.oracle.layout import Problem
from conformance.oracle.numbers import Grid, Number, number, power, total

Factors = tuple[Number, Number]  # of the positive and of the negative part


def costs(o: SimpleNamespace, problem: Problem, entries: Entries) -> tuple[Grid, Grid]:
    """Cost and divisor of every entry, pixel weight and class weight included."""
    samples, classes, pixels = problem.sizes
    cost = [[[number(0)] * pixels for _ in range(classes)] for _ in range(samples)]
    share = [[[number(0)] * pixels for _ in range(classes)] for _ in range(samples)]
    for c, class_weight in zip(problem.counted, problem.class_weights, strict=True):
        factors = _factors(o, problem, c)
        for n in range(samples):
            for k, entry in enumerate(entries[n][c]):
                if entry is None or not problem.valid[n][c][k]:
                    continue
                w, t = class_weight * problem.w[n][c][k], problem.t[n][c][k]
                if o.mode == "multiclass":
                    cost[n][c][k] = w * factors[0] * _positive(o, entry, t, classes)
                    share[n][c][k] = w * t
                else:
                    positive = factors[0] * _positive(o, entry, t, 2)
                    negative = factors[1] * _negative(o, entry, t)
                    cost[n][c][k] = w * (positive + negative)
                    share[n][c][k] = w
    return cost, share


def _positive(o: SimpleNamespace, entry: Entry, t: Number, classes: int) -> Number:
    """-t' (1-p)^gamma log p; a masked class with a zero target is left out of the smoothing."""
    if t == 0 and entry.log_p == number("-inf"):
        return number(0)
    s = number(o.label_smoothing)
    smoothed = t * (1 - s) + s / classes
    if smoothed == 0:
        return number(0)
    return -smoothed * _focus(o, entry.q) * entry.log_p


def _negative(o: SimpleNamespace, entry: Entry, t: Number) -> Number:
    """-(1-t') p^gamma log(1-p)."""
    s = number(o.label_smoothing)
    smoothed = 1 - (t * (1 - s) + s / 2)
    if smoothed == 0:
        return number(0)
    return -smoothed * _focus(o, entry.p) * entry.log_q


def _focus(o: SimpleNamespace, miss: Number) -> Number:
    return power(miss, number(o.gamma)) if o.name == "FocalLoss" else number(1)


def _factors(o: SimpleNamespace, problem: Problem, c: int) -> Factors:
    """What multiplies the positive and the negative part of class c."""
    if o.name == "FocalLoss":
        if o.alpha is None:
            return number(1), number(1)
        alpha = _per_class(o, o.alpha, c)
        return alpha, 1 - alpha
    if o.pos_weight is not None:
        return _per_class(o, o.pos_weight, c), number(1)
    if o.balance == "auto":
        beta = _share_of_negatives(problem, c)
        return beta, 1 - beta
    if o.balance is not None:
        return number(o.balance), 1 - number(o.balance)
    return number(1), number(1)


def _per_class(o: SimpleNamespace, given: float | tuple[float, ...], c: int) -> Number:
    if not isinstance(given, tuple):
        return number(given)
    if o.classes is not None:
        raise ValueError("numbers per class together with classes=: not settled")
    return number(given[c])


def _share_of_negatives(problem: Problem, c: int) -> Number:
    samples, _, pixels = problem.sizes
    negatives = whole = number(0)
    for n in range(samples):
        for k in range(pixels):
            if problem.valid[n][c][k]:
                w = problem.w[n][c][k]
                negatives, whole = negatives + w * (1 - problem.t[n][c][k]), whole + w
    return negatives / whole if whole != 0 else number(0)


def reduce_pixels(
    o: SimpleNamespace,
    problem: Problem,
    cost: Grid,
    share: Grid,
    arrange: Callable[[Grid], tuple[tuple[int, ...], list[Number]]],
) -> tuple[tuple[int, ...], list[Number]]:
    """Shape and numbers of the result; `arrange` puts [sample][class][pixel] back in place."""
    if o.reduction == "none":
        if o.mode == "multiclass":
            return arrange([[[total(v) for v in zip(*sample, strict=True)]] for sample in cost])
        return arrange([[sample[c] for c in problem.counted] for sample in cost])
    value = total(v for sample in cost for row in sample for v in row)
    if o.reduction == "sum":
        return (), [value]
    divisor = total(v for sample in share for row in sample for v in row)
    return (), [value / divisor if divisor != 0 else number(0)]

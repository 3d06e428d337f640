"""Dice, Jaccard, Tversky, F-beta: the overlap of prediction and target, per class.

Sources: Milletari et al. 2016 (V-Net) and Drozdzal et al. 2016 for Dice, Rahman and Wang 2016 for
Jaccard, Salehi et al. 2017 (arXiv:1706.05721) for Tversky, Abraham and Khan 2018 (arXiv:1810.07842)
for (1 - score)^gamma, van Rijsbergen 1979 for F-beta, Wang et al. 2023 (arXiv:2303.16296 and
arXiv:2302.05666) for the overlap sum of min(p, t).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from conformance.oracle.activation import Entries
from conformance.oracle.layout import Problem
from conformance.oracle.numbers import Number, close, log, number, power, total
from conformance.oracle.regions import groups, has_pixel

ONE = number(1)
EPSILON = number("1e-7")  # of the logarithm of a score


@dataclass(frozen=True)
class Statistics:
    """Intersection I, predicted size P, true size T; `slip` multiplies the score (always 1)."""

    i: Number
    p: Number
    t: Number
    slip: Number = ONE


Table = list[list[Statistics]]  # [group][class, or the one micro class]


def statistics(o: SimpleNamespace, problem: Problem, entries: Entries) -> Table:
    """I, P and T per group (a sample, or the batch) and counted class."""
    table = []
    for samples in groups(o, problem):
        row = [_collect(o, problem, entries, samples, c) for c in problem.counted]
        if o.average == "micro":
            row = [
                Statistics(
                    total(s.i for s in row), total(s.p for s in row), total(s.t for s in row)
                )
            ]
        table.append(row)
    return table


def _collect(
    o: SimpleNamespace, problem: Problem, entries: Entries, samples: list[int], c: int
) -> Statistics:
    i = p = t = number(0)
    for n in samples:
        for k, entry in enumerate(entries[n][c]):
            if entry is None or not problem.valid[n][c][k]:
                continue
            w, truth = problem.w[n][c][k], problem.t[n][c][k]
            if o.overlap == "min":
                i, p, t = i + w * _smaller(entry.p, truth), p + w * entry.p, t + w * truth
            elif o.overlap == "product":
                i, p, t = i + w * entry.p * truth, p + w * entry.p, t + w * truth
            elif o.overlap == "squared":
                i, p, t = i + w * entry.p * truth, p + w * entry.p**2, t + w * truth**2
            else:
                raise ValueError(o.overlap)
    return Statistics(i, p, t)


def _smaller(p: Number, t: Number) -> Number:
    """min(p, t); where p = t its derivative in p is t, by convention."""
    if close(p, t):
        return t + t * (p - t)
    return min(p, t)


def score(o: SimpleNamespace, s: Statistics) -> Number:
    """The score of a class, 1 where it is 0/0."""
    smooth = number(o.smooth)
    fp, fn = s.p - s.i, s.t - s.i
    if o.name == "TverskyLoss":
        above = s.i + smooth
        below = s.i + number(o.alpha) * fp + number(o.beta) * fn + smooth
    elif o.name == "DiceLoss":
        above = 2 * s.i + smooth
        below = s.p + s.t + smooth
    elif o.name == "JaccardLoss":
        above = s.i + smooth
        below = s.p + s.t - s.i + smooth
    elif o.name == "FBetaLoss":
        b2 = number(o.beta) ** 2
        above = (1 + b2) * s.i + smooth
        below = (1 + b2) * s.i + b2 * fn + fp + smooth
    else:
        raise ValueError(o.name)
    return s.slip * (above / below if below != 0 else number(1))


def loss_of_score(o: SimpleNamespace, value: Number) -> Number:
    """(1 - score)^gamma, or the negative logarithm of the score."""
    if o.log_loss:
        return -log((value + EPSILON) / (1 + EPSILON))
    gamma = number(o.gamma)
    if gamma == 1:
        return 1 - value
    if close(value, number(1)):
        return number(0)  # by convention with slope 0, also for gamma < 1
    return power(max(1 - value, number(0)), gamma)


def class_losses(o: SimpleNamespace, problem: Problem, table: Table) -> list[list[Number | None]]:
    """The loss per group and class: None where a class (or the whole group) is left out."""
    result = []
    for samples, row in zip(groups(o, problem), table, strict=True):
        losses: list[Number | None] = []
        for s in row:
            if not has_pixel(problem, samples) or (s.t == 0 and o.absent == "skip"):
                losses.append(None)
            elif s.t == 0 and o.absent == "zero":
                losses.append(number(0))
            else:
                losses.append(loss_of_score(o, score(o, s)))
        result.append(losses)
    return result

"""Predictions as probabilities with their logarithms.

For a logit x: sigmoid p = 1 / (1 + e^-x); softmax p_c = e^x_c / sum_k e^x_k. The complement 1 - p
and both logarithms are formed from the logits, without taking differences of nearly equal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

from conformance.oracle.layout import Problem
from conformance.oracle.numbers import Number, exp, log, log1p, number, total

CLIP = number("1e-7")


@dataclass(frozen=True)
class Entry:
    """One entry of the prediction: p, q = 1 - p, their logarithms, and the logit (or p) itself."""

    p: Number
    q: Number
    log_p: Number
    log_q: Number
    x: Number


Entries = list[list[list[Entry | None]]]  # None where no class of the pixel is valid


def activate(o: SimpleNamespace, problem: Problem) -> Entries:
    """The entries of every pixel that has a valid class."""
    samples, classes, pixels = problem.sizes
    result: Entries = [[[None] * pixels for _ in range(classes)] for _ in range(samples)]
    for n in range(samples):
        for k in range(pixels):
            if o.mode == "multiclass":
                if any(problem.valid[n][c][k] for c in range(classes)):
                    column = tuple(problem.x[n][c][k] for c in range(classes))
                    for c, entry in enumerate(_softmax(o.from_logits, column)):
                        result[n][c][k] = entry
                continue
            for c in range(classes):
                if problem.valid[n][c][k]:
                    result[n][c][k] = _sigmoid(o.from_logits, problem.x[n][c][k])
    return result


@lru_cache(1000)
def _softmax(from_logits: bool, x: tuple[Number, ...]) -> list[Entry]:
    if not from_logits:
        return [_given(p) for p in x]
    top = max(x)
    e = [exp(v - top) for v in x]
    whole = total(e)
    result = []
    for c, v in enumerate(x):
        q = total(e[:c] + e[c + 1 :]) / whole
        log_q = log(q) if q > 0 else number("-inf")
        result.append(Entry(p=e[c] / whole, q=q, log_p=v - top - log(whole), log_q=log_q, x=v))
    return result


@lru_cache(1000)
def _sigmoid(from_logits: bool, x: Number) -> Entry:
    if not from_logits:
        return _given(x)
    up, down = exp(x), exp(-x)
    return Entry(p=1 / (1 + down), q=1 / (1 + up), log_p=-log1p(down), log_q=-log1p(up), x=x)


def _given(p: Number) -> Entry:
    """A probability from outside: clipped for the logarithms only."""
    clipped = min(max(p, CLIP), 1 - CLIP)
    return Entry(p=p, q=1 - p, log_p=log(clipped), log_q=log(1 - clipped), x=p)

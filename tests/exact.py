"""Fifty-digit versions of what a loss does to a pixel, for expected values."""

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.dps = 50


def softmax(z: np.ndarray) -> list[list[Any]]:
    """Probabilities [class][pixel] of logits (C, n)."""
    exps = [[mp.exp(mp.mpf(float(x))) for x in row] for row in z]
    totals = [sum(column) for column in zip(*exps, strict=True)]
    return [[e / total for e, total in zip(row, totals, strict=True)] for row in exps]


def sigmoid(z: np.ndarray) -> list[list[Any]]:
    """Probabilities [class][pixel] of logits (C, n)."""
    return [[1 / (1 + mp.exp(-mp.mpf(float(x)))) for x in row] for row in z]


def sums(p: Sequence[Any], t: Sequence[float]) -> tuple[Any, Any, Any]:
    """Σ min(p, t), Σ p and Σ t of one class."""
    t = [mp.mpf(float(x)) for x in t]
    return sum(map(min, p, t)), sum(p), sum(t)

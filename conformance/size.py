"""Closed forms: losses of an image whose foreground has one logit, and whose background another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf  # type: ignore[import-untyped]

from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FBetaLoss,
    FocalLoss,
    JaccardLoss,
    Loss,
    LovaszLoss,
    TverskyLoss,
)


@dataclass(frozen=True)
class Pair:
    """A binary loss, the logit of the foreground and that of the background."""

    loss: Loss
    front: float
    back: float


PAIRS: tuple[Pair, ...] = (
    Pair(DiceLoss("binary"), 1.5, -7.0),
    Pair(JaccardLoss("binary"), 0.5, -6.0),
    Pair(TverskyLoss("binary", alpha=0.3, beta=0.7), -1.0, -8.0),
    Pair(FBetaLoss("binary", beta=2.0), 2.0, -5.0),
    Pair(CrossEntropyLoss("binary"), -2.0, -0.5),
    Pair(FocalLoss("binary", gamma=2.0, alpha=0.25), 0.25, -1.0),
    Pair(LovaszLoss("binary"), 0.75, -0.5),
)


def exact(
    pair: Pair, foreground: int, size: int
) -> tuple[float, tuple[float | None, float | None]]:
    """The value, and its derivatives by the logit of a foreground and of a background pixel.

    A derivative that is not unique, or of a side without pixels, is None.
    """
    with mp.workdps(60):
        front, back, f, b = mpf(pair.front), mpf(pair.back), mpf(foreground), mpf(size - foreground)
        if isinstance(pair.loss, LovaszLoss):
            value, slopes = _lovasz(front, back, f, b)
        else:
            value, slopes = _smooth(pair.loss, front, back, f, b)
        by_front = None if slopes[0] is None else float(slopes[0] / f)
        by_back = None if slopes[1] is None or not b else float(slopes[1] / b)
        return float(value), (by_front, by_back)


def _smooth(loss: Any, front: Any, back: Any, f: Any, b: Any) -> tuple[Any, tuple[Any, Any]]:
    """Value and derivatives of all but Lovász: the latter by differences of 60 digits."""

    def value(x: Any, y: Any) -> Any:
        if isinstance(loss, CrossEntropyLoss | FocalLoss):
            return (f * _cost(loss, x, True) + b * _cost(loss, y, False)) / (f + b)
        i, p = f / (1 + mp.exp(-x)), f / (1 + mp.exp(-x)) + b / (1 + mp.exp(-y))
        alpha, beta = {
            DiceLoss: (0.5, 0.5),
            JaccardLoss: (1, 1),
            FBetaLoss: (mpf(1) / 5, mpf(4) / 5),
            TverskyLoss: (mpf(getattr(loss, "alpha", 0)), mpf(getattr(loss, "beta", 0))),
        }[type(loss)]
        wrong = alpha * (p - i) + beta * (f - i)
        return wrong / (i + wrong)

    step = mpf("1e-20")
    by_front = (value(front + step, back) - value(front - step, back)) / (2 * step)
    by_back = (value(front, back + step) - value(front, back - step)) / (2 * step)
    return value(front, back), (by_front, by_back)


def _cost(loss: Any, x: Any, positive: bool) -> Any:
    """What a pixel costs."""
    signed = x if positive else -x
    cost = mp.log1p(mp.exp(-signed))
    if isinstance(loss, CrossEntropyLoss):
        return cost
    alpha = mpf(loss.alpha) if positive else 1 - mpf(loss.alpha)
    return alpha * (1 / (1 + mp.exp(signed))) ** 2 * cost


def _lovasz(front: Any, back: Any, f: Any, b: Any) -> tuple[Any, tuple[Any, Any]]:
    """The extension at two hinge errors: the side with the larger one comes first."""
    e, g = max(mpf(0), 1 - front), max(mpf(0), 1 + back)
    if not b:
        return e, (_slope(-1, e), None)
    if e == g:
        return e, (None, None)
    if e > g:  # all foreground is wrong first: nothing is left for the background to add
        return e, (_slope(-1, e), mpf(0))
    lost = b / (f + b)
    return g * lost + e * (1 - lost), (_slope(-(1 - lost), e), _slope(lost, g))


def _slope(weight: Any, error: Any) -> Any:
    return mpf(weight) if error > 0 else mpf(0)


def relative(found: np.ndarray, expected: float, floor: float = 1e-300) -> float:
    """The relative error of a number; below `floor` the absolute one counts."""
    return abs(float(found) - expected) / max(abs(expected), floor)

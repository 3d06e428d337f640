"""The marker of a trap, and small helpers of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xploss
from conformance.tolerances import ROUNDOFF, UNITS
from tests.libraries import Library
from xploss import Loss

IGNORED = 255
RNG = np.random.default_rng(20260101)
Z = RNG.normal(size=(2, 3, 4, 5)) * 2
"""Logits of two images of 4 x 5 pixels, three classes."""

T = RNG.integers(0, 3, (2, 4, 5))
"""Labels of them."""

LOSSES: tuple[type[Loss], ...] = (
    xploss.DiceLoss,
    xploss.JaccardLoss,
    xploss.TverskyLoss,
    xploss.FBetaLoss,
    xploss.CrossEntropyLoss,
    xploss.FocalLoss,
    xploss.LovaszLoss,
)
KINDS: tuple[Any, ...] = LOSSES
every_loss = pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])


def trap(loss: str, *rows: str) -> Callable[[Any], Any]:
    """Marks a test of a loss with the rows of the defects that it looks for."""

    def mark(test: Any) -> Any:
        for marker in (pytest.mark.check("traps"), pytest.mark.loss(loss), pytest.mark.row(*rows)):
            test = marker(test)
        return test

    return mark


def value(xp: Library, loss: Loss, pred: Any, target: Any, weight: Any = None) -> np.ndarray:
    """The value of a loss of NumPy arrays, computed by a library."""
    return both(xp, loss, pred, target, weight)[0]


def both(
    xp: Library, loss: Loss, pred: Any, target: Any, weight: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of a loss of NumPy arrays, computed by a library."""
    w = None if weight is None else xp.asarray(weight)
    found, gradient = loss.value_and_grad(xp.asarray(pred), xp.asarray(target), weight=w)
    return xp.to_numpy(found), xp.to_numpy(gradient)


def softmax(z: np.ndarray, axis: int = 1) -> np.ndarray:
    """Softmax in float64."""
    e = np.exp(z - z.max(axis, keepdims=True))
    shares: np.ndarray = e / e.sum(axis, keepdims=True)
    return shares


def cross_entropy(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """−log softmax at the labels, per pixel, (N, *S)."""
    p = np.take_along_axis(softmax(z), t[:, None], axis=1)[:, 0]
    costs: np.ndarray = -np.log(p)
    return costs


def equal(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Assert near-equality, relative to the largest number."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    size = max(1e-300, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(size, 1e-3))


def same(xp: Library, found: Any, expected: Any) -> None:
    """Assert equality to the bit; of two programs that XLA compiles, to some roundings.

    It fuses the operations of a program as it likes, which rounds a sum in another order.
    """
    equal(found, expected, UNITS * ROUNDOFF["float64"] if xp.family == "jax" else 0)

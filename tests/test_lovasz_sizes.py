"""The accuracy that docs/lovasz.md states, at sizes where differenced float32 weights are off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import naive
from tests.libraries import Library
from xploss import LovaszLoss

SIZES = [18, pytest.param(22, marks=pytest.mark.slow)]
METHODS: list[Any] = ["sort", "histogram"]


def exact(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The gradient of the Lovász hinge of one class, in float64: 1/U and I/(U(U - 1))."""
    sign = 2.0 * t - 1
    errors = 1 - sign * z.astype(np.float64)
    order = np.argsort(-errors, kind="stable")
    slopes = np.empty_like(errors)
    slopes[order] = naive.lovasz_weights(t[order])
    return np.where(errors > 0, -sign * slopes, 0)


def gap(xp: Library, method: Any, z: np.ndarray, t: np.ndarray) -> float:
    """The relative L2 error of the float32 gradient."""
    loss = LovaszLoss("binary", method=method)
    found = loss.value_and_grad(xp.asarray(z[None], "float32"), xp.asarray(t[None]))[1]
    right = exact(z, t)
    return float(np.linalg.norm(xp.to_numpy(found)[0] - right) / np.linalg.norm(right))


@pytest.mark.parametrize("power", [*SIZES, pytest.param(24, marks=pytest.mark.slow)])
def test_weights_keep_their_digits(xp: Library, power: int) -> None:
    """Of distinct errors that float32 holds exactly, nothing but the weights can go wrong."""
    rng, size = np.random.default_rng(1), 2**power
    t = (rng.random(size) < 0.1).astype(np.int64)
    z = (2 * t - 1) * (1 - 4 * (1 + rng.permutation(size)) / size)
    assert gap(xp, "sort", z.astype(np.float32), t) < 1e-6
    # the order within a bin is unknown: 3 / sqrt(bins * foreground pixels)
    assert gap(xp, "histogram", z.astype(np.float32), t) < 3 / np.sqrt(20480 * t.sum()) + 5e-5


@pytest.mark.parametrize(("spread", "limit"), [(1.0, 1e-4), (0.02, 8e-4)])
def test_gradients_by_probabilities(xp: Library, spread: float, limit: float) -> None:
    """Random, and such as a fresh network gives, whose errors crowd into few bins."""
    rng, size = np.random.default_rng(3), 1 << 18
    t = xp.asarray((rng.random((1, size)) < 0.1).astype(np.int64))
    p = 1 / (1 + np.exp(-spread * rng.normal(size=(1, size))))
    exact = LovaszLoss("binary", from_logits=False, method="sort")
    loss = LovaszLoss("binary", from_logits=False)
    right = xp.to_numpy(exact.value_and_grad(xp.asarray(p, "float64"), t)[1])
    found = xp.to_numpy(loss.value_and_grad(xp.asarray(p, "float64"), t)[1])
    assert np.linalg.norm(found - right) < limit * np.linalg.norm(right)


@pytest.mark.parametrize("power", SIZES)
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_predictions(xp: Library, method: Any, trained: bool, power: int) -> None:
    """Random, and such as a trained network gives, with 3% wrong."""
    rng, size = np.random.default_rng(2), 2**power
    t = (rng.random(size) < 0.1).astype(np.int64)
    z = rng.normal(size=size)
    if trained:
        right = np.where(rng.random(size) < 0.03, -1, 1)
        z = right * (2 * t - 1) * rng.uniform(4, 12, size)
    limit = {"sort": 1e-6, "histogram": 1e-4}[method]
    assert gap(xp, method, z.astype(np.float32), t) < limit


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_an_unknown_logit_makes_the_value_unknown(xp: Library, mode: Any) -> None:
    """NaN has no bin, and yet is not lost."""
    if xp.name == "strict":
        pytest.skip("strict: the generic backend's histogram takes seconds here")
    shape = (1, 2, 130, 130) if mode == "multiclass" else (1, 130, 130)
    z = np.random.default_rng(13).normal(size=shape)
    z[..., 3, 4] = np.nan
    target = xp.asarray(np.zeros((1, 130, 130), dtype=np.int64))
    with np.errstate(invalid="ignore"):
        assert np.isnan(float(LovaszLoss(mode)(xp.asarray(z, "float32"), target)))

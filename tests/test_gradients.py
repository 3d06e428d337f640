"""Values against naive formulas, gradients against differences and against autodiff."""

from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss

from . import differences, naive
from .cases import IGNORED, LOSSES, draw
from .libraries import Library

SETTINGS = {"labels": {}, "soft": {"soft": True}, "weighted": {"weighted": True}}


def skip_if_undefined(loss: Loss, soft: bool) -> None:
    if soft and any(t.mode == "multiclass" and t.ignore_index is not None for _, t in loss.terms):
        pytest.skip("a dense multi-class target holds no ignore label")


def reference(xp: Any, loss: Loss, pred: Any, target: np.ndarray, weight: Any) -> Any:
    """Each term of a loss by its naive formula, as an array in the layout of `pred`."""
    total = 0.0
    for factor, term in loss.terms:
        _, t, w = naive.prepare(term, np.empty(pred.shape), target, weight)
        z = xp.reshape(pred, t.shape)
        value = naive.value(xp, term, z, xp.asarray(t), xp.asarray(w))
        if term.maps:
            value = xp.reshape(value, _map_shape(term, tuple(pred.shape)))
        total = total + factor * value
    return total


def _map_shape(term: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if term.mode == "binary":
        return shape
    counted = () if term.mode == "multiclass" else (len(term.classes or range(shape[1])),)
    return (shape[0], *counted, *shape[2:])


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("setting", SETTINGS)
def test_value_and_gradient(xp: Library, loss: Loss, setting: str) -> None:
    if setting == "labels":
        xp.skip_most(loss, LOSSES)
    given = SETTINGS[setting]
    skip_if_undefined(loss, soft=setting == "soft")
    pred, target, weight = draw(loss, seed=1, **given)
    expected = np.asarray(reference(np, loss, pred, target, weight))
    cotangent = 0.5 + np.random.default_rng(2).random(expected.shape)
    extra = {} if weight is None else {"weight": xp.asarray(weight)}
    x, t = xp.asarray(pred), xp.asarray(target)
    value, gradient = loss.value_and_grad(x, t, cotangent=xp.asarray(cotangent), **extra)
    xp.assert_like(value, expected.shape, "float64")
    xp.assert_like(gradient, pred.shape, "float64")
    np.testing.assert_allclose(xp.to_numpy(value), expected, rtol=1e-12, atol=1e-15)
    called = xp.to_numpy(loss(x, t, **extra))
    np.testing.assert_allclose(called, xp.to_numpy(value), rtol=1e-14, atol=1e-16)

    def scalar(moved: np.ndarray) -> float:
        return np.sum(cotangent * reference(np, loss, moved, target, weight))

    slopes = differences.gradient(scalar, pred)
    np.testing.assert_allclose(xp.to_numpy(gradient), slopes, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("setting", SETTINGS)
def test_autodiff_equals_that_of_the_naive_loss(xp: Library, loss: Loss, setting: str) -> None:
    if not xp.differentiates:
        pytest.skip(f"{xp.name} has no autodiff")
    if setting != "weighted":
        xp.skip_most(loss, LOSSES)
    given = SETTINGS[setting]
    skip_if_undefined(loss, soft=setting == "soft")
    pred, target, weight = draw(loss, seed=3, **given)
    x, t = xp.asarray(pred), xp.asarray(target)
    extra = {} if weight is None else {"weight": xp.asarray(weight)}
    upstream = xp.asarray(0.5 + np.random.default_rng(4).random(loss(x, t, **extra).shape))
    ours = xp.autodiff(lambda z: loss(z, t, **extra), x, upstream)
    theirs = xp.autodiff(lambda z: reference(xp, loss, z, target, weight), x, upstream)
    np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-11, atol=1e-14)
    _, direct = loss.value_and_grad(x, t, cotangent=upstream, **extra)
    np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(direct), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("loss", [LOSSES[1], LOSSES[11], LOSSES[-1]], ids=repr)
def test_within_a_chain(xp: Library, loss: Loss) -> None:
    if not xp.differentiates:
        pytest.skip(f"{xp.name} has no autodiff")
    pred, target, _ = draw(loss, seed=5)
    x, t = xp.asarray(pred), xp.asarray(target)
    ours = xp.autodiff(lambda z: xp.exp(3 * loss(xp.sin(z), t)) + xp.sum(z * z), x)
    theirs = xp.autodiff(
        lambda z: xp.exp(3 * reference(xp, loss, xp.sin(z), target, None)) + xp.sum(z * z), x
    )
    np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-11)


def test_constant_gradient_where_pixels_are_alike(xp: Library) -> None:
    """All pixels equal: the gradient of each is the same, and worked out by hand."""
    z, pixels = 0.3, 5
    p = 1 / (1 + np.exp(-z))
    pred = xp.asarray(np.full((2, pixels), z))
    target = xp.asarray(np.ones((2, pixels), dtype=np.int64))
    _, gradient = CrossEntropyLoss("binary").value_and_grad(pred, target)
    np.testing.assert_allclose(xp.to_numpy(gradient), (p - 1) / (2 * pixels), rtol=1e-14)
    # I = P = 10p and T = 10: Dice loss (1 - p)/(1 + p), slope -2/(1 + p)² shared by 10 pixels
    _, gradient = DiceLoss("binary").value_and_grad(pred, target)
    slope = -2 / (1 + p) ** 2 * p * (1 - p) / (2 * pixels)
    np.testing.assert_allclose(xp.to_numpy(gradient), slope, rtol=1e-14)


@pytest.mark.parametrize("loss", [DiceLoss("binary"), JaccardLoss("binary")], ids=repr)
def test_the_slope_of_min_at_equality_is_the_target(xp: Library, loss: Loss) -> None:
    """At p = t the derivative of min(p, t) is t, by which a perfect 0 or 1 has the product's."""
    p = xp.asarray(np.array([[0.0, 1.0, 0.5]]))
    hard = xp.asarray(np.array([[0.0, 1.0, 1.0]]))
    loss = type(loss)("binary", from_logits=False)
    product = type(loss)("binary", from_logits=False, overlap="product")
    ours = loss.value_and_grad(p, hard)[1]
    np.testing.assert_allclose(
        xp.to_numpy(ours), xp.to_numpy(product.value_and_grad(p, hard)[1]), rtol=1e-15
    )


def test_the_slope_of_min_beside_soft_targets(xp: Library) -> None:
    """1 below the target, 0 above, and the target where both are equal, at its ends too."""
    p, t = np.array([[0.0, 1.0, 0.25, 0.5, 0.75]]), np.array([[0.0, 1.0, 0.25, 0.75, 0.5]])
    rise, overlap, both = np.array([[0.0, 1.0, 0.25, 1.0, 0.0]]), 2.25, 5.0
    expected = 2 * overlap / both**2 - 2 / both * rise
    loss = DiceLoss("binary", from_logits=False)
    _, gradient = loss.value_and_grad(xp.asarray(p), xp.asarray(t))
    np.testing.assert_allclose(xp.to_numpy(gradient), expected, rtol=1e-14)


def test_cotangent_of_a_scalar_multiplies(xp: Library) -> None:
    loss = DiceLoss("multiclass")
    pred, target, _ = draw(loss, seed=6)
    x, t = xp.asarray(pred), xp.asarray(target)
    value, gradient = loss.value_and_grad(x, t)
    _, scaled = loss.value_and_grad(x, t, cotangent=value * 0 - 3)
    np.testing.assert_allclose(xp.to_numpy(scaled), -3 * xp.to_numpy(gradient), rtol=1e-14)


def test_a_sum_over_shared_input_adds_the_gradients(xp: Library) -> None:
    one = DiceLoss("multilabel", ignore_index=IGNORED)
    two = FocalLoss("multiclass", ignore_index=1)
    pred, target, _ = draw(DiceLoss("multiclass"), seed=7)
    x, t = xp.asarray(pred), xp.asarray(target)
    value, gradient = (one + 2 * two).value_and_grad(x, t)
    values, gradients = zip(one.value_and_grad(x, t), two.value_and_grad(x, t), strict=True)
    np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(values[0] + 2 * values[1]))
    added = xp.to_numpy(gradients[0]) + 2 * xp.to_numpy(gradients[1])
    np.testing.assert_allclose(xp.to_numpy(gradient), added, rtol=1e-13, atol=1e-17)

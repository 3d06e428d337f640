"""Weighted sums of losses: the operators, and how they read."""

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, LovaszLoss
from xploss.loss import Loss

from .cases import draw
from .libraries import Library

DICE, FOCAL = DiceLoss("multiclass"), FocalLoss("multiclass", gamma=1.5)


def test_operators_build_one_flat_sum() -> None:
    loss = 2 * (DICE + 0.5 * FOCAL) / 4 + FOCAL
    assert loss.terms == ((0.5, DICE), (0.25, FOCAL), (1.0, FOCAL))
    assert sum([DICE, FOCAL]) == DICE + FOCAL
    assert sum([DICE]) == DICE
    assert DICE * 2 == 2 * DICE
    assert (DICE * Fraction(1, 4)).terms == ((0.25, DICE),)
    assert (np.float32(0.5) * DICE).terms == ((0.5, DICE),)
    assert (-1 * DICE).terms == ((-1.0, DICE),)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (DICE + FOCAL, "DiceLoss('multiclass') + FocalLoss('multiclass', gamma=1.5)"),
        (DICE + 0.5 * FOCAL, "DiceLoss('multiclass') + 0.5 * FocalLoss('multiclass', gamma=1.5)"),
        (3 * DICE, "3 * DiceLoss('multiclass')"),
        (DICE / 3, f"{1 / 3!r} * DiceLoss('multiclass')"),
    ],
)
def test_repr_reads_as_the_expression(loss: Any, text: str) -> None:
    assert repr(loss) == text
    assert eval(repr(loss)) == loss


@pytest.mark.parametrize("gap", [20.0, 26.0, 30.0, 60.0, 68.0, 80.0, 1e4])
@pytest.mark.parametrize("pixels", [50, 20000])
def test_large_slopes_of_hopeless_pixels_are_finite(xp: Library, pixels: int, gap: float) -> None:
    """A slope over p of the truth has no finite number where both are extreme."""
    rng = np.random.default_rng(4)
    z, t = rng.normal(size=(1, 3, pixels)), rng.integers(0, 3, (1, pixels))
    z[0, :, 0], t[0, 0] = (gap, 0, 0), 1
    z = z.astype(np.float32).astype(np.float64)
    loss = DICE + 2.0**30 * CrossEntropyLoss("multiclass", reduction="sum")
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = 2.0**30 * (p - (np.arange(3)[None, :, None] == t[:, None]))
    _, gradient = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    assert np.all(np.abs(xp.to_numpy(gradient) - expected) <= 1e-6 * 2.0**30)


def test_a_sum_is_a_value() -> None:
    loss = DICE + 0.5 * FOCAL
    assert loss == DICE + FOCAL / 2
    assert hash(loss) == hash(DICE + FOCAL / 2)
    assert loss != FOCAL / 2 + DICE
    assert pickle.loads(pickle.dumps(loss)) == loss


@pytest.mark.parametrize("other", [1, 0.5, "dice", None, [1], True])
def test_only_losses_are_added(other: Any) -> None:
    with pytest.raises(TypeError):
        DICE + other
    with pytest.raises(TypeError):
        other - DICE


@pytest.mark.parametrize("factor", ["2", None, True, [2], DICE, 1j])
def test_only_numbers_multiply(factor: Any) -> None:
    with pytest.raises(TypeError):
        factor * DICE
    with pytest.raises(TypeError):
        DICE / factor


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_factors_are_finite(factor: float) -> None:
    with pytest.raises(ValueError, match=r"factor of a loss is (nan|inf); expected a finite"):
        factor * DICE
    with pytest.raises(ValueError, match="divisor of a loss is 0; expected a finite number"):
        DICE / 0


def test_value_and_gradient_are_the_sums(xp: Library) -> None:
    """Over modes, ignore labels, averages and activations alike."""
    parts = [
        (1.0, DICE),
        (0.5, FocalLoss("multiclass", ignore_index=1)),
        (-2.0, CrossEntropyLoss("multilabel", classes=(0, 2))),
        (3.0, JaccardLoss("multilabel", per_image=True, ignore_index=0)),
        (1.0, CrossEntropyLoss("multiclass", class_weights=(3, 2, 1), ignore_index=1)),
    ]
    pred, target, weight = draw(DICE, seed=1, weighted=True)
    x, t, w = xp.asarray(pred), xp.asarray(target), xp.asarray(weight)
    loss = sum(factor * part for factor, part in parts)
    value, gradient = loss.value_and_grad(x, t, weight=w)
    alone = [(f, *part.value_and_grad(x, t, weight=w)) for f, part in parts]
    expected = sum(f * xp.to_numpy(v) for f, v, _ in alone)
    slopes = sum(f * xp.to_numpy(g) for f, _, g in alone)
    np.testing.assert_allclose(xp.to_numpy(value), expected, rtol=1e-13)
    np.testing.assert_allclose(xp.to_numpy(gradient), slopes, rtol=1e-11, atol=1e-16)
    if xp.differentiates:
        auto = xp.autodiff(lambda z: loss(z, t, weight=w), x)
        np.testing.assert_allclose(xp.to_numpy(auto), slopes, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize(
    "parts",
    [
        (DiceLoss("binary"), -2 * JaccardLoss("binary")),
        (DiceLoss("binary"), JaccardLoss("binary", overlap="squared")),
        (0 * DiceLoss("binary"), FocalLoss("binary"), CrossEntropyLoss("binary", pos_weight=3.0)),
        (JaccardLoss("binary"), LovaszLoss("binary"), CrossEntropyLoss("binary")),
    ],
    ids=lambda parts: " + ".join(map(repr, parts)),
)
@pytest.mark.parametrize("soft", [False, True])
def test_binary_sums_of_either_kind_of_slope(
    xp: Library, parts: tuple[Loss, ...], soft: bool
) -> None:
    """By p, along a line in a hard target, and by the truth: together as alone, to rounding."""
    rng = np.random.default_rng(4)
    given = rng.random((2, 3, 7)) if soft else rng.integers(0, 2, (2, 3, 7)).astype(float)
    if soft:
        parts = tuple(p for p in parts if not isinstance(p, LovaszLoss))
    x, t = xp.asarray(rng.normal(size=(2, 3, 7)) * 3), xp.asarray(given)
    w = xp.asarray(rng.random((2, 3, 7)))
    loss = sum(parts)
    alone = sum(xp.to_numpy(part.value_and_grad(x, t, weight=w)[1]) for part in parts)
    _, gradient = loss.value_and_grad(x, t, weight=w)
    np.testing.assert_allclose(xp.to_numpy(gradient), alone, rtol=1e-11, atol=1e-16)


def test_hopeless_and_certain_entries(xp: Library) -> None:
    """However far a logit is on either side: costs grow with it, and no slope becomes NaN."""
    sizes = np.array([1.0, 80, 87, 88, 90, 200, 1e4, 1e30])
    z = np.concatenate([sizes, -sizes, sizes, -sizes])[None]
    t = np.repeat([1, 0], 2 * len(sizes))[None]
    right = (z > 0) == (t == 1)
    lesser = np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z)))
    p = np.where(z > 0, 1 - lesser, lesser)
    both, whole = (p * t).sum(), (p + t).sum()
    cost = np.log1p(np.exp(-np.abs(z))) + np.where(right, 0, np.abs(z))
    expected = lesser * (1 - lesser) * (2 * both / whole**2 - 2 * t / whole)
    expected += np.where(right, lesser, 1 - lesser) * (1 - 2 * t) / z.size
    loss = DiceLoss("binary") + CrossEntropyLoss("binary")
    x = xp.asarray(z, "float32")
    value, gradient = loss.value_and_grad(x, xp.asarray(t))
    np.testing.assert_allclose(float(value), 1 - 2 * both / whole + cost.mean(), rtol=1e-6)
    np.testing.assert_allclose(xp.to_numpy(gradient), expected, rtol=1e-5, atol=1e-36)


def test_terms_of_equal_shape_add(xp: Library) -> None:
    """reduction="none" throughout: the maps of pixels are added."""
    one = CrossEntropyLoss("multiclass", reduction="none")
    two = FocalLoss("multiclass", reduction="none", ignore_index=2)
    pred, target, _ = draw(DICE, seed=2)
    x, t = xp.asarray(pred), xp.asarray(target)
    found = (one + 2 * two)(x, t)
    expected = xp.to_numpy(one(x, t)) + 2 * xp.to_numpy(two(x, t))
    np.testing.assert_allclose(xp.to_numpy(found), expected, rtol=1e-14)
    classes = DiceLoss("multiclass", reduction="none") + JaccardLoss("multiclass", reduction="none")
    assert tuple(classes(x, t).shape) == (3,)


def test_binary_terms_with_other_class_axes(xp: Library) -> None:
    """Each term reads the arrays for itself: (N, H, W, 1) is binary however it is laid out."""
    rng = np.random.default_rng(3)
    pred, target = rng.normal(size=(2, 3, 4, 1)), rng.integers(0, 2, (2, 3, 4))
    x, t = xp.asarray(pred), xp.asarray(target)
    loss = DiceLoss("binary", class_axis=-1) + FocalLoss("multilabel", class_axis=-1)
    value = loss(x, xp.asarray(target[..., None]))
    alone = DiceLoss("binary", class_axis=-1)(x, t)
    focal = FocalLoss("multilabel", class_axis=-1)(x, xp.asarray(target[..., None]))
    np.testing.assert_allclose(float(value), float(alone) + float(focal), rtol=1e-14)

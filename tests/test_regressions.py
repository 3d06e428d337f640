"""Defects that were found and mended, each in the smallest call that showed it."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import xploss

from .libraries import Library

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["DiceLoss", "CrossEntropyLoss", "FocalLoss"])
def test_bool_weights_per_class_count_as_zeros_and_ones(xp: Library, name: str) -> None:
    logits, labels = RNG.normal(size=(3, 4, 5, 6)), RNG.integers(0, 4, (3, 5, 6))
    weight, loss = RNG.random((3, 4, 5, 6)) > 0.4, getattr(xploss, name)("multiclass")
    pred, target = xp.asarray(logits), xp.asarray(labels)
    value = loss(pred, target, weight=xp.asarray(weight))
    expected = loss(pred, target, weight=xp.asarray(weight.astype(np.float64)))
    np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected), rtol=1e-6)


@pytest.mark.parametrize("logit", [-80.0, -95.0, -103.0, -1e4])
def test_an_empty_class_predicted_empty_has_a_finite_gradient(xp: Library, logit: float) -> None:
    pred = xp.asarray(np.full((1, 8, 8), logit, np.float32), "float32")
    target = xp.asarray(np.zeros((1, 8, 8), np.int64))
    for loss in (xploss.DiceLoss("binary"), xploss.JaccardLoss("binary", overlap="product")):
        value, gradient = loss.value_and_grad(pred, target)
        assert np.isfinite(float(value))
        assert np.all(np.isfinite(xp.to_numpy(gradient)))


def test_a_label_of_a_single_class_says_whether_it_is_there(xp: Library) -> None:
    pred = xp.asarray(np.full((1, 1, 4, 4), 9.0))
    loss = xploss.DiceLoss("multilabel")
    assert float(loss(pred, xp.asarray(np.ones((1, 4, 4), bool)))) < 1e-3


def test_statistics_of_other_samples_are_refused(xp: Library) -> None:
    pred, target = xp.asarray(RNG.normal(size=(3, 4, 5))), xp.asarray(RNG.integers(0, 4, (3, 5)))
    loss = xploss.DiceLoss("multiclass", per_image=True)
    whole = loss.statistics(pred, target)
    with pytest.raises(ValueError, match="3 samples and 4 classes and pred asks for 2 and 4"):
        loss.value_and_grad(pred[:2, ...], target[:2, ...], statistics=whole)


def test_statistics_can_be_reduced_in_place(torch: ModuleType) -> None:
    loss = xploss.DiceLoss("binary") + xploss.CrossEntropyLoss("binary")
    pred, target = torch.randn(1, 4, 4), torch.randint(0, 2, (1, 4, 4))
    statistics = loss.statistics(pred, target, weight=torch.rand(1, 4, 4) + 1)
    one = float(loss.from_statistics(statistics))
    for array in statistics.arrays:
        array.mul_(2)
    assert float(loss.from_statistics(statistics)) == pytest.approx(one, rel=1e-6)


def test_backward_may_run_again(torch: ModuleType) -> None:
    kind: Any = xploss.CrossEntropyLoss
    loss = kind("binary", reduction="none") + kind("binary", reduction="none", ignore_index=1)
    pred, target = torch.randn(2, 5, 5, requires_grad=True), torch.randint(0, 2, (2, 5, 5))
    value, cotangent = loss(pred, target), torch.randn(2, 5, 5)
    first, *others = (
        torch.autograd.grad(value, pred, cotangent, retain_graph=True)[0] for _ in range(4)
    )
    for other in others:
        torch.testing.assert_close(other, first)


def test_inference_mode_reaches_all_tiles(torch: ModuleType) -> None:
    pred, target = torch.randn(2, 8, 256, 256), torch.randint(0, 8, (2, 256, 256))
    loss = xploss.DiceLoss("multiclass")
    with torch.inference_mode():
        value, gradient = loss.value_and_grad(pred, target)
    expected, slope = loss.value_and_grad(pred, target)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


def test_autocast_does_not_round_the_gradient(torch: ModuleType) -> None:
    pred, target = torch.randn(2, 4, 32, 32, requires_grad=True), torch.randint(0, 4, (2, 32, 32))
    loss = xploss.DiceLoss("multiclass")
    (expected,) = torch.autograd.grad(loss(pred, target), pred)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = torch.autograd.grad(loss(pred, target), pred)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)

"""Pixels that are left out: by label, by weight, by class; and what may stand under them."""

from typing import Any

import numpy as np
import pytest

from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FBetaLoss,
    FocalLoss,
    JaccardLoss,
    Loss,
    TverskyLoss,
    plan,
)
from xploss.adapters import backend_of
from xploss.backend import Backend

from .libraries import Library

RNG = np.random.default_rng(21)
IGNORED = 255
GARBAGE = [np.nan, np.inf, -np.inf, 1e15, 1e30]
KINDS = [DiceLoss, CrossEntropyLoss, FocalLoss]


def losses(mode: Any, **options: Any) -> list[Loss]:
    return [
        DiceLoss(mode, **options),
        JaccardLoss(mode, per_image=True, overlap="squared", **options),
        TverskyLoss(mode, log_loss=True, absent="skip", **options),
        FBetaLoss(mode, average="micro", gamma=0.5, **options),
        CrossEntropyLoss(mode, label_smoothing=0.1, **options),
        CrossEntropyLoss(mode, reduction="none", **options),
        FocalLoss(mode, gamma=0.5, **options),
        FocalLoss(mode, **options) + DiceLoss(mode, **options),
    ]


def pictures(mode: str, garbage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits with garbage at some pixels, labels, and where the garbage is."""
    shape = (3, 8) if mode == "binary" else (3, 4, 8)
    pred, labels = RNG.normal(size=shape), RNG.integers(0, 2, (3, 8))
    gone = RNG.random((3, 8)) < 0.4
    pred[gone if mode == "binary" else np.broadcast_to(gone[:, None], shape)] = garbage
    return pred, labels, gone


@pytest.mark.parametrize("weighed", [False, True])
def test_few_classes_by_masks_or_by_look_ups(
    xp: Library, weighed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend decides by the number of classes; none of its own arithmetic needs the other."""
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(2, 3, 8)), rng.integers(0, 3, (2, 8))
    labels[0, :3] = IGNORED
    extra = {"weight": xp.asarray(rng.random(labels.shape))} if weighed else {}
    backend_of(xp.asarray(x))  # imports its class
    kinds: list[Any] = [Backend]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    found: list[Any] = []
    for few in (0, 3):
        for kind in kinds:
            monkeypatch.setattr(kind, "few_classes", few)
            monkeypatch.setattr(kind, "prefers_masks", lambda *_, few=few: few > 0)
        plan._kept.cache_clear()
        found += [
            loss.value_and_grad(xp.asarray(x), xp.asarray(labels), **extra)
            for loss in losses("multiclass", ignore_index=IGNORED)
        ]
    plan._kept.cache_clear()
    half = len(found) // 2
    for one, other in zip(found[:half], found[half:], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(xp.to_numpy(a), xp.to_numpy(b), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_nothing_under_an_ignored_pixel_matters(xp: Library, mode: Any, garbage: float) -> None:
    pred, labels, gone = pictures(mode, garbage)
    clean = np.where(np.isfinite(pred) & (abs(pred) < 100), pred, 0.0)
    ignored = np.where(gone, IGNORED, labels)
    weight = np.where(gone, 0.0, 1.0)
    inside = ~gone if mode == "binary" else np.broadcast_to(~gone[:, None], pred.shape)
    pairs = [*zip(losses(mode, ignore_index=IGNORED), losses(mode), strict=True)]
    for ignoring, plain in xp.few(pairs):
        expected, slopes = ignoring.value_and_grad(xp.asarray(clean), xp.asarray(ignored))
        for loss, target, extra in (
            (ignoring, ignored, {}),
            (plain, labels, {"weight": xp.asarray(weight)}),
            (plain, labels, {"weight": xp.asarray(weight > 0)}),
        ):
            found, gradient = loss.value_and_grad(xp.asarray(pred), xp.asarray(target), **extra)
            np.testing.assert_allclose(xp.to_numpy(found), xp.to_numpy(expected), rtol=1e-13)
            gradient = xp.to_numpy(gradient)
            np.testing.assert_allclose(gradient, xp.to_numpy(slopes), rtol=1e-12, atol=1e-17)
            assert (gradient[~inside] == 0).all(), loss


@pytest.mark.parametrize("garbage", [1e15, 1e29])
def test_large_factors_under_an_ignored_pixel(xp: Library, garbage: float) -> None:
    """A finite cost times a finite factor may be infinite in float32, and 0 times that is NaN."""
    loss = CrossEntropyLoss("binary", pos_weight=1e9, reduction="none", ignore_index=IGNORED)
    z = xp.asarray(np.array([[garbage, -garbage, 1.0]]), "float32")
    value, gradient = loss.value_and_grad(z, xp.asarray(np.array([[IGNORED, IGNORED, 1]])))
    assert (xp.to_numpy(value)[0, :2] == 0).all()
    assert (xp.to_numpy(gradient)[0, :2] == 0).all()


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
@pytest.mark.parametrize("loss", losses("multiclass", ignore_index=IGNORED), ids=repr)
def test_nothing_under_an_ignored_pixel_reaches_autodiff(
    xp: Library, loss: Loss, garbage: float
) -> None:
    if not xp.differentiates:
        pytest.skip(f"{xp.name} has no autodiff")
    pred, labels, gone = pictures("multiclass", garbage)
    x, t = xp.asarray(pred), xp.asarray(np.where(gone, IGNORED, labels))
    gradient = xp.autodiff(lambda z: loss(z, t), x)
    _, expected = loss.value_and_grad(x, t)
    np.testing.assert_allclose(xp.to_numpy(gradient), xp.to_numpy(expected), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_in_the_target_of_a_pixel_without_weight(xp: Library, kind: Any) -> None:
    pred, target = RNG.normal(size=(2, 3, 6)), RNG.random((2, 3, 6))
    weight = np.ones((2, 6))
    weight[0, 2] = 0
    expected = kind("multilabel").value_and_grad(
        *map(xp.asarray, (pred, target)), weight=xp.asarray(weight)
    )
    target[0, :, 2] = np.nan
    found = kind("multilabel").value_and_grad(
        *map(xp.asarray, (pred, target)), weight=xp.asarray(weight)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(ours), xp.to_numpy(theirs))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float64"])
def test_single_entries_of_a_dense_target_are_ignored(xp: Library, kind: Any, dtype: str) -> None:
    """In multi-label mode an entry may be unknown while its pixel's other entries count."""
    pred, target = RNG.normal(size=(2, 3, 6)), RNG.integers(0, 2, (2, 3, 6))
    unknown = RNG.random(target.shape) < 0.3
    weight = np.where(unknown, 0.0, 1.0)
    loss = kind("multilabel", ignore_index=IGNORED)
    expected = kind("multilabel").value_and_grad(
        *map(xp.asarray, (pred, target)), weight=xp.asarray(weight)
    )
    marked = xp.asarray(np.where(unknown, IGNORED, target), dtype)
    pred[unknown] = np.nan
    found = loss.value_and_grad(xp.asarray(pred), marked)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_negative_label_ignored_in_a_dense_target_leaves_no_minus_zero(
    xp: Library, kind: Any
) -> None:
    """An ignored −1 times 0 is −0, which is as hard a target as 0."""
    pred, target = RNG.normal(size=(2, 3, 6)), RNG.integers(0, 2, (2, 3, 6))
    unknown = RNG.random(target.shape) < 0.3
    found = [
        kind("multilabel", ignore_index=label).value_and_grad(
            xp.asarray(pred), xp.asarray(np.where(unknown, label, target), "float64")
        )
        for label in (7, -1)
    ]
    for plus, minus in zip(*found, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(plus), xp.to_numpy(minus))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", [0, 1, -1])
def test_any_label_may_be_ignored(xp: Library, kind: Any, label: int) -> None:
    """Also that of a class: its pixels are left out, the class itself stays."""
    pred, labels = RNG.normal(size=(2, 3, 6)), RNG.integers(0, 3, (2, 6))
    labels[0, 0] = label
    weight = xp.asarray(np.where(labels == label, 0.0, 1.0))
    x = xp.asarray(pred)
    expected = kind("multiclass").value_and_grad(x, xp.asarray(abs(labels)), weight=weight)
    found = kind("multiclass", ignore_index=label).value_and_grad(x, xp.asarray(labels))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-14)


def test_terms_of_a_sum_ignore_their_own_labels(xp: Library) -> None:
    """A pixel that one term ignores still counts in the others, NaN or not."""
    pred, labels = RNG.normal(size=(2, 3, 6)), RNG.integers(0, 3, (2, 6))
    x, t = xp.asarray(pred), xp.asarray(labels)
    parts = [
        DiceLoss("multiclass", ignore_index=0),
        FocalLoss("multiclass", ignore_index=1),
        CrossEntropyLoss("multiclass"),
        CrossEntropyLoss("multilabel", ignore_index=2),
    ]
    value, gradient = sum(parts).value_and_grad(x, t)
    alone = [part.value_and_grad(x, t) for part in parts]
    expected = sum(xp.to_numpy(v) for v, _ in alone), sum(xp.to_numpy(g) for _, g in alone)
    np.testing.assert_allclose(xp.to_numpy(value), expected[0], rtol=1e-14)
    np.testing.assert_allclose(xp.to_numpy(gradient), expected[1], rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("label", [3, 200, -7])
def test_an_unchecked_label_out_of_range_is_no_class(xp: Library, mode: Any, label: int) -> None:
    """The pixel still counts, as one of no class; never as one of another class."""
    import xploss

    pred, hot = RNG.normal(size=(2, 3, 6)), np.eye(3)[RNG.integers(0, 3, (2, 6))]
    labels = hot.argmax(-1)
    labels[0, 1], hot[0, 1] = label, 0
    dense = np.moveaxis(hot, -1, 1)
    for kind in (DiceLoss, CrossEntropyLoss, FocalLoss):
        loss = kind(mode)
        with xploss.checks("never"):
            found = loss.value_and_grad(xp.asarray(pred), xp.asarray(labels))
            expected = loss.value_and_grad(xp.asarray(pred), xp.asarray(dense))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_classes_with_logits_of_minus_infinity(xp: Library, kind: Any) -> None:
    """A class masked by −∞ is absent from the softmax, and costs nothing with a zero target."""
    pred, labels = RNG.normal(size=(2, 4, 6)), RNG.integers(0, 3, (2, 6))
    pred[:, 3] = -np.inf
    for target in (labels, np.moveaxis(np.eye(4)[labels], -1, 1)):
        loss = kind("multiclass", classes=(0, 1, 2))
        value, gradient = loss.value_and_grad(xp.asarray(pred), xp.asarray(target))
        three = kind("multiclass")
        t = target if target.ndim == 2 else target[:, :3]
        expected = three.value_and_grad(xp.asarray(pred[:, :3]), xp.asarray(t))
        np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected[0]), rtol=1e-14)
        gradient = xp.to_numpy(gradient)
        np.testing.assert_allclose(gradient[:, :3], xp.to_numpy(expected[1]), rtol=1e-13)
        assert (gradient[:, 3] == 0).all()


@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_a_masked_class_under_an_ignored_label(xp: Library, kind: Any) -> None:
    """Where one of two terms ignores a label, whose class is masked by −∞."""
    loss = kind("multiclass", ignore_index=0) + DiceLoss("multiclass")
    z, t = RNG.normal(size=(1, 3, 6)), np.array([[0, 1, 2, 1, 0, 2]])
    z[0, 0, 0] = -np.inf
    low = np.where(np.isfinite(z), z, -1e4)
    found, expected = (loss.value_and_grad(xp.asarray(x), xp.asarray(t)) for x in (z, low))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("target", ["labels", "dense"])
def test_masked_class_under_label_smoothing(xp: Library, target: str) -> None:
    """The smoothing sum leaves the masked class out; s/C still divides by all classes."""
    z = np.array([[[0.5], [1.0], [-np.inf]]])
    t = np.array([[1]]) if target == "labels" else np.array([[[0.0], [1.0], [0.0]]])
    p = np.exp([0.5, 1.0]) / np.exp([0.5, 1.0]).sum()
    expected = -(0.1 * np.log(p[0]) + 0.8 * np.log(p[1]))
    loss = CrossEntropyLoss("multiclass", label_smoothing=0.3)
    value, gradient = loss.value_and_grad(xp.asarray(z), xp.asarray(t))
    np.testing.assert_allclose(xp.to_numpy(value), expected, rtol=1e-14)
    slopes = np.array([0.9 * p[0] - 0.1, 0.9 * p[1] - 0.8, 0.0])
    np.testing.assert_allclose(xp.to_numpy(gradient)[0, :, 0], slopes, rtol=1e-13)


def test_masked_entries_of_multilabel(xp: Library) -> None:
    z = np.array([[[-np.inf, 0.5], [1.0, -np.inf]]])
    t = np.array([[[0, 1], [1, 0]]])
    for kind in (DiceLoss, CrossEntropyLoss, FocalLoss):
        value, gradient = kind("multilabel").value_and_grad(xp.asarray(z), xp.asarray(t))
        low = np.where(np.isfinite(z), z, -1e4)
        expected = kind("multilabel").value_and_grad(xp.asarray(low), xp.asarray(t))
        np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected[0]), rtol=1e-14)
        np.testing.assert_allclose(xp.to_numpy(gradient), xp.to_numpy(expected[1]), rtol=1e-14)


def test_an_ignore_label_beyond_the_dtype_is_nowhere(xp: Library) -> None:
    """257 is not 1, also where labels are bytes."""
    rng = np.random.default_rng(12)
    z, t = xp.asarray(rng.normal(size=(2, 3, 7))), xp.asarray(rng.integers(0, 3, (2, 7)), "uint8")
    for label in (257, -255):
        found = DiceLoss("multiclass", ignore_index=label)(z, t)
        assert float(found) == float(DiceLoss("multiclass")(z, t))

"""Empty masks, empty batches, nothing valid, one pixel, saturated logits."""

from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FBetaLoss, FocalLoss, JaccardLoss, Loss, TverskyLoss

from .libraries import Library

RNG = np.random.default_rng(31)
IGNORED = 255
MODES = ["binary", "multiclass", "multilabel"]


def losses(mode: Any, **options: Any) -> list[Loss]:
    return [
        DiceLoss(mode, **options),
        JaccardLoss(mode, per_image=True, overlap="squared", **options),
        JaccardLoss(mode, log_loss=True, **options),
        TverskyLoss(mode, gamma=0.75, absent="skip", **options),
        FBetaLoss(mode, gamma=2.0, overlap="product", average="micro", **options),
        CrossEntropyLoss(mode, **options),
        CrossEntropyLoss(mode, label_smoothing=0.2, **options),
        FocalLoss(mode, gamma=0.5, **options),
        FocalLoss(mode, gamma=2.0, **options),
        DiceLoss(mode, **options) + FocalLoss(mode, gamma=1.0, **options),
    ]


def pictures(mode: str, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    pred = RNG.normal(size=shape if mode == "binary" else (shape[0], 3, *shape[1:]))
    return pred, RNG.integers(0, 2, shape)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_valid_costs_nothing(xp: Library, mode: Any) -> None:
    pred, labels = pictures(mode, 2, 5)
    x, t = xp.asarray(pred), xp.asarray(labels)
    ignored = xp.asarray(np.full_like(labels, IGNORED))
    nothing = xp.asarray(np.zeros(labels.shape))
    everywhere = losses(mode, ignore_index=IGNORED)
    for loss in xp.few([*everywhere, *losses(mode), *losses(mode, reduction="sum")]):
        target, extra = (ignored, {}) if loss in everywhere else (t, {"weight": nothing})
        value, gradient = loss.value_and_grad(x, target, **extra)
        xp.assert_like(value, (), "float64")
        assert float(value) == 0, loss
        assert (xp.to_numpy(gradient) == 0).all(), loss
        assert xp.to_numpy(gradient).shape == pred.shape


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1e4, 1e2, 40.0])
def test_saturated_logits_are_finite(xp: Library, mode: Any, size: float) -> None:
    pred, labels = pictures(mode, 2, 9)
    for dtype in ("float32", "float64"):
        x, t = xp.asarray(np.sign(pred) * size, dtype), xp.asarray(labels)
        for loss in xp.few(losses(mode)):
            value, gradient = loss.value_and_grad(x, t)
            assert np.isfinite(xp.to_numpy(value)), (loss, dtype)
            assert np.isfinite(xp.to_numpy(gradient)).all(), (loss, dtype)
            if xp.differentiates and dtype == "float32" and size == 1e4:
                auto = xp.autodiff(lambda z, loss=loss, t=t: loss(z, t), x)
                np.testing.assert_allclose(
                    xp.to_numpy(auto), xp.to_numpy(gradient), rtol=1e-5, atol=1e-7
                )


@pytest.mark.parametrize("mode", MODES)
def test_perfect_and_saturated_costs_nothing(xp: Library, mode: Any) -> None:
    _, labels = pictures(mode, 2, 9)
    hot = labels if mode == "binary" else np.moveaxis(np.eye(3)[labels], -1, 1)
    x, t = xp.asarray(np.where(hot == 1, 1e4, -1e4)), xp.asarray(labels)
    for loss in xp.few(losses(mode)):
        if "label_smoothing" in repr(loss):
            continue
        value, gradient = loss.value_and_grad(x, t)
        assert float(value) == pytest.approx(0, abs=1e-15), loss
        assert (xp.to_numpy(gradient) == 0).all(), loss


@pytest.mark.parametrize("gamma", [0.25, 0.75, 1.0, 2.0])
@pytest.mark.parametrize("kind", [DiceLoss, TverskyLoss])
def test_a_perfect_score_has_a_finite_slope(xp: Library, kind: Any, gamma: float) -> None:
    """(1 − score)^γ with γ < 1 has an infinite slope at a perfect score: taken as 0."""
    p = xp.asarray(np.array([[1.0, 0.0, 1.0]]))
    loss = kind("binary", from_logits=False, gamma=gamma)
    value, gradient = loss.value_and_grad(p, xp.asarray(np.array([[1, 0, 1]])))
    assert float(value) == 0
    assert np.isfinite(xp.to_numpy(gradient)).all()
    assert gamma == 1.0 or (xp.to_numpy(gradient) == 0).all()


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_an_empty_class_predicted_empty_is_perfect(xp: Library, mode: Any) -> None:
    """0/0 is a perfect score, with a zero gradient."""
    p = np.zeros((2, 4) if mode == "binary" else (2, 3, 4))
    t = np.zeros(p.shape, dtype=np.int64)
    for loss in losses(mode, from_logits=False):
        if isinstance(loss, DiceLoss | JaccardLoss | TverskyLoss | FBetaLoss):
            value, gradient = loss.value_and_grad(xp.asarray(p), xp.asarray(t))
            assert float(value) == 0, loss
            assert (xp.to_numpy(gradient) == 0).all(), loss


def test_false_positives_on_an_empty_mask_cost(xp: Library) -> None:
    """With absent="keep", the default, a confident prediction on an empty mask costs 1."""
    z, t = xp.asarray(np.full((1, 16), 20.0)), xp.asarray(np.zeros((1, 16), dtype=np.int64))
    for kind in (DiceLoss, JaccardLoss, TverskyLoss, FBetaLoss):
        assert float(kind("binary")(z, t)) == pytest.approx(1)
        assert float(kind("binary", absent="zero")(z, t)) == 0
        assert float(kind("binary", absent="skip")(z, t)) == 0
    smooth = DiceLoss("binary", smooth=1.0)
    value, gradient = smooth.value_and_grad(z, t)
    assert float(value) == pytest.approx(16 / 17, rel=1e-7)
    assert (xp.to_numpy(gradient) > 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1,), (1, 1), (3,), (1, 1, 1, 1)], ids=str)
def test_one_pixel_images(xp: Library, mode: Any, shape: tuple[int, ...]) -> None:
    pred, labels = pictures(mode, *shape)
    for loss in xp.few(losses(mode)):
        value, gradient = loss.value_and_grad(xp.asarray(pred), xp.asarray(labels))
        xp.assert_like(value, (), "float64")
        xp.assert_like(gradient, pred.shape, "float64")
        assert np.isfinite(xp.to_numpy(value))
        assert np.isfinite(xp.to_numpy(gradient)).all()


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (0, 3, 0), (2, 3, 4, 0)], ids=str)
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_an_empty_batch_is_an_error(xp: Library, mode: Any, shape: tuple[int, ...]) -> None:
    pred = xp.asarray(np.zeros(shape))
    labels = xp.asarray(np.zeros((shape[0], *shape[2:]), dtype=np.int64))
    for loss in losses(mode):
        for call in (loss, loss.value_and_grad, loss.statistics):
            with pytest.raises(ValueError, match=r"pred has shape \(.*empty batch is undefined"):
                call(pred, labels)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (2, 0)], ids=str)
def test_an_empty_binary_batch_is_an_error(xp: Library, shape: tuple[int, ...]) -> None:
    pred, labels = xp.asarray(np.zeros(shape)), xp.asarray(np.zeros(shape, dtype=np.int64))
    for loss in losses("binary"):
        with pytest.raises(ValueError, match="empty batch"):
            loss(pred, labels)


@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_of_zero_and_one_are_finite(xp: Library, kind: Any, dtype: str) -> None:
    p = np.array([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    t = np.array([[0, 0, 1]])
    for mode in ("multiclass", "multilabel"):
        loss = kind(mode, from_logits=False, reduction="sum")
        value, gradient = loss.value_and_grad(xp.asarray(p, dtype), xp.asarray(t))
        wrong = {"multiclass": 2, "multilabel": 3}[mode]
        assert float(value) == pytest.approx(-wrong * np.log(1e-7), rel=2e-2)
        assert np.isfinite(xp.to_numpy(gradient)).all()


def test_counts_beyond_float32(xp: Library) -> None:
    """2^24 + 1 is no float32; a batch may have more pixels."""
    if xp.name not in ("numpy", "torch"):
        pytest.skip("one large array is enough for the backends that add alike")
    count = 2**24 + 4096
    z = xp.zeros((1, count), dtype=xp.float32)
    labels = xp.ones((1, count), dtype=xp.uint8)
    statistics = DiceLoss("binary").statistics(z, labels)
    overlap, predicted, mass, size = (float(a[0, 0]) for a in statistics.arrays)
    assert (overlap, predicted, mass, size) == (count / 2, count / 2, count, count)


@pytest.mark.parametrize("overlap", ["min", "product", "squared"])
def test_nothing_overflows_where_almost_nothing_is_predicted(overlap: Any) -> None:
    """Warnings are errors here."""
    z, t = np.full((1, 4), -360.0), np.zeros((1, 4), int)
    value, gradient = DiceLoss("binary", overlap=overlap).value_and_grad(z, t)
    assert value == 1.0
    assert not gradient.any()

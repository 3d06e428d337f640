"""Dice, Jaccard, Tversky and F-beta against fractions worked out by hand and fifty digits."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xploss import DiceLoss, FBetaLoss, IoULoss, JaccardLoss, Loss, TverskyLoss

from . import exact
from .libraries import Library

# I = 3/2, P = 7/4, T = 2, so that FP = 1/4 and FN = 1/2; Σp² = 21/16
BINARY = np.array([[0.5, 0.25], [1.0, 0.0]]), np.array([[1, 0], [1, 0]])
# Per class (I, P, T): (1/2, 1/2, 1), (1/2, 3/4, 1), (0, 3/4, 0); Dice losses 1/3, 3/7, 1
CLASSES = np.array([[[0.5, 0.0], [0.25, 0.5], [0.25, 0.5]]]), np.array([[0, 1]])
THIRD, THREE_SEVENTHS = Fraction(1, 3), Fraction(3, 7)


def call(xp: Library, loss: Loss, pred: Any, target: Any, **extra: Any) -> np.ndarray:
    """The value as numbers, after a look at what carries it."""
    arrays = {name: xp.asarray(x, "float64") for name, x in extra.items()}
    value = loss(xp.asarray(pred, "float64"), xp.asarray(target), **arrays)
    xp.assert_like(value, value.shape, "float64")
    return xp.to_numpy(value)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DiceLoss, Fraction(1, 5)),
        (JaccardLoss, Fraction(1, 3)),
        (lambda mode, **k: TverskyLoss(mode, alpha=0.25, beta=0.75, **k), Fraction(7, 31)),
        (lambda mode, **k: FBetaLoss(mode, beta=2, **k), Fraction(3, 13)),
    ],
    ids=["dice", "jaccard", "tversky", "f2"],
)
def test_binary_by_hand(xp: Library, loss: Any, expected: Fraction) -> None:
    given = {"from_logits": False}
    assert call(xp, loss("binary", **given), *BINARY) == pytest.approx(float(expected), rel=1e-15)
    focal = call(xp, loss("binary", gamma=0.75, **given), *BINARY)
    assert focal == pytest.approx(float(expected) ** 0.75, rel=1e-15)
    logarithm = -math.log((1 - float(expected) + 1e-7) / (1 + 1e-7))
    found = call(xp, loss("binary", log_loss=True, **given), *BINARY)
    assert found == pytest.approx(logarithm, rel=1e-14)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DiceLoss("binary", smooth=1, from_logits=False), Fraction(3, 19)),
        (JaccardLoss("binary", smooth=1, from_logits=False), Fraction(3, 13)),
        (
            TverskyLoss("binary", alpha=0.25, beta=0.75, smooth=1, from_logits=False),
            Fraction(7, 47),
        ),
        (FBetaLoss("binary", beta=2, smooth=1, from_logits=False), Fraction(9, 43)),
        (DiceLoss("binary", overlap="squared", from_logits=False), Fraction(5, 53)),
        (JaccardLoss("binary", overlap="squared", from_logits=False), Fraction(5, 29)),
        (DiceLoss("binary", overlap="product", from_logits=False), Fraction(1, 5)),
    ],
    ids=repr,
)
def test_smoothed_and_squared_by_hand(xp: Library, loss: Loss, expected: Fraction) -> None:
    assert call(xp, loss, *BINARY) == pytest.approx(float(expected), rel=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("overlap", ["min", "squared"])
@pytest.mark.parametrize("classes", [2, 6, 7, 20])
def test_labels_are_looked_up_or_spelled_out(
    xp: Library, classes: int, overlap: Any, weighted: bool
) -> None:
    """Of few classes and of many, value and gradient are those of one number per class."""
    rng = np.random.default_rng(classes)
    shape = 2, 5, 8
    pred = xp.asarray(rng.normal(size=(shape[0], classes, *shape[1:])), "float64")
    labels = rng.integers(-1, classes, shape)
    dense = np.moveaxis(labels[..., None] == np.arange(classes), -1, 1)
    weight = rng.choice([0.0, 0.5, 2.0], shape) if weighted else np.ones(shape)
    left = xp.asarray(weight * (labels >= 0), "float64")
    given = xp.asarray(weight, "float64")
    options = {"overlap": overlap, "alpha": 0.3, "beta": 0.8}
    looked_up = TverskyLoss("multiclass", ignore_index=-1, **options)
    spelled_out = TverskyLoss("multiclass", **options)
    found = looked_up.value_and_grad(pred, xp.asarray(labels), weight=given)
    expected = spelled_out.value_and_grad(pred, xp.asarray(dense), weight=left)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(one), xp.to_numpy(other), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Fraction(37, 63)),
        ({"absent": "skip"}, Fraction(8, 21)),
        ({"absent": "zero"}, Fraction(16, 63)),
        ({"class_weights": (1, 2, 3)}, Fraction(44, 63)),
        ({"class_weights": (1, 2, 3), "absent": "skip"}, Fraction(25, 63)),
        ({"classes": (1, 2)}, Fraction(5, 7)),
        ({"classes": (2, 0), "class_weights": (1, 3)}, Fraction(1, 2)),
        ({"average": "micro"}, Fraction(1, 2)),
        ({"average": "micro", "classes": (0, 1)}, Fraction(3, 13)),
        ({"reduction": "sum"}, Fraction(37, 21)),
        ({"reduction": "sum", "class_weights": (1, 2, 3)}, Fraction(88, 21)),
    ],
    ids=str,
)
def test_classes_by_hand(xp: Library, options: dict[str, Any], expected: Fraction) -> None:
    if options.get("average") == "micro" and "classes" in options:
        expected = 1 - 2 * Fraction(1) / (Fraction(5, 4) + 2)
    loss = DiceLoss("multiclass", from_logits=False, **options)
    assert call(xp, loss, *CLASSES) == pytest.approx(float(expected), rel=1e-15)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [THIRD, THREE_SEVENTHS, 1]),
        ({"absent": "skip"}, [THIRD, THREE_SEVENTHS, 0]),
        ({"class_weights": (3, 2, 1)}, [1, Fraction(6, 7), 1]),
        ({"classes": (2, 0)}, [1, THIRD]),
        ({"average": "micro"}, [Fraction(1, 2)]),
        ({"per_image": True}, [[THIRD, THREE_SEVENTHS, 1]]),
        ({"per_image": True, "average": "micro"}, [[Fraction(1, 2)]]),
    ],
    ids=str,
)
def test_terms_by_hand(xp: Library, options: dict[str, Any], expected: list[Any]) -> None:
    loss = DiceLoss("multiclass", from_logits=False, reduction="none", **options)
    found = call(xp, loss, *CLASSES)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, np.asarray(expected, dtype=float), rtol=1e-15)


def test_binary_terms_have_one_class(xp: Library) -> None:
    loss = DiceLoss("binary", from_logits=False, reduction="none")
    assert call(xp, loss, *BINARY).shape == (1,)
    loss = DiceLoss("binary", from_logits=False, reduction="none", per_image=True)
    # sample 0: I = 1/2, P = 3/4, T = 1; sample 1 is perfect
    np.testing.assert_allclose(call(xp, loss, *BINARY), [[3 / 7], [0]], rtol=1e-15)


def test_per_image_is_the_mean_over_samples_of_the_mean_over_classes(xp: Library) -> None:
    pred = np.concatenate([CLASSES[0], CLASSES[0][:, ::-1, :]])
    target = np.concatenate([CLASSES[1], 2 - CLASSES[1]])
    target[1, 0] = 255
    loss = DiceLoss("multiclass", from_logits=False, per_image=True, ignore_index=255)
    # sample 1, pixel 1 alone: p = (1/2, 1/2, 0), label 1: losses 1, 1/3 and 0 (0/0)
    expected = (Fraction(37, 63) + Fraction(4, 9)) / 2
    assert call(xp, loss, pred, target) == pytest.approx(float(expected), rel=1e-15)
    skip = DiceLoss(
        "multiclass", from_logits=False, per_image=True, ignore_index=255, absent="skip"
    )
    assert call(xp, skip, pred, target) == pytest.approx(
        float((Fraction(8, 21) + Fraction(1, 3)) / 2)
    )


def test_samples_without_a_valid_pixel_are_left_out(xp: Library) -> None:
    pred = np.concatenate([CLASSES[0], CLASSES[0]])
    target = np.concatenate([CLASSES[1], CLASSES[1] * 0 + 255])
    options: dict[str, Any] = {"from_logits": False, "per_image": True, "ignore_index": 255}
    mean = call(xp, DiceLoss("multiclass", **options), pred, target)
    assert mean == pytest.approx(37 / 63, rel=1e-15)
    terms = call(xp, DiceLoss("multiclass", reduction="none", **options), pred, target)
    np.testing.assert_allclose(terms, [[1 / 3, 3 / 7, 1], [0, 0, 0]], rtol=1e-15)


def test_a_class_without_a_valid_entry_is_perfect(xp: Library) -> None:
    """Where the sample has others: 0/0 is a score of 1, which counts in the mean."""
    pred = np.array([[[0.5, 0.25], [0.75, 0.125]]])
    target = np.array([[[1, 0], [255, 255]]])
    for per_image in (False, True):
        loss = DiceLoss("multilabel", from_logits=False, ignore_index=255, per_image=per_image)
        # class 0: I = 1/2, P = 3/4, T = 1
        assert call(xp, loss, pred, target) == pytest.approx((3 / 7 + 0) / 2, rel=1e-15)
    skip = DiceLoss("multilabel", from_logits=False, ignore_index=255, absent="skip")
    assert call(xp, skip, pred, target) == pytest.approx(3 / 7, rel=1e-15)


def test_pixel_weights_by_hand(xp: Library) -> None:
    loss = DiceLoss("binary", from_logits=False)
    # I = 1 + 1/4, P = 1 + 3/4 + 1/4, T = 2 + 1/4 with weights 2, 3, 1/4 and 5
    found = call(xp, loss, *BINARY, weight=np.array([[2, 3], [0.25, 5]]))
    assert found == pytest.approx(float(1 - Fraction(5, 2) / (2 + Fraction(9, 4))), rel=1e-15)


def test_weights_per_class_by_hand(xp: Library) -> None:
    loss = DiceLoss("multiclass", from_logits=False, reduction="none")
    weight = np.array([[[1.0, 3.0], [1.0, 0.0], [2.0, 2.0]]])
    # class 1 has pixel 0 alone: P = 1/4, T = 0
    np.testing.assert_allclose(call(xp, loss, *CLASSES, weight=weight), [1 / 3, 1, 1], rtol=1e-15)


@pytest.mark.parametrize(
    ("overlap", "expected"), [("min", 0), ("product", 1 - 0.58 / 1.4), ("squared", 0)]
)
def test_soft_targets_equal_to_the_prediction(xp: Library, overlap: Any, expected: float) -> None:
    p = np.array([[0.5, 0.2]])
    loss = DiceLoss("binary", from_logits=False, overlap=overlap)
    value, gradient = loss.value_and_grad(xp.asarray(p), xp.asarray(p))
    assert xp.to_numpy(value) == pytest.approx(expected, rel=1e-15, abs=1e-15)
    assert np.isfinite(xp.to_numpy(gradient)).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", [DiceLoss, IoULoss, TverskyLoss, FBetaLoss])
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_fifty_digits(xp: Library, loss: Any, mode: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    classes = 1 if mode == "binary" else 4
    z = (4 * rng.normal(size=(classes, 37))).astype(dtype)
    labels = rng.integers(0, 2 if mode == "binary" else classes, 37)
    t = labels[None] if mode == "binary" else labels == np.arange(classes)[:, None]
    p = (exact.softmax if mode == "multiclass" else exact.sigmoid)(z)
    alpha, beta = {DiceLoss: (0.5, 0.5), IoULoss: (1, 1)}.get(loss, (0.5, 0.5))
    terms = []
    for row, truth in zip(p, t, strict=True):
        i, predicted, mass = exact.sums(row, truth)
        terms.append(1 - i / (i + alpha * (predicted - i) + beta * (mass - i)))
    expected = float(sum(terms) / classes)
    pred = xp.asarray(z if mode == "binary" else z[None], dtype)
    value = loss(mode)(pred, xp.asarray(labels[None]))
    xp.assert_like(value, (), dtype)
    assert float(value) == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("logit", [-40.0, -16.0, -8.0, 8.0, 16.0, 40.0])
def test_logarithm_of_the_score_at_both_ends(xp: Library, logit: float, dtype: str) -> None:
    """−ln((score + ε)/(1 + ε)) keeps its digits where the score is next to 0, and to 1."""
    p = exact.sigmoid(np.array([[logit]]))[0][0]
    mp = exact.mp
    score = 2 * p / (p + 1)
    epsilon = mp.mpf("1e-7")
    expected = -mp.log((score + epsilon) / (1 + epsilon))
    loss = DiceLoss("binary", log_loss=True)
    x, t = xp.asarray(np.array([[logit]]), dtype), xp.asarray(np.array([[1]]))
    value, gradient = loss.value_and_grad(x, t)
    tolerance = 8 * float(np.finfo(dtype).eps)
    # next to a perfect score the rounding of p itself remains
    assert float(value) == pytest.approx(float(expected), rel=tolerance, abs=tolerance / 8)
    slope = -1 / (score + epsilon) * 2 / (1 + p) ** 2 * p * (1 - p)
    assert xp.to_numpy(gradient)[0, 0] == pytest.approx(float(slope), rel=2 * tolerance)


def test_iou_loss_is_jaccard_loss() -> None:
    assert IoULoss is JaccardLoss

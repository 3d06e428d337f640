"""Mistakes of other libraries that must not be made here.

S, M, K, Q and N stand for segmentation_models_pytorch, MONAI, kornia, Keras and nnU-Net; each
test states what is right, which the library of its letter got wrong at some time.
"""

import math
from typing import Any

import numpy as np
import pytest

import xploss
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, Loss

from .libraries import Library

IGNORED = 255
RNG = np.random.default_rng(41)
Z = RNG.normal(size=(2, 3, 4, 5))
LABELS = RNG.integers(0, 3, (2, 4, 5))
HALF = np.concatenate([LABELS[:, :2], np.full((2, 2, 5), IGNORED)], axis=1)
ENTROPY, FOCAL = CrossEntropyLoss("multiclass"), FocalLoss("multiclass")


def number(xp: Library, loss: Loss, pred: Any, target: Any) -> np.ndarray:
    return xp.to_numpy(loss(xp.asarray(pred), xp.asarray(target)))


def gradient(xp: Library, loss: Loss, pred: Any, target: Any) -> np.ndarray:
    return xp.to_numpy(loss.value_and_grad(xp.asarray(pred), xp.asarray(target))[1])


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def at_labels(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, labels[:, None], axis=1)[:, 0]


def test_S1_cross_entropy_works_with_its_defaults(xp: Library) -> None:
    expected = -at_labels(log_softmax(Z), LABELS).mean()
    assert number(xp, ENTROPY, Z, LABELS) == pytest.approx(expected, rel=1e-14)


def test_S2_ignored_pixels_are_not_in_the_divisor_of_cross_entropy(xp: Library) -> None:
    found = number(xp, CrossEntropyLoss("multiclass", ignore_index=IGNORED), Z, HALF)
    assert found == pytest.approx(number(xp, ENTROPY, Z[:, :, :2], LABELS[:, :2]), rel=1e-14)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_S3_ignored_entries_are_not_in_the_divisor_of_binary_cross_entropy(
    xp: Library, mode: Any
) -> None:
    z, t = (Z[:, 0], LABELS % 2) if mode == "binary" else (Z, RNG.integers(0, 2, Z.shape))
    half = t.copy()
    half[..., 2:, :] = IGNORED
    found = number(xp, CrossEntropyLoss(mode, ignore_index=IGNORED), z, half)
    cropped = number(xp, CrossEntropyLoss(mode), z[..., :2, :], t[..., :2, :])
    assert found == pytest.approx(cropped, rel=1e-14)


@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_S4_the_shape_of_a_map_does_not_depend_on_an_ignore_label(xp: Library, kind: Any) -> None:
    for mode, shape in (("multiclass", (2, 4, 5)), ("multilabel", (2, 3, 4, 5))):
        for options in ({}, {"ignore_index": IGNORED}, {"class_weights": (1, 2, 3)}):
            loss = kind(mode, reduction="none", **options)
            assert number(xp, loss, Z, LABELS).shape == shape


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_S5_binary_targets_may_be_integers(xp: Library, dtype: Any) -> None:
    z, t = Z[:, 0], LABELS % 2
    for loss in (CrossEntropyLoss("binary"), CrossEntropyLoss("binary", label_smoothing=0.1)):
        expected = number(xp, loss, z, t.astype(float))
        assert number(xp, loss, z, t.astype(dtype)) == pytest.approx(expected, rel=1e-15)


def test_S6_perfect_probabilities_cost_no_focal_loss(xp: Library) -> None:
    perfect = np.moveaxis(np.eye(3)[LABELS], -1, 1)
    for loss in (FocalLoss("multiclass", from_logits=False), FOCAL):
        p = perfect if not loss.from_logits else 60 * perfect
        assert number(xp, loss, p, LABELS) == pytest.approx(0, abs=1e-20)


def test_S7_multiclass_focal_is_shift_invariant(xp: Library) -> None:
    expected = number(xp, FOCAL, Z, LABELS)
    assert number(xp, FOCAL, Z + 5, LABELS) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient(xp, FOCAL, Z, LABELS).sum(1), 0, atol=1e-17)


@pytest.mark.parametrize("target", ["labels", "dense"])
def test_S8_multilabel_focal_has_an_ignore_label(xp: Library, target: str) -> None:
    loss = FocalLoss("multilabel", ignore_index=IGNORED)
    t = HALF if target == "labels" else RNG.integers(0, 2, Z.shape)
    if target == "dense":
        t[:, :, 2:] = IGNORED
    cropped = number(xp, FocalLoss("multilabel"), Z[:, :, :2], t[..., :2, :])
    assert number(xp, loss, Z, t) == pytest.approx(cropped, rel=1e-14)


@pytest.mark.parametrize("options", [{}, {"class_weights": (1, 2, 3)}, {"alpha": (1, 2, 3)}])
def test_S9_multiclass_focal_without_reduction_is_a_map(
    xp: Library, options: dict[str, Any]
) -> None:
    terms = number(xp, FocalLoss("multiclass", reduction="none", **options), Z, LABELS)
    log_p = at_labels(log_softmax(Z), LABELS)
    factor = np.array([1, 2, 3])[LABELS] if options else 1
    expected = -factor * (1 - np.exp(log_p)) ** 2 * log_p
    np.testing.assert_allclose(terms, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_S10_nothing_valid_gives_no_nan(xp: Library, mode: Any) -> None:
    z = Z[:, 0] if mode == "binary" else Z
    for loss in (
        FocalLoss(mode, ignore_index=IGNORED),
        CrossEntropyLoss(mode, ignore_index=IGNORED),
    ):
        t = np.full_like(LABELS, IGNORED)
        assert number(xp, loss, z, t) == 0
        assert (gradient(xp, loss, z, t) == 0).all()


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("kind", [FocalLoss, CrossEntropyLoss, DiceLoss])
def test_M1_naming_an_absent_ignore_label_changes_nothing(
    xp: Library, kind: Any, mode: Any
) -> None:
    expected = number(xp, kind(mode), Z, LABELS)
    found = number(xp, kind(mode, ignore_index=IGNORED), Z, LABELS)
    assert found == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("kind", [FocalLoss, CrossEntropyLoss, DiceLoss])
def test_M3_nan_in_the_ignored_region_stays_there(xp: Library, kind: Any) -> None:
    z = Z.copy()
    z[:, :, 2:] = np.nan
    loss = kind("multiclass", ignore_index=IGNORED)
    assert number(xp, loss, z, HALF) == pytest.approx(number(xp, loss, Z, HALF), rel=1e-15)
    slopes = gradient(xp, loss, z, HALF)
    np.testing.assert_array_equal(slopes, gradient(xp, loss, Z, HALF))
    assert (slopes[:, :, 2:] == 0).all()


def test_M4_dice_with_cross_entropy_has_an_ignore_label(xp: Library) -> None:
    options = {"ignore_index": IGNORED}
    loss = DiceLoss("multiclass", **options) + CrossEntropyLoss("multiclass", **options)
    cropped = number(xp, DiceLoss("multiclass") + ENTROPY, Z[:, :, :2], LABELS[:, :2])
    assert number(xp, loss, Z, HALF) == pytest.approx(cropped, rel=1e-14)
    message = r"label 255, outside 0\.\.2 .*; pass ignore_index=255 to \w+ if it marks pixels"
    with xploss.checks("always"), pytest.raises(ValueError, match=message):
        number(xp, DiceLoss("multiclass") + ENTROPY, Z, HALF)


@pytest.mark.parametrize("form", [list, tuple, np.asarray])
def test_M10_class_weights_of_any_sequence_in_a_sum(xp: Library, form: Any) -> None:
    weights = form([1.0, 2.0, 3.0])
    loss = DiceLoss("multiclass", class_weights=weights) + CrossEntropyLoss(
        "multiclass", class_weights=weights
    )
    cost = -at_labels(log_softmax(Z), LABELS) * (LABELS + 1.0)
    expected = cost.sum() / (LABELS + 1.0).sum()
    dice = number(xp, DiceLoss("multiclass", class_weights=weights), Z, LABELS)
    assert number(xp, loss, Z, LABELS) == pytest.approx(dice + expected, rel=1e-13)


def test_M11_label_smoothing_reaches_a_single_channel(xp: Library) -> None:
    z, t = Z[:, :1], LABELS[:, None] % 2
    loss = DiceLoss("binary") + CrossEntropyLoss("binary", label_smoothing=0.3)
    smooth = t * 0.7 + 0.15
    expected = np.mean(np.logaddexp(0, z) - smooth * z)
    found = number(xp, loss, z, t) - number(xp, DiceLoss("binary"), z, t)
    assert found == pytest.approx(expected, rel=1e-12)


def test_M12_multilabel_cross_entropy_in_a_sum_is_binary(xp: Library) -> None:
    t = RNG.integers(0, 2, Z.shape)
    loss = DiceLoss("multilabel") + CrossEntropyLoss("multilabel")
    expected = np.mean(np.logaddexp(0, Z) - t * Z)
    found = number(xp, loss, Z, t) - number(xp, DiceLoss("multilabel"), Z, t)
    assert found == pytest.approx(expected, rel=1e-12)


def test_M13_multiclass_focal_in_a_sum_is_softmax_focal(xp: Library) -> None:
    log_p = at_labels(log_softmax(Z), LABELS)
    expected = np.mean(-((1 - np.exp(log_p)) ** 2) * log_p)
    loss = DiceLoss("multiclass") + FOCAL
    found = number(xp, loss, Z, LABELS) - number(xp, DiceLoss("multiclass"), Z, LABELS)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("kind", [FocalLoss, CrossEntropyLoss])
def test_M14_the_sum_is_that_of_the_terms(xp: Library, kind: Any, mode: Any) -> None:
    options = {"ignore_index": IGNORED, "class_weights": (1, 2, 3)}
    terms = number(xp, kind(mode, reduction="none", **options), Z, HALF)
    total = number(xp, kind(mode, reduction="sum", **options), Z, HALF)
    assert total == pytest.approx(terms.sum(), rel=1e-13)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_M15_saturated_pixels_have_a_gradient_for_gamma_below_one(
    xp: Library, gamma: float, mode: Any
) -> None:
    z = 100 * np.sign(Z)
    z = z[:, 0] if mode == "binary" else z
    for target in (LABELS % 2, (LABELS + 1) % 2):
        for dtype in ("float32", "float64"):
            loss = FocalLoss(mode, gamma=gamma)
            x, t = xp.asarray(z, dtype), xp.asarray(target)
            assert np.isfinite(xp.to_numpy(loss.value_and_grad(x, t)[1])).all()
            if xp.differentiates:
                assert np.isfinite(xp.to_numpy(xp.autodiff(lambda v: loss(v, t), x))).all()  # noqa: B023


def test_K11_focal_of_an_ignored_half_is_that_of_the_crop(xp: Library) -> None:
    found = number(xp, FocalLoss("multiclass", ignore_index=IGNORED), Z, HALF)
    assert found == pytest.approx(number(xp, FOCAL, Z[:, :, :2], LABELS[:, :2]), rel=1e-14)


def test_K12_focal_with_gamma_zero_is_cross_entropy(xp: Library) -> None:
    focal = FocalLoss("multiclass", gamma=0.0)
    expected = -at_labels(log_softmax(Z), LABELS).mean()
    assert number(xp, focal, Z, LABELS) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_array_equal(gradient(xp, focal, Z, LABELS), gradient(xp, ENTROPY, Z, LABELS))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [FocalLoss, CrossEntropyLoss])
def test_Q6_the_hardest_binary_errors_keep_value_and_gradient(
    xp: Library, kind: Any, dtype: str
) -> None:
    z, t = xp.asarray(np.array([-17.0, -30.0, -1e4]), dtype), xp.asarray(np.array([1, 1, 1]))
    terms = kind("binary", reduction="none")(z, t)
    np.testing.assert_allclose(xp.to_numpy(terms), [17, 30, 1e4], rtol=1e-5)
    _, slopes = kind("binary").value_and_grad(z, t)
    np.testing.assert_allclose(xp.to_numpy(slopes), -1 / 3, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [FocalLoss, CrossEntropyLoss])
def test_Q7_the_hardest_multiclass_errors_keep_their_gradient(
    xp: Library, kind: Any, dtype: str
) -> None:
    z = xp.asarray(np.array([[-30.0, 0.0, -60.0]]), dtype)
    value, slopes = kind("multiclass").value_and_grad(z, xp.asarray(np.array([0])))
    assert float(value) == pytest.approx(30, rel=1e-6)
    np.testing.assert_allclose(xp.to_numpy(slopes), [[-1, 1, 0]], atol=1e-5)


@pytest.mark.parametrize("axis", [1, -1])
def test_Q8_label_smoothing_divides_by_the_classes(xp: Library, axis: int) -> None:
    """Three classes; the last of the other axes has length 5."""
    p = np.exp(log_softmax(Z))
    hot = np.moveaxis(np.eye(3)[LABELS], -1, 1) * 0.7 + 0.1
    expected = np.mean(-(hot * (1 - p) ** 2 * np.log(p)).sum(1))
    loss = FocalLoss("multiclass", label_smoothing=0.3, class_axis=axis)
    found = number(xp, loss, np.moveaxis(Z, 1, axis), LABELS)
    assert found == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_Q9_alpha_per_class_follows_the_class_axis(xp: Library, mode: Any, axis: int) -> None:
    alpha = (0.2, 0.5, 0.9)
    expected = number(xp, FocalLoss(mode, alpha=alpha), Z, LABELS)
    moved = np.moveaxis(Z, 1, axis)
    found = number(xp, FocalLoss(mode, alpha=alpha, class_axis=axis), moved, LABELS)
    assert found == pytest.approx(expected, rel=1e-14)


def test_Q11_alpha_is_used(xp: Library) -> None:
    z, t = np.array([0.0, 0.0, 0.0]), np.array([1, 0, 0])
    for alpha in (0.25, 0.9):
        expected = (alpha + 2 * (1 - alpha)) / 3 * math.log(2) / 4
        found = number(xp, FocalLoss("binary", alpha=alpha), z, t)
        assert found == pytest.approx(expected, rel=1e-14)


def test_N1_ignoring_nothing_does_not_multiply_the_loss_by_the_classes(xp: Library) -> None:
    """Dice + binary cross-entropy with an all-zero ignore mask, as a label or as a weight."""
    t = RNG.integers(0, 2, Z.shape)
    loss = DiceLoss("multilabel") + CrossEntropyLoss("multilabel")
    options = {"ignore_index": IGNORED}
    named = DiceLoss("multilabel", **options) + CrossEntropyLoss("multilabel", **options)
    expected = number(xp, loss, Z, t)
    assert number(xp, named, Z, t) == pytest.approx(expected, rel=1e-14)
    ones = xp.asarray(np.ones((2, 4, 5)))
    weighed = loss(xp.asarray(Z), xp.asarray(t), weight=ones)
    assert float(weighed) == pytest.approx(expected, rel=1e-14)


def test_N6_ignored_pixels_are_not_among_the_hardest(xp: Library) -> None:
    """The hardest quarter of the valid pixels, taken from the map, is that of the crop."""
    loss = CrossEntropyLoss("multiclass", reduction="none", ignore_index=IGNORED)
    terms = number(xp, loss, Z, HALF)
    assert (terms[HALF == IGNORED] == 0).all()
    assert (terms[HALF != IGNORED] > 0).all()
    cropped = np.sort(number(xp, loss, Z[:, :, :2], LABELS[:, :2]).ravel())[-5:]
    hardest = np.sort(terms[HALF != IGNORED])[-5:]
    np.testing.assert_allclose(hardest, cropped, rtol=1e-14)

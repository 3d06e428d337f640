"""Cross-entropy and focal loss against numbers worked out by hand and fifty digits."""

from dataclasses import dataclass
from importlib import import_module
from math import log
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, FocalLoss, Loss, plan
from xploss.adapters import backend_of

from . import exact
from .exact import mp
from .libraries import Library

# two pixels of three classes, with the labels 0 and 1
CLASSES = np.array([[[0.5, 0.125], [0.25, 0.125], [0.25, 0.75]]]), np.array([[0, 1]])
BINARY = np.array([[0.5, 0.25, 0.75]]), np.array([[1, 0, 0]])
LN2, LN4, LN8 = log(2), log(4), log(8)


def call(xp: Library, loss: Loss, pred: Any, target: Any, **extra: Any) -> np.ndarray:
    arrays = {name: xp.asarray(x, "float64") for name, x in extra.items()}
    value = loss(xp.asarray(pred, "float64"), xp.asarray(target), **arrays)
    xp.assert_like(value, value.shape, "float64")
    return xp.to_numpy(value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (LN2 + LN8) / 2),
        ({"reduction": "sum"}, LN2 + LN8),
        ({"reduction": "none"}, [[LN2, LN8]]),
        ({"class_weights": (1, 3, 5)}, (LN2 + 3 * LN8) / 4),
        ({"class_weights": (1, 3, 5), "reduction": "none"}, [[LN2, 3 * LN8]]),
        ({"classes": (1, 2)}, LN8),
        ({"classes": (0, 2), "class_weights": (3, 1)}, LN2),
        ({"classes": (0, 2), "class_weights": (3, 1), "reduction": "none"}, [[3 * LN2, 0]]),
        ({"ignore_index": 1}, LN2),
        ({"ignore_index": 1, "reduction": "none"}, [[LN2, 0]]),
        # s/C = 1/10 on each class, 8/10 on the label
        (
            {"label_smoothing": 0.3},
            (0.8 * LN2 + 0.2 * LN4 + 0.8 * LN8 + 0.1 * LN8 + 0.1 * log(4 / 3)) / 2,
        ),
        (
            {"label_smoothing": 0.3, "class_weights": (1, 3, 5)},
            (0.8 * LN2 + 0.8 * LN4 + 2.4 * LN8 + 0.1 * LN8 + 0.5 * log(4 / 3)) / 4,
        ),
    ],
    ids=str,
)
def test_multiclass_cross_entropy_by_hand(
    xp: Library, options: dict[str, Any], expected: Any
) -> None:
    loss = CrossEntropyLoss("multiclass", from_logits=False, **options)
    found = call(xp, loss, *CLASSES)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (LN2 + log(4 / 3) + LN4) / 3),
        ({"reduction": "sum"}, LN2 + log(4 / 3) + LN4),
        ({"reduction": "none"}, [[LN2, log(4 / 3), LN4]]),
        ({"class_weights": (5,)}, (LN2 + log(4 / 3) + LN4) / 3),
        ({"class_weights": (5,), "reduction": "sum"}, 5 * (LN2 + log(4 / 3) + LN4)),
        ({"pos_weight": 3}, (3 * LN2 + log(4 / 3) + LN4) / 3),
        ({"pos_weight": (3,)}, (3 * LN2 + log(4 / 3) + LN4) / 3),
        ({"balance": 0.75}, (0.75 * LN2 + 0.25 * (log(4 / 3) + LN4)) / 3),
        ({"balance": "auto"}, (2 / 3 * LN2 + 1 / 3 * (log(4 / 3) + LN4)) / 3),
        ({"ignore_index": 0}, LN2),
        (
            {"label_smoothing": 0.5, "ignore_index": 1},
            (0.25 * LN4 + 0.75 * log(4 / 3) + 0.25 * log(4 / 3) + 0.75 * LN4) / 2,
        ),
    ],
    ids=str,
)
def test_binary_cross_entropy_by_hand(xp: Library, options: dict[str, Any], expected: Any) -> None:
    loss = CrossEntropyLoss("binary", from_logits=False, **options)
    found = call(xp, loss, *BINARY)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_balance_auto_is_the_share_of_negatives_among_the_valid(xp: Library) -> None:
    target = np.array([[1, 0, 255]])
    weight = np.array([[1.0, 3.0, 7.0]])
    loss = CrossEntropyLoss("binary", from_logits=False, balance="auto", ignore_index=255)
    found = call(xp, loss, BINARY[0], target, weight=weight)
    assert found == pytest.approx((3 / 4 * LN2 + 1 / 4 * 3 * log(4 / 3)) / 4, rel=1e-15)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (LN2 / 4 + 49 / 64 * LN8) / 2),
        ({"gamma": 1}, (LN2 / 2 + 7 / 8 * LN8) / 2),
        ({"gamma": 0.5}, (LN2 * 0.5**0.5 + 0.875**0.5 * LN8) / 2),
        ({"gamma": 3, "reduction": "sum"}, LN2 / 8 + 343 / 512 * LN8),
        ({"alpha": (0.5, 0.25, 1)}, (0.5 * LN2 / 4 + 0.25 * 49 / 64 * LN8) / 2),
        # alpha weighs the value, not the divisor; class weights both
        (
            {"alpha": (0.5, 0.25, 1), "class_weights": (1, 3, 5)},
            (0.5 * LN2 / 4 + 0.75 * 49 / 64 * LN8) / 4,
        ),
        ({"reduction": "none"}, [[LN2 / 4, 49 / 64 * LN8]]),
    ],
    ids=str,
)
def test_multiclass_focal_by_hand(xp: Library, options: dict[str, Any], expected: Any) -> None:
    loss = FocalLoss("multiclass", from_logits=False, **options)
    np.testing.assert_allclose(call(xp, loss, *CLASSES), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [LN2 / 4, log(4 / 3) / 16, 9 / 16 * LN4]),
        ({"gamma": 1}, [LN2 / 2, log(4 / 3) / 4, 3 / 4 * LN4]),
        ({"alpha": 0.25}, [LN2 / 16, 3 / 64 * log(4 / 3), 27 / 64 * LN4]),
        ({"alpha": (0.25,)}, [LN2 / 16, 3 / 64 * log(4 / 3), 27 / 64 * LN4]),
        ({"alpha": 1.0}, [LN2 / 4, 0, 0]),
    ],
    ids=str,
)
def test_binary_focal_by_hand(xp: Library, options: dict[str, Any], expected: Any) -> None:
    loss = FocalLoss("binary", from_logits=False, reduction="none", **options)
    np.testing.assert_allclose(call(xp, loss, *BINARY), [expected], rtol=1e-15)
    mean = FocalLoss("binary", from_logits=False, **options)
    np.testing.assert_allclose(call(xp, mean, *BINARY), sum(expected) / 3, rtol=1e-15)


def test_pixel_weights_are_in_value_and_divisor(xp: Library) -> None:
    loss = CrossEntropyLoss("multiclass", from_logits=False)
    found = call(xp, loss, *CLASSES, weight=np.array([[3.0, 0.5]]))
    assert found == pytest.approx((3 * LN2 + 0.5 * LN8) / 3.5, rel=1e-15)


def test_multilabel_terms_have_only_the_counted_classes(xp: Library) -> None:
    loss = CrossEntropyLoss("multilabel", from_logits=False, reduction="none", classes=(2, 0))
    found = call(xp, loss, *CLASSES)
    expected = [[[log(4 / 3), LN4], [LN2, log(8 / 7)]]]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    mean = CrossEntropyLoss("multilabel", from_logits=False, classes=(2, 0))
    np.testing.assert_allclose(call(xp, mean, *CLASSES), np.mean(expected), rtol=1e-15)


def test_labels_of_uncounted_classes_cost_nothing(xp: Library) -> None:
    loss = CrossEntropyLoss("multiclass", from_logits=False, classes=(2,))
    assert call(xp, loss, *CLASSES) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_fifty_digits(xp: Library, gamma: float, mode: Any, dtype: str) -> None:
    rng = np.random.default_rng(6)
    classes = 1 if mode == "binary" else 3
    z = (6 * rng.normal(size=(classes, 41))).astype(dtype)
    labels = rng.integers(0, 2 if mode == "binary" else classes, 41)
    t = labels[None] if mode == "binary" else labels == np.arange(classes)[:, None]
    p = (exact.softmax if mode == "multiclass" else exact.sigmoid)(z)
    cost = []
    for row, truth in zip(p, t, strict=True):
        for x, is_true in zip(row, truth, strict=True):
            if is_true:
                cost.append((1 - x) ** gamma * -mp.log(x))
            elif mode != "multiclass":
                cost.append(x**gamma * -mp.log(1 - x))
    expected = float(sum(cost) / len(cost))
    pred = xp.asarray(z if mode == "binary" else z[None], dtype)
    value = FocalLoss(mode, gamma=gamma)(pred, xp.asarray(labels[None]))
    xp.assert_like(value, (), dtype)
    assert float(value) == pytest.approx(expected, rel=8 * float(np.finfo(dtype).eps))
    if gamma == 0:
        value = CrossEntropyLoss(mode)(pred, xp.asarray(labels[None]))
        assert float(value) == pytest.approx(expected, rel=8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("margin", [0.0, 2.0, 8.0, 12.0, 16.0])
def test_confident_pixels_keep_their_digits(
    xp: Library, mode: Any, margin: float, offset: float
) -> None:
    """The cost log(1 + exp(−margin)) of a right pixel in float32, at any offset of the logits."""
    expected = float(mp.log1p(mp.exp(-mp.mpf(margin))))
    if mode == "binary":
        z, t = [[margin], [-margin]], [[1], [0]]
    else:
        z, t = [[[offset + margin], [offset]], [[offset], [offset + margin]]], [[0], [1]]
    x, labels = xp.asarray(np.array(z), "float32"), xp.asarray(np.array(t))
    for loss in (CrossEntropyLoss(mode, reduction="none"), FocalLoss(mode, gamma=0)):
        found = xp.to_numpy(loss(x, labels))
        # the softmax rounds its sum, which is next to 1; the sigmoid has no sum
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1.2e-7 * (mode != "binary"))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_classes_that_nearly_tie(xp: Library, dtype: str, classes: int) -> None:
    """Where p is rounded to one half for two classes, one of them a little above."""
    steps = np.arange(9) * np.finfo(dtype).eps / 2
    z = np.full((1, classes, len(steps)), -100.0, dtype)
    z[0, 0], z[0, 1] = 0.0, -steps
    labels = np.zeros((1, len(steps)), np.int64)
    tied = z.astype(np.float64).round(3)
    for smoothing in (0.0, 0.1):
        loss = FocalLoss("multiclass", reduction="sum", label_smoothing=smoothing)
        value, gradient = loss.value_and_grad(xp.asarray(z), xp.asarray(labels))
        expected = loss.value_and_grad(tied, labels)
        np.testing.assert_allclose(float(value), expected[0], rtol=1e-5)
        np.testing.assert_allclose(xp.to_numpy(gradient), expected[1], rtol=1e-5, atol=1e-7)
        if not smoothing:
            np.testing.assert_allclose(float(value), len(steps) * log(2) / 4, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 2}], ids=str)
@pytest.mark.parametrize("target", ["labels", "dense"])
@pytest.mark.parametrize("weight", [None, "pixels", "classes", "bool"])
@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_costs_of_all_classes_are_added_together(
    xp: Library, kind: Any, weight: str | None, target: str, options: dict[str, Any]
) -> None:
    """They are told apart with class weights, and where statistics are to be added."""
    if target == "dense" and "ignore_index" in options:
        pytest.skip("a dense target holds no labels")
    rng = np.random.default_rng(8)
    z, t = rng.normal(size=(2, 3, 9)), rng.integers(0, 3, (2, 9))
    shapes = {"pixels": (2, 9), "classes": (2, 3, 9), "bool": (2, 9)}
    w = None if weight is None else rng.random(shapes[weight])
    w = w > 0.4 if w is not None and weight == "bool" else w
    t = np.moveaxis(np.eye(3)[t], -1, 1) if target == "dense" else t
    call = xp.asarray(z), xp.asarray(t)
    given = None if w is None else xp.asarray(w)
    loss, apart = (
        kind("multiclass", **options),
        kind("multiclass", class_weights=(1,) * 3, **options),
    )
    found = loss.value_and_grad(*call, weight=given)
    added = loss.statistics(*call, weight=given)
    assert all(array.shape[1] == 3 for array in added.arrays)
    for other in (
        apart.value_and_grad(*call, weight=given),
        loss.value_and_grad(*call, weight=given, statistics=added),
    ):
        for ours, theirs in zip(found, other, strict=True):
            np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_gradient_of_a_pixel_that_is_infinitely_wrong(xp: Library, mode: Any, gamma: float) -> None:
    """There (1 - p)^γ is 1 and p·log p is 0, so that focal loss falls as cross-entropy does."""
    z = np.array([[[0.5, 1.0, -2.0], [0.1, -np.inf, 3.0]]])
    t = np.array([[1, 1, 1]]) if mode == "multiclass" else np.array([[[0, 1, 0], [0, 1, 1]]])
    call = xp.asarray(z), xp.asarray(t)
    focal, entropy = FocalLoss(mode, gamma=gamma), CrossEntropyLoss(mode)
    value, gradient = focal.value_and_grad(*call)
    expected = xp.to_numpy(entropy.value_and_grad(*call)[1])
    found = xp.to_numpy(gradient)
    wrong = (..., 1) if mode == "multiclass" else (0, 1, 1)
    np.testing.assert_allclose(found[wrong], expected[wrong], rtol=1e-12)
    assert np.isfinite(found).all()
    assert float(value) == np.inf


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
def test_focal_entries_keep_their_digits(xp: Library, gamma: float) -> None:
    """Costs and slopes of entries from hopeless to certain, in float32, of many and of few."""
    z = np.linspace(-20, 20, 6001).astype(np.float32)
    t = np.arange(len(z)) % 2
    m = np.where(t, 1.0, -1.0) * z.astype(np.float64)
    p, q, cost = 1 / (1 + np.exp(-m)), 1 / (1 + np.exp(m)), np.logaddexp(0, -m)
    expected = q**gamma * cost, np.where(t, -1, 1) * q**gamma * (q + gamma * p * cost)
    loss = FocalLoss("binary", gamma=gamma, reduction="none")
    for part in (slice(None), slice(0, None, 600)):
        arrays = xp.asarray(z[None, None, part]), xp.asarray(t[None, None, part])
        for found, wanted in zip(loss.value_and_grad(*arrays), expected, strict=True):
            np.testing.assert_allclose(
                xp.to_numpy(found)[0, 0], wanted[part], rtol=6e-6, atol=1e-37
            )


@pytest.mark.parametrize("given", [0.0, 0.25, 1 - 2**-12, 1.0])
@pytest.mark.parametrize("high", [-20.0, 20.0, 200.0])
def test_costs_of_soft_targets_keep_their_digits(xp: Library, given: float, high: float) -> None:
    """Beside one soft target, in float32: from hopeless to certain entries, and their gradient."""
    # so many that torch does not leave them to NumPy
    z = np.linspace(0, high, 40_001).astype(np.float32)
    t = np.full(len(z), given, np.float32)
    t[7] = 0.5
    wide, target = z.astype(np.float64), t.astype(np.float64)
    lesser = np.exp(-np.abs(wide)) / (1 + np.exp(-np.abs(wide)))
    p, q = np.where(wide > 0, (1 - lesser, lesser), (lesser, 1 - lesser))
    cost = np.where(wide > 0, 1 - target, -target) * wide + np.log1p(np.exp(-np.abs(wide)))
    rise, fall = p * (1 - target) / len(z), q * target / len(z)
    loss = CrossEntropyLoss("binary")
    x, y = xp.asarray(z[None]), xp.asarray(t[None])
    found = [loss.value_and_grad(x, y)]
    if xp.name == "torch":
        # as under a compiler
        func = import_module("torch").func
        found.append(func.grad_and_value(lambda z: loss(z, y))(x)[::-1])
    for value, gradient in found:
        assert float(value) == pytest.approx(cost.mean(), rel=1e-6)
        gap = np.abs(xp.to_numpy(gradient)[0] - (rise - fall))
        assert np.all(gap <= 3e-6 * (rise + fall) + 1e-37)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("classes", [2, 7, 20])
def test_focal_pixels_keep_their_digits(xp: Library, classes: int, ignored: bool) -> None:
    """Of few and of many classes, sure ones and hopeless ones, in float32."""
    rng, gamma = np.random.default_rng(9), 2.0
    z = (6 * rng.normal(size=(2, classes, 300))).astype(np.float32)
    t = rng.integers(0, classes, (2, 300))
    e = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
    truth = np.moveaxis(np.eye(classes)[t], -1, 1)
    p, q = (
        (e * part).sum(1, keepdims=True) / e.sum(1, keepdims=True) for part in (truth, 1 - truth)
    )
    cost = np.log1p(q / p)
    by_log = q**gamma + gamma * q ** (gamma - 1) * p * cost
    counts = np.ones((2, 1, 300))
    if ignored:
        counts[0, 0, ::3] = 0
        t = np.where(counts[:, 0] > 0, t, 255)
    gradient = counts * by_log * (e / e.sum(1, keepdims=True) - truth)
    loss = FocalLoss("multiclass", gamma=gamma, reduction="sum", ignore_index=255)
    found = loss.value_and_grad(xp.asarray(z), xp.asarray(t))
    assert float(found[0]) == pytest.approx((counts * q**gamma * cost).sum(), rel=2e-6)
    # at the truth, p - 1 is a sum of two numbers
    np.testing.assert_allclose(xp.to_numpy(found[1]), gradient, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize(
    "loss",
    [FocalLoss("binary", alpha=0.3), CrossEntropyLoss("multilabel", pos_weight=2.0)],
    ids=str,
)
def test_an_infinite_cost_on_one_side_of_two(xp: Library, loss: Any) -> None:
    """It is not to spoil the cost of the other side."""
    z, t = np.array([[[-np.inf, 1.0]]]), np.array([[[1, 0]]])
    for sign, truth in ((1, t), (-1, 1 - t)):
        value, gradient = loss.value_and_grad(xp.asarray(sign * z), xp.asarray(truth))
        assert float(value) == np.inf
        assert np.isfinite(xp.to_numpy(gradient)).all()


@dataclass(frozen=True, repr=False)
class MissLoss(CrossEntropyLoss):
    """The mean of 1 − p of the truth: a loss of one's own, by p of the truth alone."""

    def measure(self, activation: Any, reading: Any, held: Any = None) -> tuple[Any, ...]:
        return reading.sum(activation.sides_true(reading)[0]), reading.size

    def slopes_ahead(self, pixels: Any, backend: Any) -> None:
        return None

    def pull(self, activation: Any, reading: Any, slopes: tuple[Any, ...]) -> None:
        reading.slopes.add("p_true", -slopes[0][:, :, None] * (1 + 0 * activation.x))


def test_a_loss_of_p_of_the_truth_alone(xp: Library) -> None:
    z = np.random.default_rng(7).normal(size=(2, 9))
    t = np.arange(18).reshape(2, 9) % 3 == 0
    miss = 1 / (1 + np.exp(np.where(t, z, -z)))
    value, gradient = MissLoss("binary").value_and_grad(xp.asarray(z), xp.asarray(t))
    assert float(value) == pytest.approx(miss.mean())
    expected = np.where(t, -1, 1) * miss * (1 - miss) / miss.size
    np.testing.assert_allclose(xp.to_numpy(gradient), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
@pytest.mark.parametrize("options", [{"classes": (0, 1)}, {"class_weights": (1, 2, 0)}], ids=str)
def test_a_mean_over_no_target_of_a_counted_class_is_0(
    xp: Library, kind: Any, options: dict[str, Any]
) -> None:
    """Label smoothing costs something there, but there is nothing to divide it by."""
    loss = kind("multiclass", label_smoothing=0.1, **options)
    x = np.random.default_rng(3).normal(size=(1, 3, 7))
    value, gradient = loss.value_and_grad(xp.asarray(x), xp.asarray(np.full((1, 7), 2)))
    assert float(value) == 0
    assert not xp.to_numpy(gradient).any()


def test_an_axis_from_either_end_is_one_activation() -> None:
    loss = CrossEntropyLoss("multiclass") + FocalLoss("multiclass", class_axis=-2)
    x, t = np.zeros((1, 3, 7)), np.zeros((1, 7), dtype=np.int64)
    assert len(plan.plan(backend_of(x), loss, x, t, None, adding=False).parts) == 1

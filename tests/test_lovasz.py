"""Lovász: by hand, against the sorted textbook form, and the histogram against the sort."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, LovaszLoss, plan
from xploss.adapters import backend_of
from xploss.backend import Backend
from xploss.losses import _lovasz_order
from xploss.walk import Walk

from . import differences, naive
from .cases import IGNORED, draw
from .libraries import Library

EXACT = (
    LovaszLoss("binary"),
    LovaszLoss("binary", surrogate="probability", per_image=True),
    LovaszLoss("binary", from_logits=False, ignore_index=IGNORED),
    LovaszLoss("multiclass", class_weights=(1, 2, 0.5)),
    LovaszLoss("multiclass", absent="keep", per_image=True, reduction="none"),
    LovaszLoss("multiclass", ignore_index=IGNORED, method="sort", classes=(0, 2)),
    LovaszLoss("multilabel", reduction="sum"),
    LovaszLoss("multilabel", surrogate="probability", absent="zero", ignore_index=IGNORED),
    DiceLoss("multiclass") + 0.5 * LovaszLoss("multiclass", per_image=True),
)
# errors 1/10, 3/5, 7/10, 1/5 with foreground first and third: weights 1/4, 1/6, 1/2, 1/12
HAND = np.array([[0.9, 0.6, 0.3, 0.2]]), np.array([[1, 0, 1, 0]])
BY_HAND = Fraction(59, 120), [-1 / 4, 1 / 6, -1 / 2, 1 / 12]


def both(xp: Library, loss: Any, pred: Any, target: Any, **extra: Any) -> list[np.ndarray]:
    arrays = {name: xp.asarray(x) for name, x in extra.items()}
    found = loss.value_and_grad(xp.asarray(pred), xp.asarray(target), **arrays)
    return [xp.to_numpy(x) for x in found]


@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_by_hand(xp: Library, method: Any) -> None:
    loss = LovaszLoss("binary", from_logits=False, method=method)
    value, gradient = both(xp, loss, *HAND)
    assert value == pytest.approx(float(BY_HAND[0]), rel=1e-15)
    np.testing.assert_allclose(gradient, [BY_HAND[1]], rtol=1e-15)


def test_hinge_by_hand(xp: Library) -> None:
    """Errors 1 − z·(±1): 2, 1/2, 0 (beyond the margin) and 3/2 with foreground first, third."""
    z, t = np.array([[-1.0, -0.5, 2.0, 0.5]]), np.array([[1, 0, 1, 0]])
    value, gradient = both(xp, LovaszLoss("binary"), z, t)
    assert value == pytest.approx(2 * 1 / 2 + 3 / 2 * 1 / 6 + 1 / 2 * 1 / 12, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-1 / 2, 1 / 12, 0, 1 / 6]], rtol=1e-15)


def test_weights_by_hand(xp: Library) -> None:
    """Integer weights repeat a pixel: here the second twice and the last not at all."""
    loss = LovaszLoss("binary", from_logits=False)
    value, gradient = both(xp, loss, *HAND, weight=np.array([[1.0, 2.0, 1.0, 0.0]]))
    # 7/10 (1/2), 3/5 twice (1/6 + 1/12), 1/10 (1/4)
    assert value == pytest.approx(0.7 / 2 + 0.6 / 4 + 0.1 / 4, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-1 / 4, 1 / 4, -1 / 2, 0]], rtol=1e-15)


LIGHT = 1e-18
"""Lost in float64 where it is added to 1."""
LIGHT_PIXELS = {
    # errors 4, 3 and 0: the largest is the whole loss, light as its pixel may be
    "no foreground": ([3, 2, -5], [0, 0, 0], [LIGHT, 1, 1], 4, [1, 0, 0]),
    # errors 3, 2 and 1/2, of background, background and foreground
    "foreground": ([2, 1, 0.5], [0, 0, 1], [1, 1, LIGHT], 3, [1, LIGHT / 2, -LIGHT / 2]),
    # as before, the union before the second pixel twice that of the foreground
    "union": ([2, 1, 0.5], [0, 0, 1], [LIGHT, 1, LIGHT], 2.5, [0.5, 0.5, -LIGHT]),
    # errors 3, 2 and 1/2, of foreground, background and foreground
    "what is left": ([-2, 1, 0.5], [1, 0, 1], [1, 1, LIGHT], 3, [-1, LIGHT / 2, -LIGHT / 2]),
}


@pytest.mark.parametrize("case", LIGHT_PIXELS)
@pytest.mark.parametrize("others", [0, 20000], ids=["sorted", "binned"])
def test_a_light_pixel_beside_heavy_ones_keeps_its_digits(
    xp: Library, case: str, others: int
) -> None:
    if others and xp.name == "strict":
        pytest.skip("strict bins by differences of sums: the standard has no sums by index")
    z, t, w, value, gradient = LIGHT_PIXELS[case]
    # pixels without weight make the class a large one
    z, t, w, gradient = ([[*x, *[0.0] * others]] for x in (z, t, w, gradient))
    found = both(
        xp, LovaszLoss("binary"), np.asarray(z, float), np.asarray(t), weight=np.asarray(w)
    )
    assert found[0] == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-14)


@pytest.mark.parametrize("loss", EXACT, ids=repr)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_value_and_gradient(xp: Library, loss: Any, weighted: bool) -> None:
    if not weighted:
        xp.skip_most(loss, EXACT)
    pred, target, weight = draw(loss, seed=1, weighted=weighted)
    extra = {"weight": weight} if weighted else {}
    found = both(xp, loss, pred, target, **extra)

    def reference(moved: np.ndarray) -> np.ndarray:
        total = 0.0
        for factor, term in loss.terms:
            total = total + factor * naive.value(
                np, term, *naive.prepare(term, moved, target, weight)
            )
        return np.asarray(total)

    expected = reference(pred)
    assert found[0].shape == expected.shape
    np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-15)
    slopes = differences.gradient(lambda moved: reference(moved).sum(), pred, step=1e-6)
    np.testing.assert_allclose(found[1], slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", EXACT, ids=repr)
def test_autodiff_equals_that_of_the_naive_loss(xp: Library, loss: Any) -> None:
    if not xp.differentiates:
        pytest.skip(f"{xp.name} has no autodiff")
    xp.skip_most(loss, EXACT)
    pred, target, weight = draw(loss, seed=2, weighted=True)
    x, t, w = xp.asarray(pred), xp.asarray(target), xp.asarray(weight)
    shape = loss(x, t, weight=w).shape
    upstream = xp.asarray(0.5 + np.random.default_rng(3).random(shape))
    ours = xp.autodiff(lambda z: loss(z, t, weight=w), x, upstream)

    def reference(z: Any) -> Any:
        total = 0.0
        for factor, term in loss.terms:
            _, hot, mass = naive.prepare(term, pred, target, weight)
            total = total + factor * naive.value(
                xp, term, xp.reshape(z, hot.shape), xp.asarray(hot), xp.asarray(mass)
            )
        return total

    theirs = xp.autodiff(reference, x, upstream)
    np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(theirs), rtol=1e-10, atol=1e-14)
    direct = loss.value_and_grad(x, t, weight=w, cotangent=upstream)[1]
    np.testing.assert_allclose(xp.to_numpy(ours), xp.to_numpy(direct), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_dtypes(xp: Library, method: Any, dtype: str) -> None:
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    pred, target, _ = draw(EXACT[3], seed=4)
    x, t = xp.asarray(pred, dtype), xp.asarray(target)
    loss = LovaszLoss("multiclass", method=method)
    value, gradient = loss.value_and_grad(x, t)
    xp.assert_like(value, (), "float64" if dtype == "float64" else "float32")
    xp.assert_like(gradient, pred.shape, dtype)
    expected = both(xp, loss, xp.to_numpy(x).astype(np.float64), target)
    assert float(value) == pytest.approx(float(expected[0]), rel=2e-6)
    bits = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-5, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(xp.to_numpy(gradient), expected[1], rtol=bits, atol=1e-6)


def image(mode: str, size: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A prediction that knows something of its labels, a tenth of them foreground."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((2, size)) < 0.1, rng.integers(1, 3, (2, size)), 0)
    hot = np.eye(3)[labels].transpose(0, 2, 1)
    z = 2 * hot + rng.normal(size=hot.shape)
    return (z[:, 1], (labels > 0).astype(int)) if mode == "binary" else (z, labels)


@pytest.mark.parametrize(
    "loss",
    [
        LovaszLoss("binary"),
        LovaszLoss("binary", surrogate="probability"),
        LovaszLoss("multiclass", class_weights=(1, 2, 3)),
        LovaszLoss("multilabel", ignore_index=2),
    ],
    ids=repr,
)
def test_the_histogram_is_close_to_the_sort(xp: Library, loss: Any) -> None:
    """Over 2^15 pixels: value within 1e-6, gradient within 1e-3 in relative L2."""
    pred, target = image(loss.mode, 1 << 14 | 5)
    sort = eval(repr(loss)[:-1] + ", method='sort')")
    binned, exact = (both(xp, each, pred, target) for each in (loss, sort))
    assert binned[0] == pytest.approx(float(exact[0]), rel=1e-6)
    error = np.linalg.norm(binned[1] - exact[1]) / np.linalg.norm(exact[1])
    assert error < 1e-3
    assert (exact[1] != 0).any()


def test_float32_weights_do_not_cancel(xp: Library) -> None:
    """At 2^18 pixels differenced float32 weights are off by 0.5%; ours by rounding alone."""
    rng = np.random.default_rng(6)
    count = 1 << 18
    fore = rng.random(count) < 0.1
    # distinct errors in float32, so that the order is that of float64
    errors = (rng.permutation(count) + 0.5) / count
    p = np.where(fore, 1 - errors, errors).astype(np.float32)
    errors = np.where(fore, 1 - p.astype(np.float64), p)
    order = np.argsort(-errors, kind="stable")
    left = fore.sum() - np.cumsum(fore[order])
    union = fore.sum() + np.cumsum(~fore[order])
    weights = np.empty(count)
    weights[order] = np.where(fore[order], 1 / union, left / (union * (union - 1.0)))
    expected = np.where(fore, -weights, weights)
    for method, tolerance in (("sort", 1e-6), ("histogram", 1e-3)):
        loss = LovaszLoss("binary", from_logits=False, method=method)
        value, slopes = loss.value_and_grad(
            xp.asarray(p[None], "float32"), xp.asarray(fore[None].astype(np.uint8))
        )
        assert float(value) == pytest.approx((errors * weights).sum(), rel=1e-6)
        error = np.abs(xp.to_numpy(slopes)[0] - expected).sum() / weights.sum()
        assert error < tolerance, method


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_nothing_under_an_ignored_pixel_matters(xp: Library, method: Any, mode: Any) -> None:
    loss = LovaszLoss(mode, method=method, ignore_index=IGNORED)
    pred, target = image(mode, 40)
    gone = np.random.default_rng(7).random(target.shape) < 0.3
    everywhere = gone if mode == "binary" else np.broadcast_to(gone[:, None], pred.shape)
    marked = np.where(gone, IGNORED, target)
    expected = both(xp, loss, np.where(everywhere, 0.0, pred), marked)
    weight = np.where(gone, 0.0, 1.0)
    for garbage in (np.nan, np.inf, -np.inf):
        broken = np.where(everywhere, garbage, pred)
        for found in (
            both(xp, loss, broken, marked),
            both(xp, LovaszLoss(mode, method=method), broken, target, weight=weight),
        ):
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-17)
            assert (found[1][everywhere] == 0).all()


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_nothing_valid_and_saturated(xp: Library, method: Any, mode: Any) -> None:
    loss = LovaszLoss(mode, method=method, ignore_index=IGNORED)
    pred, target = image(mode, 40)
    value, gradient = both(xp, loss, pred, np.full_like(target, IGNORED))
    assert value == 0
    assert (gradient == 0).all()
    for size in (1e4, 40.0):
        value, gradient = both(xp, loss, size * np.sign(pred), target)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    value, gradient = both(xp, loss, pred[..., :1], target[..., :1])
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("method", ["sort", "histogram"])
@pytest.mark.parametrize("wrong", [0, 1])
def test_an_infinite_wrong_logit_costs_infinitely(xp: Library, method: Any, wrong: int) -> None:
    """The slopes are weights, which are finite, and those of the others hardly change."""
    rng = np.random.default_rng(3)
    pred, target = rng.normal(size=(1, 150, 150)), rng.integers(0, 2, (1, 150, 150))
    target[0, 5, 5], sign = wrong, 1 - 2 * wrong
    pred[0, 5, 5] = 1e6 * sign
    loss = LovaszLoss("binary", method=method)
    expected = both(xp, loss, pred, target)[1]
    pred[0, 5, 5] = np.inf * sign
    value, gradient = both(xp, loss, pred, target)
    assert value == np.inf
    np.testing.assert_allclose(gradient, expected, rtol=1e-3)


def test_no_foreground_costs_the_largest_error(xp: Library) -> None:
    p, t = np.array([[0.25, 0.75, 0.5]]), np.zeros((1, 3), dtype=int)
    keep = LovaszLoss("binary", from_logits=False)
    value, gradient = both(xp, keep, p, t)
    assert value == pytest.approx(0.75, rel=1e-15)
    np.testing.assert_allclose(gradient, [[0, 1, 0]], atol=1e-15)
    for absent in ("skip", "zero"):
        loss = LovaszLoss("binary", from_logits=False, absent=absent)
        value, gradient = both(xp, loss, p, t)
        assert value == 0
        assert (gradient == 0).all()


def test_absent_classes_are_skipped_in_multiclass(xp: Library) -> None:
    z, t = np.random.default_rng(8).normal(size=(1, 3, 9)), np.tile([0, 2, 2], 3)[None]
    terms, _ = both(xp, LovaszLoss("multiclass", reduction="none", absent="keep"), z, t)
    value, _ = both(xp, LovaszLoss("multiclass"), z, t)
    assert value == pytest.approx((terms[0] + terms[2]) / 2, rel=1e-14)
    kept, _ = both(xp, LovaszLoss("multiclass", absent="keep"), z, t)
    assert kept == pytest.approx(terms.mean(), rel=1e-14)


def test_ties_do_not_change_the_value(xp: Library) -> None:
    p = np.array([[0.5, 0.5, 0.5, 0.5, 0.25, 0.25]])
    t = np.array([[1, 0, 1, 0, 1, 0]])
    loss = LovaszLoss("binary", from_logits=False)
    values = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(6)
        value, gradient = both(xp, loss, p[:, order], t[:, order])
        values.append(value)
        assert abs(gradient).sum() == pytest.approx(1, rel=1e-13)
    np.testing.assert_allclose(values, values[0], rtol=1e-14)


def test_ties_are_sorted_by_their_pixels(xp: Library) -> None:
    """Any order gives a subgradient; the same one on every backend is that of the pixels."""
    rng, size = np.random.default_rng(30), 1 << 12
    t = rng.integers(0, 2, (1, size))
    p = rng.integers(1, 4, (1, size)) / 4
    order = np.argsort(-abs(t - p)[0], kind="stable")
    expected = np.empty(size)
    expected[order] = naive.lovasz_weights(t[0][order]) * (1 - 2 * t[0][order])
    for loss, pred in (
        (LovaszLoss("binary", from_logits=False, method="sort"), p),
        (LovaszLoss("binary", method="sort"), 2 * p - 1),
    ):
        _, gradient = both(xp, loss, pred, t)
        np.testing.assert_allclose(gradient[0], expected, rtol=1e-13)


def test_logits_keep_their_order_where_hinge_errors_round_to_one_number(xp: Library) -> None:
    rng, size = np.random.default_rng(31), 1 << 10
    t = rng.integers(0, 2, (1, size))
    z = rng.permutation(np.arange(1.0, size + 1))[None] * 1e-12
    z = xp.asarray(z, "float32")
    _, gradient = LovaszLoss("binary", method="sort").value_and_grad(z, xp.asarray(t))
    sign = 2 * t[0] - 1
    order = np.argsort(sign * xp.to_numpy(z)[0])
    expected = np.empty(size)
    expected[order] = -naive.lovasz_weights(t[0][order]) * sign[order]
    np.testing.assert_allclose(xp.to_numpy(gradient)[0], expected, rtol=1e-6)


def test_probabilities_are_sorted_by_their_logits(xp: Library) -> None:
    """In float32 the sigmoid of 18 and 20 is 1; without foreground the larger has the weight."""
    z = np.array([[18.0, 20.0, -3.0]], dtype=np.float32)
    loss = LovaszLoss("binary", surrogate="probability", method="sort")
    gradient = both(xp, loss, z, np.zeros_like(z, dtype=np.int64))[1]
    slope = 1 / (1 + np.exp(20.0)) / (1 + np.exp(-20.0))
    np.testing.assert_allclose(gradient, [[0, slope, 0]], rtol=1e-6)


def test_only_logits_of_one_class_have_a_hinge() -> None:
    others = [LovaszLoss("multiclass"), LovaszLoss("binary", from_logits=False)]
    assert not any(loss.hinge for loss in others)
    assert LovaszLoss("multilabel").hinge
    assert replace(others[1], from_logits=True).hinge


def test_a_gradient_does_not_sort_again(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sorts, sort = [], _lovasz_order._sorted

    def counted(*given: Any) -> Any:
        sorts.append(given)
        return sort(*given)

    monkeypatch.setattr(_lovasz_order, "_sorted", counted)
    z = torch.randn(1, 3, 1 << 18, requires_grad=True)
    target = torch.randint(0, 3, (1, 1 << 18))
    loss = LovaszLoss("multiclass", method="sort")
    value = loss(z, target)
    (first,) = torch.autograd.grad(value, z, retain_graph=True)
    assert len(sorts) == 1
    # another gradient does, for nothing is kept of so large arrays once there is one
    (second,) = torch.autograd.grad(value, z)
    assert torch.equal(first, second)
    assert len(sorts) == 2
    assert torch.equal(first, loss.value_and_grad(z.detach(), target)[1])
    assert len(sorts) == 3


def test_equal_errors_share_their_weight_in_a_histogram(xp: Library) -> None:
    """Whatever their place in a bin: the mean of foreground first and background first."""
    rng = np.random.default_rng(21)
    # no two errors of different sizes, p or 1 - p, are in one bin
    levels = (np.arange(200) + rng.uniform(0.05, 0.4, 200)) / 200
    levels[100] = 0.5
    p = rng.choice(levels.astype(np.float32), (1, 30000))
    t = (rng.random(p.shape) < 0.3).astype(np.int64)
    loss = LovaszLoss("binary", from_logits=False)
    x, y = xp.asarray(p, "float32"), xp.asarray(t)
    _, gradient = loss.value_and_grad(x, y, statistics=loss.statistics(x, y))
    found = xp.to_numpy(gradient)[0]
    p, t = p[0].astype(np.float64), t[0]
    # as the backends have it: in float32, 1 - p is rounded
    errors = np.where(t == 1, np.float32(1) - p.astype(np.float32), p)
    ground, expected = t.sum(), np.empty(len(t))
    for error in np.unique(errors):
        tied, above = errors == error, errors > error
        fore, back = (above & (t == 1)).sum(), (above & (t == 0)).sum()
        own = (tied & (t == 1)).sum(), (tied & (t == 0)).sum()
        union = ground + back, ground + back + own[1]
        rest = ground - fore, ground - fore - own[0]
        expected[tied & (t == 1)] = -(1 / union[0] + 1 / union[1]) / 2
        expected[tied & (t == 0)] = (rest[0] + rest[1]) / (2 * union[0] * union[1])
    # torch's square root is off by a bit here and there, and a place in its bin with it
    np.testing.assert_allclose(found, expected, rtol=3e-5 if xp.family == "torch" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [2, 1000, 20480, 1 << 19])
def test_ends_of_a_histogram(xp: Library, bins: int, dtype: str) -> None:
    """Hinge errors of 0 and of infinity, on both sides, each in its own end."""
    t = np.tile([[0, 1]], (1, 50))
    z = (2 * t - 1) * np.linspace(1, 9, 100)
    loss = LovaszLoss("binary", bins=bins)

    def both_of(z: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = xp.asarray(z, dtype), xp.asarray(t)
        value, gradient = loss.value_and_grad(x, y, statistics=loss.statistics(x, y))
        return float(value), xp.to_numpy(gradient)[0]

    value, gradient = both_of(z)
    assert value == 0
    assert not gradient.any()
    for pixel, by_logit in ((6, 1 / 51), (7, -1 / 50)):
        wrong = z.copy()
        wrong[0, pixel] *= -np.inf
        value, gradient = both_of(wrong)
        assert value == np.inf
        assert gradient[pixel] == pytest.approx(by_logit, rel=0.02)
        assert not np.delete(gradient, pixel).any()
        # an error however small is one
        small = z.copy()
        small[0, pixel] = (2 * t[0, pixel] - 1) * (1 - {"float32": 1e-7, "float64": 1e-12}[dtype])
        value, gradient = both_of(small)
        assert value > 0
        assert gradient[pixel] == pytest.approx(by_logit, rel=0.02)
        assert not np.delete(gradient, pixel).any()


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_statistics_add(xp: Library, mode: Any) -> None:
    """Histograms of parts add up to that of the whole, in value and in gradient."""
    loss = LovaszLoss(mode, bins=512)
    pred, target = image(mode, 300)
    x, t = xp.asarray(pred), xp.asarray(target)
    whole = loss.statistics(x, t)
    value, gradient = loss.value_and_grad(x, t, statistics=whole)
    np.testing.assert_allclose(
        xp.to_numpy(loss.from_statistics(whole)), xp.to_numpy(value), rtol=1e-14
    )
    parts = [slice(0, 100), slice(100, 300)]
    added = sum(loss.statistics(x[..., part], t[..., part]) for part in parts)
    for array, other in zip(added.arrays, whole.arrays, strict=True):
        np.testing.assert_allclose(xp.to_numpy(array), xp.to_numpy(other), atol=1e-12)
    for part in parts:
        found, slopes = loss.value_and_grad(x[..., part], t[..., part], statistics=added)
        assert float(found) == pytest.approx(float(value), rel=1e-13)
        expected = xp.to_numpy(gradient)[..., part]
        np.testing.assert_allclose(xp.to_numpy(slopes), expected, rtol=1e-10, atol=1e-15)
    exact = LovaszLoss(mode, method="sort")(x, t)
    assert float(value) == pytest.approx(float(exact), rel=1e-3)


def test_all_of_many_classes_are_scored(xp: Library) -> None:
    """More classes than are scored together."""
    rng = np.random.default_rng(12)
    z, t = rng.normal(size=(1, 11, 500)), rng.integers(0, 11, (1, 500))
    x, y = xp.asarray(z), xp.asarray(t)
    loss = LovaszLoss("multiclass", reduction="none")
    found = xp.to_numpy(loss.from_statistics(loss.statistics(x, y)))
    exact = xp.to_numpy(LovaszLoss("multiclass", reduction="none", method="sort")(x, y))
    assert found.shape == (11,)
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_a_large_batch_of_small_images_is_not_sorted_as_one(xp: Library) -> None:
    """What is sorted is one tile, which would be the whole batch."""
    loss = LovaszLoss("binary", per_image=True)
    backend = backend_of(xp.asarray(np.zeros(1)))
    for samples, method in ((64, "sort"), (65, "histogram")):
        x = xp.asarray(np.zeros((samples, 1 << 14), np.float32))
        ((_, term),) = plan.plan(backend, loss, x, x, None, adding=False).terms
        assert isinstance(term, LovaszLoss)
        assert term.method == method


def test_sorting_has_no_statistics(xp: Library) -> None:
    loss = LovaszLoss("binary", method="sort")
    pred, target = image("binary", 10)
    with pytest.raises(ValueError, match='method="sort", which has to see all pixels at once'):
        loss.statistics(xp.asarray(pred), xp.asarray(target))


def test_soft_targets_are_refused(xp: Library) -> None:
    import xploss

    p, t = np.full((1, 3), 0.5), np.array([[0.0, 0.5, 1.0]])
    message = r"target has values between 0 and 1; LovaszLoss is defined for hard targets; round"
    with xploss.checks("always"), pytest.raises(ValueError, match=message):
        both(xp, LovaszLoss("binary"), p, t)
    both(xp, LovaszLoss("binary"), p, np.round(t))
    both(xp, LovaszLoss("binary", ignore_index=7), p, np.array([[0.0, 7.0, 1.0]]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "quick"}, ValueError, 'method is .quick.; expected one of "histogram", "sort"'),
        ({"surrogate": "sigmoid"}, ValueError, "surrogate is .sigmoid.; expected one of"),
        ({"bins": 64, "method": "sort"}, ValueError, 'method is "sort", which has none'),
        ({"bins": 1}, ValueError, "bins is 1; expected 2"),
        ({"bins": 1 << 20}, ValueError, "bins is 1048576; expected 2 to 524288"),
        ({"bins": 64.0}, TypeError, "bins is 64.0; expected an integer"),
        ({"absent": "drop"}, ValueError, "absent is .drop.; expected one of"),
        ({"per_image": None}, TypeError, "per_image is None; expected True or False"),
    ],
    ids=str,
)
def test_parameters(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LovaszLoss("binary", **options)


def test_absent_depends_on_the_mode() -> None:
    assert LovaszLoss("multiclass").absent == "skip"
    assert LovaszLoss("multilabel").absent == LovaszLoss("binary").absent == "keep"
    for mode in ("binary", "multiclass", "multilabel"):
        assert repr(LovaszLoss(mode)) == f"LovaszLoss({mode!r})"
        assert eval(repr(LovaszLoss(mode))) == LovaszLoss(mode)


def test_shares_the_activation_in_a_sum(xp: Library) -> None:
    loss = LovaszLoss("multiclass") + CrossEntropyLoss("multiclass")
    pred, target = image("multiclass", 50)
    found = both(xp, loss, pred, target)
    parts = [both(xp, term, pred, target) for _, term in loss.terms]
    np.testing.assert_allclose(found[0], parts[0][0] + parts[1][0], rtol=1e-14)
    np.testing.assert_allclose(found[1], parts[0][1] + parts[1][1], rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("loss", EXACT, ids=repr)
def test_gradcheck_and_transforms_of_torch(torch: Any, loss: Any) -> None:
    pred, target, _ = draw(loss, seed=9)
    x, t = torch.tensor(pred, requires_grad=True), torch.tensor(target)
    assert torch.autograd.gradcheck(lambda z: loss(z, t), x, eps=1e-8, atol=1e-5)
    expected = loss.value_and_grad(x, t)[1]
    gradient = torch.func.grad(lambda z: loss(z, t).sum())(x.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-15)
    many = torch.vmap(torch.func.grad(lambda z: loss(z, t).sum()))(torch.stack([x.detach()] * 2))
    torch.testing.assert_close(many[1], expected, rtol=1e-11, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [EXACT[0], EXACT[3]], ids=repr)
@pytest.mark.parametrize("pixels", [12, 1 << 15])
def test_torch_compile(torch: Any, loss: Any, pixels: int) -> None:
    torch.compiler.reset()
    pred, target = image(loss.mode, pixels)
    x, t = torch.tensor(pred, requires_grad=True), torch.tensor(target)
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x, t)
    value.backward()
    expected, gradient = loss.value_and_grad(x, t)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-11, atol=0)
    torch.testing.assert_close(x.grad, gradient, rtol=1e-9, atol=1e-14)
    torch.compiler.reset()


@pytest.mark.parametrize("loss", [EXACT[0], EXACT[3], EXACT[-1]], ids=repr)
def test_transforms_of_jax(jax: Any, loss: Any) -> None:
    pred, target, _ = draw(loss, seed=10)
    x, t = jax.numpy.asarray(pred), jax.numpy.asarray(target)
    value, gradient = loss.value_and_grad(x, t)
    np.testing.assert_allclose(jax.jit(loss)(x, t), value, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(x, t), gradient, rtol=1e-11, atol=1e-16)
    many = jax.vmap(loss, in_axes=(0, None))(jax.numpy.stack([x, x]), t)
    np.testing.assert_allclose(many, [value, value], rtol=1e-12)
    hessian = jax.hessian(loss)(x[:1, ..., :1, :2], t[:1, ..., :1, :2])
    assert np.isfinite(np.asarray(hessian)).all()
    with jax.enable_x64(False):
        single = loss(jax.numpy.asarray(pred), jax.numpy.asarray(target))
        assert single.dtype == np.float32
        assert float(single) == pytest.approx(float(value), rel=1e-5)


def _curved() -> tuple[LovaszLoss, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A loss, more pixels than are sorted, and two directions."""
    rng, size = np.random.default_rng(5), (1, 20000)
    p, t = rng.uniform(0.01, 0.99, size), (rng.random(size) < 0.3).astype(np.int64)
    return LovaszLoss("binary", from_logits=False), p, t, rng.normal(size=size), p - t


def test_second_derivatives_of_a_histogram_agree_in_torch(torch: Any) -> None:
    """What is differentiated twice is one function: u·H·v is v·H·u."""
    loss, p, t, *directions = _curved()
    x = torch.tensor(p, requires_grad=True)
    u, v = map(torch.tensor, directions)
    (gradient,) = torch.autograd.grad(loss(x, torch.tensor(t)), x, create_graph=True)
    by_u, by_v = (
        torch.autograd.grad((gradient * d).sum(), x, retain_graph=True)[0] for d in (u, v)
    )
    assert float((by_u * v).sum()) == pytest.approx(float((by_v * u).sum()), rel=1e-6)


def test_second_derivatives_of_a_histogram_agree_in_jax(jax: Any) -> None:
    loss, p, t, *directions = _curved()
    x, target, u, v = map(jax.numpy.asarray, (p, t, *directions))

    def along(d: Any) -> Any:
        return jax.grad(lambda x: (jax.grad(loss)(x, target) * d).sum())(x)

    assert float((along(u) * v).sum()) == pytest.approx(float((along(v) * u).sum()), rel=1e-6)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize(
    ("absent", "ignore", "weighed"),
    [("skip", None, False), ("zero", 3, True), ("keep", 255, False), ("keep", None, True)],
)
def test_histograms_class_by_class(
    xp: Library,
    monkeypatch: pytest.MonkeyPatch,
    absent: Any,
    ignore: int | None,
    weighed: bool,
    per_image: bool,
) -> None:
    """By all pixels of each class, or tile by tile for all; one is absent, one does not count."""
    if xp.name.partition("-")[0] not in ("numpy", "torch"):
        pytest.skip(f"{xp.name} holds no probabilities in the array of a gradient")
    rng = np.random.default_rng(3)
    x = xp.asarray(rng.normal(size=(2, 5, 400, 300)))
    labels = rng.integers(0, 4, (2, 400, 300))
    labels = np.where(rng.random(labels.shape) < 0.1, ignore or 0, labels)
    # absent from one of the images
    labels[1] = np.where(labels[1] == 1, 0, labels[1])
    t = xp.asarray(labels)
    w = xp.asarray(np.maximum(rng.normal(size=labels.shape), 0.0)) if weighed else None
    of_classes = (1.0, 0.5, 0.0, 2.0, 3.0)
    lovasz = LovaszLoss(
        "multiclass",
        class_weights=of_classes,
        absent=absent,
        ignore_index=ignore,
        per_image=per_image,
    )
    loss = lovasz + 0.5 * CrossEntropyLoss("multiclass", ignore_index=ignore)
    backend_of(x)  # imports its class
    kinds: list[Any] = [Backend]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    for kind in kinds:
        monkeypatch.setattr(kind, "tile_elements", 1 << 17)
    found, calls = [], []
    measure = Walk._measure_classes
    monkeypatch.setattr(
        Walk, "_measure_classes", lambda *given: calls.append(given) or measure(*given)
    )
    for by_class in (True, False):
        for kind in kinds:
            monkeypatch.setattr(kind, "by_class", by_class)
        plan._kept.cache_clear()
        found.append(loss.value_and_grad(x, t, weight=w))
    plan._kept.cache_clear()
    assert len(calls) == 1
    (value, gradient), (expected, slopes) = found
    np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected), rtol=1e-13)
    np.testing.assert_allclose(xp.to_numpy(gradient), xp.to_numpy(slopes), rtol=1e-9, atol=1e-18)


def test_slopes_that_were_found_class_by_class_are_found_again(torch: Any) -> None:
    """For each gradient of the same graph, and with another cotangent."""
    rng = np.random.default_rng(4)
    x = torch.tensor(rng.normal(size=(1, 3, 1024, 400))).requires_grad_()
    labels = rng.integers(0, 3, (1, 1024, 400))
    labels[:, :9] = 255
    t, w = torch.tensor(labels), torch.tensor(rng.random(labels.shape))
    lovasz = LovaszLoss(
        "multiclass", class_weights=(1.0, 0.5, 3.0), reduction="none", ignore_index=255
    )
    loss = lovasz + DiceLoss("multiclass", reduction="none", ignore_index=255)
    value = loss(x, t, weight=w)
    gradients = []
    for cotangent in ([1.0, 1.0, 1.0], [2.0, -1.0, 0.5], [1.0, 1.0, 1.0]):
        cot = torch.tensor(cotangent, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(value, x, cot, retain_graph=True)
        expected = loss.value_and_grad(x.detach(), t, weight=w, cotangent=cot)[1]
        assert torch.equal(gradient, expected)
        gradients.append(gradient)
    assert torch.equal(gradients[0], gradients[2])
    assert not torch.equal(gradients[0], gradients[1])


def test_an_image_without_the_counted_classes_has_a_share_in_the_mean(xp: Library) -> None:
    """If absent classes cost 0, also where losses are found class by class."""
    x = np.random.default_rng(5).normal(size=(2, 3, 500, 400))
    labels = np.random.default_rng(6).integers(0, 3, (2, 500, 400))
    labels[1] = 0
    loss = LovaszLoss("multiclass", classes=(1, 2), absent="zero", per_image=True)
    arrays = xp.asarray(x), xp.asarray(labels)
    value, gradient = loss.value_and_grad(*arrays)
    np.testing.assert_allclose(float(value), float(loss(*arrays)), rtol=1e-12)
    alone = loss(xp.asarray(x[:1]), xp.asarray(labels[:1]))
    np.testing.assert_allclose(float(value), float(alone) / 2, rtol=1e-12)
    assert not xp.to_numpy(gradient)[1].any()

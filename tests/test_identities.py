"""One property per identity that the losses promise."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FBetaLoss,
    FocalLoss,
    IoULoss,
    JaccardLoss,
    Loss,
    TverskyLoss,
)

from .libraries import Library

# few shapes, because JAX compiles for each even without jit
SHAPES = st.sampled_from([(2, 3, 4), (1, 4, 2, 3)])
SEEDS = st.integers(0, 2**32 - 1)
MODES = st.sampled_from(["multiclass", "multilabel"])
OVERLAPS = st.sampled_from(["min", "product", "squared"])
SCALES = st.sampled_from([0.1, 1.0, 10.0])


@pytest.fixture(autouse=True)
def uncompiled(xp: Library) -> Iterator[None]:
    """JAX takes minutes, even op by op: in the long profile only (test_gradients.py has it)."""
    if xp.family != "jax":
        yield
        return
    if settings.default.max_examples < 100:
        pytest.skip(f"{xp.name}: with --hypothesis-profile=long only, for it compiles for minutes")
    with import_module("jax").disable_jit():
        yield


class Drawn:
    """Logits, dense targets and weights of one example."""

    def __init__(self, shape: tuple[int, ...], seed: int, scale: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.pixels = (shape[0], *shape[2:])
        self.pred = scale * rng.normal(size=shape)
        self.labels = rng.integers(0, shape[1], self.pixels)
        self.soft = rng.dirichlet(np.ones(shape[1]), self.pixels)
        self.soft = np.moveaxis(self.soft, -1, 1)
        self.weight = rng.choice([0.0, 0.5, 2.0], self.pixels)
        self.rng = rng


def both(xp: Library, loss: Loss, pred: Any, target: Any, weight: Any = None) -> list[np.ndarray]:
    extra = {} if weight is None else {"weight": xp.asarray(weight)}
    found = loss.value_and_grad(xp.asarray(pred), xp.asarray(target), **extra)
    return [xp.to_numpy(x) for x in found]


def same(one: list[np.ndarray], two: list[np.ndarray], rtol: float = 1e-12) -> None:
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


@given(shape=SHAPES, seed=SEEDS, mode=MODES, overlap=OVERLAPS, scale=SCALES)
def test_dice_is_tversky_of_halves_and_f1(
    xp: Library, shape: Any, seed: int, mode: Any, overlap: Any, scale: float
) -> None:
    d = Drawn(shape, seed, scale)
    for smooth in (0.0, 1.5):
        own = both(xp, DiceLoss(mode, overlap=overlap, smooth=smooth), d.pred, d.soft)
        f1 = FBetaLoss(mode, overlap=overlap, smooth=smooth)
        halves = TverskyLoss(mode, overlap=overlap, smooth=smooth / 2)
        same(own, both(xp, f1, d.pred, d.soft))
        same(own, both(xp, halves, d.pred, d.soft))


@given(shape=SHAPES, seed=SEEDS, mode=MODES, overlap=OVERLAPS)
def test_iou_is_tversky_of_ones(
    xp: Library, shape: Any, seed: int, mode: Any, overlap: Any
) -> None:
    d = Drawn(shape, seed)
    ones = TverskyLoss(mode, alpha=1, beta=1, overlap=overlap, smooth=0.5)
    same(
        both(xp, IoULoss(mode, overlap=overlap, smooth=0.5), d.pred, d.labels),
        both(xp, ones, d.pred, d.labels),
    )


@given(shape=SHAPES, seed=SEEDS, mode=MODES, scale=SCALES)
def test_iou_from_dice(xp: Library, shape: Any, seed: int, mode: Any, scale: float) -> None:
    """Of scores, per class: IoU = Dice/(2 − Dice)."""
    d = Drawn(shape, seed, scale)
    dice, _ = both(xp, DiceLoss(mode, reduction="none"), d.pred, d.soft, d.weight)
    iou, _ = both(xp, IoULoss(mode, reduction="none"), d.pred, d.soft, d.weight)
    np.testing.assert_allclose(1 - iou, (1 - dice) / (1 + dice), rtol=1e-12, atol=1e-14)


@given(shape=SHAPES, seed=SEEDS, mode=MODES, scale=st.sampled_from([1.0, 30.0]))
def test_focal_without_gamma_is_cross_entropy(
    xp: Library, shape: Any, seed: int, mode: Any, scale: float
) -> None:
    d = Drawn(shape, seed, scale)
    for target in (d.labels, d.soft):
        for options in ({}, {"label_smoothing": 0.2}, {"class_weights": range(1, shape[1] + 1)}):
            focal = both(xp, FocalLoss(mode, gamma=0, **options), d.pred, target, d.weight)
            entropy = both(xp, CrossEntropyLoss(mode, **options), d.pred, target, d.weight)
            for a, b in zip(focal, entropy, strict=True):
                np.testing.assert_array_equal(a, b)


LOSSES = [
    DiceLoss("multiclass"),
    JaccardLoss("multiclass", overlap="squared", absent="skip"),
    CrossEntropyLoss("multiclass", label_smoothing=0.1),
    FocalLoss("multiclass", gamma=1.5),
]
ANY = [
    *LOSSES,
    DiceLoss("multilabel", average="micro"),
    FocalLoss("multilabel", alpha=0.3),
    DiceLoss("multilabel") + CrossEntropyLoss("multilabel"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@given(shape=SHAPES, seed=SEEDS, shift=st.floats(-50, 50))
def test_softmax_losses_are_shift_invariant(
    xp: Library, loss: Loss, shape: Any, seed: int, shift: float
) -> None:
    """A constant per pixel changes nothing, and the gradient sums to 0 over the classes."""
    d = Drawn(shape, seed)
    constant = shift * d.rng.normal(size=(shape[0], 1, *shape[2:]))
    own = both(xp, loss, d.pred, d.labels)
    same(own, both(xp, loss, d.pred + constant, d.labels), rtol=1e-10)
    np.testing.assert_allclose(own[1].sum(1), 0, atol=1e-15)


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS)
def test_permuting_pixels_and_samples(xp: Library, loss: Loss, shape: Any, seed: int) -> None:
    d = Drawn(shape, seed)
    value, gradient = both(xp, loss, d.pred, d.labels, d.weight)
    order = [d.rng.permutation(shape[0]), *(d.rng.permutation(s) for s in shape[2:])]
    pixels, entries = np.ix_(*order), np.ix_(order[0], range(shape[1]), *order[1:])
    found = both(xp, loss, d.pred[entries], d.labels[pixels], d.weight[pixels])
    same(found, [value, gradient[entries]])


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS)
def test_permuting_classes(xp: Library, loss: Loss, shape: Any, seed: int) -> None:
    d = Drawn(shape, seed)
    value, gradient = both(xp, loss, d.pred, d.labels)
    order = d.rng.permutation(shape[1])
    found = both(xp, loss, d.pred[:, order], np.argsort(order)[d.labels])
    same(found, [value, gradient[:, order]])


@given(shape=SHAPES, seed=SEEDS)
def test_permuting_classes_permutes_the_terms(xp: Library, shape: Any, seed: int) -> None:
    d = Drawn(shape, seed)
    order = d.rng.permutation(shape[1])
    weights = d.rng.random(shape[1]) + 0.1
    plain = DiceLoss("multiclass", reduction="none", class_weights=weights)
    turned = DiceLoss("multiclass", reduction="none", class_weights=weights[order])
    value, _ = both(xp, plain, d.pred, d.soft)
    found, _ = both(xp, turned, d.pred[:, order], d.soft[:, order])
    np.testing.assert_allclose(found, value[order], rtol=1e-13)
    chosen = DiceLoss("multiclass", reduction="none", classes=order, class_weights=weights[order])
    np.testing.assert_allclose(both(xp, chosen, d.pred, d.soft)[0], value[order], rtol=1e-13)


def ignoring(loss: Loss, label: int) -> Loss:
    """The same loss with an ignore label."""
    return sum(factor * replace(term, ignore_index=label) for factor, term in loss.terms)


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS)
def test_naming_an_absent_ignore_label_changes_nothing(
    xp: Library, loss: Loss, shape: Any, seed: int
) -> None:
    d = Drawn(shape, seed)
    expected = both(xp, loss, d.pred, d.labels, d.weight)
    same(both(xp, ignoring(loss, 255), d.pred, d.labels, d.weight), expected, rtol=1e-14)


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS)
def test_an_ignored_margin_equals_a_crop(xp: Library, loss: Loss, shape: Any, seed: int) -> None:
    d = Drawn(shape, seed)
    value, gradient = both(xp, loss, d.pred, d.labels, d.weight)
    margin = [(0, 0)] + [(1, 2)] * (len(shape) - 2)
    pred = np.pad(d.pred, [margin[0], (0, 0), *margin[1:]], constant_values=3.0)
    labels = np.pad(d.labels, margin, constant_values=255)
    weight = np.pad(d.weight, margin, constant_values=7.0)
    found = both(xp, ignoring(loss, 255), pred, labels, weight)
    expected = np.pad(gradient, [margin[0], (0, 0), *margin[1:]])
    same(found, [value, expected])
    masked = np.pad(d.weight, margin, constant_values=0.0)
    same(both(xp, loss, pred, np.maximum(labels % 255, 0), masked), [value, expected])


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS)
def test_doubling_a_weight_equals_repeating_a_pixel(
    xp: Library, loss: Loss, shape: Any, seed: int
) -> None:
    d = Drawn(shape, seed)
    pred = d.pred.reshape(*shape[:2], -1)
    labels = d.labels.reshape(shape[0], -1)
    times = d.rng.integers(0, 4, labels.shape[1])
    times[0] = 1
    weight = np.broadcast_to(times.astype(float), labels.shape)
    value, gradient = both(xp, loss, pred, labels, weight)
    repeated = [np.repeat(a, times, axis=-1) for a in (pred, labels)]
    # padded with pixels of no weight to one size, because JAX compiles for each
    missing = 3 * labels.shape[1] - times.sum()
    padded = [np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, missing)]) for a in repeated]
    ones = np.pad(np.ones(repeated[1].shape), [(0, 0), (0, missing)])
    found, slopes = both(xp, loss, *padded, ones)
    np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-15)
    starts = np.cumsum(times) - times
    summed = np.stack(
        [slopes[..., s : s + k].sum(-1) for s, k in zip(starts, times, strict=True)], -1
    )
    np.testing.assert_allclose(summed, gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("loss", ANY, ids=repr)
@given(shape=SHAPES, seed=SEEDS, factor=st.floats(1e-3, 1e3))
def test_a_common_factor_of_all_weights_changes_no_mean(
    xp: Library, loss: Loss, shape: Any, seed: int, factor: float
) -> None:
    d = Drawn(shape, seed)
    weight = d.weight + 0.25
    expected = both(xp, loss, d.pred, d.labels, weight)
    same(both(xp, loss, d.pred, d.labels, factor * weight), expected, rtol=1e-11)
    classes = range(1, shape[1] + 1)
    one, other = (
        DiceLoss("multiclass", class_weights=[f * c for c in classes]) for f in (1.0, factor)
    )
    same(both(xp, one, d.pred, d.labels), both(xp, other, d.pred, d.labels), rtol=1e-11)


@given(shape=SHAPES, seed=SEEDS)
def test_binary_is_one_class_of_multilabel(xp: Library, shape: Any, seed: int) -> None:
    d = Drawn(shape, seed)
    pred, target = d.pred[:, :1], d.soft[:, :1]
    for kind in (DiceLoss, CrossEntropyLoss, FocalLoss):
        same(
            both(xp, kind("binary"), pred, target, d.weight),
            both(xp, kind("multilabel"), pred, target, d.weight),
        )


@given(shape=SHAPES, seed=SEEDS)
def test_two_classes_of_softmax_are_one_sigmoid(xp: Library, shape: Any, seed: int) -> None:
    """softmax(0, z) = sigmoid(z), in value and by the logit z."""
    d = Drawn(shape, seed)
    z, t = d.pred[:, 0], d.labels % 2
    two = np.stack([np.zeros_like(z), z], 1)
    for kind in (CrossEntropyLoss, FocalLoss):
        value, gradient = both(xp, kind("binary"), z, t, d.weight)
        found, slopes = both(xp, kind("multiclass"), two, t, d.weight)
        same([found, slopes[:, 1]], [value, gradient], rtol=1e-11)
    value, gradient = both(xp, DiceLoss("binary"), z, t)
    found, slopes = both(xp, DiceLoss("multiclass", classes=(1,)), two, t)
    same([found, slopes[:, 1]], [value, gradient], rtol=1e-11)


@given(shape=SHAPES, seed=SEEDS, mode=MODES)
def test_a_chain_rule_ties_logits_to_probabilities(
    xp: Library, shape: Any, seed: int, mode: Any
) -> None:
    d = Drawn(shape, seed)
    if mode == "multiclass":
        e = np.exp(d.pred)
        p = e / e.sum(1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(-d.pred))
    for kind in (DiceLoss, CrossEntropyLoss, FocalLoss):
        value, gradient = both(xp, kind(mode), d.pred, d.soft, d.weight)
        found, slopes = both(xp, kind(mode, from_logits=False), p, d.soft, d.weight)
        if mode == "multiclass":
            chained = p * (slopes - (p * slopes).sum(1, keepdims=True))
        else:
            chained = p * (1 - p) * slopes
        same([found, chained], [value, gradient], rtol=1e-10)


@given(shape=SHAPES, seed=SEEDS, mode=MODES, gamma=st.sampled_from([0.5, 1.0, 2.0]))
def test_losses_of_scores_lie_in_the_unit_interval(
    xp: Library, shape: Any, seed: int, mode: Any, gamma: float
) -> None:
    d = Drawn(shape, seed, scale=5.0)
    for kind in (DiceLoss, JaccardLoss, TverskyLoss):
        value, _ = both(xp, kind(mode, gamma=gamma, reduction="none"), d.pred, d.soft, d.weight)
        assert ((value >= 0) & (value <= 1)).all()
    hard, _ = both(xp, FocalLoss(mode, reduction="none"), d.pred, d.labels)
    assert (hard >= 0).all()


@given(shape=SHAPES, seed=SEEDS, mode=MODES)
def test_a_prediction_equal_to_a_soft_target_is_perfect(
    xp: Library, shape: Any, seed: int, mode: Any
) -> None:
    d = Drawn(shape, seed)
    for kind in (DiceLoss, JaccardLoss, TverskyLoss, FBetaLoss):
        value, _ = both(xp, kind(mode, from_logits=False), d.soft, d.soft)
        assert value == pytest.approx(0, abs=1e-15)

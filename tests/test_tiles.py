"""Tiles: the result does not depend on them, and each costs one activation per walk."""

import importlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    Loss,
    LovaszLoss,
    activations,
)
from xploss.backend import Backend
from xploss.tiles import Grid

from .cases import LOSSES, draw
from .libraries import Library

SIZES = [7, 1, 12, 10**6, 30]
SUM = (
    DiceLoss("multiclass", ignore_index=0)
    + 0.5 * CrossEntropyLoss("multiclass", label_smoothing=0.1)
    + FocalLoss("multiclass", ignore_index=1)
    + JaccardLoss("multiclass", per_image=True)
)


def set_tiles(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    """Tiles of so many elements, on every backend."""
    kinds: list[Any] = [Backend]
    for kind in kinds:
        monkeypatch.setattr(kind, "tile_limit", lambda *_: elements)
        kinds.extend(kind.__subclasses__())


@pytest.mark.parametrize(
    ("samples", "classes", "pixels", "elements"),
    [(1, 1, 1, 1), (3, 2, 5, 1), (3, 2, 5, 4), (3, 2, 5, 10), (3, 2, 5, 25), (7, 3, 11, 70)],
)
def test_blocks_cover_every_pixel_once(
    samples: int, classes: int, pixels: int, elements: int
) -> None:
    covered = np.zeros((samples, pixels), dtype=int)
    for block in Grid(samples, classes, pixels, elements):
        rows = slice(block.sample, block.sample + block.samples)
        covered[rows, block.pixel : block.pixel + block.pixels] += 1
        assert block.samples * classes * block.pixels <= max(elements, classes)
    assert (covered == 1).all()


@pytest.mark.parametrize("loss", [*LOSSES, SUM], ids=repr)
def test_the_size_of_tiles_changes_nothing(
    xp: Library, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    xp.skip_most(loss, [*LOSSES, SUM])
    drawn = DiceLoss("multiclass") if loss is SUM else loss
    pred, target, weight = draw(drawn, seed=1, weighted=True)
    x, t, w = xp.asarray(pred), xp.asarray(target), xp.asarray(weight)
    found = []
    for elements in xp.few(SIZES):
        set_tiles(monkeypatch, elements)
        _forget_compiled(xp)
        value, gradient = loss.value_and_grad(x, t, weight=w)
        xp.assert_like(gradient, pred.shape, "float64")
        found.append((xp.to_numpy(value), xp.to_numpy(gradient)))
    _forget_compiled(xp)
    for value, gradient in found:
        np.testing.assert_allclose(value, found[-1][0], rtol=1e-13, atol=1e-16)
        np.testing.assert_allclose(gradient, found[-1][1], rtol=1e-12, atol=1e-17)


SOFT: list[Loss] = [
    FocalLoss("binary", alpha=0.25),
    FocalLoss("multilabel", gamma=0.5),
    CrossEntropyLoss("binary"),
    CrossEntropyLoss("binary", label_smoothing=0.1, balance=0.3),
    CrossEntropyLoss("multilabel", pos_weight=3.0),
    CrossEntropyLoss("multiclass", label_smoothing=0.1),
    DiceLoss("binary") + FocalLoss("binary"),
    JaccardLoss("multilabel", overlap="squared"),
]


@pytest.mark.parametrize("loss", SOFT, ids=repr)
def test_the_size_of_tiles_changes_nothing_for_soft_targets(
    xp: Library, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    xp.skip_most(loss, SOFT)
    mode, rng = loss.terms[0][1].mode, np.random.default_rng(9)
    shape = (2, 1, 31) if mode == "binary" else (2, 3, 31)
    pred, target = rng.normal(size=shape), rng.random(shape)
    if mode == "multiclass":
        target = target / target.sum(axis=1, keepdims=True)
    x, t, found = xp.asarray(pred), xp.asarray(target), []
    for elements in (10**6, 12):
        set_tiles(monkeypatch, elements)
        _forget_compiled(xp)
        value, gradient = loss.value_and_grad(x, t)
        found.append((xp.to_numpy(value), xp.to_numpy(gradient)))
    _forget_compiled(xp)
    (value, gradient), (other, another) = found
    np.testing.assert_allclose(other, value, rtol=1e-13)
    np.testing.assert_allclose(another, gradient, rtol=1e-12, atol=1e-17)


def _forget_compiled(xp: Library) -> None:
    """JAX's cache would answer with the tiles of an earlier call."""
    if xp.family == "jax":
        importlib.import_module("jax").clear_caches()


@pytest.mark.parametrize("elements", [7, 10**6])
def test_autodiff_through_tiles(
    xp: Library, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not xp.differentiates:
        pytest.skip(f"{xp.name} has no autodiff")
    pred, target, _ = draw(DiceLoss("multiclass"), seed=2)
    x, t = xp.asarray(pred), xp.asarray(target)
    expected = SUM.value_and_grad(x, t)[1]
    _forget_compiled(xp)
    set_tiles(monkeypatch, elements)
    found = xp.autodiff(lambda z: SUM(z, t), x)
    np.testing.assert_allclose(xp.to_numpy(found), xp.to_numpy(expected), rtol=1e-11, atol=1e-16)
    _forget_compiled(xp)


@pytest.mark.parametrize("elements", [12, 30, 10**6])
def test_a_sum_computes_each_activation_once(
    xp: Library, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per tile one softmax in each walk, and one pull through it, whatever the terms."""
    if xp.family == "jax":
        pytest.skip("JAX traces a loop over tiles once")
    counts: Counter[str] = Counter()
    for kind in (activations.Softmax, activations.Sigmoid, activations.MarginSigmoid):
        for name in ("__init__", "pull"):
            _count(monkeypatch, kind, name, counts)
    set_tiles(monkeypatch, elements)
    pred, target, _ = draw(DiceLoss("multiclass"), seed=3)
    samples, classes = pred.shape[:2]
    pixels = pred.size // samples // classes
    tiles = len(list(Grid(samples, classes, pixels, elements)))
    x, t = xp.asarray(pred), xp.asarray(target)
    SUM(x, t)
    assert counts == {"Softmax.__init__": tiles}
    SUM.value_and_grad(x, t)
    assert counts["Softmax.__init__"] <= 3 * tiles
    ignores = 3  # readings of the target: each is pulled back with its own weight
    assert counts["Softmax.pull"] <= ignores * tiles
    counts.clear()
    one = DiceLoss("multiclass") + CrossEntropyLoss("multiclass") + FocalLoss("multiclass")
    one.value_and_grad(x, t)
    assert counts["Softmax.__init__"] <= 2 * tiles
    assert counts["Softmax.pull"] == tiles
    counts.clear()
    (one + DiceLoss("multilabel") + FocalLoss("multilabel")).value_and_grad(x, t)
    assert counts["Softmax.pull"] == tiles
    assert counts["Sigmoid.pull"] + counts["MarginSigmoid.pull"] == tiles


def _count(monkeypatch: pytest.MonkeyPatch, kind: Any, name: str, counts: Counter[str]) -> None:
    plain = getattr(kind, name)

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts[f"{kind.__name__}.{name}"] += 1
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(kind, name, counting)


def test_large_input_with_the_tiles_of_the_backend(xp: Library) -> None:
    """More than one tile as they come: the value is that of the naive formula."""
    rng = np.random.default_rng(4)
    pred = rng.normal(size=(2, 3, 700, 900)).astype(np.float32)
    labels = rng.integers(0, 3, (2, 700, 900))
    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    value, gradient = loss.value_and_grad(xp.asarray(pred), xp.asarray(labels))
    e = np.exp(pred.astype(np.float64))
    p = e / e.sum(1, keepdims=True)
    hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    i, both = (p * hot).sum((0, 2, 3)), p.sum((0, 2, 3)) + hot.sum((0, 2, 3))
    expected = (1 - 2 * i / both).mean() - np.log((p * hot).sum(1)).mean()
    assert float(value) == pytest.approx(expected, rel=3e-7)
    by_p = -(2 * hot * both[:, None, None] - 2 * i[:, None, None]) / both[:, None, None] ** 2 / 3
    slopes = p * (by_p - (p * by_p).sum(1, keepdims=True)) + (p - hot) / labels.size
    error = np.abs(xp.to_numpy(gradient) - slopes).max()
    assert error < 1e-6 * np.abs(slopes).max()


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_equal_numbers_keep_their_digits(xp: Library, weighted: bool) -> None:
    # of equal numbers, the errors of a long sum all have one sign
    shape, logit = (1, 1, (1 << 18) + 100), np.float32(-2.7)
    pred, target = np.full(shape, logit), np.ones(shape, np.float32)
    weight = xp.asarray(np.full(shape, 0.3, np.float32)) if weighted else None
    p = 1 / (1 + np.exp(-np.float64(logit)))
    for loss, expected in (
        (DiceLoss("binary"), 1 - 2 * p / (p + 1)),
        (CrossEntropyLoss("binary"), -np.log(p)),
        (FocalLoss("binary"), -((1 - p) ** 2) * np.log(p)),
    ):
        value = loss(xp.asarray(pred), xp.asarray(target), weight=weight)
        assert abs(float(value) - expected) < 1e-6 * expected


@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_ignored_labels_are_as_if_they_were_not_there(
    xp: Library, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last digit, though slopes are known before the walk: a factor would round them."""
    set_tiles(monkeypatch, 60)
    rng = np.random.default_rng(8)
    logits = (3 * rng.normal(size=(2, 3, 14, 10))).astype(np.float32)
    labels = rng.integers(0, 3, (2, 14, 10))
    labels[:, 8:] = 255
    loss = kind("multiclass", ignore_index=255)
    gradient = xp.to_numpy(loss.value_and_grad(xp.asarray(logits), xp.asarray(labels))[1])
    some = xp.asarray(logits[:, :, :8].copy()), xp.asarray(labels[:, :8].copy())
    expected = xp.to_numpy(loss.value_and_grad(*some)[1])
    assert not gradient[:, :, 8:].any()
    if xp.name == "jax":
        # the compiler's choice of how to round
        np.testing.assert_allclose(gradient[:, :, :8], expected, rtol=1e-5, atol=1e-9)
    else:
        np.testing.assert_array_equal(gradient[:, :, :8], expected)


@pytest.mark.parametrize("scale", [1e36, 1e38])
def test_sums_beyond_float32_in_numpy(scale: float) -> None:
    pred = np.full((1, 1, 5000), scale, np.float32)
    assert float(CrossEntropyLoss("binary")(pred, 0 * pred)) == pytest.approx(scale, rel=1e-6)
    logits, target = pred / np.float32(scale), np.ones_like(pred)
    weighted = DiceLoss("binary")(logits, target, weight=np.full_like(pred, 3e30))
    assert float(weighted) == pytest.approx(float(DiceLoss("binary")(logits, target)), rel=1e-6)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    "region", [DiceLoss("multilabel"), LovaszLoss("multilabel", surrogate="probability")], ids=repr
)
def test_sides_that_differ_beside_a_region(
    xp: Library, monkeypatch: pytest.MonkeyPatch, soft: bool, smoothing: float, region: Any
) -> None:
    """What the second walk is given is used up last of all."""
    if soft and isinstance(region, LovaszLoss):
        pytest.skip("a Lovász loss has no soft targets")
    sides: list[Loss] = [
        CrossEntropyLoss("multilabel", pos_weight=1.7, label_smoothing=smoothing),
        CrossEntropyLoss("multilabel", balance=0.3, label_smoothing=smoothing),
        FocalLoss("multilabel", gamma=0.0, alpha=0.3, label_smoothing=smoothing),
        FocalLoss("multilabel", alpha=0.3, label_smoothing=smoothing),
    ]
    rng = np.random.default_rng(6)
    x, t = rng.normal(size=(2, 3, 40)), rng.random((2, 3, 40))
    arrays = xp.asarray(x), xp.asarray(t if soft else np.round(t))
    for elements in (20, 1000):
        set_tiles(monkeypatch, elements)
        for side in sides:
            _, both = (region + side).value_and_grad(*arrays)
            one, two = (xp.to_numpy(loss.value_and_grad(*arrays)[1]) for loss in (region, side))
            np.testing.assert_allclose(xp.to_numpy(both), one + two, rtol=1e-12, atol=1e-15)

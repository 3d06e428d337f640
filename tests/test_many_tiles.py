"""Arrays of several tiles, of which the first walk remembers something for the second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.libraries import Library
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss, checks

MODES: list[Any] = ["multiclass", "multilabel"]
KINDS: list[Any] = [DiceLoss, CrossEntropyLoss, FocalLoss, LovaszLoss]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*KINDS, "sum"])
@pytest.mark.parametrize("upstream", [1.0, 0.3])
def test_half_precision_is_rounded_once(
    xp: Library, kind: Any, mode: Any, dtype: str, upstream: float
) -> None:
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    rng = np.random.default_rng(3)
    z = rng.normal(size=(2, 3, 450, 450)).astype(np.float16).astype(np.float32)
    z = xp.to_numpy(xp.asarray(z, dtype))
    t = xp.asarray(rng.integers(0, 3, (2, 450, 450)))
    loss: Loss = DiceLoss(mode) + FocalLoss(mode) if kind == "sum" else kind(mode)
    # scaled, for the slope of one pixel among so many is below what float16 holds
    cot = xp.asarray(np.float32(upstream), "float32")
    wide_value, wide = (1e4 * loss).value_and_grad(xp.asarray(z, "float32"), t, cotangent=cot)
    value, gradient = (1e4 * loss).value_and_grad(xp.asarray(z, dtype), t, cotangent=cot)
    xp.assert_like(gradient, z.shape, dtype)
    assert abs(float(value) - float(wide_value)) <= 1e-6 * abs(float(wide_value))
    expected = xp.to_numpy(wide)
    gap = np.abs(xp.to_numpy(gradient) - expected)
    digits = 2.0 ** {"float16": -11, "bfloat16": -8}[dtype]
    # the last digit of p, which its tile may decide, tells the bin of an error
    bins = 5e-5 * np.abs(expected).max() if kind is LovaszLoss else 0.0
    assert np.all(gap <= 1.01 * digits * np.abs(expected) + 2.0**-24 + bins)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autograd_of_half_precision(xp: Library, dtype: str) -> None:
    if not (xp.has(dtype) and xp.differentiates):
        pytest.skip(f"{xp.name} has no {dtype}, or no autodiff")
    z = np.random.default_rng(4).normal(size=(2, 3, 450, 450))
    t = xp.asarray(np.random.default_rng(5).integers(0, 3, (2, 450, 450)))
    loss = 1e4 * DiceLoss("multiclass")
    x = xp.asarray(z, dtype)
    found = xp.to_numpy(xp.autodiff(lambda pred: loss(pred, t), x))
    expected = xp.to_numpy(loss.value_and_grad(x, t)[1])
    # XLA fuses the two differently, which may turn the last digit
    unit = 2.0 ** {"float16": -10, "bfloat16": -7}[dtype] if xp.name == "jax" else 0.0
    np.testing.assert_allclose(found, expected, rtol=unit, atol=2.0**-24 * bool(unit))


@pytest.mark.parametrize("garbage", [1.0, 1e38, np.nan])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*KINDS, "sum"])
def test_ignored_pixels_of_which_one_tile_is_garbage(
    xp: Library, kind: Any, mode: Any, garbage: float
) -> None:
    rng, shape = np.random.default_rng(12), (3, 2, 420, 420)
    z = rng.normal(size=shape).astype(np.float32)
    ignored = rng.random((3, 1, 420, 420)) < 0.1
    if mode == "multiclass":
        t = np.where(ignored[:, 0], 255, rng.integers(0, 2, (3, 420, 420)))
    else:
        t = np.where(ignored, 255, rng.integers(0, 2, shape))
    options: dict[str, Any] = {"ignore_index": 255}
    loss: Loss = kind(mode, **options) if kind != "sum" else DiceLoss(mode, **options)
    loss = loss + FocalLoss(mode, **options) if kind == "sum" else loss
    expected = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    z[2] = np.where(ignored[2], garbage, z[2])
    found = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-6)
    gradient, wanted = xp.to_numpy(found[1]), xp.to_numpy(expected[1])
    assert not gradient[np.broadcast_to(ignored, shape)].any()
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("where", ["first", "last", "nowhere"])
@pytest.mark.parametrize("checked", ["auto", "never"])
def test_soft_targets_stay_soft(xp: Library, checked: Any, where: str) -> None:
    """Soft in the first tile, in the last or in none: dI/dp is 1 below t and 0 above, or t."""
    rng, shape = np.random.default_rng(6), (3, 2, 420, 420)
    p, t = rng.random(shape), rng.integers(0, 2, shape).astype(np.float64)
    some = {"first": slice(0, 1), "last": slice(2, 3), "nowhere": slice(0, 0)}[where]
    t[some] = rng.random(t[some].shape)
    both = np.minimum(p, t).sum((0, 2, 3), keepdims=True)
    whole = (p + t).sum((0, 2, 3), keepdims=True)
    expected = (2 * both / whole**2 - 2 / whole * np.where(p < t, 1, 0)) / 2
    loss = DiceLoss("multilabel", from_logits=False)
    with checks(checked):
        value, gradient = loss.value_and_grad(xp.asarray(p, "float32"), xp.asarray(t, "float32"))
    assert abs(float(value) - float((1 - 2 * both / whole).mean())) < 1e-6
    gap = np.abs(xp.to_numpy(gradient) - expected)
    assert np.all(gap < 1e-5 * np.abs(expected).max())


def test_confident_logits_keep_their_slope(xp: Library) -> None:
    """Of p(1 - p), the smaller factor has its digits: from 1 - p it would have none."""
    rng = np.random.default_rng(7)
    z = rng.choice([-1, 1], (3, 2, 420, 420)) * rng.uniform(12, 30, (3, 2, 420, 420))
    z = z.astype(np.float32).astype(np.float64)
    t = rng.integers(0, 2, z.shape)
    p, lesser = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(np.abs(z)))
    both, whole = (x.sum((0, 2, 3), keepdims=True) for x in (p * t, p + t))
    expected = lesser * (1 - lesser) * (2 * both / whole**2 - 2 * t / whole) / 2
    _, gradient = DiceLoss("multilabel").value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    gap = np.abs(xp.to_numpy(gradient) - expected)
    assert np.all(gap <= 1e-4 * np.abs(expected))


@pytest.mark.parametrize("scale", [1.0, 8.0, 30.0])
@pytest.mark.parametrize("pixels", [4099, (1 << 18) + 5])
def test_many_costs_share_a_logarithm(xp: Library, pixels: int, scale: float) -> None:
    """Large costs do not overflow beside each other, and small ones keep their digits."""
    rng = np.random.default_rng(pixels)
    t = rng.integers(0, 2, (2, pixels))
    z = (scale * rng.uniform(0, 1.5, t.shape) * (2 * t - 1)).astype(np.float32)
    costs = np.log1p(np.exp(-np.abs(z.astype(np.float64))))
    target = xp.asarray(t)
    for sign, expected in ((1, costs.mean()), (-1, (costs + np.abs(z)).mean())):
        value = CrossEntropyLoss("binary")(xp.asarray(sign * z, "float32"), target)
        assert abs(float(value) - expected) < 1e-6 * expected
    z[0, :9] = np.inf * (2 * t[0, :9] - 1)
    expected = costs.mean() - costs[0, :9].sum() / costs.size
    value = CrossEntropyLoss("binary")(xp.asarray(z, "float32"), target)
    assert abs(float(value) - expected) < 1e-6 * expected


@pytest.mark.parametrize("factor", [1.0, 1e-9])
def test_confident_logits_keep_both_sides_of_a_sum(xp: Library, factor: float) -> None:
    """Each side of p and 1 - p has its digits, up to where float32 has none."""
    rng = np.random.default_rng(17)
    z = rng.choice([-1, 1], (2, 700, 800)) * rng.uniform(10, 86, (2, 700, 800))
    z = z.astype(np.float32).astype(np.float64)
    t = rng.integers(0, 2, z.shape)
    p, lesser = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(np.abs(z)))
    wrong = np.where((z > 0) == (t == 1), lesser, 1 - lesser)
    both, whole = (p * t).sum(), (p + t).sum()
    by_dice = lesser * (1 - lesser) * (2 * both / whole**2 - 2 * t / whole)
    by_cost = wrong * (1 - 2 * t) / z.size
    loss = DiceLoss("binary") + factor * CrossEntropyLoss("binary")
    x = xp.asarray(z, "float32")
    value, gradient = loss.value_and_grad(x, xp.asarray(t))
    cost = np.log1p(np.exp(-np.abs(z))) + np.where((z > 0) == (t == 1), 0, np.abs(z))
    expected = 1 - 2 * both / whole + factor * cost.mean()
    assert abs(float(value) - expected) < 1e-6 * expected
    gap = np.abs(xp.to_numpy(gradient) - (by_dice + factor * by_cost))
    # of the smallest, of float32, the gradient by a sum over all entries is below 1e-38
    assert np.all(gap <= 1e-4 * (np.abs(by_dice) + np.abs(factor * by_cost)) + 1e-37)


@pytest.mark.parametrize("other", [JaccardLoss, CrossEntropyLoss])
@pytest.mark.parametrize("ignored", [(255, 254), (1, None)])
def test_two_ignore_labels_share_one_array(xp: Library, ignored: Any, other: Any) -> None:
    """What the gradient's array holds is read for both terms before it is written."""
    rng = np.random.default_rng(8)
    z, t = rng.normal(size=(2, 740, 740)), rng.integers(0, 2, (2, 740, 740))
    # a term would refuse the other's label as a target: so the second looks for what is not there
    t[:, :9] = 255
    pred, target = xp.asarray(z, "float32"), xp.asarray(t)
    first, second = ignored
    terms = [DiceLoss("binary", ignore_index=first), other("binary", ignore_index=second)]
    with checks("never"):
        both = xp.to_numpy((terms[0] + terms[1]).value_and_grad(pred, target)[1])
        apart = [xp.to_numpy(term.value_and_grad(pred, target)[1]) for term in terms]
    gap = np.linalg.norm(both - sum(apart)) / np.linalg.norm(sum(apart))
    assert gap < 1e-6


@pytest.mark.parametrize(
    "shape", [(1, 4, 512, 512), (12, 4, 300, 300), (2, 3, 850, 850), (4, 4, 512, 512)]
)
@pytest.mark.parametrize("kind", [*KINDS, "sum"])
def test_large_arrays(xp: Library, kind: Any, shape: tuple[int, ...]) -> None:
    """In tiles of whole samples or of parts of them, by several threads or by one."""
    if not xp.name.startswith("torch"):
        pytest.skip("only torch goes other ways for arrays so large")
    rng = np.random.default_rng(10)
    z, t = rng.normal(size=shape), rng.integers(0, shape[1], (shape[0], *shape[2:]))
    loss: Loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    loss = loss if kind == "sum" else kind("multiclass")
    expected_value, expected = loss.value_and_grad(z, t)
    value, found = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    assert abs(float(value) - expected_value) < 1e-6 * expected_value
    gap = np.abs(xp.to_numpy(found) - expected)
    assert np.all(gap < (2e-3 if kind is LovaszLoss else 2e-6) * np.abs(expected).max())


@pytest.mark.parametrize("mode", ["binary", *MODES])
@pytest.mark.parametrize("kind", [*KINDS, "sum"])
@pytest.mark.parametrize("limit", [1 << 22, 1 << 17])
def test_tiles_of_a_device(
    xp: Library, kind: Any, mode: Any, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is computed beside the processor gives the same numbers there, on a CPU's tensors."""
    if xp.name != "torch":
        pytest.skip("only torch has a backend of its own for devices: tried once")
    from xploss.adapters import torch as adapter

    monkeypatch.setattr("xploss.adapters._torch_eager.device_limit", lambda size: limit)
    rng, shape = np.random.default_rng(9), (2, 9, 250, 250)
    z, t = rng.normal(size=shape), rng.integers(0, 9, (2, 250, 250))
    if mode == "binary":
        z, t = z.reshape(2, 750, 750), rng.integers(0, 2, (2, 750, 750))
    t[:, ::7] = 255
    kinds = (DiceLoss, FocalLoss) if kind == "sum" else (kind,)
    loss: Loss = sum(k(mode, ignore_index=255) for k in kinds)
    pred, target = xp.asarray(z, "float32"), xp.asarray(t)
    value, gradient = loss.value_and_grad(pred, target)
    device = adapter._DEVICE
    own, found = device.value_and_grad(loss, pred, target, None, None, None)
    assert abs(float(own) - float(value)) < 1e-6 * abs(float(value))
    expected = xp.to_numpy(gradient)
    gap = np.linalg.norm(xp.to_numpy(found) - expected) / np.linalg.norm(expected)
    assert gap < 1e-5

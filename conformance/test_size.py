"""Numbers at size: millions of pixels, rare foreground, saturated logits, against closed forms.

With one logit for the foreground and one for the background, every loss has a closed form, and its
gradient two values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xploss
from conformance.size import PAIRS, Pair, exact, relative
from conformance.tolerances import ROUNDOFF, computing
from tests.libraries import Library
from xploss import Loss, LovaszLoss

pytestmark = pytest.mark.check("size")
SIZE = 2**24 + 9
"""Pixels: more than a float32 running count can reach."""

KINDS = (
    "DiceLoss",
    "JaccardLoss",
    "TverskyLoss",
    "FBetaLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "LovaszLoss",
)
PAIR_IDS = [type(pair.loss).__name__ for pair in PAIRS]


@pytest.mark.parametrize("share", [1e-7, 0.3, 1.0])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_sixteen_million_pixels(xp: Library, pair: Pair, share: float) -> None:
    """Float32, and half precision where the foreground is rare."""
    dtype = "float16" if share < 1e-6 and xp.has("float16") else "float32"
    foreground = max(1, round(share * SIZE))
    _check(xp, pair, foreground, SIZE, dtype)


@pytest.mark.parametrize("share", [1e-5, 1e-3, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_shares_of_foreground(xp: Library, pair: Pair, share: float) -> None:
    _check(xp, pair, max(1, round(share * 300_007)), 300_007, "float32")


def _check(xp: Library, pair: Pair, foreground: int, size: int, dtype: str) -> None:
    """Compare value and gradient with those of a foreground and a background logit."""
    value, slopes = exact(pair, foreground, size)
    t = np.zeros((1, size), dtype=np.int8)
    t[0, 3 : 3 + foreground] = 1  # the first and the last pixels may be background
    z = np.where(t == 1, np.float16(pair.front), np.float16(pair.back))
    found, gradient = pair.loss.value_and_grad(xp.asarray(z, dtype), xp.asarray(t))
    xp.assert_like(found, (), "float32")
    _near(xp.to_numpy(found), value, dtype)
    held = xp.to_numpy(gradient)
    floor = 2.0**-25 if dtype == "float16" else 0.0
    width = 2.0**-10 if dtype == "float16" else 2e-6
    for mask, slope in zip((t == 1, t == 0), slopes, strict=True):
        some = held[mask]
        if some.size and slope is not None:
            assert abs(float(some.min()) - slope) <= width * abs(slope) + floor
            assert abs(float(some.max()) - slope) <= width * abs(slope) + floor


def _near(found: np.ndarray, expected: float, dtype: str) -> None:
    """The score of an overlap has the rounding of numbers near 1, whatever the loss is."""
    allowed = 1e-6 * expected + 8 * ROUNDOFF[computing(dtype)]
    assert abs(float(found) - expected) < allowed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_a_million_random_logits(xp: Library, kind: str, mode: Any) -> None:
    """Float32 against the same numbers in float64 by NumPy."""
    rng = np.random.default_rng(7)
    pixels = (2, 500, 262)
    z = (2 * rng.normal(size=(2, 4, 500, 262))).astype(np.float32)
    t = rng.choice(4, pixels, p=[0.9, 0.09, 0.0099, 0.0001])
    loss = getattr(xploss, kind)(mode)
    sorted_ = LovaszLoss(mode, method="sort") if kind == "LovaszLoss" else loss
    value, slope = sorted_.value_and_grad(z.astype(np.float64), t)
    found, gradient = loss.value_and_grad(xp.asarray(z), xp.asarray(t))
    assert relative(xp.to_numpy(found), float(value)) < 2e-6
    gap = np.linalg.norm(xp.to_numpy(gradient) - slope) / np.linalg.norm(slope)
    # the bound in the docstring of LovaszLoss, for the rarest class: 2 / sqrt(bins * foreground)
    assert gap < (2 / np.sqrt(8192 * (t == 3).sum()) if kind == "LovaszLoss" else 2e-6)


@pytest.mark.loss("LovaszLoss")
def test_lovasz_weights_of_four_million_pixels(xp: Library) -> None:
    """Where differenced float32 weights are 8% off, the histogram is not 0.1%."""
    rng = np.random.default_rng(8)
    t = (rng.random((1, 2**22)) < 0.1).astype(np.int8)
    z = rng.normal(size=t.shape).astype(np.float32)
    value, slope = LovaszLoss("binary", method="sort").value_and_grad(z.astype(np.float64), t)
    found, gradient = LovaszLoss("binary").value_and_grad(xp.asarray(z), xp.asarray(t))
    assert relative(xp.to_numpy(found), float(value)) < 1e-6
    assert np.abs(xp.to_numpy(gradient) - slope).sum() < 1e-3 * np.abs(slope).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_seventy_thousand_ones(xp: Library, kind: str, dtype: str) -> None:
    """A sum that float16 cannot hold: every pixel is foreground of p = 1/2."""
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    p = xp.asarray(np.full((1, 70_000), 0.5), dtype)
    t = xp.asarray(np.ones((1, 70_000), dtype=np.int64))
    found = getattr(xploss, kind)("binary", from_logits=False)(p, t)
    third, half = 1 / 3, 1 / 2
    expected = {"CrossEntropyLoss": np.log(2), "FocalLoss": np.log(2) / 4, "LovaszLoss": half}
    expected["JaccardLoss"] = half
    assert relative(xp.to_numpy(found), expected.get(kind, third)) < 1e-6


@pytest.mark.loss("JaccardLoss")
def test_counts_do_not_stop_growing(xp: Library) -> None:
    """2^24 pixels and a thousand single ones: a float32 count would stay where it is."""
    loss = xploss.JaccardLoss("binary", from_logits=False)

    def measured(size: int) -> Any:
        p, t = np.full((1, size), 0.5, np.float32), np.ones((1, size), np.int8)
        return loss.statistics(xp.asarray(p), xp.asarray(t))

    total, one = measured(2**24), measured(1)
    for _ in range(1000):
        total = total + one
    _, _, mass, size = (xp.to_numpy(array) for array in total.arrays)
    assert mass == size == 2**24 + 1000


@pytest.mark.parametrize("size", [30.0, 100.0, 1e3, 1e4])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_saturated_logits(xp: Library, pair: Pair, dtype: str, size: float) -> None:
    """All four corners: right, wrong, all foreground, all background."""
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    t = np.arange(20).reshape(1, 20) % 4 == 0
    held = float(xp.to_numpy(xp.asarray(size, dtype)))
    for front, back in ((1, -1), (-1, 1), (1, 1), (-1, -1)):
        z = xp.asarray(np.where(t, front * held, back * held), dtype)
        found, gradient = pair.loss.value_and_grad(z, xp.asarray(t))
        value, slopes = exact(Pair(pair.loss, front * held, back * held), 5, 20)
        _near(xp.to_numpy(found), value, dtype)
        slope = xp.to_numpy(gradient)
        assert np.isfinite(slope).all()
        for at, expected in zip((t, ~t), slopes, strict=True):
            if expected is not None:
                # of pixels with equal errors, Lovász fixes the mean only
                some = slope[at].mean() if isinstance(pair.loss, LovaszLoss) else slope[at]
                gap = np.abs(some - expected).max()
                assert gap < 2.0**-7 * abs(expected) + 2.0**-24


@pytest.mark.parametrize("shape", [(70_000, 2), (1, 150, 32, 32), (3, 2, 70_001), (2, 5, 1, 1)])
def test_shapes_long_in_every_axis(xp: Library, shape: tuple[int, ...]) -> None:
    """Many samples of one pixel, many classes, many pixels: against float64 by NumPy."""
    rng = np.random.default_rng(9)
    z = rng.normal(size=shape).astype(np.float32)
    t = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    dice, focal = xploss.DiceLoss("multiclass", per_image=True), xploss.FocalLoss("multiclass")
    loss: Loss = dice + focal
    value, slope = loss.value_and_grad(z.astype(np.float64), t)
    found, gradient = loss.value_and_grad(xp.asarray(z), xp.asarray(t))
    assert relative(xp.to_numpy(found), float(value)) < 2e-6
    gap = np.linalg.norm(xp.to_numpy(gradient) - slope) / np.linalg.norm(slope)
    assert gap < 2e-6

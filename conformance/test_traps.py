"""What goes wrong in other libraries, put to ours: ignore labels, targets, options, messages.

Each test names the rows of `conformance/traps/rows.py` that it answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xploss
from conformance.traps import register
from conformance.traps.rows import NOT_OURS, ROWS
from conformance.traps.tools import (
    IGNORED,
    LOSSES,
    T,
    Z,
    both,
    cross_entropy,
    equal,
    every_loss,
    same,
    softmax,
    trap,
    value,
)
from tests.libraries import Library
from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LovaszLoss,
    TverskyLoss,
)

pytestmark = pytest.mark.quick


def _half_ignored(t: np.ndarray) -> np.ndarray:
    """The labels with the right part of the image ignored."""
    hidden = t.copy()
    hidden[..., 2:] = IGNORED
    return hidden


@trap("CrossEntropyLoss", "S1")
def test_cross_entropy_works_as_it_comes(xp: Library) -> None:
    equal(value(xp, CrossEntropyLoss("multiclass"), Z, T), cross_entropy(Z, T).mean())


@trap("all losses", "S2", "S3", "K11", "M20")
@every_loss
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_an_ignored_margin_equals_a_crop(xp: Library, kind: Any, mode: Any) -> None:
    z, t = (Z[:, 0], T % 2) if mode == "binary" else (Z, T)
    loss = kind(mode, ignore_index=IGNORED)
    found, gradient = both(xp, loss, z, _half_ignored(t))
    expected, crop = both(xp, kind(mode), z[..., :2], t[..., :2])
    equal(found, expected)
    equal(gradient[..., :2], crop)
    equal(gradient[..., 2:], 0 * gradient[..., 2:])
    mask = np.zeros(t.shape)
    mask[..., :2] = 1
    equal(value(xp, kind(mode), z, t, mask), expected)


@trap("all losses", "S4")
@every_loss
def test_terms_have_one_shape(xp: Library, kind: Any) -> None:
    plain = value(xp, kind("multiclass", reduction="none"), Z, T)
    ignoring = kind("multiclass", reduction="none", ignore_index=IGNORED)
    assert value(xp, ignoring, Z, _half_ignored(T)).shape == plain.shape
    assert plain.shape == ((2, 4, 5) if kind in (CrossEntropyLoss, FocalLoss) else (3,))


@trap("all losses", "S5", "K10", "J2")
@every_loss
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_every_integer_dtype_is_a_label(xp: Library, kind: Any, dtype: str) -> None:
    for mode, z, t in xp.few((("multiclass", Z, T), ("binary", Z[:, 0], T % 2))):
        expected = value(xp, kind(mode), z, t)
        same(xp, value(xp, kind(mode), z, t.astype(dtype)), expected)


@trap("FocalLoss", "S6")
def test_focal_takes_probabilities(xp: Library) -> None:
    p = np.moveaxis(np.eye(3)[T], -1, 1)
    assert value(xp, FocalLoss("multiclass", from_logits=False), p, T) == 0
    p = softmax(Z)
    expected = value(xp, FocalLoss("multiclass"), Z, T)
    equal(value(xp, FocalLoss("multiclass", from_logits=False), p, T), expected)


@trap("all losses", "S7")
@every_loss
def test_a_constant_added_to_the_logits_changes_nothing(xp: Library, kind: Any) -> None:
    shift = np.linspace(-5, 5, 40).reshape(2, 1, 4, 5)
    found, gradient = both(xp, kind("multiclass"), Z + shift, T)
    expected, slope = both(xp, kind("multiclass"), Z, T)
    equal(found, expected)
    equal(gradient, slope, 1e-11)


@trap("FocalLoss", "S8")
def test_multilabel_focal_ignores_entries(xp: Library) -> None:
    dense = (np.moveaxis(np.eye(3)[T], -1, 1)).astype(np.int64)
    dense[:, 1] = IGNORED
    found = value(xp, FocalLoss("multilabel", ignore_index=IGNORED), Z, dense)
    equal(found, value(xp, FocalLoss("multilabel"), Z[:, ::2], dense[:, ::2]))


@trap("FocalLoss", "S9", "M14")
def test_focal_terms_sum_to_the_sum(xp: Library) -> None:
    cases: tuple[dict[str, Any], ...] = ({}, {"class_weights": [1.0, 2.0, 3.0]})
    for options in cases:
        terms = value(xp, FocalLoss("multiclass", reduction="none", **options), Z, T)
        assert terms.shape == T.shape
        equal(value(xp, FocalLoss("multiclass", reduction="sum", **options), Z, T), terms.sum())


@trap("all losses", "S10", "S12", "K15")
@every_loss
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_an_ignored_batch_costs_nothing(xp: Library, kind: Any, mode: Any) -> None:
    z = Z[:, 0] if mode == "binary" else Z
    loss, nothing = kind(mode, ignore_index=IGNORED), np.full(T.shape, IGNORED)
    found, gradient = both(xp, loss, z, nothing)
    assert found.shape == ()
    assert found == 0
    assert not gradient.any()
    if xp.differentiates:
        t = xp.asarray(nothing)
        assert not xp.to_numpy(xp.autodiff(lambda x: loss(x, t), xp.asarray(z))).any()


@trap("LovaszLoss", "S11", "V9")
def test_lovasz_takes_probabilities_as_they_are(xp: Library) -> None:
    given = LovaszLoss("multiclass", from_logits=False, method="sort")
    expected = value(xp, LovaszLoss("multiclass", method="sort"), Z, T)
    equal(value(xp, given, softmax(Z), T), expected)
    assert abs(value(xp, LovaszLoss("multiclass"), softmax(Z), T) - expected) > 0.01
    with xploss.checks("always"), pytest.raises(ValueError, match="from_logits=True"):
        value(xp, given, Z, T)


@trap("all losses", "S13", "S14", "S15", "J1")
@every_loss
@pytest.mark.parametrize("label", [7, 255, -5])
def test_a_label_out_of_range_is_an_error(xp: Library, kind: Any, label: int) -> None:
    stray = T.copy()
    stray[1, 2, 3] = label
    with xploss.checks("always"):
        for mode, z, t in (("multiclass", Z, stray), ("multilabel", Z, stray)):
            with pytest.raises(ValueError, match=f"label {label}, outside 0..2"):
                value(xp, kind(mode), z, t)
        with pytest.raises(ValueError, match=f"value {label}, outside"):
            value(xp, kind("binary"), Z[:, 0], np.where(stray == label, label, 0))


@trap("all losses", "J1")
@every_loss
def test_unchecked_a_label_out_of_range_is_no_class(xp: Library, kind: Any) -> None:
    """It is never read as another class: the pixel is one whose target is 0 everywhere."""
    dense = np.moveaxis(np.eye(3, dtype=np.int64)[T], -1, 1)
    dense[1, :, 2, 3] = 0
    with xploss.checks("never"):
        expected, slope = both(xp, kind("multiclass"), Z, dense)
        for label in (7, 255, -5, -(2**31)):
            stray = T.copy()
            stray[1, 2, 3] = label
            found, gradient = both(xp, kind("multiclass"), Z, stray)
            equal(found, expected)
            equal(gradient, slope)


@trap("DiceLoss", "S16", "M7", "O8")
def test_false_positives_on_an_empty_mask_cost(xp: Library) -> None:
    z, t = np.full((1, 4, 4), 3.0), np.zeros((1, 4, 4), dtype=np.int64)
    assert value(xp, DiceLoss("binary"), z, t) == 1
    predicted = 16 / (1 + np.exp(-3.0))
    found, gradient = both(xp, DiceLoss("binary", smooth=1.0), z, t)
    equal(found, 1 - 1 / (predicted + 1))
    assert (gradient > 0).all()
    faint = np.full((1, 64, 64), np.log(1e-4 / (1 - 1e-4)))
    empty = np.zeros(faint.shape, dtype=np.int64)
    equal(value(xp, DiceLoss("binary", smooth=1.0), faint, empty), 0.4096 / 1.4096)
    assert value(xp, DiceLoss("binary", absent="skip"), faint, empty) == 0


@trap("TverskyLoss", "S17")
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_a_perfect_prediction_has_a_finite_slope(xp: Library, size: float) -> None:
    t = T % 2
    z = np.where(t == 1, size, -size)
    found, gradient = both(xp, TverskyLoss("binary", gamma=0.75), z, t)
    assert 0 <= found < 1e-9
    assert np.isfinite(gradient).all()


@trap("JaccardLoss", "S24")
def test_an_absent_class_does_not_scale_the_others(xp: Library) -> None:
    t = T % 2
    terms = value(xp, JaccardLoss("multiclass", reduction="none"), Z, t)
    skipping = JaccardLoss("multiclass", absent="skip")
    equal(value(xp, skipping, Z, t), terms[:2].mean())
    equal(value(xp, JaccardLoss("multiclass"), Z, t), terms.mean())
    assert terms[2] == 1


@trap("all losses", "S25", "M9", "M10", "O7")
@every_loss
def test_class_weights_are_relative(xp: Library, kind: Any) -> None:
    plain = value(xp, kind("multiclass"), Z, T)
    for weights in xp.few((np.full(3, 0.1), [1, 1, 1], (2.0, 2.0, 2.0))):
        equal(value(xp, kind("multiclass", class_weights=weights), Z, T), plain)
    binary = value(xp, kind("binary"), Z[:, 0], T % 2)
    equal(value(xp, kind("binary", class_weights=[3.0]), Z[:, 0], T % 2), binary)


@trap("all losses", "M1", "N1")
@every_loss
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_naming_an_ignore_label_changes_nothing(xp: Library, kind: Any, mode: Any) -> None:
    z, t = (Z[:, 0], T % 2) if mode == "binary" else (Z, T)
    expected = value(xp, kind(mode), z, t)
    same(xp, value(xp, kind(mode, ignore_index=IGNORED), z, t), expected)
    equal(value(xp, kind(mode), z, t, np.ones(t.shape)), expected)


@trap("all losses", "M2")
@every_loss
def test_background_is_not_ignored(xp: Library, kind: Any) -> None:
    t = np.zeros(Z.shape, dtype=np.int64)
    t[:, 0, 0, 0] = 1
    good = np.where(t == 1, 2.0, -2.0)
    bad = np.where(t == 1, 2.0, 2.0)
    for z in (good, bad):
        found = value(xp, kind("multilabel", ignore_index=IGNORED), z, t)
        same(xp, found, value(xp, kind("multilabel"), z, t))
    assert value(xp, kind("multilabel", ignore_index=IGNORED), bad, t) > found - 1e-12
    assert value(xp, kind("multilabel"), good, t) < value(xp, kind("multilabel"), bad, t)


@trap("all losses", "M3")
@every_loss
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_nothing_of_an_ignored_pixel_is_read(xp: Library, kind: Any, garbage: float) -> None:
    z, t = Z.copy(), _half_ignored(T)
    z[..., 2:] = garbage
    found, gradient = both(xp, kind("multiclass", ignore_index=IGNORED), z, t)
    expected, clean = both(xp, kind("multiclass", ignore_index=IGNORED), Z, t)
    same(xp, found, expected)
    same(xp, gradient, clean)


@trap("Sum", "M4")
def test_a_compound_ignores(xp: Library) -> None:
    parts = [kind("multiclass", ignore_index=IGNORED) for kind in (DiceLoss, CrossEntropyLoss)]
    t = _half_ignored(T)
    equal(value(xp, parts[0] + parts[1], Z, t), sum(value(xp, part, Z, t) for part in parts))


@trap("all losses", "M5", "Q5")
@every_loss
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_logits_are_no_probabilities(xp: Library, kind: Any, mode: Any) -> None:
    z, t = (Z[:, 0], T % 2) if mode == "binary" else (Z, T)
    with xploss.checks("always"), pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        value(xp, kind(mode, from_logits=False), 10 * z, t)


@trap("all losses", "M6", "K8")
@every_loss
def test_softmax_of_one_channel_is_an_error(xp: Library, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"at least 2; use mode=.binary."):
        value(xp, kind("multiclass"), Z[:, :1], T % 2)
    both(xp, kind("binary"), Z[:, :1], T % 2)


@trap("DiceLoss", "M8", "Q3")
@pytest.mark.parametrize("kind", LOSSES[:4])
def test_nothing_predicted_as_nothing_is_perfect(xp: Library, kind: Any) -> None:
    nothing = np.zeros((2, 8, 8))
    loss = kind("binary", from_logits=False)
    found, gradient = both(xp, loss, nothing, nothing.astype(np.int64))
    assert found == 0
    assert not gradient.any()


@trap("CrossEntropyLoss", "M11")
@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_smoothing_acts_on_one_channel(xp: Library, kind: Any) -> None:
    z, t = Z[:, :1], T[:, None] % 2
    smoothed = value(xp, kind("binary", label_smoothing=0.3), z, t)
    equal(smoothed, value(xp, kind("binary"), z, t * 0.7 + 0.15))
    assert abs(smoothed - value(xp, kind("binary"), z, t)) > 0.01


@trap("Sum", "M12", "M13", "M22")
def test_the_terms_of_a_compound_are_what_they_say(xp: Library) -> None:
    dense = np.moveaxis(np.eye(3)[T], -1, 1)
    p = 1 / (1 + np.exp(-Z))
    binary = -(dense * np.log(p) + (1 - dense) * np.log(1 - p)).mean()
    compound = 0 * DiceLoss("multilabel") + CrossEntropyLoss("multilabel")
    equal(value(xp, compound, Z, dense), binary)
    costs = cross_entropy(Z, T)
    focal = ((1 - np.exp(-costs)) ** 2 * costs).mean()
    compound = 0 * DiceLoss("multiclass") + 2 * FocalLoss("multiclass")
    equal(value(xp, compound, Z, T), 2 * focal)
    compound = 1.0 * DiceLoss("multiclass") + 0 * FocalLoss("multiclass")
    equal(value(xp, compound, Z, T), value(xp, DiceLoss("multiclass"), Z, T))


@trap("FocalLoss", "M15", "K6")
@pytest.mark.parametrize("gamma", [0.25, 0.5, 1.0, 2.0])
def test_focal_of_sure_pixels_has_a_finite_slope(xp: Library, gamma: float) -> None:
    for size in (30.0, 100.0, 1e4):
        z = np.where(np.moveaxis(np.eye(3)[T], -1, 1) == 1, size, -size)
        for mode in ("multiclass", "multilabel"):
            found, gradient = both(xp, FocalLoss(mode, gamma=gamma), z, T)
            assert 0 <= found < 1e-6
            assert np.isfinite(gradient).all()


@trap("all losses", "M21")
@every_loss
def test_one_channel_has_a_gradient(xp: Library, kind: Any) -> None:
    assert both(xp, kind("binary"), Z[:, :1], T % 2)[1].any()


def test_every_row_is_answered() -> None:
    """The rows of the marks, with those that no loss of ours can have, are all rows."""
    answered = register.rows().keys()
    assert answered | NOT_OURS.keys() == ROWS.keys()
    assert not answered & NOT_OURS.keys()

"""What goes wrong in other libraries, put to ours: coefficients, layouts, precision, compilation.

Each test names the rows of `conformance/traps/rows.py` that it answers.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import xploss
from conformance import oracle
from conformance.cases import Array
from conformance.cases import Loss as Written
from conformance.traps.tools import (
    IGNORED,
    LOSSES,
    RNG,
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
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, LovaszLoss, TverskyLoss

pytestmark = pytest.mark.quick

HALVES = ("float16", "bfloat16")


@trap("TverskyLoss", "K1", "Q1")
def test_alpha_weighs_false_positives_and_beta_false_negatives(xp: Library) -> None:
    """Two pixels hit, and two more predicted (or missed): 2 / (2 + coefficient * 2)."""
    loss = TverskyLoss("binary", alpha=0.9, beta=0.1, from_logits=False)
    much, little = np.array([[1.0, 1, 1, 1]]), np.array([[1.0, 1, 0, 0]])
    equal(value(xp, loss, much, little.astype(np.int64)), 1 - 2 / (2 + 1.8))
    equal(value(xp, loss, little, much.astype(np.int64)), 1 - 2 / (2 + 0.2))


@trap("LovaszLoss", "K2", "K3")
@pytest.mark.parametrize("absent", ["keep", "skip"])
def test_lovasz_softmax_is_that_of_the_paper(xp: Library, absent: Any) -> None:
    written = Written("LovaszLoss", "multiclass", {"per_image": True, "absent": absent})
    logits = Array(Z.shape, "float", tuple(map(oracle.number, Z.ravel().tolist())))
    expected = oracle.value(written, logits, Array(T.shape, "int", tuple(T.ravel().tolist())))
    loss = LovaszLoss("multiclass", per_image=True, absent=absent, method="sort")
    equal(value(xp, loss, Z, T), float(expected[1][0]))
    relabelled = np.array([2, 0, 1])[T]
    equal(value(xp, loss, Z[:, [1, 2, 0]], relabelled), float(expected[1][0]))


@trap("DiceLoss", "K4", "N9")
@pytest.mark.parametrize("kind", [kind for kind in LOSSES if kind is not CrossEntropyLoss])
def test_a_perfect_prediction_costs_exactly_nothing(xp: Library, kind: Any) -> None:
    p = np.moveaxis(np.eye(3)[T], -1, 1)
    for mode in ("multiclass", "multilabel"):
        assert value(xp, kind(mode, from_logits=False), p, T) == 0


@trap("all losses", "K7", "Q4")
@every_loss
def test_shapes_are_understood_or_refused(xp: Library, kind: Any) -> None:
    with pytest.raises(ValueError, match="nothing is broadcast"):
        value(xp, kind("multiclass"), Z, T[:1])
    with pytest.raises(ValueError, match="nothing is broadcast"):
        value(xp, kind("binary"), Z[:, 0], T[:1] % 2)
    expected = value(xp, kind("binary"), Z[:, 0], T % 2)
    same(xp, value(xp, kind("binary"), Z[:, :1], T % 2), expected)
    same(xp, value(xp, kind("binary"), Z[:, 0], T[:, None] % 2), expected)


@trap("all losses", "K9", "V6", "G3", "Y2")
@every_loss
def test_volumes_with_the_classes_anywhere(xp: Library, kind: Any) -> None:
    z, t = Z.reshape(2, 3, 2, 2, 5), T.reshape(2, 2, 2, 5)
    expected, slope = both(xp, kind("multiclass"), Z, T)
    found, gradient = both(xp, kind("multiclass"), z, t)
    equal(found, expected)
    equal(gradient, slope.reshape(z.shape), 1e-11)
    found, gradient = both(xp, kind("multiclass", class_axis=-1), np.moveaxis(z, 1, -1), t)
    equal(found, expected)
    equal(np.moveaxis(gradient, -1, 1), slope.reshape(z.shape), 1e-11)


@trap("FocalLoss", "K12", "T3")
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_focal_at_gamma_0_is_cross_entropy(xp: Library, mode: Any) -> None:
    found, gradient = both(xp, FocalLoss(mode, gamma=0), Z, T)
    expected, slope = both(xp, CrossEntropyLoss(mode), Z, T)
    equal(found, expected)
    equal(gradient, slope)
    if mode == "multiclass":
        equal(found, cross_entropy(Z, T).mean())


@trap("LovaszLoss", "K13", "K14", "V4", "V8")
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_lovasz_ignores(xp: Library, mode: Any) -> None:
    z, t = (Z[:, 0], T % 2) if mode == "binary" else (Z, T)
    loss = LovaszLoss(mode, ignore_index=-100)
    hidden = np.where(RNG.random(t.shape) < 0.4, -100, t)
    keep = hidden != -100
    flat = np.moveaxis(z, 1, -1)[keep].T[None] if mode != "binary" else z[keep][None]
    found = value(xp, loss, z, hidden)
    equal(found, value(xp, LovaszLoss(mode), flat, t[keep][None]))
    assert found >= 0
    lonely = np.full(t.shape, -100)
    lonely[1, 2, 3] = t[1, 2, 3]
    pixel = z[1:, ..., 2:3, 3:4]
    equal(value(xp, loss, z, lonely), value(xp, LovaszLoss(mode), pixel, t[1:, 2:3, 3:4]))


@trap("all losses", "Q2")
@every_loss
def test_weights_select_samples(xp: Library, kind: Any) -> None:
    for n in (0, 1):
        weight = np.zeros(T.shape)
        weight[n] = 1
        alone = value(xp, kind("multiclass"), Z[n : n + 1], T[n : n + 1])
        equal(value(xp, kind("multiclass"), Z, T, weight), alone)


@trap("FocalLoss", "Q6", "Q7")
@pytest.mark.parametrize("logit", [-17.0, -30.0, -300.0, -1e4])
def test_the_hardest_errors_keep_their_gradient(xp: Library, logit: float) -> None:
    one = np.ones((1, 1), dtype=np.int64)
    found, gradient = both(xp, FocalLoss("binary"), np.full((1, 1), logit), one)
    equal(found, -logit, 1e-6)
    equal(gradient, [[-1.0]], 1e-5)
    z = np.array([[[0.0], [logit], [0.0]]])
    found, gradient = both(xp, FocalLoss("multiclass"), z, one)
    equal(found, np.log(2) - logit, 1e-6)
    equal(gradient, [[[0.5], [-1.0], [0.5]]], 1e-5)


@trap("CrossEntropyLoss", "Q8")
def test_smoothing_divides_by_the_classes(xp: Library) -> None:
    log_p = np.log(softmax(Z))
    one_hot = np.moveaxis(np.eye(3)[T], -1, 1)
    expected = -((0.7 * one_hot + 0.1) * log_p).sum(1).mean()
    loss = CrossEntropyLoss("multiclass", label_smoothing=0.3)
    equal(value(xp, loss, Z, T), expected)
    loss = CrossEntropyLoss("multiclass", label_smoothing=0.3, class_axis=-1)
    equal(value(xp, loss, np.moveaxis(Z, 1, -1), T), expected)


@trap("FocalLoss", "Q9", "Q11")
def test_alpha_acts_by_class(xp: Library) -> None:
    costs = cross_entropy(Z, T)
    alpha: Any = np.array([0.2, 0.5, 0.9])
    expected = (alpha[T] * (1 - np.exp(-costs)) ** 2 * costs).mean()
    equal(value(xp, FocalLoss("multiclass", alpha=alpha), Z, T), expected)
    z, t = Z[:, 0], T % 2
    low, high = (value(xp, FocalLoss("binary", alpha=a), z, t) for a in (0.25, 0.9))
    assert abs(low - high) > 0.01


@trap("all losses", "N2")
@every_loss
def test_the_callers_objects_are_left_alone(xp: Library, kind: Any) -> None:
    weights = [1.0, 2.0, 3.0]
    options = {"class_weights": weights, "ignore_index": IGNORED}
    loss = kind("multiclass", **options)
    before = value(xp, loss, Z, T)
    assert options == {"class_weights": [1.0, 2.0, 3.0], "ignore_index": IGNORED}
    weights[:] = [0.0, 0.0, 9.0]
    same(xp, value(xp, loss, Z, T), before)


@trap("DiceLoss", "N3")
def test_the_whole_batch_needs_no_process_group(xp: Library) -> None:
    whole = DiceLoss("multiclass")
    joined = np.concatenate(list(Z), axis=-1)[None], np.concatenate(list(T), axis=-1)[None]
    equal(value(xp, whole, Z, T), value(xp, whole, *joined))


@trap("all losses", "N5")
@every_loss
def test_one_channel_of_labels_is_no_one_hot(xp: Library, kind: Any) -> None:
    t = T[:, None] % 2
    t[0, 0, 0, 0] = IGNORED
    with xploss.checks("always"), pytest.raises(ValueError, match="pass ignore_index=255"):
        value(xp, kind("binary"), Z[:, :1], t)
    assert value(xp, kind("binary", ignore_index=IGNORED), Z[:, :1], t) >= 0


@trap("all losses", "O1", "O5", "O6")
@every_loss
def test_modes_are_explicit(xp: Library, kind: Any) -> None:
    """Binary probabilities need not sum to 1; several channels may be several labels."""
    p = 1 / (1 + np.exp(-Z))
    given = {"surrogate": "probability"} if kind is LovaszLoss else {}
    expected = value(xp, kind("multilabel", **given), Z, T)
    equal(value(xp, kind("multilabel", from_logits=False, **given), p, T), expected, 1e-11)
    binary = value(xp, kind("binary", **given), Z[:, 0], T % 2)
    equal(value(xp, kind("binary", from_logits=False, **given), p[:, 0], T % 2), binary, 1e-11)


@trap("all losses", "V5")
def test_options_are_compared_by_value(xp: Library) -> None:
    word: Any = "".join(["sk", "ip"])
    for kind in (DiceLoss, LovaszLoss):
        t = T % 2
        expected = value(xp, kind("multiclass", absent="skip"), Z, t)
        same(xp, value(xp, kind("multiclass", absent=word), Z, t), expected)


@trap("all losses", "V7")
@every_loss
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_input_need_not_be_contiguous(xp: Library, kind: Any, mode: Any) -> None:
    wide = xp.asarray(np.repeat(np.moveaxis(Z, 1, -1), 2, axis=1))
    pred = xp.namespace.permute_dims(wide, (0, 3, 1, 2)) if xp.family != "torch" else None
    pred = wide.permute(0, 3, 1, 2) if pred is None else pred
    target = xp.asarray(np.repeat(T, 2, axis=1))[:, ::2, :]
    found, gradient = kind(mode).value_and_grad(pred[:, :, ::2, :], target)
    expected, slope = both(xp, kind(mode), Z, T)
    equal(xp.to_numpy(found), expected)
    equal(xp.to_numpy(gradient), slope)


@trap("DiceLoss", "T1")
@pytest.mark.parametrize("kind", LOSSES[:4])
def test_soft_targets_that_are_met_cost_nothing(xp: Library, kind: Any) -> None:
    soft = np.full((2, 3, 4), 0.5)
    assert value(xp, kind("multilabel", from_logits=False), soft, soft) == 0
    shares = np.broadcast_to(np.array([0.5, 0.25, 0.25])[:, None], (2, 3, 4)).copy()
    assert value(xp, kind("multiclass", from_logits=False), shares, shares) == 0


@trap("all losses", "T4")
@every_loss
def test_a_loss_can_be_shown_copied_and_sent(kind: Any, xp: Library) -> None:
    loss = kind("multiclass", class_weights=[1, 2, 3])
    assert eval(repr(loss), vars(xploss)) == loss
    assert copy.deepcopy(loss) == pickle.loads(pickle.dumps(loss)) == loss


@trap("DiceLoss", "R1")
@pytest.mark.parametrize("kind", [*LOSSES[:4], LovaszLoss])
def test_a_sample_does_not_depend_on_its_batch(xp: Library, kind: Any) -> None:
    loss = kind("multiclass", per_image=True, reduction="none")
    terms = value(xp, loss, Z, T)
    for n in (0, 1):
        equal(terms[n : n + 1], value(xp, loss, Z[n : n + 1], T[n : n + 1]))


@trap("CrossEntropyLoss", "G1")
@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_a_selected_class_is_not_renormalised(xp: Library, kind: Any) -> None:
    terms = value(xp, kind("multiclass", reduction="none"), Z, T)
    equal(value(xp, kind("multiclass", classes=(1,)), Z, T), terms[T == 1].mean())


@trap("DiceLoss", "G2")
@pytest.mark.parametrize("kind", LOSSES[:4])
def test_class_weights_never_make_a_loss_negative(xp: Library, kind: Any) -> None:
    for weights in xp.few(((0, 0, 5), (1, 2, 10), (0.01, 0, 0))):
        for reduction in ("mean", "sum", "none"):
            loss = kind("multiclass", class_weights=weights, reduction=reduction)
            assert (value(xp, loss, Z, T) >= 0).all()


@trap("all losses", "G4")
@every_loss
def test_the_input_is_left_alone(xp: Library, kind: Any) -> None:
    for mode in ("multiclass", "multilabel"):
        p = softmax(Z)
        arrays = [xp.asarray(x) for x in (p, T, np.ones(T.shape))]
        loss = kind(mode, from_logits=False)
        loss(arrays[0], arrays[1], weight=arrays[2])
        loss.value_and_grad(arrays[0], arrays[1], weight=arrays[2])
        for x, before in zip(arrays, (p, T, np.ones(T.shape)), strict=True):
            np.testing.assert_array_equal(xp.to_numpy(x), before)


@trap("all losses", "Y1")
@every_loss
def test_pixel_weights_count(xp: Library, kind: Any) -> None:
    """A pixel of weight 2 is a pixel that is there twice."""
    weight = np.ones(T.shape)
    weight[..., 2:] = 2
    twice = np.concatenate([Z, Z[..., 2:]], axis=-1), np.concatenate([T, T[..., 2:]], axis=-1)
    method = {"method": "sort"} if kind is LovaszLoss else {}
    loss = kind("multiclass", **method)
    found = value(xp, loss, Z, T, weight)
    equal(found, value(xp, loss, *twice), 1e-11)
    assert abs(found - value(xp, loss, Z, T)) > 1e-6


@trap("all losses", "S19", "M16", "K5", "Q10", "O4", "J3", "T2", "M17", "S20")
@every_loss
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_summed_in_more(xp: Library, kind: Any, dtype: str) -> None:
    """512² pixels, of which float16 cannot hold the sum, nor bfloat16 the number."""
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    t = RNG.integers(0, 2, (1, 512, 512))
    z = np.round(4 * RNG.normal(size=(1, 2, 512, 512))) / 4
    for mode, logits in (("multiclass", z), ("binary", z[:, 0])):
        loss = kind(mode)
        expected, slope = both(xp, loss, logits, t)
        found, gradient = loss.value_and_grad(xp.asarray(logits, dtype), xp.asarray(t))
        xp.assert_like(found, (), "float32")
        equal(xp.to_numpy(found), expected, 2e-6)
        gap = np.abs(xp.to_numpy(gradient) - slope).max()
        assert gap < 2.0**-7 * np.abs(slope).max() + 2.0**-24


@trap("DiceLoss", "S21")
@pytest.mark.parametrize("kind", LOSSES[:4])
def test_the_overlap_of_few_pixels_in_a_large_image(xp: Library, kind: Any) -> None:
    """9 of 2048² pixels in float32: the score must keep its digits."""
    t = np.zeros((1, 2048, 2048), dtype=np.int64)
    t[0, 700:703, 900:903] = 1
    z = np.where(t == 1, 1.5, -7.0)
    p = 1 / (1 + np.exp(-z))
    hit, sum_p = p[t == 1].sum(), p.sum()
    # every score is a function of I, P and T
    expected = {
        "DiceLoss": 2 * hit / (sum_p + 9),
        "JaccardLoss": hit / (sum_p + 9 - hit),
        "TverskyLoss": 2 * hit / (sum_p + 9),
        "FBetaLoss": 2 * hit / (sum_p + 9),
    }[kind.__name__]
    loss = kind("binary")
    found, gradient = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    exact, slope = loss.value_and_grad(xp.asarray(z), xp.asarray(t))
    equal(1 - xp.to_numpy(exact), expected, 1e-11)
    equal((1 - xp.to_numpy(found).astype(float)) / expected, 1, 1e-4)
    assert abs(float(xp.to_numpy(found)) - (1 - expected)) < 2.0**-23
    norm = np.linalg.norm(xp.to_numpy(slope))
    assert np.linalg.norm(xp.to_numpy(gradient) - xp.to_numpy(slope)) < 1e-6 * norm


@trap("LovaszLoss", "V1")
@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_lovasz_weights_keep_their_digits(xp: Library, method: Any) -> None:
    """The gradient in float32 at 512² pixels, where differenced weights are 0.5% off."""
    t = (RNG.random((1, 512, 512)) < 0.1).astype(np.int64)
    z = RNG.normal(size=t.shape).astype(np.float32)
    exact = LovaszLoss("binary", method="sort").value_and_grad(z.astype(np.float64), t)
    loss = LovaszLoss("binary", method=method)
    found, gradient = loss.value_and_grad(xp.asarray(z, "float32"), xp.asarray(t))
    equal(xp.to_numpy(found), exact[0], 1e-6)
    gap = np.abs(xp.to_numpy(gradient) - exact[1]).sum() / np.abs(exact[1]).sum()
    assert gap < (1e-6 if method == "sort" else 2e-4)


@trap("all losses", "S22", "M18", "M19", "N8")
@pytest.mark.parametrize(
    "loss",
    [
        LovaszLoss("multiclass"),
        LovaszLoss("binary", ignore_index=IGNORED),
        DiceLoss("multiclass", ignore_index=IGNORED),
        FocalLoss("multiclass", class_weights=(1, 2, 3)),
    ],
    ids=repr,
)
def test_compiles_as_one_graph(xp: Library, loss: xploss.Loss) -> None:
    if xp.family != "torch":
        pytest.skip(f"{xp.name} has no torch.compile")
    torch = import_module("torch")
    torch.compiler.reset()
    binary = loss.terms[0][1].mode == "binary"
    pred, target = xp.asarray(Z[:, 0] if binary else Z), xp.asarray(T % 2 if binary else T)
    with warnings.catch_warnings(action="ignore"):
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        found = xp.to_numpy(compiled(pred, target))
    equal(found, xp.to_numpy(loss(pred, target)))


@trap("all losses", "O2")
@every_loss
def test_probabilities_under_jit(xp: Library, kind: Any) -> None:
    if xp.family != "jax":
        pytest.skip(f"{xp.name} has no jax.jit")
    jax, loss = import_module("jax"), kind("multiclass", from_logits=False)
    pred, target = xp.asarray(softmax(Z)), xp.asarray(T)
    equal(xp.to_numpy(jax.jit(loss)(pred, target)), xp.to_numpy(loss(pred, target)))


@trap("JaccardLoss", "V2", "V3")
@pytest.mark.parametrize("kind", [JaccardLoss, LovaszLoss])
@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_ones_are_counted(xp: Library, kind: Any, dtype: str) -> None:
    """70,000 ones, which float16 cannot count: p = 1/2 everywhere costs 1/2."""
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    p = xp.asarray(np.full((1, 70_000), 0.5), dtype)
    ones = xp.asarray(np.ones((1, 70_000), dtype=np.int64))
    equal(xp.to_numpy(kind("binary", from_logits=False)(p, ones)), 0.5, 1e-6)

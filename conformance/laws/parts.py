"""Laws of parts: statistics of tiles add, sums of losses add, terms add."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from conformance.laws.draw import POINTWISE, REGIONS, Drawn, calls
from conformance.laws.law import equal, law, result, same
from tests.libraries import Library

SUMMED = ("mean", "sum")


def _halves(drawn: Drawn, axis: int) -> list[Drawn]:
    """The call cut in two along its last axis, or along its samples (axis 0)."""
    at = drawn.pred.shape[axis] // 2

    def cut(x: np.ndarray) -> list[np.ndarray]:
        return [np.ascontiguousarray(part) for part in np.split(x, [at], axis=axis) if part.size]

    weights = [None, None] if drawn.weight is None else cut(drawn.weight)
    arrays = zip(cut(drawn.pred), cut(drawn.target), weights, strict=False)
    return [drawn.but(pred=p, target=t, weight=w) for p, t, w in arrays]


@law(calls(reduction=SUMMED))
def statistics_of_parts_are_those_of_the_whole(xp: Library, drawn: Drawn) -> None:
    """Over tiles of the pixels; over samples too, unless statistics are per sample."""
    loss = drawn.loss
    value, gradient = result(xp, drawn)
    tolerance = 1e-10 if drawn.kind != "LovaszLoss" else 1e-3  # few pixels share bins
    for axis in (-1,) if drawn.options.get("per_image") else (-1, 0):
        parts = _halves(drawn, axis)
        given = [(xp.asarray(p.pred), xp.asarray(p.target)) for p in parts]
        weights = [None if p.weight is None else xp.asarray(p.weight) for p in parts]
        whole: Any = sum(
            loss.statistics(*one, weight=w) for one, w in zip(given, weights, strict=True)
        )
        equal(xp.to_numpy(loss.from_statistics(whole)), value, tolerance=tolerance)
        slopes = [
            xp.to_numpy(loss.value_and_grad(*one, weight=w, statistics=whole)[1])
            for one, w in zip(given, weights, strict=True)
        ]
        if drawn.kind != "LovaszLoss":
            equal(np.concatenate(slopes, axis=axis), gradient)


_TERM = calls(modes=("multiclass",), target="labels", reduction=SUMMED, ignoring=False)
_IGNORED = st.sampled_from((None, 0, 1, 255))


@law(st.tuples(_TERM, _TERM, _IGNORED, _IGNORED), "Sum")
def a_sum_is_the_sum(xp: Library, pair: tuple[Drawn, Drawn, int | None, int | None]) -> None:
    """Also where each term ignores a label of its own."""
    drawn, other, mine, yours = pair
    first = drawn.having(ignore_index=mine)
    second = drawn.but(kind=other.kind, options=other.options).having(ignore_index=yours)
    weight = None if drawn.weight is None else xp.asarray(drawn.weight)
    loss = 0.5 * first.loss + second.loss / 4 + first.loss
    found = loss.value_and_grad(xp.asarray(drawn.pred), xp.asarray(drawn.target), weight=weight)
    parts = result(xp, first), result(xp, second)
    expected = [1.5 * a + 0.25 * b for a, b in zip(*parts, strict=True)]
    for a, b, *terms in zip(found, expected, *parts, strict=True):
        equal(xp.to_numpy(a), b, max(float(np.abs(x).max()) for x in terms))


@law(calls(POINTWISE, reduction=("none",)))
def the_terms_of_pixels_add_up(xp: Library, drawn: Drawn) -> None:
    terms, by_terms = result(xp, drawn)
    total, by_sum = result(xp, drawn.having(reduction="sum"))
    equal(terms.sum(), total)
    equal(by_terms, by_sum)


@law(calls(REGIONS, reduction=("none",)))
def the_terms_of_regions_add_up(xp: Library, drawn: Drawn) -> None:
    terms, by_terms = result(xp, drawn)
    total, by_sum = result(xp, drawn.having(reduction="sum"))
    equal(terms.sum(), total)
    equal(by_terms, by_sum)


@law(calls(reduction=SUMMED))
def a_mean_is_a_sum_over_a_number(xp: Library, drawn: Drawn) -> None:
    """The divisor depends on the target and the weights, not on the prediction."""
    if drawn.options.get("per_image"):
        return
    ratios = []
    for seed in (1, 2):
        pred = np.random.default_rng(drawn.seed + seed).normal(size=drawn.pred.shape)
        moved = drawn.but(pred=pred)
        mean, total = (result(xp, moved.having(reduction=r))[0] for r in SUMMED)
        ratios.append(mean / total if total > 1e-6 else None)
    if None not in ratios:
        equal(ratios[0], ratios[1])


@law(calls(REGIONS, reduction=("mean",)))
def the_mean_over_images_is_that_of_single_images(xp: Library, drawn: Drawn) -> None:
    """Those that have something to count."""
    single = drawn.having(per_image=True)
    values = []
    for n in range(drawn.pred.shape[0]):
        weight = None if drawn.weight is None else drawn.weight[n : n + 1]
        one = single.but(pred=drawn.pred[n : n + 1], target=drawn.target[n : n + 1], weight=weight)
        # a sample counts if a class does, and then its plain number of classes is not 0
        counts = result(xp, one.having(reduction="none"))[0]
        values.append((result(xp, one)[0], counts, one))
    counted = [float(v) for v, _, one in values if _counts(one)]
    found, _ = result(xp, single)
    equal(found, np.mean(counted) if counted else 0.0)


def _counts(one: Drawn) -> bool:
    """Whether a sample has a valid pixel and, where absent classes are skipped, a class."""
    target = one.target
    valid = np.ones(target.shape, dtype=bool) if one.weight is None else _spread(one) > 0
    if "ignore_index" in one.options:
        valid &= target != 255
    skips = one.options.get("absent") == "skip"
    if one.kind == "LovaszLoss" and one.mode == "multiclass" and "absent" not in one.options:
        skips = True
    if not skips:
        return bool(valid.any())
    if one.mode == "multiclass" and target.ndim < one.pred.ndim:
        return bool(valid.any())
    labels = one.mode == "multilabel" and target.ndim < one.pred.ndim
    return bool(valid.any()) if labels else bool((valid & (target > 0)).any())


def _spread(one: Drawn) -> np.ndarray:
    assert one.weight is not None
    if one.target.ndim > one.weight.ndim:
        return np.broadcast_to(one.weight[:, None], one.target.shape)
    return one.weight


@law(calls(reduction=("none",)))
def the_gradient_is_linear_in_the_cotangent(xp: Library, drawn: Drawn) -> None:
    weight = None if drawn.weight is None else xp.asarray(drawn.weight)
    pred, target = xp.asarray(drawn.pred), xp.asarray(drawn.target)
    shape = result(xp, drawn)[0].shape
    a, b = drawn.rng.normal(size=(2, *shape))

    def pulled(cotangent: np.ndarray) -> np.ndarray:
        given = xp.asarray(cotangent)
        pair = drawn.loss.value_and_grad(pred, target, weight=weight, cotangent=given)
        slope: np.ndarray = xp.to_numpy(pair[1])
        return slope

    by_a, by_b = pulled(a), pulled(b)
    size = float(max(np.abs(by_a).max(), np.abs(by_b).max()))
    equal(pulled(2 * a - b), 2 * by_a - by_b, size)


@law(calls())
def a_call_is_the_value(xp: Library, drawn: Drawn) -> None:
    weight = None if drawn.weight is None else xp.asarray(drawn.weight)
    called = drawn.loss(xp.asarray(drawn.pred), xp.asarray(drawn.target), weight=weight)
    same((xp.to_numpy(called), 0.0), (result(xp, drawn)[0], 0.0))

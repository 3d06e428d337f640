"""Laws of what is left out and what is weighed."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.laws.draw import POINTWISE, Drawn, calls
from conformance.laws.law import equal, law, result, same
from tests.libraries import Library

SUMMED = ("mean", "sum")


@law(calls(target="labels", ignoring=False))
def naming_an_absent_label_changes_nothing(xp: Library, drawn: Drawn) -> None:
    for label in (255, -1, 7):
        same(result(xp, drawn.having(ignore_index=label)), result(xp, drawn), tolerance=0)


@law(calls(weighted=False, ignoring=False))
def weights_of_one_change_nothing(xp: Library, drawn: Drawn) -> None:
    weight = np.ones(_pixels(drawn))
    same(result(xp, drawn.but(weight=weight)), result(xp, drawn))


def _pixels(drawn: Drawn) -> tuple[int, ...]:
    shape = drawn.pred.shape
    return shape if drawn.mode == "binary" else (shape[0], *shape[2:])


@law(calls(ignoring=False, reduction=SUMMED))
def an_unweighted_margin_equals_a_crop(xp: Library, drawn: Drawn) -> None:
    """Pixels of weight 0 may hold anything."""
    margin = 2

    def widened(x: np.ndarray, fill: float) -> np.ndarray:
        wide = [(0, 0)] * (x.ndim - 1) + [(0, margin)]
        return np.pad(x, wide, constant_values=fill)

    weight = np.ones(_pixels(drawn)) if drawn.weight is None else drawn.weight
    wide = drawn.but(
        pred=widened(drawn.pred, np.nan),
        target=widened(drawn.target, 0),
        weight=widened(weight, 0.0),
    )
    value, gradient = result(xp, drawn.but(weight=weight))
    found, slope = result(xp, wide)
    equal(found, value)
    equal(slope, widened(gradient, 0.0))


@law(calls(target="labels", ignoring=False))
def ignoring_is_weighing_by_zero(xp: Library, drawn: Drawn) -> None:
    out = drawn.rng.random(_pixels(drawn)) < 0.4
    weight = np.ones(out.shape) if drawn.weight is None else drawn.weight
    ignored = drawn.but(target=np.where(out, 255, drawn.target)).having(ignore_index=255)
    weighed = drawn.but(weight=np.where(out, 0.0, weight))
    same(result(xp, ignored), result(xp, weighed))


@law(calls(reduction=SUMMED, ignoring=False))
def a_weight_of_two_is_a_pixel_twice(xp: Library, drawn: Drawn) -> None:
    def doubled(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, x], axis=-1)

    weight = np.ones(_pixels(drawn)) if drawn.weight is None else drawn.weight
    twice = drawn.but(
        pred=doubled(drawn.pred), target=doubled(drawn.target), weight=doubled(weight)
    )
    value, gradient = result(xp, drawn.but(weight=2 * weight))
    found, slope = result(xp, twice)
    equal(found, value, tolerance=1e-9)
    if drawn.kind != "LovaszLoss":  # its twins are tied: how they share a weight is free
        width = drawn.pred.shape[-1]
        equal(slope[..., :width] + slope[..., width:], gradient, tolerance=1e-9)


@law(calls(reduction=("mean",), plain=("smooth",)))
def only_ratios_of_weights_matter(xp: Library, drawn: Drawn) -> None:
    """Without smoothing, a mean does not change when all weights are multiplied."""
    weight = np.ones(_pixels(drawn)) if drawn.weight is None else drawn.weight
    pair = [result(xp, drawn.but(weight=factor * weight)) for factor in (1.0, 8.0)]
    same(pair[1], pair[0])


@law(calls(reduction=("mean",), modes=("multiclass", "multilabel")))
def only_ratios_of_class_weights_matter(xp: Library, drawn: Drawn) -> None:
    weights = (0.5, 2.0, 1.25)
    pair = [
        result(xp, drawn.having(class_weights=tuple(factor * w for w in weights)))
        for factor in (1.0, 4.0)
    ]
    same(pair[1], pair[0])


@law(calls(modes=("multiclass", "multilabel"), reduction=SUMMED, target="labels"))
def counting_classes_is_weighing_them(xp: Library, drawn: Drawn) -> None:
    """Leaving classes out by `classes` or by a class weight of 0 is the same."""
    chosen = (2, 0)
    options = {k: _chosen(v, chosen) for k, v in drawn.options.items()}
    weights = drawn.options.get("class_weights", (1.0, 1.0, 1.0))
    zeroed = drawn.having(class_weights=(weights[0], 0.0, weights[2]))
    same(result(xp, drawn.but(options={**options, "classes": chosen})), result(xp, zeroed))


def _chosen(option: Any, classes: tuple[int, ...]) -> Any:
    return tuple(option[c] for c in classes) if isinstance(option, tuple) else option


@law(calls(POINTWISE, ignoring=True, reduction=("none",), target="labels"))
def ignored_pixels_cost_nothing(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn)
    out = drawn.target == 255
    if drawn.mode == "multilabel":
        out = np.broadcast_to(out[:, None], drawn.pred.shape)
    assert not value[out].any()
    full = np.broadcast_to(out if out.ndim == gradient.ndim else out[:, None], gradient.shape)
    assert not gradient[full].any()


@law(calls(weighted=False))
def nothing_left_costs_nothing(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn.but(weight=np.zeros(_pixels(drawn))))
    assert not value.any()
    assert not gradient.any()


@law(calls(weighted=False))
def bool_weights_are_a_mask(xp: Library, drawn: Drawn) -> None:
    mask = drawn.rng.random(_pixels(drawn)) < 0.6
    masked = result(xp, drawn.but(weight=mask))
    same(masked, result(xp, drawn.but(weight=mask.astype(np.float64))))

"""Laws of layout: what permutes, shifts or moves the input permutes the result."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.laws.draw import POINTWISE, Drawn, calls
from conformance.laws.law import equal, law, result, same
from tests.libraries import Library

SUMMED = ("mean", "sum")


def _pixels(drawn: Drawn, order: np.ndarray) -> Drawn:
    """The call with the flattened pixels of every sample in another order."""

    def take(x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:-2], -1)[..., order]

    weight = None if drawn.weight is None else take(drawn.weight)
    return drawn.but(pred=take(drawn.pred), target=take(drawn.target), weight=weight)


@law(calls(reduction=SUMMED))
def permuting_pixels_permutes_the_gradient(xp: Library, drawn: Drawn) -> None:
    order = drawn.rng.permutation(drawn.pred.shape[-1] * drawn.pred.shape[-2])
    value, gradient = result(xp, drawn)
    found, permuted = result(xp, _pixels(drawn, order))
    equal(found, value)
    equal(permuted, gradient.reshape(*gradient.shape[:-2], -1)[..., order])


@law(calls(reduction=SUMMED))
def permuting_samples_permutes_the_gradient(xp: Library, drawn: Drawn) -> None:
    order = drawn.rng.permutation(drawn.pred.shape[0])
    weight = None if drawn.weight is None else drawn.weight[order]
    value, gradient = result(xp, drawn)
    moved = drawn.but(pred=drawn.pred[order], target=drawn.target[order], weight=weight)
    found, permuted = result(xp, moved)
    equal(found, value)
    equal(permuted, gradient[order])


@law(calls(modes=("multiclass",), target="labels", reduction=SUMMED))
def relabelling_classes_permutes_the_gradient(xp: Library, drawn: Drawn) -> None:
    order = drawn.rng.permutation(3)
    back = np.argsort(order)
    options = {k: _permuted(v, order) for k, v in drawn.options.items()}
    target = np.where(drawn.target == 255, 255, back[np.minimum(drawn.target, 2)])
    value, gradient = result(xp, drawn)
    moved = drawn.but(pred=drawn.pred[:, order], target=target, options=options)
    found, permuted = result(xp, moved)
    equal(found, value)
    equal(permuted, gradient[:, order])


def _permuted(option: Any, order: np.ndarray) -> Any:
    return tuple(option[i] for i in order) if isinstance(option, tuple) else option


@law(calls(modes=("multiclass",)))
def softmax_ignores_a_shift(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn)
    shift = drawn.rng.normal(size=drawn.pred[:, :1].shape)
    found, slope = result(xp, drawn.but(pred=drawn.pred + 4 * shift))
    equal(found, value)
    equal(slope, gradient, tolerance=1e-9)
    if drawn.loss.terms[0][1].reduction != "none":
        equal(gradient.sum(1), 0 * gradient[:, 0], float(np.abs(gradient).max()))


@law(calls(modes=("multiclass", "multilabel")))
def the_class_axis_may_be_anywhere(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn)
    for axis in (-1, 2):
        dense = drawn.target.ndim == drawn.pred.ndim
        target = np.moveaxis(drawn.target, 1, axis) if dense else drawn.target
        pred = np.moveaxis(drawn.pred, 1, axis)
        found, slope = result(xp, drawn.but(pred=pred, target=target).having(class_axis=axis))
        own_axis = drawn.mode == "multilabel" and drawn.kind in POINTWISE
        maps = own_axis and drawn.options["reduction"] == "none"
        equal(np.moveaxis(found, axis, 1) if maps else found, value)
        equal(np.moveaxis(slope, axis, 1), gradient)


@law(calls(("CrossEntropyLoss",), ("binary", "multilabel"), plain=("pos_weight",)))
def positives_and_negatives_may_be_swapped(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn)
    if drawn.target.ndim < drawn.pred.ndim:
        return
    ignored = drawn.target == 255
    target = np.where(ignored, 255, 1 - np.where(ignored, 0, drawn.target))
    found, slope = result(xp, drawn.but(pred=-drawn.pred, target=target))
    equal(found, value)
    equal(slope, -gradient)


@law(calls())
def float32_is_near(xp: Library, drawn: Drawn) -> None:
    narrow = drawn.pred.astype(np.float32)
    value, gradient = result(xp, drawn.but(pred=narrow.astype(np.float64)))
    dense = drawn.target.dtype.kind == "f"
    target = drawn.target.astype(np.float32) if dense else drawn.target
    if dense:
        value, gradient = result(
            xp, drawn.but(pred=narrow.astype(float), target=target.astype(float))
        )
    given = {} if drawn.weight is None else {"weight": xp.asarray(drawn.weight, "float32")}
    pred, truth = xp.asarray(narrow), xp.asarray(target)
    found, slope = drawn.loss.value_and_grad(pred, truth, **given)
    xp.assert_like(found, value.shape, "float32")
    xp.assert_like(slope, narrow.shape, "float32")
    same((xp.to_numpy(found), xp.to_numpy(slope)), (value, gradient), tolerance=1e-4)

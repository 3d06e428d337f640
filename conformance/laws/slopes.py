"""Laws of the gradient: it is the derivative, and autodiff gives the same."""

from __future__ import annotations

import numpy as np

from conformance.laws.draw import Drawn, calls
from conformance.laws.law import equal, law, result
from tests.libraries import Library

STEP = 1e-4
SUMMED = ("mean", "sum")


@law(calls(reduction=SUMMED))
def the_gradient_is_the_derivative(xp: Library, drawn: Drawn) -> None:
    """Along a random direction, by differences to fourth order; away from kinks and ties."""
    if drawn.kind == "LovaszLoss":
        drawn = _spaced(drawn)
    elif drawn.target.dtype.kind == "f" and drawn.options.get("overlap") == "min":
        drawn = drawn.having(overlap="product")
    direction = drawn.rng.uniform(0.5, 1, drawn.pred.shape)
    direction *= drawn.rng.choice([-1, 1], drawn.pred.shape)

    def at(steps: float) -> float:
        return float(result(xp, drawn.but(pred=drawn.pred + steps * STEP * direction))[0])

    gradient = result(xp, drawn)[1]
    found = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)
    size = float(np.abs(gradient).sum())
    equal(found, (gradient * direction).sum(), size, tolerance=1e-7)


def _spaced(drawn: Drawn) -> Drawn:
    """The call with logits that keep a distance, so that no step changes their order."""
    order = drawn.rng.permutation(drawn.pred.size)
    half = order.size / 2
    logits = ((order - half + 0.37) / max(half, 1)).reshape(drawn.pred.shape) * 0.9
    surrogate = {} if drawn.mode == "multiclass" else {"surrogate": "hinge"}
    if drawn.mode == "multiclass":  # errors are functions of three logits: only two may tie
        logits = 3 * drawn.rng.normal(size=drawn.pred.shape)
    return drawn.but(pred=logits).having(**surrogate)


@law(calls())
def autodiff_gives_the_gradient(xp: Library, drawn: Drawn) -> None:
    """With an upstream gradient that is not one."""
    if not xp.differentiates:
        return
    target = xp.asarray(drawn.target)
    weight = None if drawn.weight is None else xp.asarray(drawn.weight)
    pred = xp.asarray(drawn.pred)
    shape = result(xp, drawn)[0].shape
    upstream = xp.asarray(drawn.rng.normal(size=shape))
    _, expected = drawn.loss.value_and_grad(pred, target, weight=weight, cotangent=upstream)
    found = xp.autodiff(lambda x: drawn.loss(x, target, weight=weight), pred, upstream)
    equal(xp.to_numpy(found), xp.to_numpy(expected))


@law(calls(("CrossEntropyLoss",), ("multiclass",), reduction=SUMMED, target="labels",
           plain=("label_smoothing",)), "CrossEntropyLoss")  # fmt: skip
def raising_the_truth_never_costs(xp: Library, drawn: Drawn) -> None:
    _, gradient = result(xp, drawn)
    known = np.where(drawn.target == 255, 0, drawn.target)
    at_truth = np.take_along_axis(gradient, known[:, None], axis=1)
    assert (at_truth <= 0).all()

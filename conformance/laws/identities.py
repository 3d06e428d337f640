"""Laws between losses: two names of one number."""

from __future__ import annotations

import numpy as np

from conformance.laws.draw import (
    OVERLAP,
    POINTWISE,
    REGIONS,
    Drawn,
    activated,
    calls,
    one_hot,
)
from conformance.laws.law import equal, law, result, same
from tests.libraries import Library


@law(calls(("DiceLoss",)), "DiceLoss")
def dice_is_tversky_of_halves(xp: Library, drawn: Drawn) -> None:
    smooth = drawn.options["smooth"]
    tversky = drawn.but(kind="TverskyLoss").having(alpha=0.5, beta=0.5, smooth=smooth / 2)
    same(result(xp, drawn), result(xp, tversky))


@law(calls(("DiceLoss",)), "FBetaLoss")
def dice_is_f1(xp: Library, drawn: Drawn) -> None:
    same(result(xp, drawn), result(xp, drawn.but(kind="FBetaLoss").having(beta=1.0)))


@law(calls(("JaccardLoss",)), "JaccardLoss")
def iou_is_tversky_of_ones(xp: Library, drawn: Drawn) -> None:
    tversky = drawn.but(kind="TverskyLoss").having(alpha=1.0, beta=1.0)
    same(result(xp, drawn), result(xp, tversky))


@law(calls(("JaccardLoss",), reduction=("none",), plain=("gamma", "class_weights")), "JaccardLoss")
def iou_follows_from_dice(xp: Library, drawn: Drawn) -> None:
    """IoU = Dice / (2 − Dice), so that the losses are L and 2L / (1 + L)."""
    smooth = 2 * drawn.options["smooth"]
    dice, _ = result(xp, drawn.but(kind="DiceLoss").having(smooth=smooth))
    found, _ = result(xp, drawn)
    equal(found, 2 * dice / (1 + dice))


@law(calls(("FBetaLoss",)), "FBetaLoss")
def f_beta_is_tversky(xp: Library, drawn: Drawn) -> None:
    whole = 1 + drawn.options["beta"] ** 2
    options = {**drawn.options, "alpha": 1 / whole, "beta": 1 - 1 / whole}
    options["smooth"] = options["smooth"] / whole
    same(result(xp, drawn), result(xp, drawn.but(kind="TverskyLoss", options=options)))


@law(calls(("FocalLoss",), plain=("gamma", "alpha", "pos_weight")), "FocalLoss")
def focal_at_gamma_0_is_cross_entropy(xp: Library, drawn: Drawn) -> None:
    focal = drawn.having(gamma=0.0)
    same(result(xp, focal), result(xp, drawn.but(kind="CrossEntropyLoss")))


@law(calls(OVERLAP, target="hard"))
def overlaps_agree_on_hard_targets(xp: Library, drawn: Drawn) -> None:
    """For targets of 0 and 1, min(p, t) is p·t."""
    minimum, product = (drawn.having(overlap=name) for name in ("min", "product"))
    same(result(xp, minimum), result(xp, product))


@law(calls(OVERLAP, plain=("class_weights",), modes=("binary",)))
def micro_of_one_class_is_macro(xp: Library, drawn: Drawn) -> None:
    same(result(xp, drawn.having(average="micro")), result(xp, drawn))


@law(calls(modes=("multiclass", "multilabel"), target="labels"))
def labels_are_their_one_hot(xp: Library, drawn: Drawn) -> None:
    """Where they are not ignored: an ignored pixel is one of weight 0."""
    ignored = drawn.target == 255
    weight = np.ones(ignored.shape) if drawn.weight is None else drawn.weight
    dense = one_hot(np.where(ignored, 0, drawn.target))
    spread = drawn.but(target=dense, weight=np.where(ignored, 0.0, weight))
    same(result(xp, spread.having(ignore_index=None)), result(xp, drawn))


@law(calls(modes=("binary",)))
def binary_is_multilabel_of_one_class(xp: Library, drawn: Drawn) -> None:
    value, gradient = result(xp, drawn)
    one = drawn.but(mode="multilabel", pred=drawn.pred[:, None], target=drawn.target[:, None])
    found, slope = result(xp, one)
    equal(found.reshape(value.shape), value)
    equal(slope[:, 0], gradient)


@law(calls(plain=("surrogate",)))
def probabilities_of_logits_cost_the_same(xp: Library, drawn: Drawn) -> None:
    """Values agree; the gradients are tied by the chain rule."""
    if drawn.kind == "LovaszLoss" and drawn.mode != "multiclass":
        drawn = drawn.having(surrogate="probability")
    p = activated(drawn.pred, drawn.mode)
    value, by_logit = result(xp, drawn)
    found, by_p = result(xp, drawn.but(pred=p).having(from_logits=False))
    equal(found, value, tolerance=1e-9)
    if drawn.mode == "multiclass":
        pulled = p * (by_p - (p * by_p).sum(1, keepdims=True))
    else:
        pulled = p * (1 - p) * by_p
    equal(pulled, by_logit, tolerance=1e-8)


@law(calls(("LovaszLoss",), logits=False, ignoring=False, target="labels"), "LovaszLoss")
def lovasz_of_hard_predictions_is_jaccard(xp: Library, drawn: Drawn) -> None:
    """At the corners of the cube, the extension is the set function."""
    hard = (drawn.pred > 0.5).astype(np.float64)
    lovasz, _ = result(xp, drawn.but(pred=hard))
    absent = {"absent": "skip"} if drawn.mode == "multiclass" else {}
    options = {**absent, **drawn.options}
    options.pop("surrogate", None)
    jaccard, _ = result(xp, drawn.but(kind="JaccardLoss", pred=hard, options=options))
    equal(lovasz, jaccard)


@law(calls(REGIONS, plain=("surrogate",)))
def region_losses_are_shares(xp: Library, drawn: Drawn) -> None:
    """Losses of regions with probability errors lie in [0, 1]."""
    given = {"surrogate": "probability"} if drawn.kind == "LovaszLoss" else {}
    mean = drawn.having(reduction="mean", **given)
    if drawn.options.get("overlap") == "squared":
        mean = mean.having(overlap="product")
    value, _ = result(xp, mean)
    assert -1e-12 <= value <= 1 + 1e-12


@law(calls(POINTWISE))
def pointwise_losses_are_not_negative(xp: Library, drawn: Drawn) -> None:
    assert (result(xp, drawn)[0] >= 0).all()

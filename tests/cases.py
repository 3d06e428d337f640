"""Losses that between them use every parameter, and random input for each."""

import math
from typing import Any

import numpy as np

from xploss import CrossEntropyLoss, DiceLoss, FBetaLoss, FocalLoss, JaccardLoss, Loss, TverskyLoss

IGNORED = 255

LOSSES: tuple[Loss, ...] = (
    DiceLoss("binary"),
    DiceLoss("multiclass", class_weights=(1, 2, 0.5)),
    DiceLoss("multilabel", per_image=True, smooth=1.0, ignore_index=IGNORED),
    JaccardLoss("multiclass", ignore_index=IGNORED, absent="skip", gamma=2.0),
    JaccardLoss("binary", overlap="squared", log_loss=True),
    JaccardLoss("multilabel", classes=(2, 0), from_logits=False, reduction="none"),
    TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=0.75, per_image=True, reduction="none"),
    TverskyLoss("binary", alpha=0.0, beta=1.0, overlap="product", reduction="sum"),
    FBetaLoss("multilabel", beta=2.0, average="micro", classes=(0, 2)),
    FBetaLoss("multiclass", beta=0.5, from_logits=False, absent="zero", overlap="squared"),
    CrossEntropyLoss("binary", balance="auto", ignore_index=IGNORED),
    CrossEntropyLoss("multiclass", class_weights=(1, 2, 0.5), label_smoothing=0.1),
    CrossEntropyLoss("multiclass", ignore_index=IGNORED, reduction="none", classes=(1, 2)),
    CrossEntropyLoss("multilabel", pos_weight=(3, 1, 2), from_logits=False, reduction="sum"),
    FocalLoss("binary", alpha=0.25, label_smoothing=0.2, reduction="none"),
    FocalLoss("multiclass", alpha=(0.5, 0.3, 0.9), ignore_index=IGNORED),
    FocalLoss("multiclass", gamma=0.5, from_logits=False),
    FocalLoss("multilabel", gamma=1.5, alpha=0.4, class_weights=(2, 1), classes=(1, 0)),
    DiceLoss("multilabel", ignore_index=IGNORED)
    + 0.5 * FocalLoss("multiclass", ignore_index=IGNORED) / 2,
    DiceLoss("multilabel", class_weights=(1, 2, 0.5))
    + FocalLoss("multilabel", gamma=1.5, alpha=0.4)
    + CrossEntropyLoss("multilabel", label_smoothing=0.1),
)

SECOND_AT_ZERO = {0.0: 1 / 4, 1.0: 3 / 8, 2.0: 5 / 16 + math.log(2) / 8}
"""By gamma, the second derivative of binary focal loss at the logit 0: of q^γ·c, with c = −log p,
q' = −1/4, q'' = 0, c' = −1/2, c'' = 1/4 and q = 1/2."""


def draw(
    loss: Loss, seed: int, *, soft: bool = False, weighted: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Prediction, target and weight that fit a loss, in float64: two samples of 3 x 4 pixels."""
    rng = np.random.default_rng(seed)
    term = loss.terms[0][1]
    multiclass = term.mode == "multiclass"
    pixels = (2, 3, 4)
    shape = pixels if term.mode == "binary" else (2, 3, 3, 4)
    pred = 1.5 * rng.normal(size=shape)
    if not term.from_logits:
        pred = np.exp(pred) / (1 + np.exp(pred))
        pred = pred / pred.sum(1, keepdims=True) if multiclass else pred
    target: Any
    if soft:
        target = rng.random(shape)
        target = target / target.sum(1, keepdims=True) if multiclass else target
    else:
        target = rng.integers(0, 2 if term.mode == "binary" else 3, pixels)
    if any(t.ignore_index is not None for _, t in loss.terms) and not (soft and multiclass):
        target = np.where(rng.random(target.shape) < 0.2, IGNORED, target)
    weight = rng.choice([0.0, 0.5, 1.0, 2.0], pixels) if weighted else None
    return pred, target, weight

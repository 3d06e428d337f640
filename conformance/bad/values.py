"""Bad values of labels, targets, probabilities and weights: refused where values are checked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.bad.rows import LOSSES, B, L, M, P, Row, T, Z, bad
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss


def _with(x: np.ndarray, value: float, dtype: str | None = None) -> np.ndarray:
    """A copy whose last element is `value`."""
    changed = x.astype(dtype or x.dtype)
    changed.reshape(-1)[-1] = value
    return changed


def _labels() -> Iterator[Row]:
    says: tuple[str, ...]
    for loss in LOSSES:
        for label in (3, 255, -1, -100):
            says = f"target has label {label}", "outside 0..2", f"pass ignore_index={label} to "
            name = f"label-{label}-{type(loss).__name__}"
            yield bad(name, loss, ValueError, *says, target=_with(T, label))
    for kind in (DiceLoss, FocalLoss, LovaszLoss):
        says = "target has label 7", "outside 0..2", "pass ignore_index=7"
        yield bad(
            f"label-multilabel-{kind.__name__}", kind(L), ValueError, *says, target=_with(T, 7)
        )
    for dtype, label in (("uint8", 200), ("int32", 2**30), ("int64", -(2**40))):
        says = f"target has label {label}", "pass ignore_index"
        yield bad(f"label-{dtype}", DiceLoss(M), ValueError, *says, target=_with(T, label, dtype))
    declared: tuple[Loss, ...] = (DiceLoss(M, ignore_index=255), FocalLoss(M, ignore_index=-1))
    for loss in declared:
        says = "target has label 254", "pass ignore_index=254"
        yield bad(f"label-near-{loss!r}", loss, ValueError, *says, target=_with(T, 254))


def _dense() -> Iterator[Row]:
    loss: Loss
    says: tuple[str, ...]
    binary = {"pred": Z[:, 0], "target": T % 2}
    for label in (255, -1, 2):
        for kind in (DiceLoss, FocalLoss, LovaszLoss):
            says = f"target has value {label}", "outside [0, 1]", f"pass ignore_index={label}"
            given = {**binary, "target": _with(T % 2, label)}
            yield bad(f"binary-{label}-{kind.__name__}", kind(B), ValueError, *says, **given)
    for value in (1.5, -0.25, np.inf, -np.inf, np.nan):
        for mode in (M, L):
            says = f"target has value {value:g}", "outside [0, 1] of a dense target"
            loss = CrossEntropyLoss(mode)
            yield bad(f"dense-{value}-{mode}", loss, ValueError, *says, target=_with(P, value))
    says = "target has values between 0 and 1", "defined for hard targets", "round the target"
    for mode in (B, M, L):
        loss = LovaszLoss(mode)
        yield bad(f"soft-lovasz-{mode}", loss, ValueError, *says, target=P, pred=Z)


def _probabilities() -> Iterator[Row]:
    for value in (1.25, -0.5, 15.0, np.nan, np.inf):
        for kind in (JaccardLoss, FocalLoss, LovaszLoss):
            says = f"pred has value {value:g}", "outside [0, 1]", "pass from_logits=True"
            loss = kind(M, from_logits=False)
            name = f"probability-{value}-{kind.__name__}"
            yield bad(name, loss, ValueError, *says, pred=_with(P, value))


def _weights() -> Iterator[Row]:
    for value, shown in ((-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        for loss in LOSSES[::2]:
            says = "weight has values in", shown, "expected finite weights of at least 0"
            weight = _with(np.ones(T.shape), value)
            name = f"weight-{value}-{type(loss).__name__}"
            yield bad(name, loss, ValueError, *says, "use weight=0", weight=weight)


VALUES: tuple[Row, ...] = (*_labels(), *_dense(), *_probabilities(), *_weights())

"""The parameters of every loss with their defaults (the contract's tables)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from conformance.cases import Loss

SHARED: dict[str, Any] = {
    "from_logits": True,
    "class_axis": 1,
    "classes": None,
    "class_weights": None,
    "ignore_index": None,
    "reduction": "mean",
}
OVERLAP: dict[str, Any] = {
    "per_image": False,
    "smooth": 0.0,
    "log_loss": False,
    "gamma": 1.0,
    "overlap": "min",
    "absent": "keep",
    "average": "macro",
}
OWN: dict[str, dict[str, Any]] = {
    "TverskyLoss": OVERLAP | {"alpha": 0.5, "beta": 0.5},
    "DiceLoss": OVERLAP,
    "JaccardLoss": OVERLAP,
    "FBetaLoss": OVERLAP | {"beta": 1.0},
    "CrossEntropyLoss": {"label_smoothing": 0.0, "pos_weight": None, "balance": None},
    "FocalLoss": {"gamma": 2.0, "alpha": None, "label_smoothing": 0.0},
    "LovaszLoss": {
        "per_image": False,
        "surrogate": "hinge",
        "absent": None,
        "method": "sort",
        "bins": None,
    },
}


def options(loss: Loss) -> SimpleNamespace:
    """All parameters of `loss`; what it does not know, or may not combine, is an error."""
    known = SHARED | OWN[loss.name]
    unknown = set(loss.kwargs) - set(known)
    if unknown:
        raise TypeError(f"{loss.name} has no parameter {sorted(unknown)}")
    result = SimpleNamespace(name=loss.name, mode=loss.mode, **(known | loss.kwargs))
    _refuse(result)
    return result


def _refuse(o: SimpleNamespace) -> None:
    """Combinations that the contract excludes or leaves open."""
    if o.name in OWN and "log_loss" in OWN[o.name]:
        if o.log_loss and o.gamma != 1:
            raise ValueError("log_loss goes with gamma=1 only")
        if o.average == "micro" and o.class_weights is not None:
            raise ValueError("average='micro' has no class weights")
    if o.name == "CrossEntropyLoss":
        if o.mode == "multiclass" and (o.pos_weight is not None or o.balance is not None):
            raise ValueError("pos_weight and balance belong to binary and multilabel")
        if o.pos_weight is not None and o.balance is not None:
            raise ValueError("pos_weight and balance exclude each other")
    if o.name == "FocalLoss" and o.mode == "multiclass" and isinstance(o.alpha, float):
        raise ValueError("multiclass takes one alpha per class")


def absent_rule(o: SimpleNamespace) -> str:
    """What happens to a class without target; Lovasz has a default per mode."""
    if o.absent is not None:
        return str(o.absent)
    return "skip" if o.mode == "multiclass" else "keep"

"""The losses of this library as the benchmarks configure them."""

from __future__ import annotations

from typing import Any

from .workloads import ALPHA, BETA, GAMMA


def build(loss: str, mode: str, **options: Any) -> Any:
    """The loss of a name in `workloads.LOSSES`."""
    import xploss

    if loss == "dice_ce":
        return build("dice", mode, **options) + build("ce", mode)
    kinds = {
        "dice": ("DiceLoss", {}),
        "jaccard": ("JaccardLoss", {}),
        "tversky": ("TverskyLoss", {"alpha": ALPHA, "beta": BETA}),
        "ce": ("CrossEntropyLoss", {}),
        "focal": ("FocalLoss", {"gamma": GAMMA}),
        "lovasz": ("LovaszLoss", {}),
    }
    name, own = kinds[loss]
    if not hasattr(xploss, name):
        raise NotImplementedError(f"xploss has no {name}")
    return getattr(xploss, name)(mode, **own, **options)

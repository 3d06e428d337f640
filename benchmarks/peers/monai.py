"""MONAI."""

from __future__ import annotations

import importlib
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Offer, calling
from .torch_targets import Targets


def monai(work: Workload, t: Targets) -> Offer:
    """The losses of MONAI, with sums over the batch and without smoothing, as ours are."""
    losses, binary = importlib.import_module("monai.losses"), work.mode == "binary"
    active = {"sigmoid": True} if binary else {"softmax": True, "to_onehot_y": True}
    region: dict[str, Any] = {**active, "batch": True, "smooth_nr": 0.0, "smooth_dr": 0.0}
    focal = {"gamma": GAMMA, "use_softmax": not binary, "to_onehot_y": not binary}
    y = t.mask if binary else t.column
    return {
        "dice": calling(lambda: losses.DiceLoss(**region), y),
        "jaccard": calling(lambda: losses.DiceLoss(jaccard=True, **region), y),
        "tversky": calling(lambda: losses.TverskyLoss(alpha=ALPHA, beta=BETA, **region), y),
        "focal": calling(lambda: losses.FocalLoss(**focal), y, scale=1 / work.shape[1]),
        "dice_ce": calling(lambda: losses.DiceCELoss(**region), y),
    }

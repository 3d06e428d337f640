"""segmentation_models_pytorch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Offer, added, calling
from .torch_own import own
from .torch_targets import Targets


def smp(work: Workload, t: Targets) -> Offer:
    """The losses of smp; its Dice is summed with torch's own cross-entropy."""
    losses, mode, y = _losses(), work.mode, t.usual
    binary = mode == "binary"
    offer: Offer = {
        "dice": calling(lambda: losses.DiceLoss(mode), y),
        "jaccard": calling(lambda: losses.JaccardLoss(mode), y),
        "tversky": calling(lambda: losses.TverskyLoss(mode, alpha=ALPHA, beta=BETA), y),
        "ce": calling(losses.SoftBCEWithLogitsLoss, y)
        if binary
        else calling(lambda: losses.SoftCrossEntropyLoss(smooth_factor=0.0), y),
        "focal": calling(
            lambda: losses.FocalLoss(mode, gamma=GAMMA),
            y,
            same=binary,
            note="" if binary else "a sigmoid per class, not a softmax",
        ),
        "lovasz": calling(lambda: losses.LovaszLoss(mode), y),
    }
    note = "smp's Dice + torch's cross-entropy"
    return {**offer, "dice_ce": added(offer["dice"], own(work, t)["ce"], note)}


def _losses() -> Any:
    """The losses alone: the package also imports networks, whose dependencies no loss needs."""
    name = "segmentation_models_pytorch"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{name}.losses")

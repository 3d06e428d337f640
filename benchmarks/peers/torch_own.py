"""PyTorch's own cross-entropies, and the losses as one writes them down in torch."""

from __future__ import annotations

import importlib
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Entry, Offer, added
from .torch_targets import Targets


def own(work: Workload, t: Targets) -> Offer:
    """The cross-entropies of torch.nn.functional."""
    f = importlib.import_module("torch.nn.functional")
    ce = f.binary_cross_entropy_with_logits if work.mode == "binary" else f.cross_entropy
    return {"ce": lambda: Entry(ce, (t.usual,))}


def naive(work: Workload, t: Targets) -> Offer:
    """Plain code on whole tensors; what a compiler is given otherwise."""
    torch, f = importlib.import_module("torch"), importlib.import_module("torch.nn.functional")
    binary, classes = work.mode == "binary", work.shape[1]
    axes = (0, *range(2, len(work.shape)))
    ce = f.binary_cross_entropy_with_logits if binary else f.cross_entropy

    def tversky(alpha: float, beta: float) -> Entry:
        def call(x: Any, y: Any) -> Any:
            p = torch.sigmoid(x) if binary else torch.softmax(x, 1)
            target = y if binary else f.one_hot(y, classes).movedim(-1, 1).to(x.dtype)
            overlap = (p * target).sum(axes)
            size, positive = p.sum(axes), target.sum(axes)
            wrong = alpha * (size - overlap) + beta * (positive - overlap)
            return (1 - overlap / (overlap + wrong)).mean()

        return Entry(call, (t.usual,))

    def focal(x: Any, y: Any) -> Any:
        cost = ce(x, y, reduction="none")
        return ((1 - torch.exp(-cost)) ** GAMMA * cost).mean()

    offer: Offer = {
        "dice": lambda: tversky(0.5, 0.5),
        "jaccard": lambda: tversky(1.0, 1.0),
        "tversky": lambda: tversky(ALPHA, BETA),
        "ce": lambda: Entry(ce, (t.usual,)),
        "focal": lambda: Entry(focal, (t.usual,)),
    }
    return {**offer, "dice_ce": added(offer["dice"], offer["ce"])}

"""Kornia."""

from __future__ import annotations

import importlib
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Entry, Offer, added
from .torch_own import own
from .torch_targets import Targets


def kornia(work: Workload, t: Targets) -> Offer:
    """The losses of kornia: regions per image, focal divided by the classes too."""
    losses = importlib.import_module("kornia.losses")
    if work.mode == "binary":
        return _binary(losses, t)
    y = (t.labels,)
    per_image: dict[str, Any] = {"options": {"per_image": True, "absent": "skip"}}

    def dice(x: Any, labels: Any) -> Any:
        return losses.dice_loss(x, labels, average="macro")

    def tversky(x: Any, labels: Any) -> Any:
        return losses.tversky_loss(x, labels, alpha=ALPHA, beta=BETA)

    def focal(x: Any, labels: Any) -> Any:
        return losses.focal_loss(x, labels, alpha=None, gamma=GAMMA, reduction="mean")

    offer: Offer = {
        "dice": lambda: Entry(dice, y, note="per image", **per_image),
        "tversky": lambda: Entry(tversky, y, note="per image", **per_image),
        "focal": lambda: Entry(focal, y, scale=1 / work.shape[1]),
        "lovasz": lambda: Entry(
            losses.lovasz_softmax_loss,
            y,
            options={"per_image": True, "absent": "keep"},
            note="per image",
        ),
    }
    note = "kornia's Dice per image + torch's cross-entropy"
    return {**offer, "dice_ce": added(offer["dice"], own(work, t)["ce"], note)}


def _binary(losses: Any, t: Targets) -> Offer:
    def focal(x: Any, mask: Any) -> Any:
        return losses.binary_focal_loss_with_logits(
            x, mask, alpha=0.25, gamma=GAMMA, reduction="mean"
        )

    return {
        "focal": lambda: Entry(
            focal, (t.mask,), options={"alpha": 0.25}, note="with the alpha that it asks for"
        ),
        "lovasz": lambda: Entry(
            losses.lovasz_hinge_loss, (t.labels,), options={"per_image": True}, note="per image"
        ),
    }

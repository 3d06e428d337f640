"""Keras on torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Entry, Offer, added
from .torch_targets import Targets


def keras(work: Workload, t: Targets) -> Offer:
    """The losses of Keras: regions for one class only, and of probabilities."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    losses, torch = importlib.import_module("keras").losses, importlib.import_module("torch")
    if work.mode == "multiclass":
        return _multiclass(losses, t)

    def of(build: Callable[[], Any], activate: bool = False, note: str = "") -> Callable[[], Entry]:
        def entry() -> Entry:
            loss = build()
            return Entry(
                lambda x, mask: loss(mask, torch.sigmoid(x) if activate else x),
                (t.mask,),
                note=note,
            )

        return entry

    logits = {"from_logits": True, "axis": 1}
    offer: Offer = {
        "dice": of(losses.Dice, activate=True),
        "tversky": of(
            lambda: losses.Tversky(alpha=BETA, beta=ALPHA),
            activate=True,
            note="alpha and beta exchanged, as its code reads them",
        ),
        "ce": of(lambda: losses.BinaryCrossentropy(**logits)),
        "focal": of(lambda: losses.BinaryFocalCrossentropy(gamma=GAMMA, **logits)),
    }
    return {**offer, "dice_ce": added(offer["dice"], offer["ce"])}


def _multiclass(losses: Any, t: Targets) -> Offer:
    logits: dict[str, Any] = {"from_logits": True, "axis": 1}

    def of(build: Callable[[], Any]) -> Callable[[], Entry]:
        def entry() -> Entry:
            loss = build()
            return Entry(lambda x, hot: loss(hot, x), (t.one_hot,), note="one-hot target")

        return entry

    return {
        "ce": of(lambda: losses.CategoricalCrossentropy(**logits)),
        "focal": of(lambda: losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=GAMMA, **logits)),
    }

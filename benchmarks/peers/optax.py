"""Optax."""

from __future__ import annotations

import importlib
from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload
from .entry import Entry, Offer


def optax(work: Workload, mask: Any, labels: Any) -> Offer:
    """The losses of optax; its Dice is per image, with classes last and a one-hot target."""
    losses = importlib.import_module("optax").losses
    nn = importlib.import_module("jax").nn
    binary = work.mode == "binary"
    per_image = {"per_image": True}

    def region(alpha: float, beta: float) -> Entry:
        jnp = importlib.import_module("jax.numpy")
        hot = jnp.moveaxis(mask, 1, -1) if binary else nn.one_hot(labels, work.shape[1])

        def call(x: Any, target: Any) -> Any:
            return losses.dice_loss(x, target, smooth=0.0, alpha=alpha, beta=beta).mean()

        return Entry(call, (hot,), per_image, channels_last=True, note="per image, classes last")

    def ce(x: Any, y: Any) -> Any:
        if binary:
            return losses.sigmoid_binary_cross_entropy(x, y).mean()
        return losses.softmax_cross_entropy_with_integer_labels(x, y, axis=1).mean()

    offer: Offer = {
        "dice": lambda: region(0.5, 0.5),
        "jaccard": lambda: region(1.0, 1.0),
        "tversky": lambda: region(ALPHA, BETA),
        "ce": lambda: Entry(ce, (mask if binary else labels,)),
    }
    if binary:
        offer["focal"] = lambda: Entry(
            lambda x, y: losses.sigmoid_focal_loss(x, y, gamma=GAMMA).mean(), (mask,)
        )
    return offer

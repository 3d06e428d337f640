"""What is measured: shapes, losses and the arrays that go in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES: dict[str, tuple[int, ...]] = {
    "W1": (16, 1, 512, 512),
    "W2": (4, 19, 512, 512),
    "W3": (2, 4, 128, 128, 128),
    "W4": (1, 150, 512, 512),
    "small": (1, 2, 32, 32),
}
LARGE = ("W1", "W2", "W3", "W4")
LOSSES = ("dice", "jaccard", "tversky", "ce", "focal", "dice_ce", "lovasz")
TITLES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "tversky": "Tversky",
    "ce": "cross-entropy",
    "focal": "focal",
    "dice_ce": "Dice + cross-entropy",
    "lovasz": "Lovász",
}
DTYPES = ("float32", "bfloat16")
PASSES = ("forward", "both")

ALPHA, BETA = 0.3, 0.7
"""The weights of false positives and of false negatives in the Tversky loss."""
GAMMA = 2.0

_WIDTH = {"float32": 4, "bfloat16": 2}
_POINTWISE = ("ce", "focal")


@dataclass(frozen=True)
class Workload:
    """One loss on one shape and dtype."""

    loss: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def mode(self) -> str:
        """The mode of the loss: one class is binary."""
        return "binary" if self.shape[1] == 1 else "multiclass"

    @property
    def logits_bytes(self) -> int:
        """The size of the logits."""
        return math.prod(self.shape) * _WIDTH[self.dtype]

    @property
    def target_bytes(self) -> int:
        """The size of the target: a mask like the logits, or int64 labels."""
        if self.mode == "binary":
            return self.logits_bytes
        return math.prod(self.shape) // self.shape[1] * 8

    def moved_bytes(self, step: str) -> int:
        """The bytes that must move at least.

        Forward reads everything once. The gradient of a pointwise loss needs no second look, so
        that forward plus backward adds writing the gradient; all others read twice, because
        their slopes depend on sums over the batch.
        """
        read = self.logits_bytes + self.target_bytes
        if step == "forward":
            return read
        looks = 1 if self.loss in _POINTWISE else 2
        return looks * read + self.logits_bytes


@dataclass(frozen=True)
class Inputs:
    """The arrays of a workload in NumPy: logits in float32, targets as everybody wants them."""

    logits: Any
    labels: Any

    @property
    def column(self) -> Any:
        """The labels with a class axis of length 1."""
        return self.labels[:, None]


def make_inputs(workload: Workload, seed: int = 0) -> Inputs:
    """Logits of a model that is often right, and blocky labels in which every class occurs."""
    rng = np.random.default_rng(seed)
    shape = workload.shape
    classes = max(2, shape[1])
    labels = _blocks(rng, (shape[0], *shape[2:]), classes)
    logits = rng.standard_normal(shape, dtype=np.float32)
    if shape[1] == 1:
        logits[:, 0] += (2.0 * labels - 1.0).astype(np.float32)
    else:
        for label in range(classes):
            logits[:, label] += 2.0 * (labels == label).astype(np.float32)
    return Inputs(logits, labels)


def _blocks(rng: np.random.Generator, shape: tuple[int, ...], classes: int) -> Any:
    """Random labels in blocks of 16 pixels a side, as regions in pictures are."""
    side = min(16, *shape[1:])
    coarse = tuple(-(-s // side) for s in shape[1:])
    count = shape[0] * math.prod(coarse)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)
    labels = labels.reshape(shape[0], *coarse)
    for axis in range(1, len(shape)):
        labels = np.repeat(labels, side, axis=axis)
    return np.ascontiguousarray(labels[(slice(None), *(slice(0, s) for s in shape[1:]))])

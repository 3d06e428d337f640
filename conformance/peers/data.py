"""Random input for the expressions of the table.

z logits, p probabilities, t labels, y a dense target, w pixel weights, m a mask of pixels, c class
weights. The classes are on axis 1, or on the last where the peer has them there; in binary data
that axis has length 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PIXELS = (2, 6, 5)
KINDS = {
    "classes": 3, "two": 2, "binary": 1, "labels": 3, "soft": 3, "hard": 3, "ignored": 3,
    "negative": 3, "nan": 3, "ignored entries": 1, "negative labels": 1, "large": 3,
}  # fmt: skip
"""The kinds of input, with their number of classes."""
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.25])


def draw(kind: str, seed: int, *, last: bool) -> dict[str, np.ndarray]:
    """The arrays of a kind of data, in float64."""
    rng = np.random.default_rng(seed)
    classes, pixels = KINDS[kind], (1, 512, 512) if kind == "large" else PIXELS
    shape = (pixels[0], classes, *pixels[1:])
    z = 1.5 * rng.normal(size=shape)
    t = rng.integers(0, max(classes, 2), pixels)
    t[:, 0, :3] = [0, 1, max(classes, 2) - 1]  # every class in every image
    one_hot = t[:, None] if classes == 1 else np.moveaxis(np.eye(classes)[t], -1, 1)
    y = one_hot.astype(np.float64)
    p = _activated(z, classes == 1 or kind == "labels")
    gone = rng.random(pixels) < 0.3
    gone[0, 0] = True
    gone[:, 1, :3] = False
    t[:, 1, :3] = t[:, 0, :3]
    if kind == "labels":
        y = rng.integers(0, 2, shape).astype(np.float64)
        y[0, :, 0, :2] = [0, 1]
    elif kind == "soft":
        y = rng.random(shape)
        y = y / y.sum(1, keepdims=True)
    elif kind == "hard":
        p = (np.argmax(z, 1)[:, None] == np.arange(3)[None, :, None, None]).astype(np.float64)
    elif kind in ("ignored", "nan"):
        t = np.where(gone, 255, t)
    elif kind == "negative":
        t = np.where(gone, -100, t)
    elif kind in ("ignored entries", "negative labels"):
        y = np.where(gone[:, None], 255.0 if kind == "ignored entries" else -100.0, y)
    if kind == "nan":
        z = np.where(gone[:, None], np.nan, z)
    w = rng.choice([0.5, 1.0, 2.0], pixels)
    arrays = {"z": z, "p": p, "y": y}
    if last:
        arrays = {name: np.ascontiguousarray(np.moveaxis(x, 1, -1)) for name, x in arrays.items()}
    return {**arrays, "t": t, "w": w, "m": 1.0 - gone, "c": CLASS_WEIGHTS}


def _activated(z: np.ndarray, apart: bool) -> np.ndarray:
    if apart:
        sigmoid: np.ndarray = 1 / (1 + np.exp(-z))
        return sigmoid
    e = np.exp(z)
    softmax: np.ndarray = e / e.sum(1, keepdims=True)
    return softmax


def put(arrays: dict[str, np.ndarray], library: str) -> dict[str, Any]:
    """The arrays in torch or JAX, float64."""
    if library == "torch":
        import torch

        return {name: torch.tensor(x) for name, x in arrays.items()}
    import jax.numpy as jnp

    return {name: jnp.asarray(x) for name, x in arrays.items()}

"""Random input for the expressions of the table.

z logits, p probabilities, t labels, y a dense target, w pixel weights, c class weights. The classes
are on axis 1, or on the last where the peer has them there; in binary data that axis has length 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PIXELS = (2, 6, 5)
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.25])


def draw(kind: str, seed: int, *, last: bool) -> dict[str, np.ndarray]:
    """The arrays of a kind of data, in float64."""
    rng = np.random.default_rng(seed)
    classes = 1 if kind == "binary" else 3
    shape = (PIXELS[0], classes, *PIXELS[1:])
    z = 1.5 * rng.normal(size=shape)
    t = rng.integers(0, max(classes, 2), PIXELS)
    t[:, 0, :3] = [0, 1, max(classes, 2) - 1]  # every class in every image
    one_hot = t[:, None] if kind == "binary" else np.moveaxis(np.eye(3)[t], -1, 1)
    y = one_hot.astype(np.float64)
    p = _activated(z, kind)
    if kind == "labels":
        y = rng.integers(0, 2, shape).astype(np.float64)
    elif kind == "soft":
        y = rng.random(shape)
        y = y / y.sum(1, keepdims=True)
    elif kind == "hard":
        p = (np.argmax(z, 1)[:, None] == np.arange(3)[None, :, None, None]).astype(np.float64)
    elif kind == "ignored":
        t = np.where(rng.random(PIXELS) < 0.3, 255, t)
    w = rng.choice([0.5, 1.0, 2.0], PIXELS)
    arrays = {"z": z, "p": p, "y": y}
    if last:
        arrays = {name: np.ascontiguousarray(np.moveaxis(x, 1, -1)) for name, x in arrays.items()}
    return {**arrays, "t": t, "w": w, "c": CLASS_WEIGHTS}


def _activated(z: np.ndarray, kind: str) -> np.ndarray:
    if kind in ("binary", "labels"):
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

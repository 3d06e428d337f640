"""Evaluates the expressions of a row: values, and gradients by the library's own autodiff."""

from __future__ import annotations

import os
import sys
import warnings
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np

import xploss
from conformance.peers.data import draw, put
from conformance.peers.row import LIBRARIES, Row

NAMES = ("z", "p")  # what may be differentiated

Answer = tuple[np.ndarray, np.ndarray | None]


def answers(row: Row, seed: int) -> tuple[Answer, Answer]:
    """Value and gradient of the peer and of xploss, on the same random input."""
    peer = LIBRARIES[row.library]
    drawn = draw(row.data, seed, last=peer.last)
    floats = {k: x.astype(row.dtype) if x.dtype.kind == "f" else x for k, x in drawn.items()}
    arrays = put(floats, peer.arrays)
    evaluate = _torch if peer.arrays == "torch" else _jax
    theirs: dict[str, Any] = {}
    os.environ.setdefault("KERAS_BACKEND", "torch")
    _leave_networks_out("segmentation_models_pytorch")
    with warnings.catch_warnings(action="ignore"):  # the peers' own
        exec(peer.imports, theirs)
        if peer.arrays == "torch":
            exec("import torch", theirs)
        found = evaluate(row.peer, theirs, arrays, gradient=row.gradient)
    return found, evaluate(row.ours, vars(xploss), arrays, gradient=row.gradient)


def _leave_networks_out(package: str) -> None:
    """Let the losses of a package be imported without the networks beside them."""
    spec = find_spec(package) if package not in sys.modules else None
    if spec is not None:
        sys.modules[package] = module_from_spec(spec)


def _torch(text: str, names: dict[str, Any], arrays: dict[str, Any], *, gradient: bool) -> Answer:
    import torch

    leaves = [arrays[name].detach().clone().requires_grad_(gradient) for name in NAMES]
    value = eval(text, {**names, **arrays, **dict(zip(NAMES, leaves, strict=True))})
    if not gradient:
        return value.detach().numpy(), None
    slopes = torch.autograd.grad(_contracted(value), leaves, allow_unused=True)
    held = [
        np.zeros(leaf.shape) if s is None else s.numpy()
        for leaf, s in zip(leaves, slopes, strict=True)
    ]
    return value.detach().numpy(), np.stack(held)


def _contracted(value: Any) -> Any:
    """A number whose derivative tells the elements of the value apart."""
    import torch

    upstream = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    return (value * upstream).sum()


def _jax(text: str, names: dict[str, Any], arrays: dict[str, Any], *, gradient: bool) -> Answer:
    import jax

    def function(leaves: list[Any]) -> Any:
        return eval(text, {**names, **arrays, **dict(zip(NAMES, leaves, strict=True))})

    leaves = [arrays[name] for name in NAMES]
    value, pull = jax.vjp(function, leaves)
    upstream = np.linspace(0.5, 1.5, value.size).reshape(value.shape)
    slopes = pull(jax.numpy.asarray(upstream, dtype=value.dtype))[0] if gradient else None
    return np.asarray(value), None if slopes is None else np.stack(slopes)

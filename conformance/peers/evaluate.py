"""Evaluates the expressions of a row: values, and gradients by the library's own autodiff."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np

import xploss
from conformance.peers.data import draw, put
from conformance.peers.row import Library, Row

NAMES = ("z", "p")  # what may be differentiated

Answer = tuple[np.ndarray, np.ndarray | None]


def theirs(library: Library, row: Row, seed: int) -> Answer:
    """Value and gradient of the peer."""
    with warnings.catch_warnings(action="ignore"):  # the peers' own
        return _answer(row.peer, _imported(library), library, row, seed)


@cache
def _imported(library: Library) -> dict[str, Any]:
    """The names that a peer's expressions use."""
    names: dict[str, Any] = {}
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with hollow(library.hollow):
        exec(library.imports, names)
    exec("import " + library.arrays, names)
    return names


def ours(library: Library, row: Row, seed: int) -> Answer:
    """Value and gradient of xploss, on the same random input."""
    return _answer(row.ours, vars(xploss), library, row, seed)


def _answer(text: str, names: dict[str, Any], library: Library, row: Row, seed: int) -> Answer:
    drawn = draw(row.data, seed, last=library.last)
    floats = {k: x.astype(row.dtype) if x.dtype.kind == "f" else x for k, x in drawn.items()}
    evaluate = _torch if library.arrays == "torch" else _jax
    return evaluate(text, names, put(floats, library.arrays), gradient=row.gradient)


@contextmanager
def hollow(packages: Sequence[str]) -> Iterator[None]:
    """Let modules of some packages be imported without what the packages themselves import."""
    before = set(sys.modules)
    for package in packages:
        spec = find_spec(package) if package not in sys.modules else None
        if spec is not None:
            sys.modules[package] = module_from_spec(spec)
    yield
    for name in set(sys.modules) - before:
        if any(name == package or name.startswith(f"{package}.") for package in packages):
            del sys.modules[name]


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

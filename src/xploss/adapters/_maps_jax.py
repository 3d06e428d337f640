"""Walks over lines of pixels for JAX: compiled, with a loop that holds one pixel per line."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

State = tuple[Any, ...]


@cache
def compiled(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Compile a function of an array and of options that are static."""
    jitted: Callable[[Any, Any], Any] = jax.jit(function, static_argnums=1)
    return jitted


def walk(block: Callable[[Any, Any, State], State], lines: State, reach: int) -> State:
    """Return the `block` of every pixel along the last axis of `lines`, (lines, pixels)."""
    length = lines[0].shape[-1]
    width = min(length, 2 * reach + 1)

    def at(pixel: Any) -> State:
        first = jnp.clip(pixel - reach, 0, length - width)
        windows = (jax.lax.dynamic_slice_in_dim(x, first, width, axis=-1) for x in lines)
        sources = first + jnp.arange(width)
        number = lines[0].dtype
        found = block(pixel[None].astype(number), sources.astype(number), tuple(windows))
        return tuple(x[:, 0] for x in found)

    return tuple(jnp.moveaxis(x, 0, -1) for x in jax.lax.map(at, jnp.arange(length)))

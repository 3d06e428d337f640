"""Exact squared distances, one axis after the other, on any backend.

The squared distance to the nearest of some pixels separates (Saito & Toriwaki 1994): a pass along
an axis is value[i] = min_j value[j] + (spacing * (i - j))**2. So do those to the two nearest of
many sets: two sets nearer to pixel j than a third are, by way of j, no farther from pixel i.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from xploss._xp import Array
from xploss.backend import Backend

_BLOCK = 2**18
"""Elements of the costs of an eager block, as long as it has more than one pixel per line."""

_DEVICE_BLOCK = 2**22
"""The same on a device, where many small steps take longer than a few large ones."""

_STAGED_BLOCKS = 4
"""Blocks of a pass in a compiled graph, which fuses the costs away but must stay small."""

State: TypeAlias = tuple[Array, ...]
"""What is known of every pixel so far: squared distances first, maybe labels; each of one shape."""

Merge: TypeAlias = Callable[..., State]
"""`merge(xp, steps, *state)`: the state of pixels, each (lines, pixels), from that of the sources
within reach, each (lines, sources), and the squared steps between them, (pixels, sources)."""


class Plan(NamedTuple):
    """What a transform needs beside its array; hashable, to be static for a compiler."""

    backend: Backend
    axes: tuple[int, ...]
    sampling: tuple[float, ...]
    reach: float = math.inf
    staged: bool = False


def run(function: Callable[[Array, Plan], Array], array: Array, plan: Plan) -> Array:
    """Call `function(array, plan)` in the way that suits the backend."""
    if plan.backend.name == "jax":
        from xploss.adapters import _maps_jax

        return _maps_jax.compiled(function)(array, plan)
    if plan.backend.name == "torch":
        from xploss.adapters import _maps_torch

        return _maps_torch.run(function, array, plan)
    return function(array, plan)


def sweep(plan: Plan, merge: Merge, state: State) -> State:
    """Pass along every axis of the plan; what is beyond its reach may come out as inf."""
    xp = plan.backend.xp
    for axis, spacing in zip(plan.axes, plan.sampling, strict=True):
        last = state[0].ndim - 1
        there = (*range(axis), *range(axis + 1, last + 1), axis)
        back = (*range(axis), last, *range(axis, last))
        moved = [xp.permute_dims(array, there) for array in state]
        shape = moved[0].shape
        lines = tuple(xp.reshape(array, (-1, shape[-1])) for array in moved)
        done = _pass(plan, merge, lines, spacing)
        state = tuple(xp.permute_dims(xp.reshape(array, shape), back) for array in done)
    return state


def _pass(plan: Plan, merge: Merge, lines: State, spacing: float) -> State:
    xp, length = plan.backend.xp, lines[0].shape[-1]
    reach = math.ceil(min(plan.reach / spacing, length))

    def block(pixels: Array, sources: Array, windows: State) -> State:
        steps = (pixels[:, None] - sources[None, :]) * spacing
        return merge(xp, steps * steps, *windows)

    if plan.backend.name == "jax":
        from xploss.adapters import _maps_jax

        return _maps_jax.walk(block, lines, reach)
    parts = []
    numbers = xp.arange(length, dtype=lines[0].dtype, device=plan.backend.device(lines[0]))
    for start, stop in _blocks(plan, lines[0], reach):
        near = slice(max(0, start - reach), min(length, stop + reach))
        windows = tuple(array[:, near] for array in lines)
        parts.append(block(numbers[start:stop], numbers[near], windows))
    return tuple(xp.concat(column, axis=-1) for column in zip(*parts, strict=True))


def _blocks(plan: Plan, lines: Array, reach: int) -> Iterator[tuple[int, int]]:
    count, length = lines.shape
    limit = _BLOCK if plan.backend.on_host(lines) else _DEVICE_BLOCK
    size = max(1, limit // (count * min(length, 2 * reach + 1)))
    if plan.staged:
        size = max(size, math.ceil(length / _STAGED_BLOCKS))
    for start in range(0, length, size):
        yield start, min(start + size, length)

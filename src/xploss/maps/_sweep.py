"""Exact squared distances, one axis after the other, on any backend.

The squared distance to the nearest of some pixels separates (Saito & Toriwaki 1994): a pass along
an axis is value[i] = min_j value[j] + (spacing * (i - j))**2. So do those to the two nearest of
many sets: two sets nearer to pixel j than a third are, by way of j, no farther from pixel i.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from xploss._xp import Array, Namespace, device, is_jax_array, is_torch_array

_BLOCK = 2**18
"""Elements of the costs of an eager block, as long as it has more than one pixel per line."""

_STAGED_BLOCKS = 8
"""Blocks of a pass in a compiled graph, which fuses the costs away but must stay small."""

State: TypeAlias = tuple[Array, ...]
"""What is known of every pixel so far: squared distances first, maybe labels; each of one shape."""

Merge: TypeAlias = Callable[..., State]
"""`merge(xp, steps, *state)`: the state of pixels, each (lines, pixels), from that of the sources
within reach, each (lines, sources), and the squared steps between them, (pixels, sources)."""


class Plan(NamedTuple):
    """What a transform needs beside its array; hashable, to be static for a compiler."""

    xp: Namespace
    axes: tuple[int, ...]
    sampling: tuple[float, ...]
    reach: float = math.inf
    staged: bool = False


def run(function: Callable[[Array, Plan], Array], array: Array, plan: Plan) -> Array:
    """Call `function(array, plan)` in the way that suits the backend."""
    if is_jax_array(array):
        from xploss.adapters import _maps_jax

        return _maps_jax.compiled(function)(array, plan)
    if is_torch_array(array):
        from xploss.adapters import _maps_torch

        plan = plan._replace(staged=_maps_torch.is_compiling())
    return function(array, plan)


def sweep(plan: Plan, merge: Merge, state: State) -> State:
    """Pass along every axis of the plan; what is beyond its reach may come out as inf."""
    xp = plan.xp
    for axis, spacing in zip(plan.axes, plan.sampling, strict=True):
        moved = [xp.moveaxis(array, axis, -1) for array in state]
        shape = moved[0].shape
        lines = tuple(xp.reshape(array, (-1, shape[-1])) for array in moved)
        done = _pass(plan, merge, lines, spacing)
        state = tuple(xp.moveaxis(xp.reshape(array, shape), -1, axis) for array in done)
    return state


def _pass(plan: Plan, merge: Merge, lines: State, spacing: float) -> State:
    length = lines[0].shape[-1]
    reach = math.ceil(min(plan.reach / spacing, length))

    def block(pixels: Array, sources: Array, windows: State) -> State:
        steps = (pixels[:, None] - sources[None, :]) * spacing
        return merge(plan.xp, steps * steps, *windows)

    if is_jax_array(lines[0]):
        from xploss.adapters import _maps_jax

        return _maps_jax.walk(block, lines, reach)
    parts = []
    numbers = plan.xp.arange(length, dtype=lines[0].dtype, device=device(lines[0]))
    for start, stop in _blocks(plan, lines[0].shape, reach):
        near = slice(max(0, start - reach), min(length, stop + reach))
        windows = tuple(array[:, near] for array in lines)
        parts.append(block(numbers[start:stop], numbers[near], windows))
    return tuple(plan.xp.concat(column, axis=-1) for column in zip(*parts, strict=True))


def _blocks(plan: Plan, shape: tuple[int, int], reach: int) -> Iterator[tuple[int, int]]:
    count, length = shape
    size = max(1, _BLOCK // (count * min(length, 2 * reach + 1)))
    if plan.staged:
        size = max(size, math.ceil(length / _STAGED_BLOCKS))
    for start in range(0, length, size):
        yield start, min(start + size, length)

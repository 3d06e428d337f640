"""Arrays that are spread over the explicit axes of a mesh, as jax.make_mesh makes them.

There every operation would have to say how its result is spread; in here the compiler finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def automatic(function: Callable[..., Any], *arrays: Any, like: int | None = None) -> Any:
    """`function` of arrays, which may be None.

    What it returns is whole on each device; but of several results that at place `like` is spread
    as the first array is.
    """
    # others are refused by the function
    given = [x for x in jax.tree.leaves(arrays) if isinstance(x, jax.Array)]
    for x in given:
        mesh = jax.typeof(x).sharding.mesh
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        axes = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
        if axes:
            whole = NamedSharding(mesh, PartitionSpec())
            spread = whole if like is None else _results(whole, arrays[0], like)
            found = jax.sharding.auto_axes(function, axes=axes, out_sharding=spread)
            return found(*arrays)
    return function(*arrays)


def _results(whole: NamedSharding, first: Any, like: int) -> tuple[Any, ...]:
    spread = jax.typeof(first).sharding
    return (*(whole,) * like, spread)

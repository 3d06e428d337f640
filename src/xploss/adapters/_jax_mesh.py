"""Arrays that are spread over the explicit axes of a mesh, as jax.make_mesh makes them.

There every operation would have to say how its result is spread; in here the compiler finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def automatic(function: Callable[..., Any], *arrays: Any, gradient: bool = False) -> Any:
    """`function` of arrays, or trees of them.

    What it returns is whole on each device; with `gradient`, the second of two results is spread
    as the first array is.
    """
    # what is no array of JAX is refused by the function
    for x in (x for x in jax.tree.leaves(arrays) if isinstance(x, jax.Array)):
        mesh = jax.typeof(x).sharding.mesh
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        axes = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
        if axes:
            whole = NamedSharding(mesh, PartitionSpec())
            out = (whole, _own(arrays[0], whole)) if gradient else whole
            return jax.sharding.auto_axes(function, axes=axes, out_sharding=out)(*arrays)
    return function(*arrays)


def _own(x: Any, whole: NamedSharding) -> Any:
    """How an array is spread, if it is on the mesh."""
    own = jax.typeof(x).sharding
    return own if own.mesh == whole.mesh else whole

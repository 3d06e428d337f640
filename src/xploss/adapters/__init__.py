"""The seam to the array libraries: one file each, imported when an array of it is seen."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import _xp

if TYPE_CHECKING:
    from ..backend import Backend


def backend_of(x: Any, *others: Any) -> Backend:
    """The backend of an array's library, for a call with it and others.

    Plain imports and type checks only, which torch.compile can trace.

    Raises
    ------
    TypeError
        If `x` is no array.
    """
    if _is(x, "numpy", "ndarray"):
        from .numpy import BACKEND as NUMPY

        return NUMPY
    if _is(x, "torch", "Tensor"):
        from .torch import backend

        return backend(x, *others)
    if _is(x, "jax", "Array"):
        from .jax import BACKEND as JAX

        return JAX
    if _is(x, "cupy", "ndarray"):
        from .cupy import BACKEND as CUPY

        return CUPY
    return _generic(x)


def _is(x: Any, library: str, kind: str) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(x, getattr(module, kind, ()))


def _generic(x: Any) -> Backend:
    if not _xp.is_array(x):
        held = x.values() if isinstance(x, dict) else x if isinstance(x, tuple | list) else ()
        several = any(map(_xp.is_array, held))
        hint = "pass one of those that it holds, and add the losses of several"
        raise TypeError(
            f"pred is a {type(x).__name__}; expected an array of NumPy, PyTorch, JAX, CuPy or "
            "another library of the Python Array API; "
            f"{hint if several else 'convert it, for example by numpy.asarray'}"
        )
    return _backend_for(_xp.namespace(x))


@lru_cache(maxsize=16)
def _backend_for(xp: _xp.Namespace) -> Backend:
    """One backend per namespace, which plans of calls are kept for."""
    from ..backend import Backend

    return Backend(xp)

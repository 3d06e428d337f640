"""Checks of the arguments of the maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real

from xploss._xp import Array
from xploss.adapters import backend_of
from xploss.backend import Backend
from xploss.parameters import integer, listed, plain, positive


def backend_for(name: str, array: Array, kinds: tuple[str, ...], hint: str) -> Backend:
    """Return the backend of an array whose dtype is of one of `kinds`."""
    try:
        backend = backend_of(array)
    except TypeError as error:
        raise TypeError(
            f"{name} is a {type(array).__name__}; expected an array of NumPy, PyTorch, JAX, CuPy "
            "or another library of the Python Array API; convert it, for example by numpy.asarray"
        ) from error
    backend.refuse_kind(name, array)
    if not backend.isdtype(array, kinds):
        expected = " or ".join("integer" if kind == "integral" else kind for kind in kinds)
        raise TypeError(f"{name} has dtype {array.dtype}; expected {expected}; {hint}")
    return backend


def measured_axes(name: str, ndim: int, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the axes that distances run along, none of them negative; all axes for None."""
    if ndim == 0:
        raise ValueError(f"{name} has no axes; expected at least one")
    if axes is None:
        return tuple(range(ndim))
    given = plain(axes)
    given = given if isinstance(given, Iterable) else [given]
    found = tuple(integer("axes", axis) for axis in given)
    found = tuple(axis + ndim if axis < 0 else axis for axis in found)
    if not found or len(set(found)) < len(found) or not all(0 <= axis < ndim for axis in found):
        raise ValueError(
            f"axes is {axes!r}; expected one or more distinct axes from {-ndim} to {ndim - 1}, "
            f"as {name} has {ndim}; pass axes=(-2, -1) for a batch of images"
        )
    return found


def pixel_sizes(sampling: float | Iterable[float], count: int) -> tuple[float, ...]:
    """Return the size of a pixel along each of `count` axes."""
    given = plain(sampling)
    if isinstance(given, Real):
        return (positive("sampling", given),) * count
    given = listed("sampling", given, "a number, or one per measured axis")
    sizes = tuple(positive(f"sampling[{i}]", size) for i, size in enumerate(given))
    if len(sizes) != count:
        raise ValueError(
            f"sampling has {len(sizes)} numbers; expected {count}, one per measured axis; "
            "pass a single number if all axes share it"
        )
    return sizes

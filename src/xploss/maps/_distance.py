"""The exact Euclidean distance transform."""

from __future__ import annotations

from collections.abc import Sequence

from xploss._xp import Array, Namespace

from ._checks import backend_for, measured_axes, pixel_sizes
from ._sweep import Plan, State, run, sweep


def distance_transform(
    mask: Array,
    /,
    *,
    axes: int | Sequence[int] | None = None,
    sampling: float | Sequence[float] = 1.0,
) -> Array:
    """Distance of each foreground pixel to the nearest background pixel.

    The distance is Euclidean, between the centres of pixels, and exact up to float32 rounding. A
    background pixel has distance 0, a foreground pixel next to it the size of a pixel. What lies
    outside of the array is not background.

    Parameters
    ----------
    mask : Array
        Bool or integer, of any shape. Foreground is what is not 0.
    axes : int or sequence of int, optional
        The axes that distances run along. Every index of the other axes is a sample of its own:
        a batch ``(N, H, W)`` needs ``axes=(-2, -1)``. ``None`` is all axes: one image or volume.
    sampling : float or sequence of float
        The size of a pixel: one number, or one per measured axis, in the order of `axes`.

    Returns
    -------
    Array
        float32, with the shape, namespace and device of `mask`. A sample without any background
        has the distance inf everywhere.

    Raises
    ------
    TypeError
        If `mask` is not an array, or is floating.
    ValueError
        If `axes` or `sampling` do not fit `mask`.

    Notes
    -----
    NumPy arrays, and torch tensors on a CPU, go to ``scipy.ndimage.distance_transform_edt`` if
    SciPy is installed. Elsewhere one pass per axis compares all pairs of pixels of a line. It
    takes no decision on values, and so works under ``jax.jit``, ``jax.vmap`` and
    ``torch.compile``.

    Examples
    --------
    >>> import numpy as np
    >>> from xploss.maps import distance_transform
    >>> distance_transform(np.asarray([0, 1, 1, 1, 0, 1])).tolist()
    [0.0, 1.0, 2.0, 1.0, 0.0, 1.0]
    """
    hint = "say what is foreground, as in mask > 0.5"
    backend = backend_for("mask", mask, ("bool", "integral"), hint)
    measured = measured_axes("mask", mask.ndim, axes)
    sizes = pixel_sizes(sampling, len(measured))
    if 0 in mask.shape:
        return backend.xp.astype(mask, backend.xp.float32)
    return run(_distance, mask, Plan(backend, measured, sizes))


def _distance(mask: Array, plan: Plan) -> Array:
    if plan.backend.name == "numpy":
        from xploss.adapters import _maps_scipy

        if _maps_scipy.available():
            return _maps_scipy.distance_transform(mask, plan.axes, plan.sampling)
    xp = plan.backend.xp
    zero = xp.zeros_like(mask, dtype=xp.float32)
    (squares,) = sweep(
        plan, _nearest, (xp.where(mask == xp.zeros_like(mask), zero, zero + xp.inf),)
    )
    return xp.sqrt(squares)


def _nearest(xp: Namespace, steps: Array, squares: Array) -> State:
    return (xp.min(squares[:, None, :] + steps[None, ...], axis=-1),)

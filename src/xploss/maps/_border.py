"""The weight map of the U-Net, high where two cells come close."""

from __future__ import annotations

from collections.abc import Sequence

from xploss._xp import Array, Namespace
from xploss.parameters import number, positive

from ._checks import backend_for, measured_axes, pixel_sizes
from ._sweep import Plan, State, run, sweep

_UNDERFLOW = 14.5
"""exp(-x**2 / 2) is 0 in float32 beyond this x: cells farther off, in sigma, do not matter."""


def border_weight(
    instances: Array,
    /,
    w0: float = 10.0,
    sigma: float = 5.0,
    *,
    axes: int | Sequence[int] | None = None,
    sampling: float | Sequence[float] = 1.0,
) -> Array:
    """Weight of the borders between cells: the second term of the U-Net's weight map.

    ``w0 * exp(-(d1 + d2)**2 / (2 * sigma**2))``, with the distances d1 and d2 of a pixel to the
    nearest and to the second-nearest cell, between the centres of pixels. A pixel of a cell has
    d1 = 0 and a weight by its distance d2 to the next cell: where cells touch, the pixels along
    the contact weigh most. Multiply by ``instances == 0`` for a map of the background only.

    The paper adds this to a term that balances the classes. Add at least a constant, because a
    loss leaves out pixels of weight 0: ``loss(pred, target, weight=1.0 + border_weight(cells))``.

    Parameters
    ----------
    instances : Array
        Integer, of any shape. 0 is background, every other number is a cell. The numbers need not
        be contiguous, and a cell need not be connected.
    w0 : float
        The weight at distance 0, at least 0.
    sigma : float
        The width of a border, above 0, in the units of `sampling`.
    axes : int or sequence of int, optional
        The axes that distances run along. Every index of the other axes is a sample with cells of
        its own: a batch ``(N, H, W)`` needs ``axes=(-2, -1)``. ``None`` is all axes: one image or
        volume.
    sampling : float or sequence of float
        The size of a pixel: one number, or one per measured axis, in the order of `axes`.

    Returns
    -------
    Array
        float32, with the shape, namespace and device of `instances`. A sample with no cell, or
        only one, has no border and the weight 0 everywhere.

    Raises
    ------
    TypeError
        If `instances` is not an array, or not of integers.
    ValueError
        If `w0` or `sigma` is out of range, or `axes` or `sampling` do not fit `instances`.

    Notes
    -----
    Every pixel keeps its two nearest cells during one pass per axis: time and memory do not grow
    with the number of cells. Works under ``jax.jit``, ``jax.vmap`` and ``torch.compile``.

    References
    ----------
    O. Ronneberger, P. Fischer, T. Brox: U-Net: Convolutional Networks for Biomedical Image
    Segmentation. MICCAI 2015, equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> from xploss.maps import border_weight
    >>> border_weight(np.asarray([7, 0, 0, 3]), w0=10.0, sigma=3.0).round(2)
    array([6.07, 6.07, 6.07, 6.07], dtype=float32)
    """
    hint = "number the cells, with scipy.ndimage.label for example"
    backend = backend_for("instances", instances, ("integral",), hint)
    xp = backend.xp
    w0 = number("w0", w0, low=0.0)
    sigma = positive("sigma", sigma)
    measured = measured_axes("instances", instances.ndim, axes)
    sizes = pixel_sizes(sampling, len(measured))
    if 0 in instances.shape:
        return xp.astype(instances, xp.float32)
    plan = Plan(backend, measured, sizes, reach=_UNDERFLOW * sigma)
    ratio = run(_distance_to_two, instances, plan) / sigma
    return w0 * xp.exp(-0.5 * ratio * ratio)


def _distance_to_two(instances: Array, plan: Plan) -> Array:
    """Return the sum of the distances to the two nearest cells."""
    xp = plan.backend.xp
    narrow = xp.iinfo(instances.dtype).max <= xp.iinfo(xp.int32).max
    labels = xp.astype(instances, xp.int32 if narrow else xp.arange(1).dtype)
    none = xp.zeros_like(labels, dtype=xp.float32) + xp.inf
    first = xp.where(labels == 0, none, xp.zeros_like(none))
    first, second, *_ = sweep(plan, _two_nearest, (first, none, labels, labels))
    return xp.sqrt(first) + xp.sqrt(second)


def _two_nearest(
    xp: Namespace, steps: Array, first: Array, second: Array, label: Array, other: Array
) -> State:
    """Merge the two nearest cells of all sources; at a distance of inf, the label means nothing.

    The nearest cell is some source's nearest. The second-nearest is the nearest of a source of
    another nearest cell, or the second-nearest of a source of the same.
    """
    costs = first[:, None, :] + steps[None, ...]
    at = xp.argmin(costs, axis=-1)
    nearest, found = _take(xp, costs, at), xp.take_along_axis(label, at, axis=-1)
    same = label[:, None, :] == found[..., None]
    costs = xp.where(same, second[:, None, :], first[:, None, :]) + steps[None, ...]
    at = xp.argmin(costs, axis=-1)
    label, other = (xp.take_along_axis(x, at, axis=-1) for x in (label, other))
    return nearest, _take(xp, costs, at), found, xp.where(label == found, other, label)


def _take(xp: Namespace, costs: Array, at: Array) -> Array:
    return xp.take_along_axis(costs, at[..., None], axis=-1)[..., 0]

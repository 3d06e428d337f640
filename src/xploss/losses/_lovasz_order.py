"""Lovász weights from the order of the errors, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._xp import Array
    from ..activations import Activation
    from ..reading import Reading
    from .lovasz import LovaszLoss


SORTED = 1 << 18
"""Classes are sorted together as long as they have no more pixels than this."""


@dataclass(frozen=True)
class Ordered:
    """What sorting a tile gives: loss, Σ w·t and Σ w (R, C), and slopes (k, C, m)."""

    statistics: tuple[Array, Array, Array]
    slopes: Array


def weights_of_order(loss: LovaszLoss, activation: Activation, reading: Reading) -> Ordered:
    """Sort the errors of each class, once per call and loss."""
    if loss not in reading.whole:
        reading.whole[loss] = _sorted(loss, activation, reading)
    ordered: Ordered = reading.whole[loss]
    return ordered


def _sorted(loss: LovaszLoss, activation: Activation, reading: Reading) -> Ordered:
    b, xp = reading.backend, reading.backend.xp
    margins = _by_margin(loss)
    keys = b.signed(reading.truth) * activation.x if margins else loss.errors(activation, reading)
    errors = loss.errors(activation, reading) if margins and not loss.hinge else keys
    foreground = reading.truth > 0.5 if reading.labels is None else reading.foreground
    given = (keys, errors, foreground, reading.weight)
    samples, classes, pixels = keys.shape
    step = max(1, SORTED // (samples * pixels))
    if step >= classes or not b.eager:
        return _of_classes(loss, reading, *given)
    # some classes at a time, for what is made of them is many times as large
    slopes, found = xp.empty_like(keys), []
    for c in range(0, classes, step):
        some = (slice(None), slice(c, c + step), slice(None))
        part = _of_classes(
            loss, reading, *(x if x is None or x.shape[1] == 1 else x[some] for x in given)
        )
        b.write(slopes[some], part.slopes)
        found.append(part.statistics)
    value, mass, size = (xp.concat(parts, axis=1) for parts in zip(*found, strict=True))
    return Ordered((value, mass, size), slopes)


def _by_margin(loss: LovaszLoss) -> bool:
    """Whether errors fall with a margin, which keeps the order exactly where they round."""
    return loss.mode != "multiclass" and loss.from_logits


def _of_classes(
    loss: LovaszLoss,
    reading: Reading,
    keys: Array,
    errors: Array,
    foreground: Array,
    weight: Array | None,
) -> Ordered:
    """Sort the errors of some classes, by their keys."""
    b, xp = reading.backend, reading.backend.xp
    hinge, margins = loss.hinge, _by_margin(loss)
    shape = keys.shape

    def rows(x: Array) -> Array:
        """(k, C, m) as (R, C, pixels)."""
        x = xp.broadcast_to(x, shape)
        if loss.per_image or shape[0] == 1:
            return x
        return xp.reshape(xp.permute_dims(x, (1, 0, 2)), (1, shape[1], shape[0] * shape[2]))

    weight = None if weight is None else rows(weight)
    keys, errors, fore = rows(keys), rows(errors), rows(foreground)
    # of equal errors the order of the pixels decides, on every backend
    order = xp.argsort(keys, axis=-1, descending=not margins)
    weight = None if weight is None else xp.take_along_axis(weight, order, axis=-1)
    fore = xp.take_along_axis(fore, order, axis=-1)
    e = xp.take_along_axis(errors, order, axis=-1)
    if hinge:
        e = b.maximum(1 - e, 0.0)
    slope, mass, size = increments(fore, weight, reading.weighted, reading)
    terms = e * slope if weight is None else e * slope * weight
    value = b.add_pixels(terms, reading.accumulator)
    sign = 1 - 2 * xp.astype(fore, e.dtype)
    if hinge:
        sign = sign * xp.astype(e > 0, e.dtype)
    slopes = b.unsort(slope * sign, order)
    if slopes.shape != shape:
        slopes = xp.reshape(slopes, (shape[1], shape[0], shape[2]))
        slopes = xp.permute_dims(slopes, (1, 0, 2))
    return Ordered((value, mass, size), slopes)


def increments(
    fore: Array, weight: Array | None, weighted: bool, reading: Reading
) -> tuple[Array, Array, Array]:
    """The Lovász weight per unit of pixel weight, in descending order; Σ w·t and Σ w.

    Foreground 1/U and background I/(U·(U − w)), with sums of integers unless `weighted`. Without
    foreground the first pixel has the whole increment, 1.
    """
    b, xp, dtype = reading.backend, reading.backend.xp, reading.dtype
    counts = reading.accumulator if weighted else b.index_dtype()
    own = xp.astype(fore, counts)
    every = xp.ones_like(own) if weight is None else xp.astype(weight, counts)
    front = own * every
    # the foreground from a pixel on; at background, what is left after it
    left = xp.flip(b.running_sum(xp.flip(front, axis=-1), counts), axis=-1)
    ground, left = left[..., :1], xp.astype(left, dtype)
    above, through = b.sums_along(every - front, counts)
    before, union = (xp.astype(ground + x, dtype) for x in (above, through))
    one = xp.ones_like(union)
    safe = xp.where(union > 0, union, one)
    background = left / safe / xp.where(before > 0, before, one)
    slope = xp.where(fore, one / safe, background)
    first = xp.astype(above == 0, dtype) / xp.where(every > 0, xp.astype(every, dtype), one)
    slope = xp.where(ground > 0, slope, first)
    return (
        slope,
        xp.astype(ground[..., 0], reading.accumulator),
        xp.astype((ground + through)[..., -1], reading.accumulator),
    )

"""Lovász weights from a histogram of the errors: foreground and background of each bin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend


def weights_of_bins(size: Array, backend: Backend) -> tuple[Array, Array]:
    """The mean weight of an element of each bin, and the weight's change across the bin.

    `size` (R, C, 2, B): the sizes of background and foreground, bins by descending error. The
    mean of two orders, foreground first and background first: the size times the mean, added
    over both, is the bin's increment of the Jaccard loss exactly. From U and I before (0) and
    after (1) the bin: foreground (1/U0 + 1/U1)/2, background (I0 + I1)/(2·U0·U1).
    """
    xp = backend.xp
    back, fore = size[:, :, 0, :], size[:, :, 1, :]
    after, before = (xp.flip(x, axis=2) for x in backend.sums_along(xp.flip(fore, axis=2)))
    ground = before[:, :, :1]
    has = ground > 0
    above, through = backend.sums_along(back)
    # without foreground, the first bin that holds anything shares the whole increment of 1
    top = ~has & (back > 0) & (above == 0)
    alone = xp.astype(top, back.dtype) / xp.where(top, back, xp.ones_like(back))
    # 1/U; without foreground any number, for I is 0 and no pixel asks for its weight
    some = xp.where(has, ground, xp.ones_like(ground))
    inverse0, inverse1 = 1 / (some + above), 1 / (some + through)
    mean_fore = 0.5 * (inverse0 + inverse1)
    mean_back = 0.5 * (before + after) * inverse0 * inverse1 + alone
    fall_fore = xp.minimum(inverse0 - inverse1, mean_fore)
    fall_back = xp.minimum(before * inverse0 * inverse0 - after * inverse1 * inverse1, mean_back)
    return xp.stack([mean_back, mean_fore], axis=2), -xp.stack([fall_back, fall_fore], axis=2)


def table(
    size: Array,
    total: Array,
    mean: Array,
    rise: Array,
    backend: Backend,
    hinge: bool,
) -> Array:
    """The derivative by p or by the logit u beyond the start of a bin: start + rise·u, (..., 2).

    The line passes through the mean weight at the place of the bin's mean error, which is found
    in the arithmetic of the pixels, the dtype of `mean` and `rise`, so that equal errors share
    their weight exactly. Hinge errors of 0, in the last bin, have the derivative 0.
    """
    xp, bins, device = backend.xp, size.shape[-1], backend.device(total)
    filled = size > 0
    average = total / xp.where(filled, size, xp.ones_like(size))
    average = xp.astype(average, mean.dtype, copy=False)
    side = backend.constant([[[[0.0], [1.0]]]], mean)
    place = backend.place_errors(average, bins, hinge, side)
    first = xp.arange(bins, dtype=mean.dtype, device=device)[None, None, None, :]
    away = place - (first + bins * side)
    start = mean - rise * xp.where(filled, away, xp.zeros_like(away))
    # foreground errors fall as p rises
    sign = 1 - 2 * side
    lines = xp.stack([start * sign, rise * sign], axis=-1)
    if hinge:
        last = xp.zeros_like(lines[:, :, :, :1, :])
        lines = xp.concat([lines[:, :, :, :-1, :], last], axis=3)
    return lines

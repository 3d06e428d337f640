"""From statistics to the value, and from a cotangent to the slopes of each term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array, Dtype, Namespace
    from .backend import Backend
    from .loss import Loss, Term
    from .walk import Measured


@dataclass(frozen=True)
class Scored:
    """A term's part of the value, with its slopes by its statistics, factor included."""

    value: Array
    slopes: tuple[Array, ...]


def score_term(
    backend: Backend, factor: float, term: Term, statistics: Measured, dtype: Dtype
) -> Scored:
    """The part of one term in a weighted sum; `dtype` is that of the value."""
    bits = 64 if dtype == backend.xp.float64 else 32
    scorer, arrays = backend.scoring(statistics)
    xp = scorer.xp
    losses, share, slopes = term.score(tuple(arrays), scorer, bits)
    terms = losses * share
    if term.reduction != "none":
        value = scorer.add_all(terms)
    else:
        if terms.shape[1] == arrays[0].shape[1]:
            terms = counted(xp, terms, term)
        value = terms if term.per_sample else terms[0, :]
    scale = share
    if factor != 1.0:
        value, scale = value * factor, share * factor
    return Scored(value, tuple(_scaled(scorer, slope, scale) for slope in slopes))


def scale_slopes(
    backend: Backend, term: Term, slopes: tuple[Array, ...], cotangent: Array | None
) -> tuple[Array, ...]:
    """A term's slopes times the cotangent of its value."""
    if cotangent is None or term.maps or not slopes:
        return slopes
    scorer, (cot,) = backend.scoring((cotangent,))
    if cot.ndim == 0 and scorer.concrete(cot) and scorer.on_host(cot) and float(cot) == 1.0:
        return slopes
    cot = scorer.xp.astype(cot, slopes[0].dtype, copy=False)
    if term.reduction != "none":
        return tuple(slope * cot for slope in slopes)
    cot = cot if term.per_sample else cot[None, :]
    if term.classes is not None and cot.shape[1] == len(term.classes):
        cot = among_all(scorer.xp, cot, term, slopes[0].shape[1])
    return tuple(slope * _expand(scorer.xp, cot, slope) for slope in slopes)


def add_values(loss: Loss, parts: Sequence[Array]) -> Array:
    """The sum of the terms' values, which must agree in shape."""
    shapes = [tuple(part.shape) for part in parts]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"the terms of {loss} have values of shapes {', '.join(map(str, shapes))}; expected "
            'equal shapes, for nothing is broadcast; take reduction="mean" or "sum"'
        )
    return sum(parts[1:], start=parts[0])


def _scaled(backend: Backend, slope: Array, scale: Array) -> Array:
    """A term's new slope times `scale` (R, C); a table, which is large, in its own memory."""
    scale = _expand(backend.xp, scale, slope)
    return backend.multiply(slope, scale, slope) if slope.ndim > 2 else slope * scale


def _expand(xp: Namespace, scale: Array, slope: Array) -> Array:
    """(R, C) with trailing axes of length 1, to multiply (R, C, ...) in its own dtype."""
    scale = scale if scale.dtype == slope.dtype else xp.astype(scale, slope.dtype)
    return scale[(..., *([None] * (slope.ndim - 2)))] if slope.ndim > 2 else scale


def counted(xp: Namespace, x: Array, term: Term) -> Array:
    """Of one entry per class along axis 1, those of the classes that count."""
    if term.classes is None:
        return x
    return xp.concat([x[:, c : c + 1, ...] for c in term.classes], axis=1)


def among_all(xp: Namespace, x: Array, term: Term, classes: int) -> Array:
    """Entries of the classes that count along axis 1 of those of all, with 0 for the others."""
    if term.classes is None:
        return x
    given = {c: x[:, i : i + 1, ...] for i, c in enumerate(term.classes)}
    zero = xp.zeros_like(x[:, :1, ...])
    return xp.concat([given.get(c, zero) for c in range(classes)], axis=1)

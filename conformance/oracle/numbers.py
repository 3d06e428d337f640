"""The numbers of the oracle: real arithmetic to 80 digits, from mpmath."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from mpmath import MPContext  # type: ignore[import-untyped]

Number = Any  # a real number of `context`, NaN and infinities included
Grid = list[list[list[Number]]]  # [sample][class][pixel]

context = MPContext()
context.dps = 80

STEP = context.mpf(10) ** -25  # of the differences: errors of order STEP^2 = 1e-50
SAME = context.mpf(10) ** -20  # two numbers closer than this are meant to be equal

exp = context.exp
log = context.log
log1p = context.log1p
isfinite = context.isfinite


def number(x: Decimal | float | str) -> Number:
    """`x` as a number of the oracle, exactly (decimals: to 80 digits)."""
    if isinstance(x, Decimal):
        return context.mpf(str(x) if x.is_finite() else float(x))
    return context.mpf(x)


def total(terms: Iterable[Number]) -> Number:
    """The sum of the terms."""
    result = number(0)
    for term in terms:
        result = result + term
    return result


def close(a: Number, b: Number) -> bool:
    """Whether `a` and `b` are equal but for the step of a difference."""
    return bool(abs(a - b) < SAME)


def power(base: Number, exponent: Number) -> Number:
    """base^exponent with 0^0 = 1; a fractional power of a number below 0 counts as that of 0."""
    if exponent == 0:
        return number(1)
    if exponent == int(exponent):
        return base ** int(exponent)
    return base**exponent if base > 0 else number(0)


def decimal(x: Number, digits: int = 30) -> Decimal:
    """`x` rounded to `digits` digits; what is below the accuracy of differences is 0."""
    if abs(x) < context.mpf(10) ** -40:
        return Decimal(0)
    return Decimal(str(context.nstr(x, digits, strip_zeros=True)))

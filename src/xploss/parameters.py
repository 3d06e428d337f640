"""Checks of hyperparameters, made once, when a loss is built."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; expected a real number")
    plain = float(value)
    # not math.isfinite, which torch.compile cannot trace
    if not (abs(plain) < math.inf and low <= plain <= high):
        raise ValueError(f"{name} is {value!r}; expected a finite number{_range(low, high)}")
    return plain


def _range(low: float, high: float) -> str:
    if high < math.inf:
        return f" in [{low:g}, {high:g}]"
    return f" of at least {low:g}" if low > -math.inf else ""


def positive(name: str, value: Any) -> float:
    """`value` as a finite float above 0."""
    checked = number(name, value)
    if checked <= 0.0:
        raise ValueError(f"{name} is {value!r}; expected a number above 0")
    return checked


def numbers(
    name: str, values: Any, low: float = -math.inf, high: float = math.inf
) -> tuple[float, ...]:
    """`values` as a tuple of finite floats in [low, high], one per counted class."""
    given = listed(name, values, "a sequence, one number per counted class")
    checked = tuple(number(f"{name}[{i}]", v, low, high) for i, v in enumerate(given))
    if not checked:
        raise ValueError(f"{name} is empty; expected one number per counted class")
    return checked


def number_or_numbers(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf
) -> float | tuple[float, ...]:
    """One number, or one per counted class."""
    given = plain(value)
    if isinstance(given, Iterable):
        return numbers(name, given, low, high)
    return number(name, given, low, high)


def weights(name: str, values: Any) -> tuple[float, ...]:
    """`values` as weights, none negative and not all 0."""
    checked = numbers(name, values, low=0.0)
    if not any(checked):
        raise ValueError(f"{name} are all 0; expected at least one weight above 0")
    return checked


def integer(name: str, value: Any) -> int:
    """`value` as an int."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}; expected an integer")
    return int(value)


def indices(name: str, values: Any) -> tuple[int, ...]:
    """`values` as a tuple of distinct class indices."""
    given = listed(name, values, "a sequence of class indices")
    checked = tuple(integer(f"{name}[{i}]", v) for i, v in enumerate(given))
    if not checked:
        raise ValueError(f"{name} is empty; expected at least one class index, or None for all")
    if min(checked) < 0 or len(set(checked)) < len(checked):
        raise ValueError(f"{name} is {checked}; expected distinct class indices of at least 0")
    return checked


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """`value`, one of `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; expected one of {_quoted(allowed)}")
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {_quoted(allowed)}")
    return value


def flag(name: str, value: Any) -> bool:
    """`value` as a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return value


def plain(values: Any) -> Any:
    """Arrays and tensors as numbers, or lists of them; everything else as it is."""
    has = hasattr(values, "tolist") and not isinstance(values, type)
    return values.tolist() if has else values


def listed(name: str, values: Any, expected: str) -> Iterable[Any]:
    """`values`, which have an order: of a dict, Python would give the keys."""
    given = plain(values)
    if isinstance(given, str | bytes | bytearray | Mapping | AbstractSet) or not isinstance(
        given, Iterable
    ):
        raise TypeError(f"{name} is {values!r}; expected {expected}")
    return given


def _quoted(allowed: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in allowed)

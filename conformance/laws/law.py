"""What a law is, and the comparison that it ends in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from conformance.laws.draw import Drawn
from tests.libraries import Library

Check = Callable[[Library, Any], None]


@dataclass(frozen=True)
class Law:
    """A statement about calls of a kind, and the check of one of them."""

    name: str
    loss: str
    """The row of the report."""
    cases: SearchStrategy[Any]
    check: Check

    def __str__(self) -> str:
        return self.name


LAWS: list[Law] = []


def law(cases: SearchStrategy[Any], loss: str = "all losses") -> Callable[[Check], Check]:
    """Registers a check as a law; its name is that of the function."""

    def register(check: Check) -> Check:
        LAWS.append(Law(check.__name__, loss, cases, check))
        return check

    return register


def result(xp: Library, drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of a call in float64."""
    weight = None if drawn.weight is None else xp.asarray(drawn.weight)
    given = xp.asarray(drawn.pred), xp.asarray(drawn.target)
    value, gradient = drawn.loss.value_and_grad(*given, weight=weight)
    return xp.to_numpy(value), xp.to_numpy(gradient)


def equal(
    found: Any, expected: Any, size: float | None = None, *, tolerance: float = 1e-10
) -> None:
    """Assert that numbers agree, relative to the largest of them (or to `size`, if larger)."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    largest = max(1e-6, size or 0.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * largest)


def same(found: tuple[Any, Any], expected: tuple[Any, Any], *, tolerance: float = 1e-10) -> None:
    """Assert that two pairs of value and gradient agree."""
    for a, b in zip(found, expected, strict=True):
        equal(a, b, tolerance=tolerance)

"""Bad calls: a table of what a user may get wrong, and what the error must say."""

from __future__ import annotations

from conformance.bad.arrays import ARRAYS
from conformance.bad.rows import Row
from conformance.bad.uses import USES
from conformance.bad.values import VALUES

__all__ = ["ARRAYS", "USES", "VALUES", "Row", "rows"]


def rows() -> tuple[Row, ...]:
    """All bad calls with arrays."""
    return (*ARRAYS, *VALUES, *USES)

"""Counts of what was checked: what the tests hand to the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

CHECKS = ("grid", "laws", "size", "traps", "bad input", "peers")
KEY = "conformance"  # of user_properties


@dataclass(frozen=True)
class Count:
    """How many checks of a kind a loss passed on a backend."""

    backend: str
    check: str
    loss: str
    detail: str = ""
    passed: int = 0
    failed: int = 0
    known: int = 0
    ulp: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def __add__(self, other: Count) -> Count:
        return replace(
            self,
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            known=self.known + other.known,
            ulp=max(self.ulp, other.ulp),
            notes=self.notes + other.notes,
        )

    @property
    def total(self) -> int:
        """All that were run."""
        return self.passed + self.failed + self.known


def encode(count: Count) -> dict[str, Any]:
    """A count as JSON."""
    return asdict(count)


def decode(row: dict[str, Any]) -> Count:
    """What `encode` made a row of."""
    return Count(**{**row, "notes": tuple(row["notes"])})


def added(counts: Iterable[Count]) -> dict[tuple[str, str], Count]:
    """Counts by loss and check, with details added up."""
    sums: dict[tuple[str, str], Count] = {}
    for count in counts:
        key = count.loss, count.check
        plain = replace(count, detail="")
        sums[key] = sums[key] + plain if key in sums else plain
    return sums

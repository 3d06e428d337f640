"""Counts of what was checked: what the tests hand to the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

CHECKS = ("grid", "laws", "long laws", "size", "traps", "bad input", "peers")
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
    notes: tuple[str, ...] = ()

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


_DEFAULTS = {f.name: f.default for f in fields(Count)}


def encode(count: Count) -> dict[str, Any]:
    """A count as JSON, without what has its default."""
    return {name: x for name, x in asdict(count).items() if x != _DEFAULTS[name]}


def decode(row: dict[str, Any]) -> Count:
    """What `encode` made a row of."""
    return Count(**{**row, "notes": tuple(row.get("notes", ()))})


def merged(counts: Iterable[Count]) -> list[Count]:
    """Counts of the same check, loss and detail added up, in an order of their own."""
    sums: dict[tuple[str, str, str, str], Count] = {}
    for count in counts:
        key = count.backend, count.check, count.loss, count.detail
        sums[key] = sums[key] + count if key in sums else count
    return sorted(sums.values(), key=lambda c: (CHECKS.index(c.check), c.detail, c.loss))

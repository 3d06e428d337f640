"""What got slower or larger between two runs: told from ratios to peers, not from seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import ratios

KEY = ("suite", "runner", "shape", "loss", "dtype", "pass", "allocator", "load")
TOLERANCE = 1.1
"""A change up to this factor is noise."""


@dataclass(frozen=True)
class Change:
    """A row that changed: its key, how, and by what factor."""

    key: tuple[str, ...]
    kind: str
    factor: float

    def __str__(self) -> str:
        return f"{self.kind:8} {self.factor:5.2f} times   {', '.join(self.key)}"


def changes(old: dict[str, Any], new: dict[str, Any], tolerance: float = TOLERANCE) -> list[Change]:
    """The rows that changed by more than the tolerance, the worst first."""
    found = [*_times(old, new, tolerance), *_memory(old, new, tolerance)]
    return sorted(found, key=lambda change: -change.factor)


def shared(old: dict[str, Any], new: dict[str, Any]) -> int:
    """How many rows both have."""
    return len({_key(row) for row in old["rows"]} & {_key(row) for row in new["rows"]})


def _times(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> Iterator[Change]:
    """Rows whose ratios to the same peers moved, beyond the quartiles of most of them."""
    before = {_key(row): row for row in old["rows"] if row.get("ratios")}
    for row in new["rows"]:
        earlier = before.get(_key(row), {}).get("ratios", {})
        now = row.get("ratios") or {}
        shared = sorted(set(earlier) & set(now))
        if not shared:
            continue
        factor = ratios.quantile([now[p]["median"] / earlier[p]["median"] for p in shared], 0.5)
        slower = sum(now[p]["low"] > earlier[p]["high"] for p in shared)
        faster = sum(now[p]["high"] < earlier[p]["low"] for p in shared)
        if factor > tolerance and 2 * slower > len(shared):
            yield Change(_key(row), "slower", factor)
        if factor < 1 / tolerance and 2 * faster > len(shared):
            yield Change(_key(row), "faster", factor)


def _memory(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> Iterator[Change]:
    """Our own peaks: each is the middle of several."""
    before = {_key(row): row["bytes"] for row in old["rows"] if _our_peak(row)}
    for row in filter(_our_peak, new["rows"]):
        if _key(row) not in before:
            continue
        slack = 0.02 * row["logits_bytes"]
        factor = (row["bytes"] + slack) / (before[_key(row)] + slack)
        if factor > tolerance:
            yield Change(_key(row), "larger", factor)
        if factor < 1 / tolerance:
            yield Change(_key(row), "smaller", factor)


def _our_peak(row: dict[str, Any]) -> bool:
    return row["suite"] == "memory" and row.get("name") == "xploss" and "bytes" in row


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in KEY)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs about the two runs themselves: versions of peers, hardware."""
    a, b = old["machine"], new["machine"]
    lines = [f"{k}: {a[k]} / {b[k]}" for k in ("cpu", "cores", "python") if a[k] != b[k]]
    versions = {k: (v, b["versions"].get(k)) for k, v in a["versions"].items() if k != "xploss"}
    return lines + [f"{k}: {v} / {w}" for k, (v, w) in versions.items() if v != w]

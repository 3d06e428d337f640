"""What differs from the golden cases, each with its reason; a row that no longer differs fails.

Patterns are those of fnmatch, against the name of a case, of a backend, a dtype and a route.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Known:
    """A difference that is understood and accepted."""

    reason: str
    case: str
    backend: str = "*"
    dtype: str = "*"
    route: str = "*"

    def covers(self, case: str, backend: str, dtype: str, route: str) -> bool:
        """Whether this row speaks of a run of a case."""
        pairs = (
            (case, self.case),
            (backend, self.backend),
            (dtype, self.dtype),
            (route, self.route),
        )
        return all(fnmatchcase(name, pattern) for name, pattern in pairs)


TWO_WALKS = "terms of several modes: each gradient is rounded to the dtype of pred, then they add"

KNOWN: tuple[Known, ...] = tuple(
    # not of small tensors of torch, whose gradients are added in float32
    Known(TWO_WALKS, "sum/mixed/modes", backend, dtype)
    for dtype in ("bfloat16", "float16")
    for backend in ("[!t]*", "torch-*")
)


def known(case: str, backend: str, dtype: str, route: str) -> Known | None:
    """The row that covers a run of a case, or None."""
    return next((row for row in KNOWN if row.covers(case, backend, dtype, route)), None)

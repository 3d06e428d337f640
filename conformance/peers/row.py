"""A row of the table: an expression of a peer, and ours for the same number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Two expressions over the same names (see `conformance/peers/data.py`).

    Values and gradients are equal, unless `fault` says how the peer goes wrong: its gradient or
    value is not finite ("nan"), another one ("wrong"), or it raises an error ("raises").
    """

    peer: str
    ours: str
    remark: str = ""
    data: str = "classes"
    """Which input: a key of `conformance.peers.data.KINDS`."""
    tolerance: float = 1e-9
    """Relative; larger where the peer adds a small number that we do not."""
    dtype: str = "float64"
    gradient: bool = True
    """Whether the peer has one to compare."""
    fault: str = ""

    def __str__(self) -> str:
        return self.peer + (f" ({self.fault})" if self.fault else "")


@dataclass(frozen=True)
class Library:
    """A peer: how it is imported, for the names of its expressions, and its array layout."""

    name: str
    package: str
    imports: str
    rows: tuple[Row, ...]
    note: str = ""
    """What to know of all its losses."""
    missing: str = ""
    """Its losses that have no counterpart here."""
    arrays: str = "torch"
    last: bool = False
    """Whether the classes are on the last axis."""
    hollow: tuple[str, ...] = ()
    """Packages whose modules are imported without what they import themselves (networks, CUDA)."""

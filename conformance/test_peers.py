"""Values and gradients equal to those of installed peers, on fresh random input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from conformance.conftest import Add
from conformance.peers.evaluate import answers
from conformance.peers.guide import GUIDE, text
from conformance.peers.row import LIBRARIES, Row
from conformance.peers.table import ROWS
from conformance.tally import Count
from tests.libraries import selected


def _seed() -> int:
    """XPLOSS_SEED, or one that nobody chose."""
    given = os.environ.get("XPLOSS_SEED")
    return int(given) if given else int.from_bytes(os.urandom(4), "little")


SEED = _seed()


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """JAX with 64 bits, where it is installed."""
    context = nullcontext()
    if find_spec("jax"):
        import jax

        context = jax.enable_x64(True)
    with context:
        yield


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_peer(row: Row, count: Add) -> None:
    peer = LIBRARIES[row.library]
    if peer.arrays not in selected():
        pytest.skip(f"{peer.arrays} is not among XPLOSS_BACKENDS")
    for package in (peer.package, peer.arrays):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    theirs, ours = answers(row, SEED)
    note = f"{row}, seed {SEED}"
    agree = _agree(theirs[0], ours[0], row.tolerance)
    if row.gradient:
        assert theirs[1] is not None
        assert ours[1] is not None
        agree = agree and _agree(theirs[1], ours[1], row.tolerance)
    loss = row.ours.replace("(", " ").split("Loss")[0].split()[-1] + "Loss"
    kind = "Sum" if " + " in row.ours else loss
    made = Count(peer.arrays, "peers", kind, row.library, passed=int(agree), failed=int(not agree))
    count(made if agree else made + Count(peer.arrays, "peers", kind, notes=(note,)))
    assert agree, (note, theirs, ours)


def _agree(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    size = float(np.abs(expected).max())
    return found.shape == expected.shape and bool(
        np.all(np.abs(found - expected) <= tolerance * size)
    )


def test_the_guide_is_the_table() -> None:
    if not GUIDE.parent.exists():
        pytest.skip("no docs beside the package")
    assert GUIDE.read_text(encoding="utf-8") == text()


def test_every_library_has_rows() -> None:
    assert {row.library for row in ROWS} == set(LIBRARIES)
    assert Path(GUIDE).name == "migration.md"
